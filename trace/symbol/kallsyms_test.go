package symbol

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// order is an order of the tables, and how they are aligned.
type order struct {
	name     string
	old      bool // addresses before the names
	seq      int  // bytes of a sequence number
	align    int
	absolute bool // per-CPU symbols, and others counted downwards
}

func orders() []order {
	return []order{
		{"6.12", false, 3, 4, true}, {"6.12 aligned to 8", false, 3, 8, true}, {"6.15", false, 3, 4, false},
		{"6.1.60", true, 3, 8, true}, {"6.2", true, 4, 8, true}, {"6.1", true, 0, 8, true}, {"5.10, one CPU", true, 0, 8, false},
	}
}

// base is where the kernel of the tests begins; the tables lie tablesAt bytes into it.
const (
	base     = 0xffffffff9ac00000
	tablesAt = 0x1234560
)

// sym is a symbol of the tests, name with its type; addr is relative to base, or a per-CPU offset.
type sym struct {
	addr   uint32
	name   string
	percpu bool
}

// someSyms gives n functions of 16 bytes, and what a kernel has besides.
func someSyms(n int, absolute bool) []sym {
	var out []sym
	if absolute {
		out = append(out, sym{0, "Afixed_percpu_data", true}, sym{0x1000, "Aa_counter", true})
	}
	out = append(out, sym{0, "T_stext", false}, sym{0, "Tstartup_64", false})
	for i := range n {
		out = append(out, sym{uint32(16 + 16*i), fmt.Sprintf("tfunction_%d", i), false})
	}
	out = append(out, sym{uint32(16 + 16*n), "T" + strings.Repeat("long_name_", 20), false}, sym{uint32(32 + 16*n), "T_etext", false},
		sym{uint32(0x100000 + 16*n), "D__start_orc_unwind", false})
	return out
}

// tables lays out kallsyms at address va. Names are packed with the token "function_", code 1.
func tables(o order, syms []sym, va uint64) []byte {
	var b []byte
	align := func(n int) {
		for (va+uint64(len(b)))%uint64(n) != 0 {
			b = append(b, 0)
		}
	}
	addresses := func() {
		align(o.align)
		for _, s := range syms {
			v := s.addr
			if o.absolute && !s.percpu {
				v = ^s.addr
			}
			b = le.AppendUint32(b, v)
		}
		align(8)
		b = le.AppendUint64(b, base)
	}
	if o.old {
		addresses()
	}
	align(o.align)
	b = le.AppendUint32(b, uint32(len(syms)))
	align(o.align)
	var marks []byte
	for i, start := 0, len(b); i < len(syms); i++ {
		if i%markEvery == 0 {
			marks = le.AppendUint32(marks, uint32(len(b)-start))
		}
		p := strings.ReplaceAll(syms[i].name, "function_", "\x01")
		if b = append(b, byte(len(p))); len(p) > 0x7f {
			b[len(b)-1] |= 0x80
			b = append(b, byte(len(p)>>7))
		}
		b = append(b, p...)
	}
	align(o.align)
	b = append(b, marks...)
	align(o.align)
	if o.old {
		b = append(b, bytes.Repeat([]byte{7}, o.seq*len(syms))...)
		align(o.align)
	}
	var index []byte
	for i, start := 0, len(b); i < tokens; i++ {
		index = le.AppendUint16(index, uint16(len(b)-start))
		switch {
		case i == 1:
			b = append(b, "function_"...)
		case i > ' ' && i < 0x7f:
			b = append(b, byte(i))
		default:
			b = append(b, "un"...)
		}
		b = append(b, 0)
	}
	align(o.align)
	b = append(b, index...)
	if !o.old {
		addresses()
	}
	return append(b, bytes.Repeat([]byte{9}, 100)...)
}

// memory reads b as what lies at va; everything else is unmapped.
func memory(va uint64, b []byte) func(uint64, []byte) error {
	return func(at uint64, p []byte) error {
		if at < va || at-va > uint64(len(b)) || uint64(len(p)) > uint64(len(b))-(at-va) {
			return errors.New("unmapped")
		}
		copy(p, b[at-va:])
		return nil
	}
}

// inPages fills b up to whole pages with junk before and behind it.
func inPages(va uint64, b []byte) (uint64, []byte) {
	front := bytes.Repeat([]byte{0xcc}, int(va%page))
	b = append(front, b...)
	for len(b)%page != 0 {
		b = append(b, 0xcc)
	}
	return va - uint64(len(front)), b
}

func TestKallsyms(t *testing.T) {
	for _, o := range orders() {
		t.Run(o.name, func(t *testing.T) {
			syms := someSyms(2000, o.absolute)
			for _, hint := range []uint64{0, base, base + 300<<20, imageHigh + 5} {
				table, err := Kallsyms(memory(inPages(base+tablesAt, tables(o, syms, base+tablesAt))), hint)
				if err != nil {
					t.Fatal(err)
				}
				check(t, table)
			}
		})
	}
}

