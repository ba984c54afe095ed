package isa

import "testing"

func newPower() (*Power, *clock, *counts, *int) {
	c, l, offs := &clock{}, &counts{}, new(int)
	return NewPower(c.now, l.set, func() { *offs++ }), c, l, offs
}

func TestPower_off(t *testing.T) {
	for _, c := range []struct {
		name string
		off  uint64
		size uint8
		v    uint64
		want int
	}{
		{"S5", 4, 2, 0x2000, 1},
		{"S5 by its high byte", 5, 1, 0x20, 1},
		{"without SLP_EN", 4, 2, 0x1c00, 0},
		{"another type", 4, 2, 0x2000 | 5<<10, 0},
		{"the timer cannot be written", 8, 4, 0xffffffff, 0},
	} {
		p, _, _, offs := newPower()
		if p.Write(c.off, c.size, c.v); *offs != c.want {
			t.Errorf("%s: %d times off", c.name, *offs)
		}
		if v := p.Read(4, 2); v&(pmSleepOn|pmSCIEnable) != pmSCIEnable {
			t.Errorf("%s: control reads %#x", c.name, v)
		}
	}
}

func TestPower_button(t *testing.T) {
	p, _, l, _ := newPower()
	p.PressPower()
	if l.high {
		t.Error("it interrupts without being asked to")
	}
	p.Write(2, 2, pmPower)
	if !l.high || p.Read(0, 4) != pmPower<<16|pmPower {
		t.Errorf("line %v, registers %#x", l.high, p.Read(0, 4))
	}
	p.Write(0, 2, pmTimerBit) // another bit
	if !l.high {
		t.Error("status was cleared by another bit")
	}
	if p.Write(1, 1, pmPower>>8); l.high {
		t.Error("status was not cleared")
	}
}

func TestPower_timer(t *testing.T) {
	p, c, l, _ := newPower()
	c.ns = 1e9
	if v := p.Read(8, 4); v != PMTimerHz {
		t.Errorf("%d ticks in a second", v)
	}
	if lo, hi := p.Read(8, 2), p.Read(10, 2); lo|hi<<16 != PMTimerHz {
		t.Errorf("halves %#x %#x", hi, lo)
	}
	if p.Deadline() != Never {
		t.Error("it wakes for nothing")
	}
	p.Write(2, 2, pmTimerBit)
	if c.ns = p.Deadline(); c.ns/1e9 != 599 {
		t.Errorf("deadline %d", c.ns)
	}
	if p.Expire(c.ns); !l.high || p.Deadline() != Never {
		t.Error("no interrupt when the highest bit changes")
	}
	c.ns = ^uint64(0) // no overflow
	p.Read(8, 4)
}
