package pv

import (
	"encoding/binary"
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/xen"
)

// Layout says where a PV domain's memory lies: the guest's RAM from 0, the monitor's behind it, then frames for pages that Xen shares.
type Layout struct {
	RAM guestmem.Range
	// Hidden is the monitor's memory.
	Hidden guestmem.Range
	// SharedInfo is the frame of shared_info, Grants the first of the grant table's.
	SharedInfo, Grants guestmem.GFN
	frames             uint64 // all of these
	m2pSize            uint64
}

const (
	huge     = 2 << 20
	pageSize = guestmem.PageSize
)

// NewLayout plans the memory of a domain of so many bytes.
func NewLayout(memory uint64, vcpus, grantFrames int) Layout {
	l := Layout{RAM: guestmem.Range{Size: memory &^ (pageSize - 1)}}
	l.Hidden.Base = guestmem.GPA(roundUp(l.RAM.Size, huge))
	// Frames that the table of all frames covers: a little more than there will be.
	bound := uint64(l.Hidden.Base)>>12 + 1<<15
	l.m2pSize = roundUp(bound*8, huge)
	frames := uint64(l.Hidden.Base) >> 12
	tables := frames>>18 + 2 // of the direct map
	l.Hidden.Size = l.m2pSize + roundUp(uint64(64+vcpus*(monitor.VCPUPages/8))<<12+tables<<12+frames+frames>>9+2<<12, huge)
	l.SharedInfo = (l.Hidden.Base + guestmem.GPA(l.Hidden.Size)).GFN()
	l.Grants = l.SharedInfo + 1
	l.frames = uint64(l.Grants) + uint64(grantFrames)
	return l
}

func roundUp(n, to uint64) uint64 { return (n + to - 1) &^ (to - 1) }

// Ranges lists what guest memory is to be made of.
func (l *Layout) Ranges() []guestmem.Range { return []guestmem.Range{l.RAM, l.Hidden} }

// Machine is a PV domain's part of its virtual machine.
type Machine struct {
	Layout
	MMU   *MMU
	VCPUs []*VCPU
	Image *monitor.Image

	mem   *guestmem.Memory
	next  guestmem.GFN // of the hidden frames, the first unused
	end   guestmem.GFN
	home1 []guestmem.GFN // page tables of the vCPUs' windows, each of 8
	zero  guestmem.GFN
	// levels is what the monitor sees at Levels.
	levels []byte
}

// New puts the monitor into memory that was made from the layout's ranges. exit is the instruction by which it leaves for the hypervisor.
func New(mem *guestmem.Memory, l Layout, vcpus int, exit []byte) (*Machine, error) {
	im, err := monitor.Build(exit)
	if err != nil {
		return nil, err
	}
	m := &Machine{Layout: l, Image: im, mem: mem, next: (l.Hidden.Base + guestmem.GPA(l.m2pSize)).GFN()}
	m.end = (l.Hidden.Base + guestmem.GPA(l.Hidden.Size)).GFN()
	if m.zero, err = m.alloc(); err != nil {
		return nil, err
	}
	m2p, err := m.machineToPhys()
	if err != nil {
		return nil, err
	}
	home, err := m.home(vcpus)
	if err != nil {
		return nil, err
	}
	direct, err := m.mapHuge(0, uint64(m.Hidden.Base), bitP|bitRW) // the guest's memory, for the monitor
	if err != nil {
		return nil, err
	}
	m.MMU = newMMU(mem, l, [...]uint64{m2p, home, direct}, m.levels)
	for id := range vcpus {
		v, err := m.newVCPU(id)
		if err != nil {
			return nil, err
		}
		m.VCPUs = append(m.VCPUs, v)
	}
	m.MMU.vcpus = m.VCPUs
	return m, nil
}

func (m *Machine) alloc() (guestmem.GFN, error) {
	if m.next >= m.end {
		return 0, fmt.Errorf("the monitor of a PV domain needs more than %d KiB", m.Hidden.Size>>10)
	}
	m.next++
	return m.next - 1, nil
}

// table makes an empty page table and gives the entry that points to it.
func (m *Machine) table(flags uint64) (guestmem.GFN, uint64, error) {
	g, err := m.alloc()
	return g, uint64(g)<<12 | flags, err
}

func (m *Machine) put(table guestmem.GFN, i int, e uint64) {
	p, err := m.mem.PageAt(table)
	if err == nil {
		p.Store64(uint32(i)*8, e)
	}
}

// page puts content into a new frame.
func (m *Machine) page(b []byte) (guestmem.GFN, error) {
	g, err := m.alloc()
	if err != nil {
		return 0, err
	}
	return g, m.mem.Write(g.GPA(), b)
}

