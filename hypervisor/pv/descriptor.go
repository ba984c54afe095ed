package pv

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/xen"
)

// Bits of the upper half of a segment descriptor (SDM 3A figure 3-8).
const (
	descP    = 1 << 15
	descS    = 1 << 12
	descDPL  = 3 << 13
	descCode = 1 << 11
)

// Descriptor checks a segment descriptor of the guest's as Xen's check_descriptor: code and data of ring 3, nothing of the system's but what is
// absent. It gives the descriptor to be used.
func Descriptor(d uint64) (uint64, xen.Errno) {
	hi := uint32(d >> 32)
	if hi&descP == 0 {
		return d, 0
	}
	if hi&descS == 0 {
		return 0, xen.EINVAL // gates and task states would lead to other rings
	}
	if hi&descDPL != descDPL {
		hi |= descDPL
	}
	return uint64(hi)<<32 | d&0xffffffff, 0
}

// SetGDT is HYPERVISOR_set_gdt: frames of the guest's with so many descriptors. All are checked before any is used.
func (v *VCPU) SetGDT(frames []guestmem.GFN, entries uint64) xen.Errno {
	if entries > xen.FIRST_RESERVED_GDT_ENTRY || len(frames) > len(v.gdt) {
		return xen.EINVAL
	}
	for _, g := range frames {
		if err := v.m.checkDescriptors(g); err != 0 {
			return err
		}
	}
	for i := range v.gdt {
		g, flags := v.m.zero, uint64(bitP)
		if i < len(frames) {
			g, flags = frames[i], bitP|bitRW
			v.gdt[i] = g
		}
		v.m.window(v.ID, monitor.GDTAt+i<<12, g, flags)
	}
	v.gdtN = len(frames)
	v.Flush()
	return 0
}

// checkDescriptors checks and amends a page of descriptors.
func (m *Machine) checkDescriptors(g guestmem.GFN) xen.Errno {
	if uint64(g) >= m.RAM.Size>>12 {
		return xen.EINVAL
	}
	p, err := m.mem.PageAt(g)
	if err != nil {
		return xen.EINVAL
	}
	for i := uint32(0); i < pageSize; i += 8 {
		d := p.Load64(i)
		ok, err := Descriptor(d)
		if err != 0 {
			return err
		}
		if ok != d {
			p.Store64(i, ok)
		}
	}
	return 0
}

// UpdateDescriptor is HYPERVISOR_update_descriptor: one descriptor, in whatever page.
func (m *Machine) UpdateDescriptor(at guestmem.GPA, d uint64) xen.Errno {
	d, err := Descriptor(d)
	if err != 0 || at&7 != 0 || uint64(at) >= m.RAM.Size || m.MMU.Level(at.GFN()) != 0 {
		return xen.EINVAL
	}
	p, e := m.mem.PageAt(at.GFN())
	if e != nil {
		return xen.EINVAL
	}
	p.Store64(uint32(at)&(pageSize-1), d)
	return 0
}

// SetLDT is MMUEXT_SET_LDT: entries descriptors at a page of the guest's address space, 0 for none. walk gives the frame behind an address.
func (v *VCPU) SetLDT(va, entries uint64) xen.Errno {
	if entries > 8192 || va&(pageSize-1) != 0 {
		return xen.EINVAL
	}
	pages := int(entries*8+pageSize-1) >> 12
	var frames [monitor.LDTPages]guestmem.GFN
	for i := range pages {
		_, e, ok := v.m.MMU.Walk(v.KernelRoot, va+uint64(i)<<12)
		if !ok || e&bitP == 0 {
			return xen.EINVAL
		}
		frames[i] = guestmem.GPA(e & frameMask).GFN()
		if err := v.m.checkDescriptors(frames[i]); err != 0 {
			return err
		}
	}
	for i := range frames {
		g := v.m.zero
		flags := uint64(bitP)
		if i < pages {
			g, flags = frames[i], bitP|bitRW
		}
		v.m.window(v.ID, monitor.LDTAt+i<<12, g, flags)
	}
	d := monitor.LocalTable(v.ID, int(entries))
	if v.m.mem.Write(v.own.GPA()+monitor.LDTSel-0xe000, d[:]) != nil {
		return xen.EINVAL
	}
	sel := uint64(0)
	if entries > 0 {
		sel = monitor.LDTSel
	}
	v.Flush()
	v.order(monitor.DoLLDT, monitor.BlockLDT, sel)
	return 0
}
