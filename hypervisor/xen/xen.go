// Facts of Xen public/xen.h.

package xen

// Hypercall numbers.
const (
	HYPERVISOR_set_trap_table                = 0
	HYPERVISOR_mmu_update                    = 1
	HYPERVISOR_set_gdt                       = 2
	HYPERVISOR_stack_switch                  = 3
	HYPERVISOR_set_callbacks                 = 4
	HYPERVISOR_fpu_taskswitch                = 5
	HYPERVISOR_sched_op_compat               = 6
	HYPERVISOR_platform_op                   = 7
	HYPERVISOR_set_debugreg                  = 8
	HYPERVISOR_get_debugreg                  = 9
	HYPERVISOR_update_descriptor             = 10
	HYPERVISOR_memory_op                     = 12
	HYPERVISOR_multicall                     = 13
	HYPERVISOR_update_va_mapping             = 14
	HYPERVISOR_set_timer_op                  = 15
	HYPERVISOR_event_channel_op_compat       = 16
	HYPERVISOR_xen_version                   = 17
	HYPERVISOR_console_io                    = 18
	HYPERVISOR_physdev_op_compat             = 19
	HYPERVISOR_grant_table_op                = 20
	HYPERVISOR_vm_assist                     = 21
	HYPERVISOR_update_va_mapping_otherdomain = 22
	HYPERVISOR_iret                          = 23
	HYPERVISOR_vcpu_op                       = 24
	HYPERVISOR_set_segment_base              = 25
	HYPERVISOR_mmuext_op                     = 26
	HYPERVISOR_xsm_op                        = 27
	HYPERVISOR_nmi_op                        = 28
	HYPERVISOR_sched_op                      = 29
	HYPERVISOR_callback_op                   = 30
	HYPERVISOR_xenoprof_op                   = 31
	HYPERVISOR_event_channel_op              = 32
	HYPERVISOR_physdev_op                    = 33
	HYPERVISOR_hvm_op                        = 34
	HYPERVISOR_sysctl                        = 35
	HYPERVISOR_domctl                        = 36
	HYPERVISOR_kexec_op                      = 37
	HYPERVISOR_tmem_op                       = 38
	HYPERVISOR_argo_op                       = 39
	HYPERVISOR_xenpmu_op                     = 40
	HYPERVISOR_dm_op                         = 41
	HYPERVISOR_hypfs_op                      = 42
	HYPERVISOR_arch_0                        = 48
	HYPERVISOR_arch_1                        = 49
	HYPERVISOR_arch_2                        = 50
	HYPERVISOR_arch_3                        = 51
	HYPERVISOR_arch_4                        = 52
	HYPERVISOR_arch_5                        = 53
	HYPERVISOR_arch_6                        = 54
	HYPERVISOR_arch_7                        = 55
)

// Virtual interrupts.
const (
	VIRQ_TIMER      = 0
	VIRQ_DEBUG      = 1
	VIRQ_CONSOLE    = 2
	VIRQ_DOM_EXC    = 3
	VIRQ_TBUF       = 4
	VIRQ_DEBUGGER   = 6
	VIRQ_XENOPROF   = 7
	VIRQ_CON_RING   = 8
	VIRQ_PCPU_STATE = 9
	VIRQ_MEM_EVENT  = 10
	VIRQ_ARGO       = 11
	VIRQ_ENOMEM     = 12
	VIRQ_XENPMU     = 13
	VIRQ_ARCH_0     = 16
	VIRQ_ARCH_1     = 17
	VIRQ_ARCH_2     = 18
	VIRQ_ARCH_3     = 19
	VIRQ_ARCH_4     = 20
	VIRQ_ARCH_5     = 21
	VIRQ_ARCH_6     = 22
	VIRQ_ARCH_7     = 23
	NR_VIRQS        = 24
)

// console_io commands.
const (
	CONSOLEIO_write = 0
	CONSOLEIO_read  = 1
)

// vm_assist commands and types.
const (
	VMASST_CMD_enable                = 0
	VMASST_CMD_disable               = 1
	VMASST_TYPE_4gb_segments         = 0
	VMASST_TYPE_4gb_segments_notify  = 1
	VMASST_TYPE_writable_pagetables  = 2
	VMASST_TYPE_pae_extended_cr3     = 3
	VMASST_TYPE_architectural_iopl   = 4
	VMASST_TYPE_runstate_update_flag = 5
	VMASST_TYPE_m2p_strict           = 32
)

// Reserved domain ids.
const (
	DOMID_FIRST_RESERVED DomID = 0x7ff0
	DOMID_SELF           DomID = 0x7ff0
	DOMID_IO             DomID = 0x7ff1
	DOMID_XEN            DomID = 0x7ff2
	DOMID_COW            DomID = 0x7ff3
	DOMID_INVALID        DomID = 0x7ff4
	DOMID_IDLE           DomID = 0x7fff
	DOMID_MASK           DomID = 0x7fff
)

// pvclock flags.
const (
	XEN_PVCLOCK_TSC_STABLE_BIT = 1
	XEN_PVCLOCK_GUEST_STOPPED  = 2
)

// Start-info flags.
const (
	SIF_PRIVILEGED      = 1
	SIF_INITDOMAIN      = 1 << 1
	SIF_MULTIBOOT_MOD   = 1 << 2
	SIF_MOD_START_PFN   = 1 << 3
	SIF_VIRT_P2M_4TOOLS = 1 << 4
	SIF_PM_MASK         = 65280
)

// VCPUTimeInfo is the pvclock record of one vCPU (C: vcpu_time_info).
type VCPUTimeInfo struct {
	Version        uint32
	TSCTimestamp   uint64
	SystemTime     uint64
	TSCToSystemMul uint32
	TSCShift       uint8
	Flags          uint8
}

// Layout visits the fields of VCPUTimeInfo in the order of the C struct.
func (s *VCPUTimeInfo) Layout(c *Codec) {
	c.U32(&s.Version)
	c.Skip(4)
	c.U64(&s.TSCTimestamp)
	c.U64(&s.SystemTime)
	c.U32(&s.TSCToSystemMul)
	c.U8(&s.TSCShift)
	c.U8(&s.Flags)
	c.Skip(2)
}

// MulticallEntry is one call of HYPERVISOR_multicall (C: multicall_entry).
type MulticallEntry struct {
	Op     uint64
	Result uint64
	Args   [6]uint64
}

// Layout visits the fields of MulticallEntry in the order of the C struct.
func (s *MulticallEntry) Layout(c *Codec) {
	c.Long(&s.Op)
	c.Long(&s.Result)
	for i := range s.Args {
		c.Long(&s.Args[i])
	}
}
