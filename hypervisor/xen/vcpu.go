// Facts of Xen public/vcpu.h.

package xen

// vCPU operations.
const (
	VCPUOP_initialise                     = 0
	VCPUOP_up                             = 1
	VCPUOP_down                           = 2
	VCPUOP_is_up                          = 3
	VCPUOP_get_runstate_info              = 4
	VCPUOP_register_runstate_memory_area  = 5
	VCPUOP_set_periodic_timer             = 6
	VCPUOP_stop_periodic_timer            = 7
	VCPUOP_set_singleshot_timer           = 8
	VCPUOP_stop_singleshot_timer          = 9
	VCPUOP_register_vcpu_info             = 10
	VCPUOP_send_nmi                       = 11
	VCPUOP_get_physid                     = 12
	VCPUOP_register_vcpu_time_memory_area = 13
)

// Run states.
const (
	XEN_RUNSTATE_UPDATE = 1 << 63
	RUNSTATE_running    = 0
	RUNSTATE_runnable   = 1
	RUNSTATE_blocked    = 2
	RUNSTATE_offline    = 3
)

// Single-shot timer flags.
const (
	VCPU_SSHOTTMR_future = 1
)

// VCPURunstateInfo is a run state area; times in ns (C: vcpu_runstate_info).
type VCPURunstateInfo struct {
	State          uint32
	StateEntryTime uint64
	Time           [4]uint64
}

// Layout visits the fields of VCPURunstateInfo in the order of the C struct.
func (s *VCPURunstateInfo) Layout(c *Codec) {
	c.U32(&s.State)
	c.U64(&s.StateEntryTime)
	for i := range s.Time {
		c.U64(&s.Time[i])
	}
}

// VCPURegisterArea is the argument of the two calls that register an area by its guest-virtual address (C: also vcpu_register_time_memory_area) (C: vcpu_register_runstate_memory_area).
type VCPURegisterArea struct {
	Addr uint64
}

// Layout visits the fields of VCPURegisterArea in the order of the C struct.
func (s *VCPURegisterArea) Layout(c *Codec) {
	c.U64(&s.Addr)
}

// VCPUSetPeriodicTimer is the argument of VCPUOP_set_periodic_timer (C: vcpu_set_periodic_timer).
type VCPUSetPeriodicTimer struct {
	PeriodNS uint64
}

// Layout visits the fields of VCPUSetPeriodicTimer in the order of the C struct.
func (s *VCPUSetPeriodicTimer) Layout(c *Codec) {
	c.U64(&s.PeriodNS)
}

// VCPUSetSingleshotTimer is the argument of VCPUOP_set_singleshot_timer (C: vcpu_set_singleshot_timer).
type VCPUSetSingleshotTimer struct {
	TimeoutAbsNS uint64
	Flags        uint32
}

// Layout visits the fields of VCPUSetSingleshotTimer in the order of the C struct.
func (s *VCPUSetSingleshotTimer) Layout(c *Codec) {
	c.U64(&s.TimeoutAbsNS)
	c.U32(&s.Flags)
}

// VCPURegisterVCPUInfo is the argument of VCPUOP_register_vcpu_info (C: vcpu_register_vcpu_info).
type VCPURegisterVCPUInfo struct {
	MFN    uint64
	Offset uint32
	Rsvd   uint32
}

// Layout visits the fields of VCPURegisterVCPUInfo in the order of the C struct.
func (s *VCPURegisterVCPUInfo) Layout(c *Codec) {
	c.U64(&s.MFN)
	c.U32(&s.Offset)
	c.U32(&s.Rsvd)
}
