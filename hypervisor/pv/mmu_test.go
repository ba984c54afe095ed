package pv

import (
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
)

func newMachine(t *testing.T) *Machine {
	t.Helper()
	l := NewLayout(8<<20, 2, 4)
	mem, err := guestmem.New(l.Ranges())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mem.Close)
	m, err := New(mem, l, 2, []byte{0xe6, 0xe7})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// tree makes tables of four levels at frames from g on.
func (m *Machine) tree(t *testing.T, g guestmem.GFN) {
	t.Helper()
	for i := range guestmem.GFN(3) {
		if err := m.mem.Write64((g + i).GPA(), uint64(g+i+1)<<12|bitP|bitRW); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMMU_monitorsSwitchCounts: a table that a vCPU has left in its monitor is none any more as soon as it is unpinned, and one that it has gone to stays one.
func TestMMU_monitorsSwitchCounts(t *testing.T) {
	m := newMachine(t)
	v := m.VCPUs[1]
	const first, second = 0x100, 0x200
	m.tree(t, first)
	m.tree(t, second)
	for _, g := range []guestmem.GFN{first, second} {
		if err := m.MMU.Pin(g, 4); err != 0 {
			t.Fatal(err)
		}
	}
	if err := v.SetKernelRoot(first); err != 0 {
		t.Fatal(err)
	}
	v.words[monitor.BlockKernCR3/8] = second << 12 // as the monitor does
	if err := m.MMU.Unpin(first); err != 0 {
		t.Fatal(err)
	}
	if n := m.MMU.Level(first); n != 0 {
		t.Errorf("the table that was left is of level %d", n)
	}
	if err := m.MMU.Unpin(second); err != 0 {
		t.Fatal(err)
	}
	if n := m.MMU.Level(second); n != 4 {
		t.Errorf("the table in use is of level %d", n)
	}
	if v.adopt(); v.KernelRoot != second<<12 {
		t.Errorf("the vCPU uses %#x", v.KernelRoot)
	}
	// What a guest writes there itself is no table.
	v.words[monitor.BlockUserCR3/8] = 0x300 << 12
	v.words[monitor.BlockKernCR3/8] = 1 << 50
	if v.adopt(); v.KernelRoot != second<<12 {
		t.Errorf("the vCPU uses %#x", v.KernelRoot)
	}
}

// TestMMU_plainWritesDoNotMislead: entries that a guest wrote as plain memory are not followed to tables of other levels.
func TestMMU_plainWritesDoNotMislead(t *testing.T) {
	m := newMachine(t)
	const n = 500
	for g := guestmem.GFN(0x100); g < 0x100+n; g++ {
		if err := m.MMU.Pin(g, 2); err != 0 {
			t.Fatal(err)
		}
	}
	for g := guestmem.GFN(0x100); g < 0x100+n-1; g++ {
		_ = m.mem.Write64(g.GPA(), uint64(g+1)<<12|bitP)
	}
	for g := guestmem.GFN(0x100); g < 0x100+n; g++ {
		if err := m.MMU.Unpin(g); err != 0 {
			t.Fatalf("frame %#x: %v: an entry of another took its reference", g, err)
		}
		if m.MMU.Level(g) != 0 {
			t.Errorf("frame %#x still is a table", g)
		}
	}
}

func TestDescriptor(t *testing.T) {
	for in, want := range map[uint64]uint64{0: 0, 0x00af9b000000ffff: 0x00affb000000ffff, 0x00cff3000000ffff: 0x00cff3000000ffff, 0x0000001234567890: 0x0000001234567890} {
		if d, err := Descriptor(in); err != 0 || d != want {
			t.Errorf("%#x: %#x, %v; want %#x", in, d, err, want)
		}
	}
	for _, in := range []uint64{0x0000ec0000080000, 0x0000890000000067, 0x00008e0000080000} { // call gate, task state, interrupt gate
		if _, err := Descriptor(in); err == 0 {
			t.Errorf("%#x was taken", in)
		}
	}
}
