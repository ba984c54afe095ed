package apic

import "testing"

// wire writes an entry of the redirection table through the registers.
func wire(a *IOAPIC, pin int, e uint64) {
	for half := range 2 {
		a.Write(ioSelect, 4, uint64(ioRegTable+2*pin+1-half))
		a.Write(ioWindow, 4, e>>(32*(1-half))&0xffffffff)
	}
}

func entry(a *IOAPIC, pin int) (e uint64) {
	for half := range 2 {
		a.Write(ioSelect, 4, uint64(ioRegTable+2*pin+half))
		e |= a.Read(ioWindow, 4) << (32 * half)
	}
	return e
}

func TestIOAPIC_identity(t *testing.T) {
	a := NewIOAPIC(&bus{})
	for reg, want := range map[uint64]uint64{0: 1 << 24, 1: 0x2f0011, 2: 1 << 24, 0x10: redirMasked, 0x6f: 0, 0x70: 0, 0xff: 0} {
		a.Write(ioSelect, 4, reg)
		if got := a.Read(ioWindow, 4); got != want {
			t.Errorf("register %#x: %#x, want %#x", reg, got, want)
		}
	}
	wire(a, 47, ^uint64(0))
	if got := entry(a, 47); got != redirKept {
		t.Errorf("entry holds %#x, want %#x", got, uint64(redirKept))
	}
}

func TestIOAPIC_triggers(t *testing.T) {
	const high, low = true, false
	for _, c := range []struct {
		name  string
		entry uint64
		lines []bool
		want  int // interrupts
		irr   bool
	}{
		{"edge", 0x31, []bool{high, high, low, high}, 2, false},
		{"masked edge is lost", redirMasked | 0x31, []bool{high}, 0, false},
		{"level waits for its end", redirLevel | 0x31, []bool{high, low, high}, 1, true},
		{"level masked", redirLevel | redirMasked | 0x31, []bool{high}, 0, false},
		{"external", ModeExtINT << 8, []bool{high}, 0, false},
		{"NMI", ModeNMI << 8, []bool{high}, 1, false},
	} {
		b := &bus{}
		a := NewIOAPIC(b)
		wire(a, 5, c.entry|3<<56)
		for _, l := range c.lines {
			a.Set(5, l)
		}
		if len(b.sent) != c.want || entry(a, 5)&redirRemoteIRR != 0 != c.irr {
			t.Errorf("%s: sent %+v, entry %#x", c.name, b.sent, entry(a, 5))
		}
		for _, s := range b.sent {
			if s.Dest != 3 || s.Vector != uint8(c.entry) || s.Level != (c.entry&redirLevel != 0) {
				t.Errorf("%s: %+v", c.name, s)
			}
		}
	}
}

// loop delivers commands to one local APIC and ends back to an IO-APIC.
type loop struct {
	l *LAPIC
	a *IOAPIC
}

func (b *loop) Send(c Command) {
	if c.Level {
		b.l.FireLevel(c.Vector)
		return
	}
	b.l.Fire(c.Vector)
}

func (b *loop) EOI(v uint8) { b.a.EOI(v) }

func TestIOAPIC_levelUntilTheLineFalls(t *testing.T) {
	b := &loop{}
	b.l, b.a = New(0, b), NewIOAPIC(b)
	b.l.Write(RegSVR, 0x1ff, 0)
	wire(b.a, 20, redirLevel|0x51)
	b.a.Set(20, true)
	for i := range 3 {
		v, ok := b.l.Pending()
		if !ok || v != 0x51 {
			t.Fatalf("round %d: pending %#x %v", i, v, ok)
		}
		b.l.Accept(v)
		if tmr, _ := b.l.Read(RegTMR+2, 0); tmr != 1<<17 {
			t.Errorf("trigger mode register %#x", tmr)
		}
		if i == 2 {
			b.a.Set(20, false)
		}
		b.l.Write(RegEOI, 0, 0)
	}
	if _, ok := b.l.Pending(); ok {
		t.Error("interrupted after the line fell")
	}
	b.a.Set(20, true) // unmasking a high line interrupts
	v, _ := b.l.Pending()
	b.l.Accept(v)
	wire(b.a, 20, redirLevel|redirMasked|0x51)
	b.l.Write(RegEOI, 0, 0)
	if _, ok := b.l.Pending(); ok {
		t.Error("a masked pin interrupted")
	}
	wire(b.a, 20, redirLevel|0x51)
	if _, ok := b.l.Pending(); !ok {
		t.Error("unmasked with its line high, the pin does not interrupt")
	}
}

func TestExtINT(t *testing.T) {
	l := New(0, &bus{})
	if l.ExtINT() {
		t.Error("LINT0 is open after a reset")
	}
	l.VirtualWire()
	if !l.ExtINT() {
		t.Error("virtual wire does not let the 8259 through")
	}
	l.Write(RegLVTLINT0, lvtMasked|lvtExtINT, 0)
	if l.ExtINT() {
		t.Error("masked")
	}
	l.SetBase(BaseAddr)
	if !l.ExtINT() {
		t.Error("switched off, LINT0 is INTR")
	}
	a := NewIOAPIC(&bus{})
	if a.ExtINT() {
		t.Error("pin 0 is open after a reset")
	}
	wire(a, 0, ModeExtINT<<8)
	if !a.ExtINT() {
		t.Error("pin 0 in ExtINT mode")
	}
}
