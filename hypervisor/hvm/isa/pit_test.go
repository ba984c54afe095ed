package isa

import "testing"

// clock is time that tests move.
type clock struct{ ns uint64 }

func (c *clock) now() uint64 { return c.ns }

// counts counts rising edges of a line.
type counts struct {
	edges int
	high  bool
}

func (c *counts) set(high bool) {
	if high && !c.high {
		c.edges++
	}
	c.high = high
}

func newPIT() (*PIT, *clock, *counts) {
	c, l := &clock{ns: 1000}, &counts{}
	return NewPIT(c.now, l.set), c, l
}

func (p *PIT) out(pairs ...uint64) {
	for i := 0; i < len(pairs); i += 2 {
		p.Write(pairs[i], 1, pairs[i+1])
	}
}

func TestPIT_periodic(t *testing.T) {
	p, c, l := newPIT()
	if p.Deadline() != Never {
		t.Error("it interrupts before it is set up")
	}
	p.out(3, 0x34, 0, 0xa9, 0, 0x04) // counter 0, mode 2: 1193 ticks, a millisecond
	for range 1000 {
		c.ns = p.Deadline()
		p.Expire(c.ns)
	}
	if want := uint64(1000 + 999_847_000); l.edges != 1000 || c.ns/1000000 != want/1000000 {
		t.Errorf("%d interrupts in %d ns", l.edges, c.ns)
	}
	c.ns += 1e9 // asleep for long: one interrupt, and on in step
	p.Expire(c.ns)
	if d := p.Deadline(); l.edges != 1001 || d <= c.ns || d > c.ns+1e6 {
		t.Errorf("%d interrupts, the next in %d", l.edges, int64(d-c.ns))
	}
}

func TestPIT_single(t *testing.T) {
	p, c, l := newPIT()
	p.out(3, 0x30, 0, 0xe8, 0, 0x03) // mode 0: 1000 ticks
	if want := uint64(1000 + 838096); p.Deadline() != want {
		t.Errorf("deadline %d, want %d", p.Deadline(), want)
	}
	c.ns = p.Deadline()
	p.Expire(c.ns)
	p.Expire(c.ns + 1e9)
	if l.edges != 1 || p.Deadline() != Never {
		t.Errorf("%d interrupts, next at %d", l.edges, p.Deadline())
	}
}

func TestPIT_calibration(t *testing.T) {
	p, c, _ := newPIT()
	p.WriteGate(0, 1, 0)
	p.out(3, 0xb0, 2, 0xff, 2, 0xff) // counter 2, mode 0
	p.WriteGate(0, 1, 1)
	if p.ReadGate(0, 1)&0x21 != 1 {
		t.Error("the output is high before the count has ended")
	}
	c.ns += 10e6
	v := p.Read(2, 1) | p.Read(2, 1)<<8
	if want := uint64(0xffff - 11931); v != want {
		t.Errorf("count %d after 10 ms, want %d", v, want)
	}
	c.ns += 50e6
	if p.ReadGate(0, 1)&0x20 == 0 {
		t.Error("the output is low after the count has ended")
	}
}

func TestPIT_latchAndReadBack(t *testing.T) {
	p, c, _ := newPIT()
	p.out(3, 0x34, 0, 0, 0, 0) // 65536
	c.ns += 1e6
	p.out(3, 0x00)
	c.ns += 1e6
	if v := p.Read(0, 1) | p.Read(0, 1)<<8; v != 65536-1193 {
		t.Errorf("latched %d", v)
	}
	p.out(3, 0xc2) // status and count of counter 0
	if s := p.Read(0, 1); s != 0x80|3<<4|2<<1 {
		t.Errorf("status %#x", s)
	}
	if v := p.Read(0, 1) | p.Read(0, 1)<<8; v != 65536-2386 {
		t.Errorf("count %d", v)
	}
	p.out(3, 0x31, 0, 0x00, 0, 0x10) // decimal 1000
	c.ns = p.Deadline() - 838096/2
	if v := p.Read(0, 1) | p.Read(0, 1)<<8; v != 0x500 && v != 0x501 {
		t.Errorf("decimal count %#x", v)
	}
}
