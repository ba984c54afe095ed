package isa

import "math/bits"

// Ports of the 8254 and of the system control port B.
const (
	PortPIT  = 0x40
	PortGate = 0x61

	// PITHz is the rate at which the counters count.
	PITHz = 1193182
)

// PIT is an 8254: three counters. Counter 0 drives interrupt line 0, counter 2 the speaker, whose output port 0x61 shows.
type PIT struct {
	now  Clock
	irq  Line
	ch   [3]counter
	gate uint8 // the low two bits of port 0x61
}

// counter is one of the three.
type counter struct {
	mode, access uint8
	bcd          bool
	gate         bool
	count        uint32 // 1 to 0x10000
	start        uint64 // when it was loaded
	armed        bool   // counting
	low          uint8  // first half of a write
	second       bool   // the second half comes next
	readHigh     bool
	latched      uint8 // bytes of latch left to read
	latch        uint16
	status       uint8
	hasStatus    bool
	fired        bool   // a single shot has interrupted
	next         uint64 // when a periodic one interrupts
}

// NewPIT makes the timer; irq is interrupt line 0.
func NewPIT(now Clock, irq Line) *PIT {
	p := &PIT{now: now, irq: irq}
	for i := range p.ch {
		p.ch[i] = counter{mode: 3, access: 3, count: 0x10000, gate: i != 2}
	}
	return p
}

// ticks gives the counter's clock ticks since t0.
func ticks(t0, now uint64) uint64 {
	if now < t0 {
		return 0
	}
	hi, lo := bits.Mul64(now-t0, PITHz)
	if hi >= 1e9 {
		return 1 << 63
	}
	q, _ := bits.Div64(hi, lo, 1e9)
	return q
}

// nanos gives the time of tick n after t0, rounded up.
func nanos(t0, n uint64) uint64 {
	hi, lo := bits.Mul64(n, 1e9)
	if hi >= PITHz {
		return Never
	}
	q, r := bits.Div64(hi, lo, PITHz)
	if r != 0 {
		q++
	}
	if t0+q < t0 {
		return Never
	}
	return t0 + q
}

// value gives the count now, and output the state of the counter's pin.
func (c *counter) value(now uint64) uint16 {
	d, n := ticks(c.start, now), uint64(c.count)
	if !c.armed {
		return uint16(c.count)
	}
	switch c.mode {
	case 2:
		return uint16(n - d%n)
	case 3:
		return uint16(n - d*2%n)
	}
	return uint16(n - d) // goes on through zero
}

func (c *counter) output(now uint64) bool {
	d, n := ticks(c.start, now), uint64(c.count)
	switch c.mode {
	case 2:
		return !c.armed || d%n != n-1
	case 3:
		return !c.armed || d%n < (n+1)/2
	case 4, 5:
		return !c.armed || d != n
	}
	return c.armed && d >= n
}

// Deadline gives the time of counter 0's next interrupt.
func (p *PIT) Deadline() uint64 {
	c := &p.ch[0]
	if !c.armed || !c.gate {
		return Never
	}
	n := uint64(c.count)
	switch c.mode {
	case 2, 3:
		return c.next
	}
	if c.fired {
		return Never
	}
	return nanos(c.start, n)
}

// Expire interrupts if counter 0 is due. Periods that were missed are not made up for.
func (p *PIT) Expire(now uint64) {
	if p.Deadline() > now {
		return
	}
	c := &p.ch[0]
	if c.mode == 2 || c.mode == 3 {
		n := uint64(c.count)
		c.next = nanos(c.start, (ticks(c.start, now)/n+1)*n)
		if c.next <= now {
			c.next = now + 1
		}
	} else {
		c.fired = true
	}
	p.irq.pulse()
}

