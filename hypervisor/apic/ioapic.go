package apic

// Facts of the IO-APIC (82093AA datasheet), with the pins and the version of Xen's (public/arch-x86/hvm/save.h, VIOAPIC_NUM_PINS).
const (
	IOAPICBase = 0xfec00000
	IOAPICSize = 0x1000
	IOAPICPins = 48
	IOAPICID   = 1

	ioapicVersion = 0x11
	ioSelect      = 0x00
	ioWindow      = 0x10
	ioEOI         = 0x40 // of later versions; harmless
	ioRegID       = 0
	ioRegVersion  = 1
	ioRegArb      = 2
	ioRegTable    = 0x10

	redirRemoteIRR = 1 << 14
	redirLevel     = 1 << 15
	redirMasked    = 1 << 16
	redirReadOnly  = redirRemoteIRR | 1<<12 // and delivery status
	redirKept      = 0xff0000000001ffff &^ redirReadOnly
)

// IOAPIC is the interrupt controller that turns interrupt lines into commands to local APICs. It implements iobus.Device. It has no
// lock.
type IOAPIC struct {
	bus    Bus
	sel    uint8
	id     uint32
	redir  [IOAPICPins]uint64
	levels uint64 // the pins' lines
}

// NewIOAPIC makes an IO-APIC in its reset state: all pins masked.
func NewIOAPIC(bus Bus) *IOAPIC {
	a := &IOAPIC{bus: bus, id: IOAPICID}
	for i := range a.redir {
		a.redir[i] = redirMasked
	}
	return a
}

// Set drives a pin's line.
func (a *IOAPIC) Set(pin int, high bool) {
	bit := uint64(1) << pin
	was := a.levels&bit != 0
	a.levels &^= bit
	if !high {
		return
	}
	a.levels |= bit
	e := a.redir[pin]
	if e&redirMasked == 0 && (e&redirLevel != 0 || !was) {
		a.deliver(pin)
	}
}

// deliver sends a pin's interrupt, unless one of its level-triggered ones is under way.
func (a *IOAPIC) deliver(pin int) {
	e := a.redir[pin]
	level := e&redirLevel != 0
	if level && e&redirRemoteIRR != 0 {
		return
	}
	mode := uint8(e >> 8 & 7)
	if mode == ModeExtINT { // the 8259 asks the processor itself
		return
	}
	if level && mode <= ModeLowest {
		a.redir[pin] |= redirRemoteIRR
	}
	a.bus.Send(Command{Mode: mode, Vector: uint8(e), Assert: true, Dest: uint32(e >> 56), Logical: e>>11&1 != 0,
		Level: level, From: -1})
}

// EOI tells of the end of a level-triggered interrupt: a line that is still high interrupts again.
func (a *IOAPIC) EOI(vector uint8) {
	for pin := range a.redir {
		if e := a.redir[pin]; uint8(e) == vector && e&redirRemoteIRR != 0 {
			a.redir[pin] = e &^ redirRemoteIRR
			if a.levels>>pin&1 != 0 && e&redirMasked == 0 {
				a.deliver(pin)
			}
		}
	}
}

// ExtINT reports whether pin 0 lets the 8259 through.
func (a *IOAPIC) ExtINT() bool { return a.redir[0]&redirMasked == 0 && a.redir[0]>>8&7 == ModeExtINT }

// Read implements iobus.Device. Registers are 32 bits wide, 16 bytes apart.
func (a *IOAPIC) Read(off uint64, _ uint8) uint64 {
	switch off {
	case ioSelect:
		return uint64(a.sel)
	case ioWindow:
		return uint64(a.register())
	}
	return 0
}

func (a *IOAPIC) register() uint32 {
	switch {
	case a.sel == ioRegID || a.sel == ioRegArb:
		return a.id << 24
	case a.sel == ioRegVersion:
		return ioapicVersion | (IOAPICPins-1)<<16
	case a.sel >= ioRegTable && a.sel < ioRegTable+2*IOAPICPins:
		n := a.sel - ioRegTable
		return uint32(a.redir[n/2] >> (32 * (n & 1)))
	}
	return 0
}

// Write implements iobus.Device.
func (a *IOAPIC) Write(off uint64, _ uint8, v uint64) {
	switch off {
	case ioSelect:
		a.sel = uint8(v)
	case ioWindow:
		switch {
		case a.sel == ioRegID:
			a.id = uint32(v) >> 24 & 15
		case a.sel >= ioRegTable && a.sel < ioRegTable+2*IOAPICPins:
			a.redirect(int(a.sel-ioRegTable), uint32(v))
		}
	case ioEOI:
		a.EOI(uint8(v))
	}
}

// redirect writes half of an entry. A level-triggered pin whose line is high interrupts at once when it may.
func (a *IOAPIC) redirect(n int, v uint32) {
	pin, shift := n/2, 32*(n&1)
	e := a.redir[pin]
	next := (e&^(0xffffffff<<shift) | uint64(v)<<shift) & redirKept
	if next&redirLevel != 0 {
		next |= e & redirRemoteIRR // an edge-triggered entry has none
	}
	a.redir[pin] = next
	if a.levels>>pin&1 != 0 && next&(redirMasked|redirLevel) == redirLevel {
		a.deliver(pin)
	}
}
