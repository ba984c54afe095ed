package pv

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// Start is the context in which a guest starts another vCPU.
type Start struct {
	Regs    xen.PVUserRegs
	Context xen.PVContext
	Traps   [256]Trap
}

// Initialise makes a vCPU that is down ready to enter a context; frames are those of its descriptor table. Nothing is changed on an error but the
// descriptor table.
func (v *VCPU) Initialise(s *Start, frames []guestmem.GFN) xen.Errno {
	c, r := &s.Context, &s.Regs
	if !x86.Canonical(r.RIP) || !x86.Canonical(c.EventCallback) || !x86.Canonical(c.FailsafeCallback) || !x86.Canonical(c.Syscall) ||
		!x86.Canonical(c.FSBase) || !x86.Canonical(c.GSBaseKernel) || !x86.Canonical(c.GSBaseUser) {
		return xen.EINVAL
	}
	if err := v.SetGDT(frames, c.GDTEnts); err != 0 {
		return err
	}
	if err := v.SetKernelRoot(guestmem.GPA(c.CtrlReg[3] & frameMask).GFN()); err != 0 {
		return err
	}
	if u := c.CtrlReg[1]; u != 0 {
		if err := v.SetUserRoot(guestmem.GPA(u & frameMask).GFN()); err != 0 {
			return err
		}
	}
	v.Kernel, v.Traps = true, s.Traps
	v.Event, v.FailsafeTo, v.Syscall = Callback{Address: c.EventCallback, Mask: true}, Callback{Address: c.FailsafeCallback}, Callback{Address: c.Syscall}
	v.KernelSP = c.KernelSP
	copy(v.Regs[:], r.General[:])
	v.Regs[monitor.Vector], v.Regs[monitor.Error] = 0, 0
	v.Regs[monitor.RIP], v.Regs[monitor.CS] = r.RIP, uint64(r.CS|3)
	v.Regs[monitor.RFLAGS] = r.RFLAGS&^(iopl|flagVM|flagNT) | flagIF | x86.FlagOne
	v.Regs[monitor.RSP], v.Regs[monitor.SS] = r.RSP, uint64(r.SS|3)
	v.start.Seg[x86.FS].Base, v.start.Seg[x86.GS].Base, v.start.KernelGSBase = c.FSBase, c.GSBaseKernel, c.GSBaseUser
	sel := uint64(r.DS) | uint64(r.ES)<<16 | uint64(r.FS)<<32 | uint64(r.GS)<<48
	if sel != 0 {
		v.order(monitor.DoSelectors, monitor.BlockSel, sel)
		v.order(monitor.DoFS, monitor.BlockFS, c.FSBase)
		v.order(monitor.DoGS, monitor.BlockGS, c.GSBaseKernel)
	}
	return 0
}
