package svm

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// column is one side of the table.
type column struct{ host, side, title string }

func (c column) figure(what string) string { return c.host + "/" + c.side + "/" + what }

// row is one line of the table: a figure of each column, broken down if causes, which prefixes the titles, is not empty.
type row struct{ title, what, causes string }

// The rows of boots, and of what is beside C.
var (
	bootRows = []row{
		{"start to init, ms", "boot-ms", ""},
		{"memory beyond the guest's, MiB", "memory-mib", ""},
		{"- after 2 s of idling", "memory-idle-mib", ""},
		{"all exits", "exits", ""},
		{"exits but for CPUID and host interrupts", "own-exits", "by "},
		{"exits to user space", "user-exits", "by "},
	}
	loopRows = []row{
		{"KVM_RUN round trip of a port exit, best batch, ns", "port-exit-ns", ""},
		{"- median batch", "port-exit-median-ns", ""},
		{"worst pause by the collector beside a spinning vCPU, ms", "gc-pause-ms", ""},
		{"- of it until all had stopped", "gc-stopping-ms", ""},
	}
)

// Table prints what was measured on these hosts.
func (fs Figures) Table(w io.Writer, hosts []string) error {
	var boots, sides, ops []column
	for _, h := range hosts {
		boots = append(boots, column{h, "gozen", "gozen"}, column{h, "gozen-bzimage", "(bzImage)"}, column{h, "qemu", "microvm"})
		if h == Host61 {
			boots = append(boots, column{h, "bare", "no VMM"})
		}
		sides = append(sides, column{h, "gozen", "gozen"}, column{h, "c", "C"})
		ops = append(ops, opColumns(h)...)
	}
	t := fs.table("to the init of a guest with kernel 6.1, 512 MiB", boots)
	for _, r := range bootRows {
		t.figure(r)
		if r.causes != "" {
			t.breakdown(r.what, r.causes)
		}
	}
	t.breakdown("ports", "port ")
	t.breakdown("msrs", "MSR ")
	errs := []error{t.write(w)}
	t = fs.table("run loop and collector", sides)
	for _, r := range loopRows {
		t.figure(r)
	}
	errs = append(errs, t.write(w))
	t = fs.table("operations, ns (times the bare kernel's)", ops)
	for _, o := range Operations() {
		t.operation(o.Name)
	}
	return errors.Join(append(errs, t.write(w))...)
}

// DeviceTable prints what was measured of devices.
func (fs Figures) DeviceTable(w io.Writer, hosts []string) error {
	var cs []column
	for _, h := range hosts {
		cs = append(cs, column{h, "gozen", "gozen"}, column{h, "qemu", "microvm"})
	}
	t := fs.table("disk and network of a guest with kernel 6.1, ns", cs)
	for _, o := range DeviceOps() {
		t.figure(row{o.Name, "op/" + o.Name, ""})
	}
	err := t.write(w)
	t = fs.table("exits of KVM for each", cs)
	for _, o := range DeviceOps() {
		t.figure(row{o.Name, "exits/" + o.Name, ""})
	}
	return errors.Join(err, t.write(w))
}

// Sides that run the guest program, and whose kernel is which on each host.
func opColumns(host string) []column {
	if host == Host61 {
		return []column{{host, "gozen", "gozen"}, {host, "bare", "bare"}}
	}
	return []column{{host, "gozen", "gozen"}, {host, "gozen-native", "gozen native"}, {host, "bare", "bare"}}
}

// A table is one in the making: the first row has the titles.
type table struct {
	fs      Figures
	columns []column
	rows    [][]string
}

func (fs Figures) table(title string, cs []column) *table {
	t := &table{fs: fs, columns: cs}
	t.row(title, func(c column) string { return c.title + " " + c.host })
	return t
}

func (t *table) row(title string, cell func(column) string) {
	r := []string{title}
	for _, c := range t.columns {
		r = append(r, cell(c))
	}
	t.rows = append(t.rows, r)
}

// figure adds a row with a figure of each column.
func (t *table) figure(r row) {
	t.row(r.title, func(c column) string {
		if v, ok := t.fs.Value(c.figure(r.what)); ok {
			return number(v)
		}
		return absent
	})
}

const absent = "-"

// operation adds a row of what one costs.
func (t *table) operation(name string) {
	t.row(name, func(c column) string {
		v, ok := t.fs.Value(c.figure("op/" + name))
		if !ok {
			return absent
		}
		r, ok := t.fs.Ratio(c.figure("op/"+name), c.host+"/bare/op/"+name)
		if !ok || c.side == "bare" {
			return number(v)
		}
		return fmt.Sprintf("%s (%.3f)", number(v), r)
	})
}

// shown is how many rows a breakdown has at most.
const shown = 12

// breakdown adds rows with the details of a figure, the largest first.
func (t *table) breakdown(what, prefix string) {
	most := map[string]uint64{}
	for _, c := range t.columns {
		for k, n := range t.fs[c.figure(what)].Detail {
			most[k] = max(most[k], n)
		}
	}
	keys := slices.SortedFunc(maps.Keys(most), func(a, b string) int {
		return cmp.Or(cmp.Compare(most[b], most[a]), cmp.Compare(a, b))
	})
	rest := keys[min(len(keys), shown):]
	for _, k := range keys[:len(keys)-len(rest)] {
		t.details("  "+prefix+k, what, k)
	}
	if len(rest) > 0 {
		t.details(fmt.Sprintf("  %s%d others", prefix, len(rest)), what, rest...)
	}
}

// details adds a row with the sum of some details of a figure.
func (t *table) details(title, what string, keys ...string) {
	t.row(title, func(c column) string {
		f, ok := t.fs[c.figure(what)]
		if !ok {
			return absent
		}
		sum := uint64(0)
		for _, k := range keys {
			sum += f.Detail[k]
		}
		return fmt.Sprint(sum)
	})
}

// write prints the titles at the left, the cells at the right.
func (t *table) write(w io.Writer) error {
	width := make([]int, len(t.columns)+1)
	for _, r := range t.rows {
		for i, c := range r {
			width[i] = max(width[i], len(c))
		}
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, r := range t.rows {
		fmt.Fprintf(&b, "%-*s", width[0], r[0])
		for i, c := range r[1:] {
			fmt.Fprintf(&b, "  %*s", width[i+1], c)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
