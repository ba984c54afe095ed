package domain

import (
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
)

// HostEvents is a host kernel that delivers 2-level events, upcalls and timers by itself, and has to be told where the guest keeps what. All
// methods may be called from any goroutine.
type HostEvents interface {
	// SharedInfo says at which frame shared_info is; mapped is false when it is nowhere.
	SharedInfo(g guestmem.GFN, mapped bool)
	// VCPUInfo and TimeInfo say where a vCPU's vcpu_info and its second pvclock record are.
	VCPUInfo(vcpu int, at guestmem.GPA)
	TimeInfo(vcpu int, at guestmem.GPA)
	// Callback and UpcallVector give the domain's callback vector and a vCPU's own, 0 for none.
	Callback(vector uint8)
	UpcallVector(vcpu int, vector uint8)
	// TimerPort gives the port that VIRQ_TIMER of a vCPU is bound to, 0 for none.
	TimerPort(vcpu int, port uint32)
	// Width says whether the shared areas are those of a 64-bit guest, which they are at first.
	Width(long bool)
	// Send raises a port on a vCPU; false asks the caller to do it.
	Send(port uint32, vcpu int) bool
}

// noHost is a host that leaves everything to us.
type noHost struct{}

func (noHost) SharedInfo(guestmem.GFN, bool) {}
func (noHost) VCPUInfo(int, guestmem.GPA)    {}
func (noHost) TimeInfo(int, guestmem.GPA)    {}
func (noHost) Callback(uint8)                {}
func (noHost) UpcallVector(int, uint8)       {}
func (noHost) TimerPort(int, uint32)         {}
func (noHost) Width(bool)                    {}
func (noHost) Send(uint32, int) bool         { return false }

// sharedMoved tells the host where shared_info is, and with it every vcpu_info that lies there still; the caller holds mu.
func (d *Domain) sharedMoved() {
	mapped := d.sharedAt != gnttab.NoFrame
	d.host.SharedInfo(d.sharedAt, mapped)
	if !mapped {
		return
	}
	for i, v := range d.VCPUs {
		if in := v.info.Load(); in.Page == d.shared {
			d.host.VCPUInfo(i, d.sharedAt.GPA()+guestmem.GPA(in.Off))
		}
	}
}
