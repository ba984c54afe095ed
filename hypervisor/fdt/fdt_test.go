package fdt

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"gozen/hypervisor/guestmem"
)

var update = flag.Bool("update", false, "rewrite testdata")

// source takes a blob apart as a reader of its own would, and prints it as device tree source.
func source(t *testing.T, b []byte) string {
	t.Helper()
	be := binary.BigEndian
	word := func(at int) int { return int(be.Uint32(b[at:])) }
	if word(0) != magic || word(4) != len(b) || word(20) != 17 || word(24) != 16 || word(28) != 0 {
		t.Fatalf("header % x", b[:headerSize])
	}
	structs, names, nameLen, structLen := word(8), word(12), word(32), word(36)
	if names+nameLen > len(b) || structs+structLen != names || word(16)%8 != 0 || structs%4 != 0 {
		t.Fatalf("blocks % x", b[:headerSize])
	}
	text := func(at int) string { s, _, _ := strings.Cut(string(b[at:]), "\x00"); return s }
	var out strings.Builder
	for at := word(16); ; at += 16 {
		if be.Uint64(b[at:]) == 0 && be.Uint64(b[at+8:]) == 0 {
			break
		}
		fmt.Fprintf(&out, "/memreserve/ %#x %#x;\n", be.Uint64(b[at:]), be.Uint64(b[at+8:]))
	}
	depth := 0
	indent := func() string { return strings.Repeat("\t", depth) }
	for at := structs; ; {
		token := word(at)
		at += 4
		switch token {
		case tokenBegin:
			name := text(at)
			at += (len(name) + 4) &^ 3
			fmt.Fprintf(&out, "%s%s {\n", indent(), map[bool]string{true: "/", false: name}[depth == 0])
			depth++
		case tokenEnd:
			depth--
			fmt.Fprintf(&out, "%s};\n", indent())
		case tokenProp:
			n, name := word(at), text(names+word(at+4))
			fmt.Fprintf(&out, "%s%s%s;\n", indent(), name, value(b[at+8:at+8+n]))
			at += 8 + (n+3)&^3
		case tokenStop:
			if depth != 0 || at != names {
				t.Fatalf("ends at depth %d, %#x of %#x", depth, at, names)
			}
			return out.String()
		default:
			t.Fatalf("token %d", token)
		}
	}
}

func value(v []byte) string {
	printable := len(v) > 1 && v[len(v)-1] == 0 && v[0] != 0
	for _, c := range v {
		printable = printable && (c == 0 || c >= ' ' && c <= '~')
	}
	switch {
	case len(v) == 0:
		return ""
	case printable:
		return fmt.Sprintf(" = %q", strings.Split(string(v[:len(v)-1]), "\x00"))
	case len(v)%4 == 0:
		var w []string
		for ; len(v) > 0; v = v[4:] {
			w = append(w, fmt.Sprintf("%#x", binary.BigEndian.Uint32(v)))
		}
		return " = <" + strings.Join(w, " ") + ">"
	}
	return fmt.Sprintf(" = [% x]", v)
}

func guest() *Guest {
	return &Guest{VersionMajor: 4, VersionMinor: 17, VCPUs: 18, MPIDR: func(n int) uint64 { return uint64(n&15 | n>>4<<8) },
		RAM: []guestmem.Range{{Base: 0x40000000, Size: 0xc0000000}, {Base: 0x200000000, Size: 0x40000000}}, Cmdline: "console=hvc0 quiet",
		Initrd: guestmem.Range{Base: 0x48000000, Size: 0x123456}, GICD: guestmem.Range{Base: 0x3000000, Size: 0x10000},
		GICR: guestmem.Range{Base: 0x3020000, Size: 0x1000000}, GrantTable: guestmem.Range{Base: 0x38000000, Size: 0x1000000},
		RandomSeed: []byte{1, 2, 3}}
}

func TestGuest_golden(t *testing.T) {
	b, err := guest().Build()
	if err != nil {
		t.Fatal(err)
	}
	got := source(t, b)
	if *update {
		if err := os.WriteFile("testdata/guest.dts", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/guest.dts")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the tree differs from testdata/guest.dts (go test ./hypervisor/fdt -update):\n%s", got)
	}
}

func TestGuest_hostileCommandLine(t *testing.T) {
	g := guest()
	g.Cmdline = "a\x00b"
	if _, err := g.Build(); err == nil {
		t.Error("a NUL in the command line was taken")
	}
	g.Cmdline = strings.Repeat("\"};/", 1000)
	b, err := g.Build()
	if err != nil || !bytes.Contains(b, []byte(g.Cmdline)) {
		t.Errorf("a long command line: %v", err)
	}
	g.Cmdline = strings.Repeat("x", MaxSize)
	if _, err := g.Build(); err == nil {
		t.Error("a tree of more than MaxSize was made")
	}
}

func TestWriter_errors(t *testing.T) {
	for name, f := range map[string]func(*Writer){
		"nothing":               func(*Writer) {},
		"open":                  func(w *Writer) { w.Begin("") },
		"two roots":             func(w *Writer) { w.Begin(""); w.End(); w.Begin(""); w.End() },
		"named root":            func(w *Writer) { w.Begin("x"); w.End() },
		"end too much":          func(w *Writer) { w.Begin(""); w.End(); w.End() },
		"property outside":      func(w *Writer) { w.Begin(""); w.End(); w.Empty("x") },
		"property behind child": func(w *Writer) { w.Begin(""); w.Begin("c"); w.End(); w.Empty("x"); w.End() },
		"slash in name":         func(w *Writer) { w.Begin(""); w.Begin("a/b"); w.End(); w.End() },
		"empty name":            func(w *Writer) { w.Begin(""); w.Begin(""); w.End(); w.End() },
		"empty property":        func(w *Writer) { w.Begin(""); w.Empty(""); w.End() },
		"NUL in property":       func(w *Writer) { w.Begin(""); w.Empty("a\x00"); w.End() },
		"huge property":         func(w *Writer) { w.Begin(""); w.Bytes("a", make([]byte, MaxSize+1)); w.End() },
	} {
		var w Writer
		f(&w)
		if b, err := w.Finish(); err == nil {
			t.Errorf("%s: %d bytes and no error", name, len(b))
		}
	}
}

func TestWriter_reserve(t *testing.T) {
	var w Writer
	w.Reserve(0x1000, 0x2000)
	w.Begin("")
	w.End()
	b, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := source(t, b); got != "/memreserve/ 0x1000 0x2000;\n/ {\n};\n" {
		t.Errorf("%q", got)
	}
}