func check(t *testing.T, table *Table) {
	t.Helper()
	if lo, hi := table.Text(); lo != base || hi != base+32+16*2000 {
		t.Errorf("text %#x-%#x", lo, hi)
	}
	for _, c := range []struct {
		at   uint64
		want Symbol
		ok   bool
	}{
		{base - 1, Symbol{}, false},
		{base, Symbol{"startup_64", base, 16}, true},
		{base + 15, Symbol{"startup_64", base, 16}, true},
		{base + 16, Symbol{"function_0", base + 16, 16}, true},
		{base + 16*2000 + 15, Symbol{"function_1999", base + 16*2000, 16}, true},
		{base + 16*2001 + 15, Symbol{strings.Repeat("long_name_", 20), base + 16*2001, 16}, true},
		{base + 16*2002, Symbol{}, false},
		{0, Symbol{}, false},
		{1<<64 - 1, Symbol{}, false},
	} {
		if got, ok := table.Lookup(c.at); got != c.want || ok != c.ok {
			t.Errorf("%#x: %+v, %v; want %+v, %v", c.at, got, ok, c.want, c.ok)
		}
	}
	if a, ok := table.Address("__start_orc_unwind"); !ok || a != base+0x100000+16*2000 {
		t.Errorf("data at %#x, %v", a, ok)
	}
	if a, ok := table.Address("a_counter"); ok {
		t.Errorf("a per-CPU offset became address %#x", a)
	}
}

// TestKallsyms_damaged: tables that do not agree with each other are refused.
func TestKallsyms_damaged(t *testing.T) {
	o := orders()[0]
	syms := someSyms(2000, true)
	good := tables(o, syms, base+tablesAt)
	names := 4
	tokensAt := bytes.Index(good, []byte("un\x00function_\x00"))
	offsets := tokensAt + bytes.Index(good[tokensAt:], []byte("un\x00\x00")) // roughly
	for _, c := range []struct {
		name   string
		damage func(b []byte)
	}{
		{"number of symbols", func(b []byte) { b[0]++ }},
		{"length of a name", func(b []byte) { b[names]++ }},
		{"marker", func(b []byte) { b[tokensAt-8]++ }},
		{"tokens", func(b []byte) { b[tokensAt+20] = 0 }},
		{"addresses do not ascend", func(b []byte) { copy(b[len(b)-1000:], b[len(b)-500:len(b)-496]) }},
		{"base", func(b []byte) { binary.BigEndian.PutUint64(b[len(b)-108:], 1) }},
		{"no text", func(b []byte) { copy(b[bytes.Index(b, []byte("T_etext")):], "T_ftext") }},
	} {
		b := bytes.Clone(good)
		c.damage(b)
		if _, err := Kallsyms(memory(inPages(base+tablesAt, b)), base); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	_ = offsets
}

// TestRank: what names an address when several names have it.
func TestRank(t *testing.T) {
	for _, c := range []struct {
		want, other string // with types
	}{
		{"Tstartup_64", "T_text"}, {"Tschedule", "T__sched_text_start"}, {"tlocal", "T__entry_text_start"}, {"Tmemcpy", "T__memcpy"},
		{"Wmemcpy", "T__memcpy"}, {"Tstrong", "Wstrong"}, {"Tglobal", "tlocal"}, {"tlocal", "ddata"}, {"Tread", "Tread_long"},
	} {
		var b builder
		b.add(1, c.other[0], []byte(c.other[1:]))
		b.add(1, c.want[0], []byte(c.want[1:]))
		table := b.table()
		table.text = []span{{1, 2}}
		if s, _ := table.Lookup(1); s.Name != c.want[1:] {
			t.Errorf("%s won over %s", s.Name, c.want)
		}
	}
	var b builder
	for _, n := range []string{"__pfx_schedule", "__cfi_schedule", ".Ltmp1", ""} {
		b.add(1, 't', []byte(n))
	}
	if n := b.table().Len(); n != 0 {
		t.Errorf("%d symbols that are none", n)
	}
}

func TestBuildID(t *testing.T) {
	note := func(owner string, typ uint32, desc string) []byte {
		b := le.AppendUint32(nil, uint32(len(owner)))
		b = le.AppendUint32(b, uint32(len(desc)))
		b = append(le.AppendUint32(b, typ), owner...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		b = append(b, desc...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	xen := note("Xen\x00", 3, "12345678")
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{append(xen, note("GNU\x00", 3, "abcde")...), "abcde"}, {xen, ""}, {nil, ""}, {note("GNU\x00", 3, ""), ""},
		{note("GNU\x00", 3, strings.Repeat("x", 65)), ""}, {note("GNU\x00", 3, "abcdefgh")[:20], ""},
		{bytes.Repeat([]byte{0xff}, 100), ""},
	} {
		if got := buildID(c.b); string(got) != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func FuzzKallsyms(f *testing.F) {
	for _, o := range orders() {
		f.Add(tables(o, someSyms(1000, o.absolute), base+tablesAt))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := Kallsyms(memory(inPages(base+tablesAt, b)), base)
		if err != nil {
			if !errors.Is(err, ErrNotFound) {
				t.Fatal(err)
			}
			return
		}
		lo, hi := table.Text()
		for a := lo; a < hi && a < lo+1<<16; a += 64 {
			if s, ok := table.Lookup(a); ok && (s.Addr > a || a-s.Addr >= s.Size || s.Name == "") {
				t.Fatalf("%#x: %+v", a, s)
			}
		}
	})
}
