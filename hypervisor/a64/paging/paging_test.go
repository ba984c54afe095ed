package paging

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/guestmem"
)

const (
	ramBase = 0x40000000
	ramSize = 8 << 20
)

// tables builds page tables of one granule in guest memory.
type tables struct {
	t     *testing.T
	m     *guestmem.Memory
	shift uint
	bits  uint
	ds    bool
	root  uint64
	next  uint64
}

func newTables(t *testing.T, shift, bits uint, ds bool) *tables {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: ramBase, Size: ramSize}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	x := &tables{t: t, m: m, shift: shift, bits: bits, ds: ds, next: ramBase + 1<<20}
	x.root = x.alloc()
	return x
}

func (x *tables) alloc() uint64 {
	a := x.next
	x.next += 1 << x.shift
	return a
}

func (x *tables) levels() uint { return (x.bits - x.shift + x.shift - 4) / (x.shift - 3) }

// encode puts an address into a descriptor.
func (x *tables) encode(a uint64) uint64 {
	if x.ds {
		return a&(1<<50-1) | a>>50&3<<8
	}
	return a
}

// set maps va to pa with a descriptor n levels above the last one (0 for a page), with bits or-ed into it and tableBits into those above.
func (x *tables) set(va, pa uint64, n uint, bits, tableBits uint64) {
	x.t.Helper()
	table := x.root
	stride := x.shift - 3
	va &= 1<<x.bits - 1
	for l := x.levels() - 1; ; l-- {
		at := table + va>>(x.shift+l*stride)&(1<<stride-1)*8
		if l == n {
			d := x.encode(pa) | bits | 1
			if l == 0 {
				d |= 2
			}
			if err := x.m.Write64(guestmem.GPA(at), d); err != nil {
				x.t.Fatal(err)
			}
			return
		}
		d, err := x.m.Read64(guestmem.GPA(at))
		if err != nil {
			x.t.Fatal(err)
		}
		if d == 0 {
			d = x.encode(x.alloc()) | tableBits | 3
			if err := x.m.Write64(guestmem.GPA(at), d); err != nil {
				x.t.Fatal(err)
			}
		}
		table = d & (1<<48 - 1) &^ (1<<x.shift - 1)
	}
}

// regs gives registers that use the tables for both halves.
func (x *tables) regs() a64.Translation {
	tg := map[uint]uint64{12: 0<<tcrTG0 | 2<<tcrTG1, 14: 2<<tcrTG0 | 1<<tcrTG1, 16: 1<<tcrTG0 | 3<<tcrTG1}[x.shift]
	size := uint64(64 - x.bits)
	t := a64.Translation{SCTLR: a64.SCTLRM, TCR: size<<tcrT0SZ | size<<tcrT1SZ | tg, TTBR0: x.root, TTBR1: x.root | 7<<48}
	if x.ds {
		t.TCR |= 1 << tcrDS
	}
	return t
}

func TestTranslate_granulesAndBlocks(t *testing.T) {
	for _, g := range []struct {
		shift, bits uint
		ds          bool
		blocks      []uint // levels above the last at which blocks may stand
	}{{12, 39, false, []uint{1, 2}}, {12, 48, false, []uint{1, 2}}, {12, 42, false, []uint{1}}, {12, 52, true, []uint{1, 2, 3}},
		{14, 47, false, []uint{1}}, {14, 36, false, []uint{1}}, {14, 52, true, []uint{1, 2}}, {16, 48, false, []uint{1}}, {16, 42, false, nil}} {
		t.Run(fmt.Sprintf("%d-%d", g.shift, g.bits), func(t *testing.T) {
			x := newTables(t, g.shift, g.bits, g.ds)
			for _, n := range append([]uint{0}, g.blocks...) {
				size := uint64(1) << (g.shift + n*(g.shift-3))
				low := uint64(0x12345678abc) &^ (size - 1) & (1<<g.bits - 1)
				low ^= uint64(n) << (g.bits - 3)
				pa := uint64(0x765432100000) &^ (size - 1) & (1<<40 - 1)
				x.set(low, pa, n, 0, 0)
				r := x.regs()
				for _, va := range []uint64{low, low | ^uint64(0)<<g.bits} {
					for _, off := range []uint64{0, 8, size - 1} {
						if got, err := Translate(x.m, &r, va+off, true); err != nil || uint64(got) != pa+off {
							t.Errorf("level %d: %#x is at %#x, %v; want %#x", n, va+off, uint64(got), err, pa+off)
						}
					}
					if _, err := Translate(x.m, &r, va-1, false); !errors.Is(err, ErrNotMapped) {
						t.Errorf("level %d: %#x is mapped", n, va-1)
					}
				}
			}
		})
	}
}

func TestTranslate_rights(t *testing.T) {
	const va = 0x1000
	for _, tt := range []struct {
		name            string
		bits, tableBits uint64
		tcr             uint64
		write           bool
	}{
		{"writable", 0, 0, 0, true}, {"read-only", descReadOnly, 0, 0, false}, {"user", 1 << 6, 0, 0, true},
		{"table read-only", 0, tableRO, 0, false}, {"table rights off", 0, tableRO, 1 << tcrHPD0, true},
		{"clean", descReadOnly | descDBM, 0, 1 << tcrHD, true}, {"clean without hardware", descReadOnly | descDBM, 0, 0, false},
	} {
		x := newTables(t, 12, 48, false)
		x.set(va, ramBase, 0, tt.bits, tt.tableBits)
		r := x.regs()
		r.TCR |= tt.tcr
		if _, err := Translate(x.m, &r, va, false); err != nil {
			t.Errorf("%s: read: %v", tt.name, err)
		}
		if _, err := Translate(x.m, &r, va, true); (err == nil) != tt.write {
			t.Errorf("%s: write: %v", tt.name, err)
		}
	}
}

