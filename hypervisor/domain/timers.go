package domain

import (
	"gozen/hypervisor/clock"
	"gozen/hypervisor/xen"
)

// SetSingleshot arms the single-shot timer for a system time in nanoseconds (VCPUOP_set_singleshot_timer); a time in the past
// raises VIRQ_TIMER at once.
func (v *VCPU) SetSingleshot(ns uint64) {
	if ns < v.Dom.Clock.Now() {
		v.timers.StopSingle()
		v.Dom.Events.RaiseVIRQ(v.ID, xen.VIRQ_TIMER)
		return
	}
	v.timers.SetSingle(ns)
}

// farFuture is where set_timer_op stops to believe a timeout: about 13 days.
const farFuture = 1 << 50

// SetTimer is HYPERVISOR_set_timer_op: 0 stops, a timeout that has wrapped or is absurdly far fires in 100 ms, as in
// Xen.
func (v *VCPU) SetTimer(ns int64) {
	now := int64(v.Dom.Clock.Now())
	switch {
	case ns == 0:
		v.timers.StopSingle()
	case ns < 0 || ns-now > farFuture:
		v.timers.SetSingle(uint64(now + 100e6))
	default:
		v.timers.SetSingle(uint64(ns))
	}
}

// StopSingleshot disarms the single-shot timer.
func (v *VCPU) StopSingleshot() { v.timers.StopSingle() }

// maxPeriod is the longest period of a periodic timer (Xen: STIME_DELTA_MAX).
const maxPeriod = 1<<63 - 1 - 1e9

// SetPeriodic starts the periodic timer, period in nanoseconds and at least 1 ms. Any goroutine.
func (v *VCPU) SetPeriodic(period uint64) xen.Errno {
	if period < 1e6 || period > maxPeriod {
		return xen.EINVAL
	}
	v.timers.SetPeriod(period, v.Dom.Clock.Now())
	v.Kick()
	return 0
}

// StopPeriodic stops the periodic timer. Any goroutine.
func (v *VCPU) StopPeriodic() { v.timers.SetPeriod(0, 0) }

// NextDeadline gives the system time in nanoseconds at which Expire has something to do, clock.Never if there is
// nothing to wait for.
func (v *VCPU) NextDeadline() uint64 {
	t := v.timers.Next()
	if v.polling.Load() {
		if p := v.pollUntil.Load(); p != 0 && p < t {
			t = p
		}
	}
	if v.ID == 0 {
		for i := range v.Dom.watchdog {
			if w := v.Dom.watchdog[i].Load(); w != 0 && w < t {
				t = w
			}
		}
	}
	return t
}

// Expire does what is due at system time now: it raises VIRQ_TIMER, ends a poll that timed out, or
// ends the domain for its watchdog. It does not allocate unless the domain ends.
func (v *VCPU) Expire(now uint64) {
	if v.timers.Next() <= now && v.timers.Expire(now) {
		v.Dom.Events.RaiseVIRQ(v.ID, xen.VIRQ_TIMER)
	}
	if v.polling.Load() {
		if p := v.pollUntil.Load(); p != 0 && p <= now {
			v.woken.Store(true)
		}
	}
	if v.ID == 0 {
		for i := range v.Dom.watchdog {
			if w := v.Dom.watchdog[i].Load(); w != 0 && w <= now {
				v.Dom.Shutdown(xen.SHUTDOWN_watchdog)
			}
		}
	}
}

// Now gives the domain's system time in nanoseconds.
func (v *VCPU) Now() uint64 { return v.Dom.Clock.Now() }

// Never is a deadline that does not come.
const Never = clock.Never
