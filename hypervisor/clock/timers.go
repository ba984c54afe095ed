package clock

import "sync/atomic"

// Never is a deadline that does not come.
const Never = ^uint64(0)

// Timers are the two timers of a vCPU that raise VIRQ_TIMER, in system time. The single-shot timer belongs to the
// vCPU; the periodic one may be set by others, who then kick the vCPU. Deadlines are kept so that 0
// means off.
type Timers struct {
	single atomic.Uint64
	period atomic.Uint64
	next   atomic.Uint64
}

// SetSingle arms the single-shot timer for system time ns.
func (t *Timers) SetSingle(ns uint64) { t.single.Store(max(ns, 1)) }

// StopSingle disarms it.
func (t *Timers) StopSingle() { t.single.Store(0) }

// SetPeriod starts the periodic timer, or stops it if ns is 0. The first tick comes a period from now.
func (t *Timers) SetPeriod(ns, now uint64) {
	t.next.Store(0)
	t.period.Store(ns)
	if ns != 0 {
		t.next.Store(now + ns)
	}
}

// Next gives the system time at which Expire has something to do, or Never.
func (t *Timers) Next() uint64 {
	d := Never
	if s := t.single.Load(); s != 0 {
		d = s
	}
	if n := t.next.Load(); n != 0 && n < d {
		d = n
	}
	return d
}

// Expire reports whether a timer's time has come, and disarms or advances it. Missed periodic ticks are not
// made up.
func (t *Timers) Expire(now uint64) bool {
	due := false
	if s := t.single.Load(); s != 0 && s <= now && t.single.CompareAndSwap(s, 0) {
		due = true
	}
	if n := t.next.Load(); n != 0 && n <= now {
		if p := t.period.Load(); p != 0 {
			t.next.CompareAndSwap(n, n+(now-n)/p*p+p)
			due = true
		}
	}
	return due
}