func TestTranslate_registers(t *testing.T) {
	x := newTables(t, 12, 48, false)
	x.set(0x5000, ramBase+0x3000, 0, 0, 0)
	good := x.regs()
	tagged := uint64(0xab)<<56 | 0x5010
	for _, tt := range []struct {
		name string
		va   uint64
		edit func(*a64.Translation)
		ok   bool
	}{
		{"as it is", 0x5010, func(*a64.Translation) {}, true},
		{"tag", tagged, func(*a64.Translation) {}, false},
		{"tag ignored", tagged, func(r *a64.Translation) { r.TCR |= 1 << tcrTBI0 }, true},
		{"tag ignored in the other half only", tagged, func(r *a64.Translation) { r.TCR |= 1 << tcrTBI1 }, false},
		{"upper half", 0xffff000000005010, func(*a64.Translation) {}, true},
		{"upper half with a tag", 0x12ff000000005010, func(r *a64.Translation) { r.TCR |= 1 << tcrTBI1 }, true},
		{"no canonical address", 0x0001000000005010, func(*a64.Translation) {}, false},
		{"nearly upper", 0xfffe000000005010, func(*a64.Translation) {}, false},
		{"walks off", 0x5010, func(r *a64.Translation) { r.TCR |= 1 << tcrEPD0 }, false},
		{"reserved granule", 0x5010, func(r *a64.Translation) { r.TCR |= 3 << tcrTG0 }, false},
		{"absurd size", 0x5010, func(r *a64.Translation) { r.TCR |= 63 }, false},
		{"52 bits without descriptors for them", 0x5010, func(r *a64.Translation) { r.TCR = r.TCR&^63 | 12 }, false},
		{"big-endian tables", 0x5010, func(r *a64.Translation) { r.SCTLR |= a64.SCTLREE }, false},
		{"table outside memory", 0x5010, func(r *a64.Translation) { r.TTBR0 = 0x1000 }, false},
		{"table at the end of the world", 0x5010, func(r *a64.Translation) { r.TTBR0 = 0xfffffffff000 }, false},
	} {
		r := good
		tt.edit(&r)
		got, err := Translate(x.m, &r, tt.va, false)
		if (err == nil) != tt.ok || err == nil && got != ramBase+0x3010 {
			t.Errorf("%s: %#x, %v", tt.name, uint64(got), err)
		}
	}
	off := a64.Translation{}
	if got, err := Translate(x.m, &off, ramBase+5, true); err != nil || got != ramBase+5 {
		t.Errorf("MMU off: %#x, %v", uint64(got), err)
	}
}

func TestTranslate_badDescriptors(t *testing.T) {
	x := newTables(t, 12, 48, false)
	x.set(0, ramBase, 3, 0, 0) // a block at level 0 does not exist
	r := x.regs()
	if _, err := Translate(x.m, &r, 0, false); err == nil {
		t.Error("a 512 GiB block was followed")
	}
	y := newTables(t, 12, 39, false)
	y.set(0x1000, ramBase, 0, 0, 0)
	last, _ := y.m.Read64(guestmem.GPA(y.root))
	mid, _ := y.m.Read64(guestmem.GPA(last &^ 0xfff))
	if err := y.m.Write64(guestmem.GPA(mid&^0xfff)+8, ramBase|1); err != nil { // a block descriptor at the last level is reserved
		t.Fatal(err)
	}
	r = y.regs()
	if _, err := Translate(y.m, &r, 0x1000, false); err == nil {
		t.Error("a reserved descriptor was followed")
	}
}

func TestCopy_crossesPages(t *testing.T) {
	x := newTables(t, 12, 48, false)
	x.set(0x1000, ramBase+0x5000, 0, 0, 0)
	x.set(0x2000, ramBase+0x3000, 0, descReadOnly, 0)
	r := x.regs()
	want := []byte("across the boundary")
	if err := x.m.Write(ramBase+0x5ff8, want[:8]); err != nil {
		t.Fatal(err)
	}
	if err := x.m.Write(ramBase+0x3000, want[8:]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if err := Copy(x.m, &r, 0x1ff8, got, false); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if err := Copy(x.m, &r, 0x1ff8, got, true); !errors.Is(err, ErrNotMapped) {
		t.Errorf("write to a read-only page: %v", err)
	}
	if err := Copy(x.m, &r, 0x2ff8, got, false); !errors.Is(err, ErrNotMapped) {
		t.Errorf("read behind the mapping: %v", err)
	}
}

func TestTranslate_doesNotAllocate(t *testing.T) {
	x := newTables(t, 12, 48, false)
	x.set(0x1000, ramBase+0x5000, 0, 0, 0)
	r := x.regs()
	if n := testing.AllocsPerRun(100, func() { _, _ = Translate(x.m, &r, 0x1008, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTranslate(f *testing.F) {
	f.Add(uint64(1), uint64(0x19|2<<30|0x19<<16), uint64(ramBase), uint64(ramBase), uint64(0x1000), []byte{3, 0, 0x50, 0x40})
	f.Fuzz(func(t *testing.T, sctlr, tcr, ttbr0, ttbr1, va uint64, mem []byte) {
		m, err := guestmem.New([]guestmem.Range{{Base: ramBase, Size: 64 << 10}})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		_ = m.Write(ramBase, mem[:min(len(mem), 64<<10)])
		var b [24]byte
		_ = Copy(m, &a64.Translation{SCTLR: sctlr, TCR: tcr, TTBR0: ttbr0, TTBR1: ttbr1}, va, b[:], false)
	})
}
