package pv

import (
	"sync"
	"sync/atomic"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/xen"
)

// Bits of a page-table entry (SDM 3A 4.5).
const (
	bitP      = 1 << 0
	bitRW     = 1 << 1
	bitU      = 1 << 2
	bitA      = 1 << 5
	bitD      = 1 << 6
	bitPS     = 1 << 7
	bitG      = 1 << 8
	bitNX     = 1 << 63
	frameMask = 0x000ffffffffff000
)

// MMU keeps the types of the guest's page-table pages, as Xen does: a page that is pinned, or that a page table refers to, is a table of one level,
// until nothing refers to it any more. Entries get what a kernel in ring 3 needs: the user bit at every level, and no global bit.
type MMU struct {
	mem    *guestmem.Memory
	frames uint64
	shared guestmem.GFN // the first frame behind the guest's memory that it may map, and the end of those
	end    uint64
	slots  [3]uint64 // entries of the monitor's level-4 slots

	vcpus []*VCPU

	mu     sync.Mutex
	level  []uint8              // of a page that is a table, 0 else
	shown  []byte               // the same as the monitor reads it, and a guest could write it
	refs   []uint32             // references to it as a table
	pinned map[guestmem.GFN]int // their levels
}

func newMMU(mem *guestmem.Memory, l Layout, slots [3]uint64, levels []byte) *MMU {
	n := l.RAM.Size >> 12
	return &MMU{mem: mem, frames: n, shared: l.SharedInfo, end: l.frames, slots: slots, level: make([]uint8, n), shown: levels[:n], refs: make([]uint32, n), pinned: map[guestmem.GFN]int{}}
}

// adjust gives an entry what the guest's kernel needs to use it in ring 3.
func adjust(e uint64) uint64 {
	if e&bitP == 0 {
		return e
	}
	return (e | bitU) &^ bitG
}

// Level tells whether a frame is a page table, and of which level: 0 if it is none.
func (m *MMU) Level(g guestmem.GFN) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(g) >= m.frames {
		return 0
	}
	return int(m.level[g])
}

// Pin makes a frame a page table of a level for as long as it stays pinned.
func (m *MMU) Pin(g guestmem.GFN, level int) xen.Errno {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	if m.pinned[g] != 0 {
		return xen.EINVAL
	}
	if err := m.get(g, level); err != 0 {
		return err
	}
	m.pinned[g] = level
	return 0
}

// Unpin ends that.
func (m *MMU) Unpin(g guestmem.GFN) xen.Errno {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	level := m.pinned[g]
	if level == 0 {
		return xen.EINVAL
	}
	delete(m.pinned, g)
	m.put(g, level)
	return 0
}

// The roots of a vCPU, in held and in its block.
const (
	kernelRoot = iota
	userRoot
)

var rootAt = [2]int{monitor.BlockKernCR3, monitor.BlockUserCR3}

// settle takes the references of tables that vCPUs have switched to in their monitors, and gives back those of the tables before; the caller holds mu. A
// table that is unpinned meanwhile is none any more only then.
func (m *MMU) settle() {
	for _, v := range m.vcpus {
		for i, at := range rootAt {
			now := guestmem.GPA(atomic.LoadUint64(&v.words[at/8]) & frameMask)
			if now == v.held[i] || now != 0 && m.get(now.GFN(), 4) != 0 { // the latter: a guest that writes to its monitor
				continue
			}
			old := v.held[i]
			if v.held[i] = now; old != 0 {
				m.put(old.GFN(), 4)
			}
		}
	}
}

// roots gives the tables that a vCPU has.
func (m *MMU) roots(v *VCPU) (kernel, user guestmem.GPA) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	return v.held[kernelRoot], v.held[userRoot]
}

// setRoot gives a vCPU another table, 0 for none.
func (m *MMU) setRoot(v *VCPU, which int, g guestmem.GFN) xen.Errno {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle()
	if g != 0 {
		if err := m.get(g, 4); err != 0 {
			return err
		}
	}
	old := v.held[which]
	v.held[which] = g.GPA()
	atomic.StoreUint64(&v.words[rootAt[which]/8], uint64(g.GPA()))
	if old != 0 {
		m.put(old.GFN(), 4)
	}
	return 0
}

// Private makes a level-4 table fit for a process (on) or for the kernel: there only is the guest's memory mapped for the monitor.
func (m *MMU) Private(g guestmem.GFN, on bool) {
	if p, ok := m.mem.Look(g); ok {
		e := m.slots[monitor.DirectSlot-monitor.FirstSlot]
		if on {
			e = 0
		}
		p.Store64(monitor.DirectSlot*8, e)
	}
}

