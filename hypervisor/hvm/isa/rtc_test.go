package isa

import (
	"testing"
	"time"
)

func newRTC() (*RTC, *clock, *counts) {
	c, l := &clock{ns: 5}, &counts{}
	return NewRTC(c.now, l.set, time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC)), c, l
}

func (r *RTC) get(i uint64) uint8 {
	r.Write(0, 1, i)
	return uint8(r.Read(1, 1))
}

func (r *RTC) put(i uint64, v uint8) {
	r.Write(0, 1, i)
	r.Write(1, 1, uint64(v))
}

// date reads all time registers.
func (r *RTC) date() (d [8]uint8) {
	for n, i := range []uint64{RTCCentury, rtcYear, rtcMonth, rtcDay, rtcWeekday, rtcHours, rtcMinutes, rtcSeconds} {
		d[n] = r.get(i)
	}
	return d
}

func TestRTC_showsTheTime(t *testing.T) {
	r, c, _ := newRTC()
	if got, want := r.date(), ([8]uint8{0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58}); got != want {
		t.Errorf("%x, want %x", got, want)
	}
	c.ns += 3e9
	if got, want := r.date(), ([8]uint8{0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x01}); got != want {
		t.Errorf("%x, want %x", got, want)
	}
	r.put(rtcB, rtcBinary) // binary, 12 hours
	if got := r.get(rtcHours); got != 12 {
		t.Errorf("midnight is %#x", got)
	}
	r.put(rtcHours, 3|pm)
	r.put(rtcB, rtc24)
	if got := r.get(rtcHours); got != 0x15 {
		t.Errorf("three in the afternoon is %#x", got)
	}
}

func TestRTC_set(t *testing.T) {
	r, c, _ := newRTC()
	r.put(rtcB, rtcSet|rtc24)
	for i, v := range map[uint64]uint8{RTCCentury: 0x19, rtcYear: 0x99, rtcMonth: 0x12, rtcDay: 0x31, rtcHours: 0x12, rtcMinutes: 0x30, rtcSeconds: 0x15} {
		r.put(i, v)
	}
	c.ns += 60e9
	if got := r.get(rtcMinutes); got != 0x30 {
		t.Errorf("the time moves while it is set: %#x", got)
	}
	r.put(rtcB, rtc24)
	c.ns += 1e9
	if got, want := r.date(), ([8]uint8{0x19, 0x99, 0x12, 0x31, 6, 0x12, 0x30, 0x16}); got != want {
		t.Errorf("%x, want %x", got, want)
	}
	r.put(RTCCentury, 0x99) // no time of 64-bit nanoseconds: stays
	if got := r.get(RTCCentury); got != 0x19 {
		t.Errorf("century %#x", got)
	}
}

func TestRTC_interrupts(t *testing.T) {
	r, c, l := newRTC()
	if r.Deadline() != Never {
		t.Error("it wakes for nothing")
	}
	r.put(rtcSecAlarm, 0x02)
	r.put(rtcMinAlarm, 0xff)
	r.put(rtcHourAlarm, 0xc0)
	r.put(rtcB, rtc24|rtcAIE)
	n := 0
	for ; l.edges == 0 && n < 100; n++ {
		c.ns = r.Deadline()
		r.Expire(c.ns)
	}
	if n != 4 || r.get(rtcC) != rtcIRQF|rtcAIE|rtcUIE || l.high {
		t.Errorf("alarm after %d seconds, line %v", n, l.high)
	}
	r.put(rtcA, 0x26) // 1024 Hz
	r.put(rtcB, rtc24|rtcPIE)
	begin := c.ns
	for range 1024 {
		c.ns = r.Deadline()
		r.Expire(c.ns)
		r.get(rtcC)
	}
	if d := c.ns - begin; l.edges != 1025 || d < 999e6 || d > 1001e6 {
		t.Errorf("%d interrupts in %d ns", l.edges, d)
	}
	if d := (r.base + int64(c.ns)) % 1e9; d > 0 {
		c.ns += uint64(1e9 - d - 1000)
	}
	if r.get(rtcA)&rtcUIP == 0 {
		t.Error("no update in progress just before the second")
	}
}
