package clock

import "gozen/hypervisor/xen"

// Runstate counts the time a vCPU spends in each RUNSTATE_*. It is not synchronized: its vCPU's goroutine
// owns it, or the owner holds a lock.
type Runstate struct {
	state uint32
	entry uint64
	time  [4]uint64
}

// NewRunstate starts the account in a state at system time now.
func NewRunstate(state uint32, now uint64) Runstate { return Runstate{state: state & 3, entry: now} }

// Set enters a state at system time now.
func (r *Runstate) Set(state uint32, now uint64) {
	if now > r.entry {
		r.time[r.state] += now - r.entry
		r.entry = now
	}
	r.state = state & 3
}

// State gives the present RUNSTATE_*.
func (r *Runstate) State() uint32 { return r.state }

// Info gives the account as a guest sees it: the time in the present state counts up to now, so that the four times
// add up to now less the start.
func (r *Runstate) Info(now uint64) xen.VCPURunstateInfo {
	i := xen.VCPURunstateInfo{State: r.state, StateEntryTime: r.entry, Time: r.time}
	if now > r.entry {
		i.Time[r.state] += now - r.entry
	}
	return i
}
