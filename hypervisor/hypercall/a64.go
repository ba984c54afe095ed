package hypercall

import (
	"slices"

	"gozen/hypervisor/domain"
	"gozen/hypervisor/xen"
)

// CallA64 does a hypercall of an arm64 guest: nr from x16, arguments from x0 on. The result goes to x[0], or, when
// Result.Again is set, x holds the continued call's arguments; nr stays. A guest cannot make one from EL0: HVC is undefined there.
// Otherwise it is as Call.
func CallA64(d *domain.Domain, v *domain.VCPU, nr uint64, x *[6]uint64) Result {
	c := begin(d, v, &tableA64)
	c.abi, c.nr, c.args = xen.ABIA64, nr, *x
	ret := c.dispatch()
	if c.res.Again {
		*x = c.args
	} else {
		x[0] = ret
	}
	return c.res
}

// ArgsA64 gives how many argument registers a hypercall of an arm64 guest has.
func ArgsA64(nr uint64) int {
	switch nr {
	case xen.HYPERVISOR_memory_op, xen.HYPERVISOR_multicall, xen.HYPERVISOR_xen_version, xen.HYPERVISOR_vm_assist,
		xen.HYPERVISOR_sched_op, xen.HYPERVISOR_event_channel_op, xen.HYPERVISOR_physdev_op, xen.HYPERVISOR_hvm_op:
		return 2
	case xen.HYPERVISOR_console_io, xen.HYPERVISOR_grant_table_op, xen.HYPERVISOR_vcpu_op:
		return 3
	}
	return 6
}

// tableA64 is the table of arm64 guests (Xen 4.17 public/arch-arm.h, include/hypercall-defs.c): what it shares with x86 does the
// same, and the rest does not exist.
var tableA64 = makeTableA64()

func makeTableA64() (t [64]row) {
	x := makeTable()
	for i := range t {
		t[i] = no(x[i].name, xen.ENOSYS, "")
	}
	for _, nr := range []int{xen.HYPERVISOR_platform_op, xen.HYPERVISOR_sysctl, xen.HYPERVISOR_domctl, xen.HYPERVISOR_dm_op,
		xen.HYPERVISOR_hypfs_op, xen.HYPERVISOR_argo_op, xen.HYPERVISOR_multicall, xen.HYPERVISOR_xen_version,
		xen.HYPERVISOR_console_io, xen.HYPERVISOR_grant_table_op, xen.HYPERVISOR_vm_assist, xen.HYPERVISOR_event_channel_op,
		xen.HYPERVISOR_memory_op, xen.HYPERVISOR_sched_op, xen.HYPERVISOR_vcpu_op, xen.HYPERVISOR_hvm_op, xen.HYPERVISOR_physdev_op} {
		t[nr] = x[nr]
	}
	memory, sched, vcpu, hvm := &t[xen.HYPERVISOR_memory_op], &t[xen.HYPERVISOR_sched_op], &t[xen.HYPERVISOR_vcpu_op], &t[xen.HYPERVISOR_hvm_op]
	memory.handler, sched.handler, vcpu.handler, hvm.handler = (*call).memoryOpA64, (*call).schedOpA64, (*call).vcpuOpA64, (*call).hvmOpA64
	memory.subs = without(memory.subs, memoryGone...)
	sched.subs = slices.Clone(sched.subs)
	for i := range sched.subs {
		switch s := &sched.subs[i]; s.nr {
		case xen.SCHEDOP_block:
			s.support, s.note = Partial, "returns at once: guests wait with WFI"
		case xen.SCHEDOP_poll:
			s.note += "; ends after 1 ms at the latest"
		}
	}
	vcpu.subs = only(vcpu.subs, xen.VCPUOP_register_vcpu_info, xen.VCPUOP_register_runstate_memory_area)
	hvm.subs = only(hvm.subs, xen.HVMOP_set_param, xen.HVMOP_get_param, xen.HVMOP_guest_request_vm_event)
	t[xen.HYPERVISOR_physdev_op].note = "no PCI: every operation answers -ENOSYS, as on Xen"
	return t
}

// without gives the sub-operations with some marked as not there.
func without(subs []sub, gone ...uint64) []sub {
	out := slices.Clone(subs)
	for i := range out {
		switch {
		case slices.Contains(gone, out[i].nr):
			out[i].support, out[i].note = None, "x86 only"
		case out[i].nr == xen.XENMEM_add_to_physmap:
			out[i].note = "shared_info, grant_table"
		}
	}
	return out
}

// only gives the named sub-operations.
func only(subs []sub, nrs ...uint64) []sub {
	return slices.DeleteFunc(slices.Clone(subs), func(s sub) bool { return !slices.Contains(nrs, s.nr) })
}

// memoryGone are the operations that only x86 has: its memory map, and what its page tables make possible.
var memoryGone = []uint64{xen.XENMEM_memory_map, xen.XENMEM_set_memory_map, xen.XENMEM_set_pod_target, xen.XENMEM_get_pod_target,
	xen.XENMEM_paging_op, xen.XENMEM_sharing_op}

func (c *call) memoryOpA64() uint64 {
	if slices.Contains(memoryGone, c.args[0]&63) {
		return xen.ENOSYS.Ret()
	}
	return c.memoryOp()
}

// schedOpA64: a guest waits with WFI. SCHEDOP_block returns at once, which its callers must expect at any time.
func (c *call) schedOpA64() uint64 {
	if uint32(c.args[0]) == xen.SCHEDOP_block {
		c.res.Yield = true
		return 0
	}
	return c.schedOp()
}

// vcpuOpA64: vCPUs come and go by PSCI, and time is the architecture's timer (Xen arch/arm/domain.c, do_vcpu_op).
func (c *call) vcpuOpA64() uint64 {
	v := c.d.VCPU(uint32(c.args[1]))
	if v == nil {
		return xen.ENOENT.Ret()
	}
	switch uint32(c.args[0]) {
	case xen.VCPUOP_register_vcpu_info:
		return c.vcpuRegisterInfo(v, c.args[2])
	case xen.VCPUOP_register_runstate_memory_area:
		return c.vcpuRegisterArea(v, c.args[2], false)
	}
	return xen.EINVAL.Ret()
}

// hvmOpA64 (Xen arch/arm/hvm.c).
func (c *call) hvmOpA64() uint64 {
	switch c.args[0] {
	case xen.HVMOP_set_param, xen.HVMOP_get_param, xen.HVMOP_guest_request_vm_event:
		return c.hvmOp()
	}
	return xen.ENOSYS.Ret()
}
