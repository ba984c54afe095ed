package isa

import "time"

// PortRTC is the index port of the clock; its data port follows.
const PortRTC = 0x70

// Registers of the MC146818 (datasheet, "address map"), and the century as PCs keep it.
const (
	rtcSeconds   = 0
	rtcSecAlarm  = 1
	rtcMinutes   = 2
	rtcMinAlarm  = 3
	rtcHours     = 4
	rtcHourAlarm = 5
	rtcWeekday   = 6
	rtcDay       = 7
	rtcMonth     = 8
	rtcYear      = 9
	rtcA         = 10
	rtcB         = 11
	rtcC         = 12
	rtcD         = 13
	RTCCentury   = 0x32

	rtcUIP    = 0x80 // A: an update is near
	rtcSet    = 0x80 // B: the time stands still
	rtcPIE    = 0x40 // B enables, and C flags, of periodic, alarm and update interrupts
	rtcAIE    = 0x20
	rtcUIE    = 0x10
	rtcIRQF   = 0x80
	rtcBinary = 4
	rtc24     = 2
	rtcValid  = 0x80 // D: the battery is good
	pm        = 0x80
	second    = uint64(time.Second)
	updating  = 244 * uint64(time.Microsecond)
)

// RTC is an MC146818 with 128 bytes of CMOS memory. It drives interrupt line 8.
type RTC struct {
	now   Clock
	irq   Line
	base  int64 // nanoseconds since 1970 at system time 0
	ram   [128]byte
	index uint8
	tick  uint64 // of the next second that somebody waits for, Never if nobody does
	beat  uint64 // of the next periodic interrupt
}

// NewRTC makes a clock that shows wall now.
func NewRTC(now Clock, irq Line, wall time.Time) *RTC {
	r := &RTC{now: now, irq: irq, base: wall.UnixNano() - int64(now()), tick: Never, beat: Never}
	r.ram[rtcA], r.ram[rtcB], r.ram[rtcD] = 0x26, rtc24, rtcValid
	return r
}

// SetMemory writes a byte of CMOS memory, as firmware finds it.
func (r *RTC) SetMemory(i, v uint8) { r.ram[i&127] = v }

// wall gives the time of day.
func (r *RTC) wall(now uint64) time.Time { return time.Unix(0, r.base+int64(now)).UTC() }

// code and decode turn numbers into the registers' form.
func (r *RTC) code(n int) uint8 {
	if r.ram[rtcB]&rtcBinary != 0 {
		return uint8(n)
	}
	return uint8(n%10 | n/10%10<<4)
}

func (r *RTC) decode(v uint8) int {
	if r.ram[rtcB]&rtcBinary != 0 {
		return int(v)
	}
	return int(v>>4)*10 + int(v&15)
}

func (r *RTC) codeHour(h int) uint8 {
	if r.ram[rtcB]&rtc24 != 0 {
		return r.code(h)
	}
	v := r.code((h+11)%12 + 1)
	if h >= 12 {
		v |= pm
	}
	return v
}

func (r *RTC) decodeHour(v uint8) int {
	if r.ram[rtcB]&rtc24 != 0 {
		return r.decode(v)
	}
	h := r.decode(v&^pm) % 12
	if v&pm != 0 {
		h += 12
	}
	return h
}

// show puts the time into the registers.
func (r *RTC) show(t time.Time) {
	r.ram[rtcSeconds], r.ram[rtcMinutes], r.ram[rtcHours] = r.code(t.Second()), r.code(t.Minute()), r.codeHour(t.Hour())
	r.ram[rtcWeekday], r.ram[rtcDay], r.ram[rtcMonth] = r.code(int(t.Weekday())+1), r.code(t.Day()), r.code(int(t.Month()))
	r.ram[rtcYear], r.ram[RTCCentury] = r.code(t.Year()%100), r.code(t.Year()/100)
}

// take makes the registers' content the time. A date that does not exist runs over, as time.Date has it.
func (r *RTC) take(now uint64) {
	year := r.decode(r.ram[rtcYear]) + 100*r.decode(r.ram[RTCCentury])
	t := time.Date(year, time.Month(r.decode(r.ram[rtcMonth])), r.decode(r.ram[rtcDay]), r.decodeHour(r.ram[rtcHours]),
		r.decode(r.ram[rtcMinutes]), r.decode(r.ram[rtcSeconds]), 0, time.UTC)
	if y := t.Year(); y < 1700 || y > 2200 { // what nanoseconds in 64 bits can hold
		return
	}
	r.base = t.UnixNano() - int64(now)
}