// machineToPhys makes the table of physical frames by machine frame, and the level-4 entry by which guests read it.
func (m *Machine) machineToPhys() (uint64, error) {
	b := make([]byte, m.m2pSize)
	for i := range b {
		b[i] = 0xff
	}
	for f := range m.RAM.Size >> 12 {
		binary.LittleEndian.PutUint64(b[f*8:], f)
	}
	if err := m.mem.Write(m.Hidden.Base, b); err != nil {
		return 0, err
	}
	return m.mapHuge(m.Hidden.Base, m.m2pSize, bitP|bitU)
}

// mapHuge makes tables that map memory from a slot's beginning on in pages of 2 MiB, not to be executed, and gives the level-4 entry.
func (m *Machine) mapHuge(base guestmem.GPA, size, rights uint64) (uint64, error) {
	l3, e4, err := m.table(rights)
	if err != nil {
		return 0, err
	}
	n := size >> 21
	for i := uint64(0); i < n; i += 512 {
		l2, e3, err := m.table(rights)
		if err != nil {
			return 0, err
		}
		m.put(l3, int(i>>9), e3)
		for j := i; j < min(i+512, n); j++ {
			m.put(l2, int(j&511), uint64(base)+j<<21|rights|bitPS|bitNX)
		}
	}
	return e4, nil
}

// home makes the tables of the monitor's own pages, and the level-4 entry.
func (m *Machine) home(vcpus int) (uint64, error) {
	l3, e4, err := m.table(bitP | bitRW)
	if err != nil {
		return 0, err
	}
	l2, e3, err := m.table(bitP | bitRW)
	if err != nil {
		return 0, err
	}
	m.put(l3, 0, e3)
	if err := m.mapLevels(l3); err != nil {
		return 0, err
	}
	l1, e2, err := m.table(bitP | bitRW)
	if err != nil {
		return 0, err
	}
	m.put(l2, 0, e2)
	content := append(append(make([]byte, 0, 5*pageSize), m.Image.Text...), make([]byte, monitor.TextPages*pageSize-len(m.Image.Text))...)
	content = append(content, m.Image.Gates()...)
	for i := range monitor.TextPages + 1 {
		g, err := m.page(content[i*pageSize : (i+1)*pageSize])
		if err != nil {
			return 0, err
		}
		m.put(l1, i, uint64(g)<<12|bitP)
	}
	for i := 0; i*8 < vcpus; i++ {
		l1, e2, err := m.table(bitP | bitRW)
		if err != nil {
			return 0, err
		}
		if i+1 > 511 {
			return 0, fmt.Errorf("a PV domain has room for %d vCPUs", 511*8)
		}
		m.put(l2, 1+i, e2)
		m.home1 = append(m.home1, l1)
	}
	return e4, nil
}

// mapLevels makes the table of page-table levels, and maps it below the tables of the monitor's own pages.
func (m *Machine) mapLevels(l3 guestmem.GFN) error {
	n := uint64(m.Hidden.Base) >> 12
	pages := (n + pageSize - 1) >> 12
	first := m.next
	if m.next += guestmem.GFN(pages); m.next > m.end {
		return fmt.Errorf("the monitor of a PV domain needs more than %d KiB", m.Hidden.Size>>10)
	}
	b, ok := m.mem.Span(first.GPA(), pages<<12)
	if !ok {
		return fmt.Errorf("the monitor's memory is not in one piece")
	}
	m.levels = b[:n]
	l2, e3, err := m.table(bitP | bitRW)
	if err != nil {
		return err
	}
	m.put(l3, 1, e3)
	for i := uint64(0); i < pages; i += 512 {
		l1, e2, err := m.table(bitP | bitRW)
		if err != nil {
			return err
		}
		m.put(l2, int(i>>9), e2)
		for j := i; j < min(i+512, pages); j++ {
			m.put(l1, int(j&511), uint64(first+guestmem.GFN(j))<<12|bitP|bitNX)
		}
	}
	return nil
}

// window maps a frame into a vCPU's window.
func (m *Machine) window(id, at int, g guestmem.GFN, flags uint64) {
	m.put(m.home1[id/8], id%8*monitor.VCPUPages+at>>12, uint64(g)<<12|flags)
}

// CopyPage is MMUEXT_COPY_PAGE and MMUEXT_CLEAR_PAGE: pages that are no page tables.
func (m *Machine) CopyPage(to, from guestmem.GFN, empty bool) xen.Errno {
	if n := m.RAM.Size >> 12; uint64(to) >= n || uint64(from) >= n || m.MMU.Level(to) != 0 {
		return xen.EINVAL
	}
	var b [pageSize]byte
	if !empty && m.mem.Read(from.GPA(), b[:]) != nil || m.mem.Write(to.GPA(), b[:]) != nil {
		return xen.EINVAL
	}
	return 0
}
