package kvm

import (
	"errors"
	"fmt"
	"sort"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/guestmem"
)

// slot is one memory slot: frames that lie behind one another on both sides.
type slot struct {
	id    uint32
	first guestmem.GFN
	n     uint64
	host  uintptr
}

func (s *slot) end() guestmem.GFN { return s.first + guestmem.GFN(s.n) }

// slotTable keeps the VM's memory slots equal to the map of guest frames.
type slotTable struct {
	vm    int // file descriptor
	mem   *guestmem.Memory
	limit int // most slots; beyond it holes are not cut out of RAM any more
	flags uint32
	list  []slot // by first frame
	free  []uint32
	next  uint32
}

// fill makes the slots for everything that is mapped now.
func (t *slotTable) fill() error {
	for _, r := range t.mem.RAM() {
		if err := t.update(r.Base.GFN(), r.Size/guestmem.PageSize); err != nil {
			return err
		}
	}
	return nil
}

// update follows a change of frames [first, first+n). No vCPU may be in the guest.
func (t *slotTable) update(first guestmem.GFN, n uint64) error {
	lo, hi := first, first+guestmem.GFN(n)
	i := sort.Search(len(t.list), func(i int) bool { return t.list[i].end() > first })
	j := i
	for ; j < len(t.list) && t.list[j].first < hi; j++ {
		lo, hi = min(lo, t.list[j].first), max(hi, t.list[j].end())
	}
	old := append([]slot(nil), t.list[i:j]...)
	want := t.runs(lo, hi)
	if same(old, want) {
		return nil
	}
	if len(t.list)-len(old)+len(want) > t.limit {
		if t.harmless(old, want) {
			return nil
		}
		return fmt.Errorf("the guest's memory map is in more than %d pieces, more than this host's KVM has slots for", t.limit)
	}
	for k := range old {
		if err := t.set(&old[k], 0); err != nil {
			return err
		}
		t.free = append(t.free, old[k].id)
	}
	for k := range want {
		want[k].id = t.take()
		if err := t.set(&want[k], want[k].n); err != nil {
			return err
		}
	}
	t.list = append(append(append(make([]slot, 0, len(t.list)+len(want)), t.list[:i]...), want...), t.list[j:]...)
	return nil
}

func same(a, b []slot) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].first != b[i].first || a[i].n != b[i].n || a[i].host != b[i].host {
			return false
		}
	}
	return true
}

// harmless says that the new pieces only lack frames of the old ones: a guest that reaches such a frame finds an empty page of its own
// instead of a hole.
func (t *slotTable) harmless(old, want []slot) bool {
	for _, w := range want {
		inside := false
		for _, o := range old {
			inside = inside || w.first >= o.first && w.end() <= o.end() && w.host == o.host+uintptr(w.first-o.first)*guestmem.PageSize
		}
		if !inside {
			return false
		}
	}
	return true
}

// runs cuts frames [lo, hi) into pieces that are mapped without a break.
func (t *slotTable) runs(lo, hi guestmem.GFN) (out []slot) {
	for g := lo; g < hi; {
		host, n := run(t.mem, g, uint64(hi-g))
		if host != 0 {
			out = append(out, slot{first: g, n: n, host: host})
		}
		g += guestmem.GFN(n)
	}
	return out
}

func (t *slotTable) take() uint32 {
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		return id
	}
	t.next++
	return t.next - 1
}

func (t *slotTable) set(s *slot, n uint64) error {
	r := memoryRegion{slot: s.id, flags: t.flags, gpa: uint64(s.first.GPA()), size: n * guestmem.PageSize, userspaceA: uint64(s.host)}
	if n == 0 {
		r.flags = 0
	}
	if err := request(t.vm, kvmSetUserMemory, &r); err != nil {
		hint := ""
		if errors.Is(err, unix.ENOMEM) {
			hint = "; the host is out of memory for the guest's page tables"
		}
		return fmt.Errorf("kvm: set memory slot %d to %#x+%#x: %w%s", s.id, r.gpa, r.size, err, hint)
	}
	return nil
}

// startLog makes KVM note which frames the guest writes to; stopLog ends it.
func (t *slotTable) log(on bool) error {
	t.flags = 0
	if on {
		t.flags = memLogDirtyPages
	}
	for i := range t.list {
		if err := t.set(&t.list[i], t.list[i].n); err != nil {
			return err
		}
	}
	return nil
}

// collect calls f for each slot with the frames written to since the last call: bit i of word i/64 is frame first+i.
func (t *slotTable) collect(f func(first guestmem.GFN, bitmap []uint64)) error {
	for i := range t.list {
		s := &t.list[i]
		bits := make([]uint64, (s.n+63)/64)
		d := dirtyLog{slot: s.id, bitmap: address(&bits[0])}
		if err := request(t.vm, kvmGetDirtyLog, &d); err != nil {
			return fail("get the dirty log", err)
		}
		f(s.first, bits)
	}
	return nil
}
