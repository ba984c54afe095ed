// Facts of Xen public/xen.h and public/arch-x86/xen.h: the areas that stay shared with a guest.

package xen

// SharedLayout gives the byte offsets in shared_info and vcpu_info of one ABI.
type SharedLayout struct {
	WordBits uint32 // bits of a xen_ulong_t, and so of a word of the 2-level arrays
	Channels uint32 // EVTCHN_2L_NR_CHANNELS

	EvtchnPending uint32 // in shared_info: the pending bits
	EvtchnMask    uint32 // the mask bits
	WCVersion     uint32
	WCSec         uint32
	WCNsec        uint32
	WCSecHi       uint32

	PendingSel uint32 // in vcpu_info: evtchn_pending_sel
}

// Shared gives the layout of shared_info and vcpu_info for an ABI.
func Shared(a ABI) SharedLayout {
	if a == ABI32 {
		return SharedLayout{WordBits: 32, Channels: 1024, EvtchnPending: 2048, EvtchnMask: 2176,
			WCVersion: 2304, WCSec: 2308, WCNsec: 2312, WCSecHi: 2340, PendingSel: 4}
	}
	return SharedLayout{WordBits: 64, Channels: 4096, EvtchnPending: 2048, EvtchnMask: 2560,
		WCVersion: 3072, WCSec: 3076, WCNsec: 3080, WCSecHi: 3084, PendingSel: 8}
}

// Offsets in vcpu_info that both ABIs share; vcpu_info of vCPU n lies at n*VCPUInfoSize in shared_info.
const (
	VCPUInfoSize            = 64
	VCPUInfoUpcallPending   = 0 // evtchn_upcall_pending, one byte
	VCPUInfoUpcallMask      = 1 // evtchn_upcall_mask, one byte; HVM and PVH ignore it
	VCPUInfoTime            = 32
	VCPUTimeInfoSize        = 32
	XEN_LEGACY_MAX_VCPUS    = 32 // vCPUs that have a vcpu_info in shared_info
	MEMOP_EXTENT_SHIFT      = 6  // a continued memory_op keeps its progress above these bits of the command
	GNTTABOP_CONTINUE_SHIFT = 12 // the same for grant_table_op
)

// Offsets in a FIFO control block (C: evtchn_fifo_control_block).
const (
	FIFOControlReady = 0
	FIFOControlHead  = 8 // sixteen 32-bit queue heads
	FIFOControlSize  = 72
)

// Offsets in a version 1 grant entry (C: grant_entry_v1).
const (
	GrantEntryFlags = 0 // 16 bits; the domid is in the 16 bits above
	GrantEntryFrame = 4
	GrantEntrySize  = 8
)
