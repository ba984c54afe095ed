package isa

// Ports of the two 8259As and of their edge/level control registers (82371SB datasheet).
const (
	PortPIC1 = 0x20
	PortPIC2 = 0xa0
	PortELCR = 0x4d0

	cascade = 2 // where the second controller hangs
)

// PIC is the pair of 8259A interrupt controllers of a PC.
type PIC struct{ chips [2]pic }

// pic is one 8259A.
type pic struct {
	irr, imr, isr, lines uint8
	elcr, elcrMask       uint8 // level-triggered inputs
	base                 uint8 // of the vectors
	lowest               uint8 // the input of the lowest priority
	step                 uint8 // next initialisation word; 0 outside
	needICW4             bool
	single               bool
	autoEOI, rotateAuto  bool
	readISR, poll        bool
	special, nested      bool // special mask mode, special fully nested mode
	master               bool
}

// NewPIC makes the pair as after power-on, masked, until somebody initialises it.
func NewPIC() *PIC {
	p := &PIC{}
	p.chips[0] = pic{elcrMask: 0xf8, imr: 0xff, lowest: 7, master: true}
	p.chips[1] = pic{elcrMask: 0xde, imr: 0xff, lowest: 7}
	return p
}

// Set drives interrupt line irq, 0 to 15.
func (p *PIC) Set(irq int, high bool) {
	p.chips[irq>>3].set(uint8(irq&7), high)
	p.carry()
}

// carry hands the second controller's output to the first.
func (p *PIC) carry() { p.chips[0].set(cascade, p.chips[1].next() >= 0) }

// Pending reports whether the pair asks for an interrupt.
func (p *PIC) Pending() bool { return p.chips[0].next() >= 0 }

// Ack is the processor's interrupt acknowledge cycle. It gives the vector; without a request it is that of input 7.
func (p *PIC) Ack() uint8 {
	m, s := &p.chips[0], &p.chips[1]
	n := m.take()
	if n != cascade {
		return m.base + uint8(n)
	}
	n = s.take()
	p.carry()
	return s.base + uint8(n)
}

func (c *pic) set(n uint8, high bool) {
	bit := uint8(1) << n
	level := c.elcr&bit != 0 || c.master && n == cascade // the cascade follows its line
	switch {
	case high && (level || c.lines&bit == 0):
		c.irr |= bit
	case !high && level:
		c.irr &^= bit
	case !high && c.isr&bit == 0 && c.lines&bit != 0:
		// An edge that nobody took before the line fell stays requested here, as in PCs' controllers.
	}
	if high {
		c.lines |= bit
	} else {
		c.lines &^= bit
	}
}

// rank gives an input's place in the order of priority, 0 first.
func (c *pic) rank(n uint8) uint8 { return (n - c.lowest - 1) & 7 }

// first gives the input of the highest priority in set, or -1.
func (c *pic) first(set uint8) int {
	for i := range uint8(8) {
		if n := (c.lowest + 1 + i) & 7; set>>n&1 != 0 {
			return int(n)
		}
	}
	return -1
}

// next gives the input that may interrupt now, or -1.
func (c *pic) next() int {
	if c.step != 0 {
		return -1
	}
	n := c.first(c.irr &^ c.imr)
	if n < 0 {
		return -1
	}
	served := c.isr
	if c.special {
		served &^= c.imr
	}
	if c.nested && c.master {
		served &^= 1 << cascade
	}
	if s := c.first(served); s >= 0 && c.rank(uint8(s)) <= c.rank(uint8(n)) {
		return -1
	}
	return n
}

// take acknowledges the next interrupt.
func (c *pic) take() int {
	n := c.next()
	if n < 0 {
		return 7 // spurious: nothing is in service
	}
	bit := uint8(1) << n
	if c.elcr&bit == 0 && (!c.master || n != cascade) {
		c.irr &^= bit
	}
	if !c.autoEOI {
		c.isr |= bit
	} else if c.rotateAuto {
		c.lowest = uint8(n)
	}
	return n
}

// Chip gives controller i as a device with two ports, and ELCR the device of both control registers.
func (p *PIC) Chip(i int) *PICPorts { return &PICPorts{p, i} }

// PICPorts is the ports of one controller. It implements iobus.Device.
type PICPorts struct {
	pair *PIC
	i    int
}

// Read implements iobus.Device.
func (d *PICPorts) Read(off uint64, _ uint8) uint64 {
	c := &d.pair.chips[d.i]
	if c.poll {
		c.poll = false
		if c.next() < 0 {
			return 0
		}
		n := c.take()
		d.pair.carry()
		return 0x80 | uint64(n)
	}
	switch {
	case off == 1:
		return uint64(c.imr)
	case c.readISR:
		return uint64(c.isr)
	}
	return uint64(c.irr)
}

// Write implements iobus.Device.
func (d *PICPorts) Write(off uint64, _ uint8, v uint64) {
	c, b := &d.pair.chips[d.i], uint8(v)
	switch {
	case off == 1:
		c.data(b)
	case b&0x10 != 0:
		c.initialise(b)
	case b&8 != 0:
		c.ocw3(b)
	default:
		c.ocw2(b)
	}
	d.pair.carry()
}

// initialise takes ICW1.
func (c *pic) initialise(b uint8) {
	c.irr &= c.elcr & c.lines
	c.imr, c.isr, c.lowest = 0, 0, 7
	c.special, c.poll, c.readISR, c.autoEOI, c.rotateAuto, c.nested = false, false, false, false, false, false
	c.single, c.needICW4 = b&2 != 0, b&1 != 0
	c.step = 2
}

// data takes ICW2 to ICW4, or the mask.
func (c *pic) data(b uint8) {
	switch c.step {
	case 0:
		c.imr = b
		return
	case 2:
		c.base = b & 0xf8
		c.step = 3
		if c.single {
			c.step = 4
		}
	case 3:
		c.step = 4
	case 4:
		c.nested, c.autoEOI = b&0x10 != 0, b&2 != 0
		c.step = 0
	}
	if c.step == 4 && !c.needICW4 {
		c.step = 0
	}
}

// ocw2 ends interrupts and rotates priorities.
func (c *pic) ocw2(b uint8) {
	op, level := b>>5, b&7
	switch op {
	case 0, 4:
		c.rotateAuto = op == 4
	case 1, 5: // non-specific
		if n := c.first(c.isr); n >= 0 {
			c.isr &^= 1 << n
			if op == 5 {
				c.lowest = uint8(n)
			}
		}
	case 3, 7: // specific
		c.isr &^= 1 << level
		if op == 7 {
			c.lowest = level
		}
	case 6:
		c.lowest = level
	}
}

func (c *pic) ocw3(b uint8) {
	if b&0x40 != 0 {
		c.special = b&0x20 != 0
	}
	c.poll = b&4 != 0
	if b&2 != 0 {
		c.readISR = b&1 != 0
	}
}

// ReadELCR and WriteELCR are the edge/level control registers at PortELCR.
func (p *PIC) ReadELCR(off uint64, _ uint8) uint64 { return uint64(p.chips[off&1].elcr) }

// WriteELCR makes inputs level- or edge-triggered.
func (p *PIC) WriteELCR(off uint64, _ uint8, v uint64) {
	c := &p.chips[off&1]
	c.elcr = uint8(v) & c.elcrMask
	p.carry()
}
