package domain

import "gozen/hypervisor/xen"

// Masked implements pv.Info: evtchn_upcall_mask, which only PV guests obey.
func (v *VCPU) Masked() bool {
	in := v.info.Load()
	return in.Page.Load8(in.Off+xen.VCPUInfoUpcallMask) != 0
}

// SetMasked implements pv.Info.
func (v *VCPU) SetMasked(on bool) {
	in := v.info.Load()
	b := byte(0)
	if on {
		b = 1
	}
	in.Page.Store8(in.Off+xen.VCPUInfoUpcallMask, b)
}

// SetCR2 implements pv.Info.
func (v *VCPU) SetCR2(a uint64) {
	in := v.info.Load()
	in.Page.Store64(in.Off+xen.VCPUInfoCR2, a)
}

// EventDue tells whether a PV guest is to be entered at its event callback.
func (v *VCPU) EventDue() bool { return v.UpcallPending() && !v.Masked() }

// AwaitExit returns as soon as the vCPU is not in the guest, or has left it once since the call. The vCPU must have been kicked. Any goroutine but
// the vCPU's.
func (v *VCPU) AwaitExit() {
	if v.Outside != nil {
		v.Outside()
	}
}
