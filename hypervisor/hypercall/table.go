package hypercall

import "gozen/hypervisor/xen"

// Support says what we make of a hypercall or a sub-operation.
type Support uint8

// The degrees of support.
const (
	None      Support = iota // answers -ENOSYS, and is counted
	Refused                  // answers an error by rule, as Xen does for an unprivileged PVH domain
	Partial                  // works, with the limits the note names
	Supported                // works
)

// String gives the word that the printed table uses.
func (s Support) String() string {
	return [...]string{"none", "refused", "partial", "supported"}[s&3]
}

// row is one hypercall.
type row struct {
	name    string
	handler func(*call) uint64
	refuse  xen.Errno // without a handler: what it answers
	subMask uint64    // bits of argument 0 that hold the sub-operation; 0 if there is none
	support Support
	note    string
	subs    []sub
}

// sub is one sub-operation, for names and for the printed table; the family's file does the work.
type sub struct {
	nr      uint64
	name    string
	support Support
	note    string
}

const (
	notPVH = "PV only"
	priv   = "privileged"
)

// no makes a row that only answers an error.
func no(name string, err xen.Errno, note string) row {
	s := Refused
	if err == xen.ENOSYS {
		s = None
	}
	return row{name: name, refuse: err, support: s, note: note}
}

// table lists all hypercalls of Xen 4.17 by number (public/xen.h).
var table = makeTable()

func makeTable() (t [64]row) {
	for i := range t {
		t[i] = no("", xen.ENOSYS, "")
	}
	for nr, name := range map[int]string{
		xen.HYPERVISOR_set_trap_table: "set_trap_table", xen.HYPERVISOR_mmu_update: "mmu_update",
		xen.HYPERVISOR_set_gdt: "set_gdt", xen.HYPERVISOR_stack_switch: "stack_switch",
		xen.HYPERVISOR_set_callbacks: "set_callbacks", xen.HYPERVISOR_fpu_taskswitch: "fpu_taskswitch",
		xen.HYPERVISOR_sched_op_compat: "sched_op_compat", xen.HYPERVISOR_set_debugreg: "set_debugreg",
		xen.HYPERVISOR_get_debugreg: "get_debugreg", xen.HYPERVISOR_update_descriptor: "update_descriptor",
		xen.HYPERVISOR_update_va_mapping:             "update_va_mapping",
		xen.HYPERVISOR_event_channel_op_compat:       "event_channel_op_compat",
		xen.HYPERVISOR_physdev_op_compat:             "physdev_op_compat",
		xen.HYPERVISOR_update_va_mapping_otherdomain: "update_va_mapping_otherdomain",
		xen.HYPERVISOR_iret:                          "iret", xen.HYPERVISOR_set_segment_base: "set_segment_base",
		xen.HYPERVISOR_mmuext_op: "mmuext_op", xen.HYPERVISOR_nmi_op: "nmi_op",
		xen.HYPERVISOR_callback_op: "callback_op", xen.HYPERVISOR_xenoprof_op: "xenoprof_op",
		xen.HYPERVISOR_kexec_op: "kexec_op", xen.HYPERVISOR_arch_0: "mca",
	} {
		t[nr] = no(name, xen.ENOSYS, notPVH)
	}
	t[xen.HYPERVISOR_tmem_op] = no("tmem_op", xen.ENOSYS, "gone from Xen")
	t[xen.HYPERVISOR_xsm_op] = no("xsm_op", xen.ENOSYS, "no security module")
	t[xen.HYPERVISOR_arch_1] = no("paging_domctl_cont", xen.ENOSYS, "internal to Xen")
	t[xen.HYPERVISOR_platform_op] = no("platform_op", xen.EPERM, priv)
	t[xen.HYPERVISOR_sysctl] = no("sysctl", xen.EPERM, priv)
	t[xen.HYPERVISOR_domctl] = no("domctl", xen.EPERM, priv)
	t[xen.HYPERVISOR_dm_op] = no("dm_op", xen.EPERM, priv)
	t[xen.HYPERVISOR_hypfs_op] = no("hypfs_op", xen.EPERM, priv)
	t[xen.HYPERVISOR_argo_op] = no("argo_op", xen.EOPNOTSUPP, "off by default in Xen")
	t[xen.HYPERVISOR_xenpmu_op] = no("xenpmu_op", xen.EOPNOTSUPP, "as for any domain with a local APIC")

	t[xen.HYPERVISOR_memory_op] = row{name: "memory_op", handler: (*call).memoryOp, subMask: 63, support: Partial, subs: memorySubs()}
	t[xen.HYPERVISOR_multicall] = row{name: "multicall", handler: (*call).multicall, support: Supported}
	t[xen.HYPERVISOR_set_timer_op] = row{name: "set_timer_op", handler: (*call).setTimerOp, support: Supported}
	t[xen.HYPERVISOR_xen_version] = row{name: "xen_version", handler: (*call).xenVersion, subMask: 0xffffffff, support: Supported, subs: versionSubs()}
	t[xen.HYPERVISOR_console_io] = row{name: "console_io", handler: (*call).consoleIO, subMask: 0xffffffff, support: Supported,
		note: "-EPERM unless the domain was built with a console sink", subs: []sub{
			{xen.CONSOLEIO_write, "write", Supported, ""}, {xen.CONSOLEIO_read, "read", Supported, "there is never anything to read"}}}
	t[xen.HYPERVISOR_grant_table_op] = row{name: "grant_table_op", handler: (*call).grantTableOp, subMask: 0xfff, support: Partial, note: "versions 1 and 2", subs: grantSubs()}
	t[xen.HYPERVISOR_vm_assist] = row{name: "vm_assist", handler: (*call).vmAssist, subMask: 0xffffffff, support: Supported, subs: []sub{
		{xen.VMASST_CMD_enable, "enable", Supported, "runstate_update_flag, as for any PVH domain"}, {xen.VMASST_CMD_disable, "disable", Supported, ""}}}
	t[xen.HYPERVISOR_vcpu_op] = row{name: "vcpu_op", handler: (*call).vcpuOp, subMask: 0xffffffff, support: Supported, subs: vcpuSubs()}
	t[xen.HYPERVISOR_sched_op] = row{name: "sched_op", handler: (*call).schedOp, subMask: 0xffffffff, support: Supported, subs: schedSubs()}
	t[xen.HYPERVISOR_event_channel_op] = row{name: "event_channel_op", handler: (*call).eventChannelOp, subMask: 0xffffffff, support: Supported, subs: eventSubs()}
	t[xen.HYPERVISOR_physdev_op] = row{name: "physdev_op", refuse: xen.ENOSYS, subMask: 0xffffffff, support: None,
		note: "a PVH domain has no physical interrupts: every operation answers -ENOSYS, as on Xen"}
	t[xen.HYPERVISOR_hvm_op] = row{name: "hvm_op", handler: (*call).hvmOp, subMask: 0xffffffff, support: Partial, subs: hvmSubs()}
	return t
}

// Name gives the name of a hypercall, "" for a number that Xen does not use.
func Name(nr int) string {
	if nr < 0 || nr >= len(table) {
		return ""
	}
	return table[nr].name
}

// SubName gives the name of a sub-operation, "" if there is none by that number.
func SubName(nr, op int) string {
	if nr < 0 || nr >= len(table) {
		return ""
	}
	for _, s := range table[nr].subs {
		if s.nr == uint64(op) {
			return s.name
		}
	}
	return ""
}
