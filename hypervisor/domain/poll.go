package domain

import (
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/xen"
)

// BeginPoll makes the vCPU a poller (SCHEDOP_poll) before it looks at its ports, so that no event is missed. until is system time
// in ns, 0 for no timeout.
func (v *VCPU) BeginPoll(until uint64) {
	v.woken.Store(false)
	v.pollUntil.Store(until)
	if !v.polling.Swap(true) {
		v.Dom.Events.AddPoller(1)
	}
}

// PolledPort reports whether a port of SCHEDOP_poll is pending already.
func (v *VCPU) PolledPort(p uint32) (bool, xen.Errno) { return v.Dom.Events.Pending(evtchn.Port(p)) }

// EndPoll ends the poll. The vCPU loop calls it when a blocked vCPU goes on, whatever woke it.
func (v *VCPU) EndPoll() {
	if v.polling.Load() && v.polling.Swap(false) {
		v.Dom.Events.AddPoller(-1)
	}
}

// Polling says whether the vCPU blocked in SCHEDOP_poll; PollDone whether an event or the timeout ended it. A poll also ends for
// anything that wakes a halted vCPU.
func (v *VCPU) Polling() bool { return v.polling.Load() }

// PollDone reports whether the poll is over.
func (v *VCPU) PollDone() bool { return v.woken.Load() }

// wakePollers ends all polls: a port became pending. Pollers of other ports wake for nothing, which SCHEDOP_poll
// allows.
func (d *Domain) wakePollers() {
	for _, v := range d.VCPUs {
		if v.polling.Load() {
			v.woken.Store(true)
			v.Kick()
		}
	}
}
