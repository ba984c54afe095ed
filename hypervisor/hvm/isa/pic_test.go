package isa

import "testing"

// out writes bytes to a controller: pairs of offset and value.
func (d *PICPorts) out(pairs ...uint64) {
	for i := 0; i < len(pairs); i += 2 {
		d.Write(pairs[i], 1, pairs[i+1])
	}
}

// started gives a pair that is initialised as Linux does, all inputs open.
func started() (*PIC, *PICPorts, *PICPorts) {
	p := NewPIC()
	m, s := p.Chip(0), p.Chip(1)
	m.out(0, 0x11, 1, 0x30, 1, 4, 1, 1)
	s.out(0, 0x11, 1, 0x38, 1, 2, 1, 1)
	m.out(1, 0)
	s.out(1, 0)
	return p, m, s
}

func TestPIC_priorities(t *testing.T) {
	p, m, s := started()
	if p.Pending() {
		t.Fatal("nothing was raised")
	}
	p.Set(4, true)
	p.Set(12, true)
	if v := p.Ack(); v != 0x3c { // the second controller comes in at input 2
		t.Fatalf("vector %#x, want 0x3c", v)
	}
	if p.Pending() {
		t.Error("input 4 interrupts input 2's service")
	}
	p.Set(1, true)
	if v := p.Ack(); v != 0x31 {
		t.Errorf("vector %#x, want 0x31", v)
	}
	s.out(0, 0x20)
	m.out(0, 0x20, 0, 0x20)
	if v := p.Ack(); v != 0x34 {
		t.Errorf("vector %#x, want 0x34", v)
	}
	m.out(0, 0x0b)
	if isr := m.Read(0, 1); isr != 0x10 {
		t.Errorf("in service %#x", isr)
	}
	m.out(0, 0x64) // specific end of input 4
	if isr := m.Read(0, 1); isr != 0 {
		t.Errorf("in service %#x after the end", isr)
	}
}

func TestPIC_edgeAndLevel(t *testing.T) {
	p, m, s := started()
	p.Set(3, true)
	p.Ack()
	m.out(0, 0x20)
	if p.Pending() {
		t.Error("an edge interrupts twice")
	}
	p.WriteELCR(1, 1, 0xff)
	if got := p.ReadELCR(1, 1); got != 0xde {
		t.Errorf("control register %#x: inputs 8 and 13 are edges for ever", got)
	}
	p.Set(10, true)
	for range 2 {
		if v := p.Ack(); v != 0x3a {
			t.Fatalf("vector %#x", v)
		}
		s.out(0, 0x20)
		m.out(0, 0x20)
	}
	p.Set(10, false)
	if p.Pending() {
		t.Error("the line fell")
	}
	if v := p.Ack(); v != 0x37 {
		t.Errorf("spurious vector %#x", v)
	}
}

func TestPIC_masksModesAndPoll(t *testing.T) {
	p, m, _ := started()
	m.out(1, 0xfb)
	p.Set(5, true)
	if p.Pending() || m.Read(1, 1) != 0xfb {
		t.Error("mask not obeyed")
	}
	if irr := m.Read(0, 1); irr != 0x20 {
		t.Errorf("requests %#x", irr)
	}
	m.out(1, 0, 0, 0x0c)
	if v := m.Read(0, 1); v != 0x85 {
		t.Errorf("poll %#x", v)
	}
	m.out(0, 0xe5) // ends input 5 and gives it the lowest priority
	p.Set(6, true)
	p.Set(0, true)
	if v := p.Ack(); v != 0x36 {
		t.Errorf("after a rotation %#x, want 0x36", v)
	}
	m.out(0, 0x11, 1, 0x40, 1, 4, 1, 3) // automatic end
	p.Set(7, true)
	if v := p.Ack(); v != 0x47 {
		t.Errorf("vector %#x", v)
	}
	m.out(0, 0x0b)
	if isr := m.Read(0, 1); isr != 0 {
		t.Errorf("in service %#x with automatic end", isr)
	}
	m.out(0, 0x11)
	if p.Set(1, true); p.Pending() {
		t.Error("interrupts between initialisation words")
	}
}
