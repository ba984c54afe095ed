package isa

// Facts of the HPET (IA-PC HPET specification 1.0a, 2.3), as the ACPI table repeats them.
const (
	HPETBase = 0xfed00000
	HPETSize = 0x400
	// HPETID is the low half of the capabilities: three timers with a 64-bit counter, that can take over interrupts 0 and 8.
	HPETID = 0x8086a201

	hpetTimers  = 3
	hpetTick    = 10 // nanoseconds
	hpetPeriod  = hpetTick * 1e6
	hpetCaps    = 0x000
	hpetConfig  = 0x010
	hpetStatus  = 0x020
	hpetCounter = 0x0f0
	hpetFirst   = 0x100
	hpetStep    = 0x20

	hpetEnable = 1
	hpetLegacy = 2

	tmrLevel    = 1 << 1
	tmrEnable   = 1 << 2
	tmrPeriodic = 1 << 3
	tmrCanCycle = 1 << 4
	tmr64       = 1 << 5
	tmrSet      = 1 << 6
	tmr32       = 1 << 8
	tmrRoute    = 31 << 9
	tmrWritable = tmrLevel | tmrEnable | tmrPeriodic | tmrSet | tmr32 | tmrRoute
	// tmrRoutes are the pins that a timer may be routed to: 2, 8 and 20 to 23.
	tmrRoutes = 0x00f00104
)

// HPET is the high-precision event timer. It implements iobus.Device.
type HPET struct {
	now    Clock
	legacy [2]Line
	pin    func(n int, high bool)
	config uint64
	status uint64
	base   uint64 // the counter while it stands still; else its value at system time 0
	timers [hpetTimers]hpetTimer
}

type hpetTimer struct {
	config, cmp, period uint64
	next                uint64 // system time, Never if it does not run
	driven              int    // the pin that is high because of a level-triggered interrupt, -1 for none
}

// NewHPET makes the timer. legacy are the lines of ISA interrupts 0 and 8, pin drives a pin of the IO-APIC.
func NewHPET(now Clock, legacy [2]Line, pin func(n int, high bool)) *HPET {
	h := &HPET{now: now, legacy: legacy, pin: pin}
	for i := range h.timers {
		h.timers[i] = hpetTimer{config: tmr64 | tmrCanCycle | tmrRoutes<<32, cmp: ^uint64(0), next: Never, driven: -1}
	}
	return h
}

// Legacy reports whether the HPET has taken over the interrupts of the 8254 and the clock.
func (h *HPET) Legacy() bool { return h.config&(hpetLegacy|hpetEnable) == hpetLegacy|hpetEnable }

func (h *HPET) counter(now uint64) uint64 {
	if h.config&hpetEnable == 0 {
		return h.base
	}
	return h.base + now/hpetTick
}

// arm computes when a timer interrupts next.
func (h *HPET) arm(t *hpetTimer, now uint64) {
	t.next = Never
	if h.config&hpetEnable == 0 || t.config&tmrEnable == 0 {
		return
	}
	d := t.cmp - h.counter(now)
	if t.config&tmr32 != 0 {
		if d &= 1<<32 - 1; d == 0 {
			d = 1 << 32
		}
	}
	if d != 0 && d < 1<<58 {
		t.next = (now/hpetTick + d) * hpetTick
	}
}

// Deadline gives the time of the next interrupt.
func (h *HPET) Deadline() uint64 {
	return min(h.timers[0].next, h.timers[1].next, h.timers[2].next)
}

// Expire interrupts for timers that are due. Periods that were missed are not made up for.
func (h *HPET) Expire(now uint64) {
	for i := range h.timers {
		t := &h.timers[i]
		if t.next > now {
			continue
		}
		if t.config&tmrPeriodic != 0 && t.period != 0 {
			t.cmp += ((h.counter(now)-t.cmp)&h.mask(t)/t.period + 1) * t.period
			t.cmp &= h.mask(t)
		}
		h.arm(t, now)
		h.fire(i)
	}
}

