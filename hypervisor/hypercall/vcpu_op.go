package hypercall

import (
	"gozen/hypervisor/domain"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

func vcpuSubs() []sub {
	return []sub{
		{xen.VCPUOP_initialise, "initialise", Supported, "vcpu_hvm_context, 32- and 64-bit"},
		{xen.VCPUOP_up, "up", Supported, ""},
		{xen.VCPUOP_down, "down", Supported, ""},
		{xen.VCPUOP_is_up, "is_up", Supported, ""},
		{xen.VCPUOP_get_runstate_info, "get_runstate_info", Supported, ""},
		{xen.VCPUOP_register_runstate_memory_area, "register_runstate_memory_area", Supported, ""},
		{xen.VCPUOP_set_periodic_timer, "set_periodic_timer", Supported, ""},
		{xen.VCPUOP_stop_periodic_timer, "stop_periodic_timer", Supported, ""},
		{xen.VCPUOP_set_singleshot_timer, "set_singleshot_timer", Supported, ""},
		{xen.VCPUOP_stop_singleshot_timer, "stop_singleshot_timer", Supported, ""},
		{xen.VCPUOP_register_vcpu_info, "register_vcpu_info", Supported, ""},
		{xen.VCPUOP_send_nmi, "send_nmi", Supported, ""},
		{xen.VCPUOP_get_physid, "get_physid", Refused, "-EINVAL: not pinned hardware"},
		{xen.VCPUOP_register_vcpu_time_memory_area, "register_vcpu_time_memory_area", Supported, ""},
	}
}

func (c *call) vcpuOp() uint64 {
	v := c.d.VCPU(uint32(c.args[1]))
	if v == nil {
		return xen.ENOENT.Ret()
	}
	va := c.args[2]
	switch uint32(c.args[0]) {
	case xen.VCPUOP_set_singleshot_timer:
		return c.vcpuSetSingleshot(v, va)
	case xen.VCPUOP_stop_singleshot_timer:
		if v != c.v {
			return xen.EINVAL.Ret()
		}
		v.StopSingleshot()
		return 0
	case xen.VCPUOP_initialise:
		return c.vcpuInitialise(v, va)
	case xen.VCPUOP_up:
		return v.Up().Ret()
	case xen.VCPUOP_down:
		v.Down()
		return 0
	case xen.VCPUOP_is_up:
		if v.IsUp() {
			return 1
		}
		return 0
	case xen.VCPUOP_get_runstate_info:
		i := v.Runstate()
		k := c.sizer()
		i.Layout(&k)
		e := c.fresh(k.Size())
		i.Layout(&e)
		return c.store(va, 0)
	case xen.VCPUOP_register_runstate_memory_area, xen.VCPUOP_register_vcpu_time_memory_area:
		return c.vcpuRegisterArea(v, va, uint32(c.args[0]) == xen.VCPUOP_register_vcpu_time_memory_area)
	case xen.VCPUOP_set_periodic_timer:
		return c.vcpuSetPeriodic(v, va)
	case xen.VCPUOP_stop_periodic_timer:
		v.StopPeriodic()
		return 0
	case xen.VCPUOP_register_vcpu_info:
		return c.vcpuRegisterInfo(v, va)
	case xen.VCPUOP_send_nmi:
		if va != 0 {
			return xen.EINVAL.Ret()
		}
		v.RaiseNMI()
		return 0
	case xen.VCPUOP_get_physid:
		return xen.EINVAL.Ret()
	}
	return xen.ENOSYS.Ret()
}

func (c *call) vcpuSetSingleshot(v *domain.VCPU, va uint64) uint64 {
	if v != c.v {
		return xen.EINVAL.Ret()
	}
	var op xen.VCPUSetSingleshotTimer
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	v.SetSingleshot(op.TimeoutAbsNS)
	return 0
}

func (c *call) vcpuSetPeriodic(v *domain.VCPU, va uint64) uint64 {
	var op xen.VCPUSetPeriodicTimer
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return v.SetPeriodic(op.PeriodNS).Ret()
}

func (c *call) vcpuRegisterInfo(v *domain.VCPU, va uint64) uint64 {
	var op xen.VCPURegisterVCPUInfo
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	return v.RegisterInfo(c.v, guestmem.GFN(op.MFN), op.Offset).Ret()
}

func (c *call) vcpuRegisterArea(v *domain.VCPU, va uint64, time bool) uint64 {
	var op xen.VCPURegisterArea
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if c.abi == xen.ABI32 {
		op.Addr &= 0xffffffff // the handle of the union
	}
	if !time {
		v.RegisterRunstate(c.v, op.Addr)
		return 0
	}
	v.RegisterTime(op.Addr)
	if v == c.v {
		v.UpdateTime()
	}
	return 0
}

// A vcpu_hvm_context is two words and a union of the two register structs, of equal size.
const (
	contextHead = 8
	contextSize = 128
)

func (c *call) vcpuInitialise(v *domain.VCPU, va uint64) uint64 {
	if v.PV != nil {
		return c.vcpuInitialisePV(v, va)
	}
	b := c.v.Scratch[:contextSize]
	if c.v.Virt.ReadVirt(va, b) != nil {
		return efault
	}
	var mode, pad uint32
	k := xen.Decoder(c.abi, b)
	k.U32(&mode)
	k.U32(&pad)
	if pad != 0 {
		return xen.EINVAL.Ret()
	}
	var st *x86.State
	err := xen.EINVAL
	k = xen.Decoder(c.abi, b[contextHead:])
	switch mode {
	case xen.VCPU_HVM_MODE_32B:
		var r xen.VCPUHVMx86_32
		r.Layout(&k)
		st, err = domain.StateFrom32(&r)
	case xen.VCPU_HVM_MODE_64B:
		var r xen.VCPUHVMx86_64
		r.Layout(&k)
		st, err = domain.StateFrom64(&r)
	}
	if err != 0 {
		return err.Ret()
	}
	return v.Initialise(st).Ret()
}
