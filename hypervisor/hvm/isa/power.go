package isa

import "math/bits"

// Places of the power-management block, as Xen's (public/hvm/ioreq.h, ACPI_*_ADDRESS_V1).
const (
	PortPM1  = 0xb000 // status, enable, control, at 4 bytes' distance the timer at 8
	PortGPE0 = 0xafe0

	PM1EventLen   = 4
	PM1ControlLen = 2
	PMTimerOff    = 8
	PMTimerLen    = 4
	PMBlockLen    = 12
	GPE0Len       = 4

	// PMTimerHz is the rate of the 32-bit timer (ACPI 5.0, 4.8.2.1).
	PMTimerHz = 3579545

	// SleepTypeS5 is what SLP_TYP holds for power-off.
	SleepTypeS5 = 0
)

// Bits of the PM1 registers (ACPI 5.0, 4.8.3).
const (
	pmTimerBit  = 1 << 0
	pmGlobal    = 1 << 5
	pmPower     = 1 << 8
	pmSleepBtn  = 1 << 9
	pmRTC       = 1 << 10
	pmWake      = 1 << 15
	pmStatuses  = pmTimerBit | 1<<4 | pmGlobal | pmPower | pmSleepBtn | pmRTC | 1<<14 | pmWake
	pmEnables   = pmTimerBit | pmGlobal | pmPower | pmSleepBtn | pmRTC
	pmSCIEnable = 1 << 0
	pmSleepOn   = 1 << 13
	pmTypeShift = 10
)

// Power is the ACPI fixed hardware: event and control registers, timer, and a general-purpose event block without events. It is in ACPI mode from
// the start.
type Power struct {
	now     Clock
	sci     Line
	off     func() // power-off
	sts, en uint16
	ctl     uint16
	gpe     [GPE0Len]uint8
	seen    uint64 // half periods of the timer that have been told
}

// NewPower makes the block; sci is its interrupt, level-triggered, and off is called when the guest enters S5.
func NewPower(now Clock, sci Line, off func()) *Power {
	return &Power{now: now, sci: sci, off: off, ctl: pmSCIEnable}
}

// timer gives the timer's ticks.
func (p *Power) timer(now uint64) uint64 {
	hi, lo := bits.Mul64(now, PMTimerHz)
	q, _ := bits.Div64(hi%1e9, lo, 1e9)
	return q
}

const half = 1 << 31 // ticks after which the timer's highest bit changes

// look sets the timer's status when its highest bit has changed.
func (p *Power) look(now uint64) {
	if n := p.timer(now) / half; n != p.seen {
		p.seen = n
		p.sts |= pmTimerBit
	}
}

// Deadline gives the time of the timer's next event, if it may interrupt.
func (p *Power) Deadline() uint64 {
	if p.en&pmTimerBit == 0 || p.sts&pmTimerBit != 0 {
		return Never
	}
	hi, lo := bits.Mul64((p.seen+1)*half, 1e9)
	q, _ := bits.Div64(hi, lo, PMTimerHz)
	return q + 1
}

// Expire interrupts if the timer's event is due.
func (p *Power) Expire(now uint64) {
	if p.Deadline() <= now {
		p.look(now)
		p.update()
	}
}

func (p *Power) update() { p.sci(p.sts&p.en&pmEnables != 0) }

// PressPower is the power button.
func (p *Power) PressPower() {
	p.sts |= pmPower
	p.update()
}

// Read implements iobus.Device for the block at PortPM1.
func (p *Power) Read(off uint64, size uint8) uint64 {
	now := p.now()
	p.look(now)
	if off >= PMTimerOff && size == 4 {
		return p.timer(now)
	}
	var b [PMBlockLen]byte
	t := uint32(p.timer(now))
	for i, v := range []uint16{p.sts, p.en, p.ctl, 0, uint16(t), uint16(t >> 16)} {
		b[2*i], b[2*i+1] = byte(v), byte(v>>8)
	}
	v := uint64(0)
	for i := range uint64(size) {
		v |= uint64(b[off+i]) << (8 * i)
	}
	return v
}

// Write implements iobus.Device for the block at PortPM1.
func (p *Power) Write(off uint64, size uint8, v uint64) {
	p.look(p.now())
	for i := range uint64(size) {
		b, sh := uint16(v>>(8*i))&0xff, 8*((off+i)&1)
		switch (off + i) / 2 {
		case 0: // ones clear
			p.sts &^= b << sh & pmStatuses
		case 1:
			p.en = (p.en&^(0xff<<sh) | b<<sh) & pmEnables
		case 2:
			p.ctl = p.ctl&^(0xff<<sh) | b<<sh | pmSCIEnable
		}
	}
	p.update()
	if p.ctl&pmSleepOn != 0 {
		p.ctl &^= pmSleepOn
		if p.ctl>>pmTypeShift&7 == SleepTypeS5 {
			p.off()
		}
	}
}

// ReadGPE and WriteGPE are the general-purpose event block: enables are kept, and nothing happens.
func (p *Power) ReadGPE(off uint64, _ uint8) uint64 { return uint64(p.gpe[off%GPE0Len]) }

// WriteGPE writes a byte of it.
func (p *Power) WriteGPE(off uint64, _ uint8, v uint64) {
	if off >= GPE0Len/2 {
		p.gpe[off%GPE0Len] = uint8(v)
	}
}
