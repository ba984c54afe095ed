package apic

import "math/bits"

// The timer counts at the TSC's rate divided by the divide configuration (the bus clock is said to be the TSC).

// divisor decodes the divide configuration register (SDM 3A figure 10-10).
func (l *LAPIC) divisor() uint64 {
	n := l.divide&3 | l.divide>>1&4
	return 1 << ((n + 1) & 7)
}

func (l *LAPIC) startTimer(v uint32, now uint64) {
	if l.lvt[0]&timerMode == modeTSC {
		return
	}
	l.initial, l.started = v, now
	l.deadline = 0
	if v != 0 {
		l.deadline = now + uint64(v)*l.divisor()
	}
}

func (l *LAPIC) rescale(div uint32, now uint64) {
	left := l.current(now)
	l.divide = div
	if l.deadline != 0 && l.lvt[0]&timerMode != modeTSC {
		l.started = now
		l.deadline = now + uint64(left)*l.divisor()
	}
}

// current gives the current count.
func (l *LAPIC) current(now uint64) uint32 {
	if l.deadline == 0 || l.deadline <= now || l.lvt[0]&timerMode == modeTSC {
		return 0
	}
	return uint32((l.deadline - now) / l.divisor())
}

// TSCDeadline gives MSR 0x6e0, SetTSCDeadline writes it (SDM 3A 10.5.4.1).
func (l *LAPIC) TSCDeadline() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lvt[0]&timerMode != modeTSC {
		return 0
	}
	return l.deadline
}

// SetTSCDeadline arms or (0) disarms the timer in TSC-deadline mode; in other modes it does nothing.
func (l *LAPIC) SetTSCDeadline(v uint64) {
	l.mu.Lock()
	if l.lvt[0]&timerMode == modeTSC {
		l.deadline = v
	}
	l.mu.Unlock()
}

// Deadline gives the TSC at which the timer fires next; ok is false when it is stopped.
func (l *LAPIC) Deadline() (tsc uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deadline, l.deadline != 0
}

// Expire fires the timer if it is due at TSC now.
func (l *LAPIC) Expire(now uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deadline == 0 || l.deadline > now {
		return
	}
	if l.lvt[0]&lvtMasked == 0 {
		l.fire(uint8(l.lvt[0]))
	}
	if l.lvt[0]&timerMode != modePeriod || l.initial == 0 {
		l.deadline = 0
		return
	}
	period := uint64(l.initial) * l.divisor()
	missed := (now - l.deadline) / period
	hi, lo := bits.Mul64(missed+1, period)
	if hi != 0 {
		l.deadline = 0
		return
	}
	l.deadline += lo
}