// ours tells whether an entry of a level-4 table belongs to the hypervisor.
func ours(level, i int) bool { return level == 4 && i >= monitor.FirstSlot && i <= monitor.LastSlot }

// inOurs tells whether an address lies in the hypervisor's part of the address space.
func inOurs(va uint64) bool { return ours(4, int(va>>39&511)) }

// get takes a reference to a table, and makes it one first; the caller holds mu.
func (m *MMU) get(g guestmem.GFN, level int) xen.Errno {
	if uint64(g) >= m.frames {
		return xen.EINVAL
	}
	if m.refs[g] > 0 {
		if int(m.level[g]) != level || m.refs[g] == ^uint32(0) {
			return xen.EINVAL
		}
		m.refs[g]++
		return 0
	}
	p, ok := m.mem.Look(g)
	if !ok {
		return xen.EINVAL
	}
	m.setLevel(g, level)
	m.refs[g] = 1
	for i := range 512 {
		if ours(level, i) {
			continue
		}
		e := p.Load64(uint32(i) * 8)
		if e&bitP == 0 {
			continue
		}
		if err := m.getEntry(e, level); err != 0 {
			m.undo(&p, level, i)
			m.setLevel(g, 0)
			m.refs[g] = 0
			return err
		}
		if ne := adjust(e); ne != e {
			p.Store64(uint32(i)*8, ne)
		}
	}
	if level == 4 {
		for i, e := range m.slots {
			p.Store64(uint32(monitor.FirstSlot+i)*8, e)
		}
	}
	return 0
}

// getEntry takes the reference that an entry of a table of a level holds.
func (m *MMU) getEntry(e uint64, level int) xen.Errno {
	if e&bitP == 0 {
		return 0
	}
	if level == 1 {
		// The guest's own memory, and what Xen shares with it: not the monitor's.
		if g := guestmem.GPA(e & frameMask).GFN(); uint64(g) >= m.frames && (g < m.shared || uint64(g) >= m.end) {
			return xen.EINVAL
		}
		return 0
	}
	if e&bitPS != 0 {
		return xen.EINVAL // a PV guest has no large pages
	}
	return m.get(guestmem.GPA(e&frameMask).GFN(), level-1)
}

// undo gives back the references of entries before n.
func (m *MMU) undo(p *guestmem.Page, level, n int) {
	for i := range n {
		if !ours(level, i) {
			m.putEntry(p.Load64(uint32(i)*8), level)
		}
	}
}

func (m *MMU) putEntry(e uint64, level int) {
	if e&bitP != 0 && level > 1 && e&bitPS == 0 {
		m.put(guestmem.GPA(e&frameMask).GFN(), level-1)
	}
}

func (m *MMU) setLevel(g guestmem.GFN, level int) { m.level[g], m.shown[g] = uint8(level), byte(level) }

// put gives a reference to a table of a level back; the caller holds mu. The level is that of whoever had the reference: a guest can write to its tables, and
// make entries point to others.
func (m *MMU) put(g guestmem.GFN, level int) {
	if uint64(g) >= m.frames || m.refs[g] == 0 || int(m.level[g]) != level {
		return
	}
	if m.refs[g]--; m.refs[g] > 0 {
		return
	}
	m.setLevel(g, 0)
	p, ok := m.mem.Look(g)
	if !ok {
		return
	}
	m.undo(&p, level, 512)
	if level == 4 && !m.loaded(g) {
		for i := range m.slots {
			p.Store64(uint32(monitor.FirstSlot+i)*8, 0)
		}
	}
}

// loaded tells whether a vCPU has a table in CR3 until it next leaves its monitor. It then needs the monitor's slots; whoever uses the page next finds
// them in it, as on Xen.
func (m *MMU) loaded(g guestmem.GFN) bool {
	for _, v := range m.vcpus {
		if guestmem.GFN(v.loaded.Load()) == g {
			return true
		}
	}
	return false
}

// Update writes an entry, or any word of a page that is no table. keep leaves the accessed and dirty bits as the processor has them.
func (m *MMU) Update(at guestmem.GPA, e uint64, keep bool) xen.Errno {
	if at&7 != 0 {
		return xen.EINVAL
	}
	g := at.GFN()
	m.mu.Lock()
	defer m.mu.Unlock()
	if uint64(g) >= m.frames {
		return xen.EINVAL
	}
	p, ok := m.mem.Look(g)
	if !ok {
		return xen.EINVAL
	}
	off := uint32(at) & (pageSize - 1)
	level := int(m.level[g])
	if level == 0 {
		p.Store64(off, e)
		return 0
	}
	if ours(level, int(off/8)) {
		return xen.EINVAL
	}
	if err := m.getEntry(e, level); err != 0 {
		return err
	}
	e = adjust(e)
	for {
		old := p.Load64(off)
		ne := e
		if keep {
			ne |= old & (bitA | bitD)
		}
		if p.CAS64(off, old, ne) {
			m.putEntry(old, level)
			return 0
		}
	}
}

