package hypercall

import (
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

func eventSubs() []sub {
	return []sub{
		{xen.EVTCHNOP_bind_interdomain, "bind_interdomain", Supported, "within the domain, and to ports the host listens on"},
		{xen.EVTCHNOP_bind_virq, "bind_virq", Supported, ""},
		{xen.EVTCHNOP_bind_pirq, "bind_pirq", Refused, "no physical interrupts: -EINVAL"},
		{xen.EVTCHNOP_close, "close", Supported, ""},
		{xen.EVTCHNOP_send, "send", Supported, ""},
		{xen.EVTCHNOP_status, "status", Supported, ""},
		{xen.EVTCHNOP_alloc_unbound, "alloc_unbound", Supported, ""},
		{xen.EVTCHNOP_bind_ipi, "bind_ipi", Supported, ""},
		{xen.EVTCHNOP_bind_vcpu, "bind_vcpu", Supported, ""},
		{xen.EVTCHNOP_unmask, "unmask", Supported, ""},
		{xen.EVTCHNOP_reset, "reset", Supported, ""},
		{xen.EVTCHNOP_init_control, "init_control", Supported, "-ENOSYS when the domain was built without FIFO channels"},
		{xen.EVTCHNOP_expand_array, "expand_array", Supported, ""},
		{xen.EVTCHNOP_set_priority, "set_priority", Supported, ""},
	}
}

func (c *call) eventChannelOp() uint64 {
	va := c.args[1]
	switch uint32(c.args[0]) {
	case xen.EVTCHNOP_send:
		return c.evtchnSend(va)
	case xen.EVTCHNOP_unmask:
		return c.evtchnUnmask(va)
	case xen.EVTCHNOP_alloc_unbound:
		return c.evtchnAllocUnbound(va)
	case xen.EVTCHNOP_bind_interdomain:
		return c.evtchnBindInterdomain(va)
	case xen.EVTCHNOP_bind_virq:
		return c.evtchnBindVIRQ(va)
	case xen.EVTCHNOP_bind_ipi:
		return c.evtchnBindIPI(va)
	case xen.EVTCHNOP_bind_pirq:
		return c.evtchnBindPIRQ(va)
	case xen.EVTCHNOP_close:
		return c.evtchnClose(va)
	case xen.EVTCHNOP_status:
		return c.evtchnStatus(va)
	case xen.EVTCHNOP_bind_vcpu:
		return c.evtchnBindVCPU(va)
	case xen.EVTCHNOP_reset:
		return c.evtchnReset(va)
	case xen.EVTCHNOP_init_control:
		return c.evtchnInitControl(va)
	case xen.EVTCHNOP_expand_array:
		return c.evtchnExpandArray(va)
	case xen.EVTCHNOP_set_priority:
		return c.evtchnSetPriority(va)
	}
	return xen.ENOSYS.Ret()
}

func (c *call) evtchnSend(va uint64) uint64 {
	var op xen.EvtchnSend
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return c.d.Events.Send(evtchn.Port(op.Port)).Ret()
}

func (c *call) evtchnUnmask(va uint64) uint64 {
	var op xen.EvtchnUnmask
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return c.d.Events.Unmask(evtchn.Port(op.Port)).Ret()
}

func (c *call) evtchnAllocUnbound(va uint64) uint64 {
	var op xen.EvtchnAllocUnbound
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if err := c.d.Self(op.Dom); err != 0 {
		return err.Ret()
	}
	p, err := c.d.Events.AllocUnbound(op.RemoteDom)
	if err != 0 {
		return err.Ret()
	}
	op.Port = uint32(p)
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) evtchnBindInterdomain(va uint64) uint64 {
	var op xen.EvtchnBindInterdomain
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	p, err := c.d.Events.BindInterdomain(op.RemoteDom, evtchn.Port(op.RemotePort))
	if err != 0 {
		return err.Ret()
	}
	op.LocalPort = uint32(p)
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) evtchnBindVIRQ(va uint64) uint64 {
	var op xen.EvtchnBindVIRQ
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	p, err := c.d.Events.BindVIRQ(op.VIRQ, op.VCPU)
	if err != 0 {
		return err.Ret()
	}
	op.Port = uint32(p)
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) evtchnBindIPI(va uint64) uint64 {
	var op xen.EvtchnBindIPI
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	p, err := c.d.Events.BindIPI(op.VCPU)
	if err != 0 {
		return err.Ret()
	}
	op.Port = uint32(p)
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

// evtchnBindPIRQ refuses every number: a PVH domain has none (nr_pirqs is 0).
func (c *call) evtchnBindPIRQ(va uint64) uint64 {
	var op xen.EvtchnBindPIRQ
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	return xen.EINVAL.Ret()
}

func (c *call) evtchnClose(va uint64) uint64 {
	var op xen.EvtchnClose
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return c.d.Events.Close(evtchn.Port(op.Port)).Ret()
}

func (c *call) evtchnStatus(va uint64) uint64 {
	var op xen.EvtchnStatus
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if err := c.d.Self(op.Dom); err != 0 {
		return err.Ret()
	}
	s, err := c.d.Events.Status(evtchn.Port(op.Port))
	if err != 0 {
		return err.Ret()
	}
	op.Status, op.VCPU = s.Kind, s.VCPU
	switch s.Kind {
	case xen.EVTCHNSTAT_unbound:
		op.U = uint32(s.Remote)
	case xen.EVTCHNSTAT_interdomain:
		op.U, op.RemotePort = uint32(s.Remote), uint32(s.Peer)
	case xen.EVTCHNSTAT_virq:
		op.U = s.VIRQ
	}
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) evtchnBindVCPU(va uint64) uint64 {
	var op xen.EvtchnBindVCPU
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return c.d.Events.BindVCPU(evtchn.Port(op.Port), op.VCPU).Ret()
}

func (c *call) evtchnReset(va uint64) uint64 {
	var op xen.EvtchnReset
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if err := c.d.Self(op.Dom); err != 0 {
		return err.Ret()
	}
	if c.d.Events.Reset() {
		return c.again()
	}
	return 0
}

func (c *call) evtchnInitControl(va uint64) uint64 {
	var op xen.EvtchnInitControl
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	bits, err := c.d.Events.InitControl(op.VCPU, guestmem.GFN(op.ControlGFN), op.Offset)
	if err != 0 {
		return err.Ret()
	}
	op.LinkBits = bits
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) evtchnExpandArray(va uint64) uint64 {
	var op xen.EvtchnExpandArray
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return c.d.Events.ExpandArray(guestmem.GFN(op.ArrayGFN)).Ret()
}

func (c *call) evtchnSetPriority(va uint64) uint64 {
	var op xen.EvtchnSetPriority
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return c.d.Events.SetPriority(evtchn.Port(op.Port), op.Priority).Ret()
}
