package hypercall

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

func hvmSubs() []sub {
	return []sub{
		{xen.HVMOP_set_param, "set_param", Supported, "with Xen's list of what a guest may set"},
		{xen.HVMOP_get_param, "get_param", Supported, "with Xen's list of what a guest may read"},
		{xen.HVMOP_flush_tlbs, "flush_tlbs", Partial, "answers 0; other vCPUs flush when they next enter the guest"},
		{xen.HVMOP_pagetable_dying, "pagetable_dying", Refused, "-EINVAL, as with hardware paging"},
		{xen.HVMOP_get_time, "get_time", Supported, ""},
		{xen.HVMOP_xentrace, "xentrace", Supported, "checked and dropped"},
		{xen.HVMOP_get_mem_type, "get_mem_type", Supported, ""},
		{xen.HVMOP_set_evtchn_upcall_vector, "set_evtchn_upcall_vector", Supported, ""},
		{xen.HVMOP_guest_request_vm_event, "guest_request_vm_event", Supported, "nobody monitors"},
		{xen.HVMOP_altp2m, "altp2m", Refused, "-EOPNOTSUPP"},
	}
}

// Memory types that HVMOP_get_mem_type answers (public/hvm/hvm_op.h).
const (
	memRAM  = 0
	memMMIO = 2
)

// traceExtra is the most bytes that HVMOP_xentrace takes.
const traceExtra = 7 * 4

func (c *call) hvmOp() uint64 {
	va := c.args[1]
	switch c.args[0] {
	case xen.HVMOP_set_param, xen.HVMOP_get_param:
		return c.hvmParam(va, c.args[0] == xen.HVMOP_set_param)
	case xen.HVMOP_set_evtchn_upcall_vector:
		return c.hvmUpcallVector(va)
	case xen.HVMOP_flush_tlbs:
		if va != 0 {
			return xen.EINVAL.Ret()
		}
		for _, v := range c.d.VCPUs {
			v.RequestFlush()
		}
		return 0
	case xen.HVMOP_pagetable_dying:
		return c.hvmPagetableDying(va)
	case xen.HVMOP_get_time:
		t := xen.HVMGetTime{Now: c.d.Clock.Now()}
		e := c.fresh(8)
		t.Layout(&e)
		return c.store(va, 0)
	case xen.HVMOP_xentrace:
		b := c.v.Scratch[:4+traceExtra]
		if c.v.Virt.ReadVirt(va, b) != nil {
			return efault
		}
		event, extra := uint32(b[0])|uint32(b[1])<<8, uint32(b[2])|uint32(b[3])<<8
		if extra > traceExtra || event>>12 != 0 {
			return xen.EINVAL.Ret()
		}
		return 0
	case xen.HVMOP_get_mem_type:
		return c.hvmMemType(va)
	case xen.HVMOP_guest_request_vm_event:
		if va != 0 {
			return xen.EINVAL.Ret()
		}
		return 0
	case xen.HVMOP_altp2m:
		return xen.EOPNOTSUPP.Ret()
	}
	return xen.ENOSYS.Ret()
}

func (c *call) hvmParam(va uint64, set bool) uint64 {
	var p xen.HVMParam
	k := c.sizer()
	if p.Layout(&k); !c.load(&k, va) {
		return efault
	}
	p.Layout(&k)
	if p.Index >= xen.HVM_NR_PARAMS {
		return xen.EINVAL.Ret()
	}
	if err := c.d.Self(p.DomID); err != 0 {
		return err.Ret()
	}
	if set {
		err := c.d.GuestSetParam(p.Index, p.Value)
		if err == 0 && p.Index == xen.HVM_PARAM_CALLBACK_IRQ {
			c.d.Latch(c.abi != xen.ABI32)
		}
		return err.Ret()
	}
	var err xen.Errno
	if p.Value, err = c.d.GuestParam(p.Index); err != 0 {
		return err.Ret()
	}
	e := c.encoder()
	p.Layout(&e)
	return c.store(va, 0)
}

func (c *call) hvmUpcallVector(va uint64) uint64 {
	var op xen.HVMEvtchnUpcallVector
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if op.Vector < 16 {
		return xen.EINVAL.Ret()
	}
	v := c.d.VCPU(op.VCPU)
	if v == nil {
		return xen.ENOENT.Ret()
	}
	return v.SetUpcallVector(op.Vector).Ret()
}

func (c *call) hvmPagetableDying(va uint64) uint64 {
	var op xen.HVMPagetableDying
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if c.d.Self(op.DomID) == xen.ESRCH {
		return xen.ESRCH.Ret()
	}
	if c.d.Self(op.DomID) != 0 {
		return xen.EOPNOTSUPP.Ret()
	}
	return xen.EINVAL.Ret()
}

func (c *call) hvmMemType(va uint64) uint64 {
	var op xen.HVMGetMemType
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if err := c.d.Self(op.DomID); err != 0 {
		return err.Ret()
	}
	op.MemType = memMMIO
	if c.d.Memory.HostPage(guestmem.GFN(op.PFN)) != nil {
		op.MemType = memRAM
	}
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}