// load starts counting.
func (p *PIT) load(c *counter, v uint32) {
	if c.bcd {
		v = v&15 + v>>4&15*10 + v>>8&15*100 + v>>12&15*1000
		if v == 0 {
			v = 10000
		}
	}
	if v == 0 {
		v = 0x10000
	}
	c.count, c.start, c.armed, c.fired = v, p.now(), c.gate || c.mode != 1 && c.mode != 5, false
	c.next = nanos(c.start, uint64(v))
}

// Read implements iobus.Device for the four ports.
func (p *PIT) Read(off uint64, _ uint8) uint64 {
	if off == 3 {
		return 0xff
	}
	c := &p.ch[off]
	if c.hasStatus {
		c.hasStatus = false
		return uint64(c.status)
	}
	v := c.latch
	if c.latched == 0 {
		v = c.value(p.now())
		if c.bcd {
			v = v%10 | v/10%10<<4 | v/100%10<<8 | v/1000%10<<12
		}
	}
	high := c.access == 2
	if c.access == 3 {
		high, c.readHigh = c.readHigh, !c.readHigh
	}
	if c.latched > 0 {
		c.latched--
	}
	if high {
		return uint64(v >> 8)
	}
	return uint64(v & 0xff)
}

// Write implements iobus.Device for the four ports.
func (p *PIT) Write(off uint64, _ uint8, v uint64) {
	b := uint8(v)
	if off == 3 {
		p.control(b)
		return
	}
	c := &p.ch[off]
	switch {
	case c.access == 1:
		p.load(c, uint32(b))
	case c.access == 2:
		p.load(c, uint32(b)<<8)
	case !c.second:
		c.low, c.second = b, true
		if c.mode == 0 {
			c.armed = false // writing the first byte stops it
		}
	default:
		c.second = false
		p.load(c, uint32(b)<<8|uint32(c.low))
	}
}

// control takes a control word: a mode, a latch or a read-back.
func (p *PIT) control(b uint8) {
	n, access := b>>6, b>>4&3
	if n == 3 {
		for i := range p.ch {
			if b>>(i+1)&1 != 0 {
				p.readBack(&p.ch[i], b&0x20 == 0, b&0x10 == 0)
			}
		}
		return
	}
	c := &p.ch[n]
	if access == 0 {
		p.readBack(c, true, false)
		return
	}
	mode := b >> 1 & 7
	if mode > 5 {
		mode &= 3
	}
	*c = counter{mode: mode, access: access, bcd: b&1 != 0, gate: c.gate, count: c.count}
}

func (p *PIT) readBack(c *counter, count, status bool) {
	now := p.now()
	if count && c.latched == 0 {
		c.latch, c.latched, c.readHigh = c.value(now), 1, false
		if c.bcd {
			c.latch = c.latch%10 | c.latch/10%10<<4 | c.latch/100%10<<8 | c.latch/1000%10<<12
		}
		if c.access == 3 {
			c.latched = 2
		}
	}
	if status && !c.hasStatus {
		c.status, c.hasStatus = c.access<<4|c.mode<<1, true
		if c.output(now) {
			c.status |= 0x80
		}
		if !c.armed {
			c.status |= 0x40
		}
		if c.bcd {
			c.status |= 1
		}
	}
}

// ReadGate is port 0x61: gate and speaker as written, the refresh toggle, and counter 2's output.
func (p *PIT) ReadGate(uint64, uint8) uint64 {
	now := p.now()
	v := uint64(p.gate)
	if p.ch[2].output(now) {
		v |= 0x20
	}
	return v | now/15085&1<<4
}

// WriteGate is port 0x61: bit 0 is counter 2's gate.
func (p *PIT) WriteGate(_ uint64, _ uint8, v uint64) {
	p.gate = uint8(v) & 3
	c := &p.ch[2]
	up := v&1 != 0
	if up && !c.gate && (c.mode == 1 || c.mode == 2 || c.mode == 3 || c.mode == 5) { // a rising gate restarts
		c.start, c.armed, c.fired = p.now(), true, false
	}
	c.gate = up
}