func (h *HPET) mask(t *hpetTimer) uint64 {
	if t.config&tmr32 != 0 {
		return 1<<32 - 1
	}
	return ^uint64(0)
}

func (h *HPET) fire(i int) {
	t := &h.timers[i]
	if i < 2 && h.config&hpetLegacy != 0 {
		h.legacy[i].pulse()
		return
	}
	n := int(t.config & tmrRoute >> 9)
	if tmrRoutes>>n&1 == 0 {
		return
	}
	if t.config&tmrLevel == 0 {
		h.pin(n, true)
		h.pin(n, false)
		return
	}
	h.status |= 1 << i
	if t.driven < 0 {
		t.driven = n
		h.pin(n, true)
	}
}

// release ends a level-triggered interrupt.
func (h *HPET) release(i int) {
	t := &h.timers[i]
	h.status &^= 1 << i
	if t.driven >= 0 {
		h.pin(t.driven, false)
		t.driven = -1
	}
}

// Read implements iobus.Device: registers have 64 bits, and may be read by halves.
func (h *HPET) Read(off uint64, size uint8) uint64 {
	v := h.register(off &^ 7)
	if size < 8 {
		v >>= 8 * (off & 7)
	}
	return v
}

func (h *HPET) register(off uint64) uint64 {
	switch off {
	case hpetCaps:
		return hpetPeriod<<32 | HPETID
	case hpetConfig:
		return h.config
	case hpetStatus:
		return h.status
	case hpetCounter:
		return h.counter(h.now())
	}
	if n := (off - hpetFirst) / hpetStep; off >= hpetFirst && n < hpetTimers {
		switch t := &h.timers[n]; off % hpetStep {
		case 0:
			return t.config
		case 8:
			return t.cmp
		}
	}
	return 0
}

// Write implements iobus.Device.
func (h *HPET) Write(off uint64, size uint8, v uint64) {
	reg, now := off&^7, h.now()
	old := h.register(reg)
	if reg == hpetStatus {
		old = 0 // ones clear
	}
	if size < 8 {
		sh := 8 * (off & 7)
		m := (uint64(1)<<(8*size) - 1) << sh
		v = old&^m | v<<sh&m
	}
	switch reg {
	case hpetConfig:
		h.configure(v&(hpetEnable|hpetLegacy), now)
	case hpetStatus:
		for i := range h.timers {
			if v>>i&1 != 0 {
				h.release(i)
			}
		}
	case hpetCounter:
		if h.config&hpetEnable == 0 {
			h.base = v
		}
	default:
		if n := (reg - hpetFirst) / hpetStep; reg >= hpetFirst && n < hpetTimers {
			h.timer(int(n), reg%hpetStep, v, now)
		}
	}
}

// configure starts and stops the counter.
func (h *HPET) configure(v, now uint64) {
	c := h.counter(now)
	h.config = v
	h.base = c
	if v&hpetEnable != 0 {
		h.base = c - now/hpetTick
	}
	for i := range h.timers {
		h.arm(&h.timers[i], now)
	}
}

// timer writes a register of a timer.
func (h *HPET) timer(i int, reg, v, now uint64) {
	t := &h.timers[i]
	switch reg {
	case 0:
		t.config = t.config&^tmrWritable | v&tmrWritable
		if v&tmrEnable == 0 || v&tmrLevel == 0 {
			h.release(i)
		}
		if t.config&tmr32 != 0 {
			t.cmp, t.period = t.cmp&h.mask(t), t.period&h.mask(t)
		}
	case 8:
		v &= h.mask(t)
		if t.config&tmrPeriodic == 0 || t.config&tmrSet != 0 {
			t.cmp = v
		}
		if t.config&tmrPeriodic != 0 {
			t.period = v
		}
		t.config &^= tmrSet
	}
	h.arm(t, now)
}
