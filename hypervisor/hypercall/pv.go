package hypercall

import (
	"gozen/hypervisor/domain"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// argsPV are the argument registers of a PV guest's hypercall by SYSCALL, in a frame.
var argsPV = [6]int{monitor.RDI, monitor.RSI, monitor.RDX, monitor.R10, monitor.R8, monitor.R9}

// CallPV does the hypercall that a PV kernel's frame asks for. The result goes to the frame's rax, or, when Result.Again is set, the frame
// holds the continued call. It is otherwise as Call.
func CallPV(d *domain.Domain, v *domain.VCPU) Result {
	c := begin(d, v, &tablePV)
	r := &v.PV.Regs
	c.abi, c.nr = xen.ABI64, r[monitor.RAX]
	for i, n := range argsPV {
		c.args[i] = r[n]
	}
	if c.nr == xen.HYPERVISOR_iret { // it has a result of its own: rax of the frame on the stack
		c.dispatch()
		return c.res
	}
	ret := c.dispatch()
	if !c.res.Again {
		r[monitor.RAX] = ret
		return c.res
	}
	r[monitor.RAX] = c.nr
	for i, n := range argsPV {
		r[n] = c.args[i]
	}
	return c.res
}

// tablePV lists all hypercalls as a PV domain has them.
var tablePV = makeTablePV()

func makeTablePV() [64]row {
	t := makeTable()
	for nr, h := range map[int]func(*call) uint64{
		xen.HYPERVISOR_set_trap_table: (*call).setTrapTable, xen.HYPERVISOR_mmu_update: (*call).mmuUpdate, xen.HYPERVISOR_set_gdt: (*call).setGDT,
		xen.HYPERVISOR_stack_switch: (*call).stackSwitch, xen.HYPERVISOR_fpu_taskswitch: (*call).fpuTaskswitch,
		xen.HYPERVISOR_set_debugreg: (*call).setDebugreg, xen.HYPERVISOR_get_debugreg: (*call).getDebugreg,
		xen.HYPERVISOR_update_descriptor: (*call).updateDescriptor, xen.HYPERVISOR_update_va_mapping: (*call).updateVAMapping,
		xen.HYPERVISOR_iret: (*call).iret, xen.HYPERVISOR_set_segment_base: (*call).setSegmentBase, xen.HYPERVISOR_mmuext_op: (*call).mmuextOp,
		xen.HYPERVISOR_callback_op: (*call).callbackOp, xen.HYPERVISOR_set_callbacks: (*call).setCallbacks, xen.HYPERVISOR_vm_assist: (*call).vmAssistPV,
		xen.HYPERVISOR_physdev_op: (*call).physdevOpPV, xen.HYPERVISOR_nmi_op: (*call).nmiOp,
	} {
		t[nr].handler, t[nr].support, t[nr].note = h, Supported, ""
	}
	t[xen.HYPERVISOR_mmuext_op].subMask = 0
	return t
}

func (c *call) pv() *pv.VCPU { return c.v.PV }

func (c *call) setTrapTable() uint64 {
	va := c.args[0]
	if va == 0 {
		c.pv().Traps = [256]pv.Trap{}
		return 0
	}
	for i := uint64(0); ; i++ {
		var t xen.TrapInfo
		k := c.sizer()
		if t.Layout(&k); !c.load(&k, c.elem(va, i, 16)) {
			return efault
		}
		t.Layout(&k)
		if t.Address == 0 || i == 256 {
			return 0
		}
		c.pv().Traps[t.Vector] = pv.Trap{Flags: t.Flags, CS: t.CS, Address: t.Address}
	}
}

func (c *call) setGDT() uint64 {
	n := (c.args[1] + 511) / 512
	if c.args[1] > xen.FIRST_RESERVED_GDT_ENTRY {
		return xen.EINVAL.Ret()
	}
	var frames [xen.FIRST_RESERVED_GDT_PAGE]guestmem.GFN
	for i := range n {
		g, ok := c.readLong(c.args[0], i)
		if !ok {
			return efault
		}
		frames[i] = guestmem.GFN(g)
	}
	return c.pv().SetGDT(frames[:n], c.args[1]).Ret()
}

func (c *call) stackSwitch() uint64 {
	c.pv().KernelSP = c.args[1]
	return 0
}

func (c *call) fpuTaskswitch() uint64 {
	c.pv().SetTS(c.args[0] != 0)
	return 0
}

func (c *call) setDebugreg() uint64 {
	if c.args[0] > 7 || c.args[0] == 4 || c.args[0] == 5 {
		return xen.EINVAL.Ret()
	}
	return c.pv().SetDebug(int(c.args[0]), c.args[1]).Ret()
}

func (c *call) getDebugreg() uint64 {
	if c.args[0] > 7 {
		return xen.EINVAL.Ret()
	}
	return c.pv().Debug[c.args[0]]
}

func (c *call) updateDescriptor() uint64 {
	return c.d.PV.UpdateDescriptor(guestmem.GPA(c.args[0]), c.args[1]).Ret()
}

func (c *call) setSegmentBase() uint64 { return c.pv().SetBase(c.args[0], c.args[1]).Ret() }

func (c *call) iret() uint64 {
	if !c.pv().Iret(c.v.Virt, c.v) {
		c.d.Crash(c.v.ID, "iret: no frame on the kernel's stack", nil)
	}
	return 0
}

func (c *call) setCallbacks() uint64 {
	p := c.pv()
	for _, a := range c.args[:3] {
		if !x86.Canonical(a) {
			return xen.EINVAL.Ret()
		}
	}
	p.Event.Address, p.FailsafeTo.Address, p.Syscall.Address = c.args[0], c.args[1], c.args[2]
	return 0
}

func (c *call) callback(typ uint16) *pv.Callback {
	p := c.pv()
	switch typ {
	case xen.CALLBACKTYPE_event:
		return &p.Event
	case xen.CALLBACKTYPE_failsafe:
		return &p.FailsafeTo
	case xen.CALLBACKTYPE_syscall:
		return &p.Syscall
	case xen.CALLBACKTYPE_syscall32:
		return &p.Syscall32
	case xen.CALLBACKTYPE_sysenter:
		return &p.Sysenter
	case xen.CALLBACKTYPE_nmi:
		return &p.NMI
	}
	return nil
}

func (c *call) callbackOp() uint64 {
	var r xen.CallbackRegister
	k := c.sizer()
	if r.Layout(&k); !c.load(&k, c.args[1]) {
		return efault
	}
	r.Layout(&k)
	cb := c.callback(r.Type)
	switch c.args[0] {
	case xen.CALLBACKOP_register:
		if cb == nil || !x86.Canonical(r.Address) {
			return xen.EINVAL.Ret()
		}
		*cb = pv.Callback{Address: r.Address, Mask: r.Flags&xen.CALLBACKF_mask_events != 0}
		return 0
	case xen.CALLBACKOP_unregister:
		switch r.Type {
		case xen.CALLBACKTYPE_event, xen.CALLBACKTYPE_failsafe, xen.CALLBACKTYPE_syscall, xen.CALLBACKTYPE_sysenter:
			return xen.EINVAL.Ret()
		}
		if cb == nil {
			return xen.EINVAL.Ret()
		}
		*cb = pv.Callback{}
		return 0
	}
	return xen.ENOSYS.Ret()
}

func (c *call) nmiOp() uint64 { return xen.ENOSYS.Ret() }

// vmAssistPV takes the types that a PV domain has; only one makes a difference here, since page tables can be written to in any case.
func (c *call) vmAssistPV() uint64 {
	switch uint32(c.args[1]) {
	case xen.VMASST_TYPE_runstate_update_flag:
		return c.vmAssist()
	case xen.VMASST_TYPE_4gb_segments, xen.VMASST_TYPE_4gb_segments_notify, xen.VMASST_TYPE_writable_pagetables, xen.VMASST_TYPE_pae_extended_cr3,
		xen.VMASST_TYPE_architectural_iopl, xen.VMASST_TYPE_m2p_strict:
		if c.args[0] > xen.VMASST_CMD_disable {
			return xen.ENOSYS.Ret()
		}
		return 0
	}
	return xen.EINVAL.Ret()
}

// physdevOpPV: a PV domain without devices may set its I/O privilege level, and ask in vain for all else.
func (c *call) physdevOpPV() uint64 {
	switch uint32(c.args[0]) {
	case xen.PHYSDEVOP_set_iopl:
		b := c.v.Scratch[:4]
		if c.v.Virt.ReadVirt(c.args[1], b) != nil {
			return efault
		}
		if b[0] > 3 {
			return xen.EINVAL.Ret()
		}
		c.pv().IOPL = b[0]
		return 0
	case xen.PHYSDEVOP_set_iobitmap:
		return 0
	}
	return xen.ENOSYS.Ret()
}