// SetMachPhys sets the physical frame of a machine frame.
func (m *Machine) SetMachPhys(mfn, pfn uint64) xen.Errno {
	if mfn >= m.RAM.Size>>12 {
		return xen.EINVAL
	}
	if m.mem.Write64(m.Hidden.Base+guestmem.GPA(mfn*8), pfn) != nil {
		return xen.EINVAL
	}
	return 0
}

// M2PFrames gives how many frames the machine-to-physical table covers.
func (l *Layout) M2PFrames() uint64 { return l.m2pSize / 8 }

// Walk gives the level-1 entry that maps va under a level-4 table, by its address, or false.
func (m *MMU) Walk(root guestmem.GPA, va uint64) (at guestmem.GPA, e uint64, ok bool) {
	table := root & frameMask
	for level := 3; ; level-- {
		p, ok := m.mem.Look(table.GFN())
		if !ok {
			return 0, 0, false
		}
		off := uint32(va>>(12+9*level)&511) * 8
		e = p.Load64(off)
		if level == 0 {
			return table + guestmem.GPA(off), e, true
		}
		if e&bitP == 0 || e&bitPS != 0 {
			return 0, 0, false
		}
		table = guestmem.GPA(e & frameMask)
	}
}

// Repair sets the user bit where the entries that map va lack it, in tables that the guest has written to as plain memory, and reports whether
// any did.
func (m *MMU) Repair(root guestmem.GPA, va uint64) (repaired bool) {
	table := root & frameMask
	for level := 3; level >= 0; level-- {
		p, ok := m.mem.Look(table.GFN())
		if !ok {
			return repaired
		}
		i := int(va >> (12 + 9*level) & 511)
		e := p.Load64(uint32(i) * 8)
		if e&bitP == 0 || ours(level+1, i) {
			return repaired
		}
		if e&bitU == 0 || e&bitG != 0 {
			p.CAS64(uint32(i)*8, e, adjust(e))
			repaired = true
		}
		table = guestmem.GPA(e & frameMask)
	}
	return repaired
}

// Rights of an address, as its page tables give them.
const (
	Present = 1 << iota
	Writable
	Executable
)

// Rights gives the guest-physical address that va is mapped to under a level-4 table, and the rights; 0 where it is not mapped.
func (m *MMU) Rights(root guestmem.GPA, va uint64) (at guestmem.GPA, rights int) {
	table := root & frameMask
	rights = Present | Writable | Executable
	for level := 3; level >= 0; level-- {
		p, ok := m.mem.Look(table.GFN())
		if !ok {
			return 0, 0
		}
		e := p.Load64(uint32(va>>(12+9*level)&511) * 8)
		if e&bitP == 0 || e&bitU == 0 {
			return 0, 0
		}
		if e&bitRW == 0 {
			rights &^= Writable
		}
		if e&bitNX != 0 {
			rights &^= Executable
		}
		table = guestmem.GPA(e & frameMask)
		if e&bitPS != 0 && level > 0 {
			size := guestmem.GPA(1)<<(12+9*level) - 1
			return table&^size | guestmem.GPA(va)&size, rights
		}
	}
	return table | guestmem.GPA(va&(pageSize-1)), rights
}

// Allows tells whether rights allow the access that a page fault's error code describes.
func (*MMU) Allows(rights int, code uint32) bool {
	return rights&Present != 0 && (code&2 == 0 || rights&Writable != 0) && (code&16 == 0 || rights&Executable != 0)
}

// Open makes the page at va writable by its level-1 entry alone. A guest's kernel keeps its page tables read-only, since Xen would not have them otherwise, but clears
// entries of level 1 by plain writes, which Xen emulates one by one. Here they may as well be written: see Repair.
func (m *MMU) Open(root guestmem.GPA, va uint64) bool {
	at, e, ok := m.Walk(root, va)
	if !ok || e&bitP == 0 || e&bitRW != 0 {
		return false
	}
	p, ok := m.mem.Look(at.GFN())
	return ok && p.CAS64(uint32(at)&(pageSize-1), e, e|bitRW)
}
