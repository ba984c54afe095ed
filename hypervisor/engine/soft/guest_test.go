package soft

import (
	"testing"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// testGuest is a vCPU in 64-bit mode with the window of package native mapped.
type testGuest struct {
	cpu *CPU
	mem *guestmem.Memory
}

const guestWindow = 0x100000 // physical address of the window in the guest

func newTestGuest(t testing.TB) *testGuest {
	t.Helper()
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mem.Close)
	vm, err := New(Config{Memory: mem})
	if err != nil {
		t.Fatal(err)
	}
	v, err := vm.NewVCPU(0)
	if err != nil {
		t.Fatal(err)
	}
	g := &testGuest{cpu: v.(*CPU), mem: mem}
	g.tables(t)
	s := g.state()
	if err := g.cpu.Set(&s); err != nil {
		t.Fatal(err)
	}
	return g
}

// tables maps native.Base to guestWindow with 4 KiB pages; the window's index in the upper tables follows from its address.
func (g *testGuest) tables(t testing.TB) {
	t.Helper()
	put := func(a guestmem.GPA, v uint64) {
		if err := g.mem.Write64(a, v); err != nil {
			t.Fatal(err)
		}
	}
	put(0x1000, 0x2000|7)
	put(0x2000, 0x3000|7)
	put(0x3000+native.Base>>21*8, 0x4000|7)
	for i := guestmem.GPA(0); i < native.Size>>12; i++ {
		put(0x4000+8*i, uint64(guestWindow+i<<12|7))
	}
}

func (g *testGuest) state() x86.State {
	var s x86.State
	s.CR0 = x86.CR0PE | x86.CR0PG | x86.CR0NE | x86.CR0WP | x86.CR0ET | x86.CR0MP
	s.CR4 = x86.CR4PAE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT
	s.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERSCE
	s.CR3, s.PAT = 0x1000, x86.PATReset
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Selector: 0x10, Limit: 0xffffffff, Attr: 0xc093}
	}
	s.Seg[x86.CS] = x86.Segment{Selector: 8, Limit: 0xffffffff, Attr: 0xa09b}
	s.TR = x86.Segment{Limit: 0xffff, Attr: 0x8b}
	s.LDTR = x86.Segment{Attr: x86.AttrUnusable}
	s.RIP = native.CodeBase
	return s
}

// do executes one instruction by its handler, without delivering faults.
func (g *testGuest) do(code ...byte) bool {
	in := decodeOne(code)
	g.cpu.stop = stopNone
	return g.cpu.handler[in.Op](g.cpu, &in)
}

func decodeOne(code []byte) (in decode.Inst) {
	decode.Decode(&in, code, decode.Mode64)
	return in
}