// inSecond gives how far the second under way has come.
func (r *RTC) inSecond(now uint64) uint64 {
	d := (r.base + int64(now)) % int64(second)
	if d < 0 {
		d += int64(second)
	}
	return uint64(d)
}

// Deadline gives the time of the next interrupt or flag that somebody waits for.
func (r *RTC) Deadline() uint64 { return min(r.tick, r.beat) }

// arm sets the deadlines anew after a change of the registers.
func (r *RTC) arm(now uint64) {
	r.tick, r.beat = Never, Never
	if r.ram[rtcB]&rtcSet == 0 && r.ram[rtcB]&(rtcAIE|rtcUIE) != 0 {
		r.tick = now + second - r.inSecond(now)
	}
	if p := r.period(); p != 0 && r.ram[rtcB]&rtcPIE != 0 {
		r.beat = now + p
	}
}

// period gives the periodic interrupt's, 0 for none.
func (r *RTC) period() uint64 {
	rate := r.ram[rtcA] & 15
	if rate == 0 {
		return 0
	}
	if rate <= 2 {
		rate += 7
	}
	return second << (rate - 1) / 32768
}

// Expire raises what is due.
func (r *RTC) Expire(now uint64) {
	if r.tick <= now {
		r.tick = now + second - r.inSecond(now)
		flags := uint8(rtcUIE)
		if r.alarm(now) {
			flags |= rtcAIE
		}
		r.raise(flags)
	}
	if r.beat <= now {
		p := r.period()
		r.beat += ((now-r.beat)/p + 1) * p
		r.raise(rtcPIE)
	}
}

// alarm compares the time with the alarm registers; from 0xc0 on they match everything.
func (r *RTC) alarm(now uint64) bool {
	t := r.wall(now)
	match := func(reg uint8, is uint8) bool { return r.ram[reg] >= 0xc0 || r.ram[reg] == is }
	return match(rtcSecAlarm, r.code(t.Second())) && match(rtcMinAlarm, r.code(t.Minute())) && match(rtcHourAlarm, r.codeHour(t.Hour()))
}

func (r *RTC) raise(flags uint8) {
	r.ram[rtcC] |= flags
	if r.ram[rtcC]&r.ram[rtcB]&(rtcPIE|rtcAIE|rtcUIE) != 0 {
		r.ram[rtcC] |= rtcIRQF
		r.irq(true)
	}
}

// Read implements iobus.Device for the index and the data port.
func (r *RTC) Read(off uint64, _ uint8) uint64 {
	if off == 0 {
		return 0xff
	}
	now := r.now()
	i := r.index
	switch {
	case i <= rtcYear || i == RTCCentury:
		if r.ram[rtcB]&rtcSet == 0 && (i&1 == 0 || i >= rtcWeekday) {
			r.show(r.wall(now))
		}
	case i == rtcA:
		if r.ram[rtcB]&rtcSet == 0 && r.inSecond(now) >= second-updating {
			return uint64(r.ram[i] | rtcUIP)
		}
	case i == rtcC:
		v := r.ram[i]
		r.ram[i] = 0
		r.irq(false)
		return uint64(v)
	}
	return uint64(r.ram[i])
}

// Write implements iobus.Device for the index and the data port.
func (r *RTC) Write(off uint64, _ uint8, v uint64) {
	if off == 0 {
		r.index = uint8(v) & 127
		return
	}
	now, b := r.now(), uint8(v)
	switch i := r.index; i {
	case rtcA:
		r.ram[i] = b &^ rtcUIP
		r.arm(now)
	case rtcB:
		was := r.ram[i]
		if was&rtcSet == 0 {
			r.show(r.wall(now))
		}
		r.ram[i] = b
		if was&rtcSet != 0 && b&rtcSet == 0 {
			r.take(now)
		}
		r.arm(now)
		r.raise(0)
	case rtcC, rtcD:
	case rtcSecAlarm, rtcMinAlarm, rtcHourAlarm:
		r.ram[i] = b
	case rtcSeconds, rtcMinutes, rtcHours, rtcWeekday, rtcDay, rtcMonth, rtcYear, RTCCentury:
		if r.ram[rtcB]&rtcSet != 0 {
			r.ram[i] = b
			return
		}
		r.show(r.wall(now))
		r.ram[i] = b
		r.take(now)
	default:
		r.ram[i] = b
	}
}
