package hypercall

import (
	"gozen/hypervisor/domain"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/xen"
)

// vcpuInitialisePV takes the context that VCPUOP_up will start a PV vCPU in.
func (c *call) vcpuInitialisePV(v *domain.VCPU, va uint64) uint64 {
	if v.Initialised() {
		return xen.EEXIST.Ret()
	}
	var s pv.Start
	size := func(l func(*xen.Codec)) xen.Codec {
		k := c.sizer()
		l(&k)
		return k
	}
	k := size(s.Regs.Layout)
	if !c.load(&k, va+xen.PVContextRegs) {
		return efault
	}
	s.Regs.Layout(&k)
	k = size(s.Context.Layout)
	if !c.load(&k, va+xen.PVContextRest) {
		return efault
	}
	s.Context.Layout(&k)
	traps := c.v.Scratch[:256*16]
	if c.v.Virt.ReadVirt(va+xen.PVContextTraps, traps) != nil {
		return efault
	}
	for i := range s.Traps {
		var t xen.TrapInfo
		k := xen.Decoder(c.abi, traps[i*16:])
		t.Layout(&k)
		if t.Address != 0 {
			s.Traps[t.Vector] = pv.Trap{Flags: t.Flags, CS: t.CS, Address: t.Address}
		}
	}
	n := (s.Context.GDTEnts + 511) / 512
	if s.Context.GDTEnts > xen.FIRST_RESERVED_GDT_ENTRY {
		return xen.EINVAL.Ret()
	}
	frames := make([]guestmem.GFN, n)
	for i := range frames {
		frames[i] = guestmem.GFN(s.Context.GDTFrames[i])
	}
	if err := v.PV.Initialise(&s, frames); err != 0 {
		return err.Ret()
	}
	return v.Initialise(v.PV.State()).Ret()
}
