// Facts of Xen public/xen.h, public/arch-x86/xen.h and public/arch-arm.h: the areas that stay shared with a guest.

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
	InfoTime   uint32 // in vcpu_info: the vcpu_time_info; arm64 has it too, but Xen leaves it zero there
	InfoSize   uint32 // of a vcpu_info
	InfoCount  int    // vCPUs that have a vcpu_info in shared_info (XEN_LEGACY_MAX_VCPUS); that of vCPU n lies at n*InfoSize
}

// HasTime says whether Xen keeps the time in vcpu_info up to date, and HasMask whether there is an evtchn_upcall_mask.
func (a ABI) HasTime() bool { return a != ABIA64 }

// HasMask says whether vcpu_info has an evtchn_upcall_mask.
func (a ABI) HasMask() bool { return a != ABIA64 }

// Shared gives the layout of shared_info and vcpu_info for an ABI.
func Shared(a ABI) SharedLayout {
	switch a {
	case ABI32:
		return SharedLayout{WordBits: 32, Channels: 1024, EvtchnPending: 2048, EvtchnMask: 2176,
			WCVersion: 2304, WCSec: 2308, WCNsec: 2312, WCSecHi: 2340, PendingSel: 4, InfoTime: 32, InfoSize: 64, InfoCount: 32}
	case ABIA64:
		return SharedLayout{WordBits: 64, Channels: 4096, EvtchnPending: 48, EvtchnMask: 560,
			WCVersion: 1072, WCSec: 1076, WCNsec: 1080, WCSecHi: 1084, PendingSel: 8, InfoTime: 16, InfoSize: 48, InfoCount: 1}
	}
	return SharedLayout{WordBits: 64, Channels: 4096, EvtchnPending: 2048, EvtchnMask: 2560,
		WCVersion: 3072, WCSec: 3076, WCNsec: 3080, WCSecHi: 3084, PendingSel: 8, InfoTime: 32, InfoSize: 64, InfoCount: 32}
}

// Offsets in vcpu_info that all ABIs share, and sizes.
const (
	VCPUInfoUpcallPending   = 0  // evtchn_upcall_pending, one byte
	VCPUInfoUpcallMask      = 1  // evtchn_upcall_mask, one byte; HVM and PVH ignore it, arm64 has none
	VCPUInfoCR2             = 16 // arch.cr2 of 64-bit x86 guests, for PV
	VCPUTimeInfoSize        = 32
	VCPUInfoSize            = 64 // of x86 guests, as Shared gives it
	VCPUInfoTime            = 32 // of x86 guests, likewise
	XEN_LEGACY_MAX_VCPUS    = 32 // of x86 guests, likewise
	MEMOP_EXTENT_SHIFT      = 6  // a continued memory_op keeps its progress above these bits of the command
	GNTTABOP_CONTINUE_SHIFT = 12 // the same for grant_table_op
)

// Offsets in a FIFO control block (C: evtchn_fifo_control_block).
const (
	FIFOControlReady = 0
	FIFOControlHead  = 8 // sixteen 32-bit queue heads
	FIFOControlSize  = 72
)

// Offsets in a version 2 grant entry (C: grant_entry_v2), whose flags and domid are where version 1 has them, and the size of a status (C:
// grant_status_t), of which an array in pages of its own has one for each entry.
const (
	GrantEntry2PageOff = 4 // 16 bits, of a grant of a part of a page
	GrantEntry2Length  = 6
	GrantEntry2Frame   = 8 // 64 bits
	GrantEntry2Size    = 16
	GrantStatusSize    = 2
)

// XENMAPIDX_grant_table_status, in the index of XENMAPSPACE_grant_table, asks for a page of statuses.
const XENMAPIDX_grant_table_status = 1 << 31

// Offsets in a version 1 grant entry (C: grant_entry_v1).
const (
	GrantEntryFlags = 0 // 16 bits; the domid is in the 16 bits above
	GrantEntryFrame = 4
	GrantEntrySize  = 8
)
