package pci

import (
	"encoding/binary"

	"gozen/hypervisor/iobus"
)

var le = binary.LittleEndian

// Registers of configuration space (PCI 3.0, 6.1) and bits of the command register.
const (
	RegVendor    = 0x00
	RegDevice    = 0x02
	RegCommand   = 0x04
	RegStatus    = 0x06
	RegRevision  = 0x08
	RegClass     = 0x09 // three bytes
	RegHeader    = 0x0e
	RegBAR0      = 0x10
	RegSubVendor = 0x2c
	RegSubDevice = 0x2e
	RegLine      = 0x3c
	RegPin       = 0x3d

	CommandIO     = 1
	CommandMemory = 2
	CommandMaster = 4
	commandMask   = 0x0547 // I/O, memory, master, parity, SERR, INTx off

	barIO          = 1
	barPrefetch    = 8
	multifunction  = 0x80
	bars           = 6
	commandIntxOff = 1 << 10
	statusIntx     = 1 << 3
)

// ID is what identifies a function. Subsystem numbers may be 0.
type ID struct {
	Vendor, Device       uint16
	Revision             uint8
	Class                uint32 // class, subclass, programming interface
	SubVendor, SubDevice uint16
	// Pin is the interrupt pin, 1 for INTA, 0 for none.
	Pin uint8
	// Multi says that the device has several functions.
	Multi bool
}

// Function is one PCI function.
type Function struct {
	cfg, mask [256]byte // content, and the bits that a guest may write
	bars      [bars]*bar
	bus       *Bus
	devfn     uint8
	pin       bool // the device drives its pin
	shown     bool // and the bus sees it
	// Changed, if set, is told after a guest wrote to registers [reg, reg+size).
	Changed func(reg, size uint8)
}

// bar is a base address register.
type bar struct {
	r  *iobus.Range
	io bool
}

// NewFunction makes a function without BARs.
func NewFunction(id ID) *Function {
	f := &Function{}
	le.PutUint16(f.cfg[RegVendor:], id.Vendor)
	le.PutUint16(f.cfg[RegDevice:], id.Device)
	f.cfg[RegRevision] = id.Revision
	f.cfg[RegClass], f.cfg[RegClass+1], f.cfg[RegClass+2] = byte(id.Class), byte(id.Class>>8), byte(id.Class>>16)
	le.PutUint16(f.cfg[RegSubVendor:], id.SubVendor)
	le.PutUint16(f.cfg[RegSubDevice:], id.SubDevice)
	f.cfg[RegPin] = id.Pin
	if id.Multi {
		f.cfg[RegHeader] = multifunction
	}
	f.Writable(RegCommand, commandMask&0xff, commandMask>>8)
	f.Writable(RegLine, 0xff)
	f.Writable(0x0c, 0xff, 0xff) // cache line size, latency
	return f
}

// Writable lets a guest write bits of the registers from reg on.
func (f *Function) Writable(reg uint8, mask ...byte) { copy(f.mask[reg:], mask) }

// Preset writes registers as firmware does, without limits, BARs included.
func (f *Function) Preset(reg uint8, v ...byte) {
	copy(f.cfg[reg:], v)
	f.place()
}

// AddBAR makes BAR n decode r, whose Size is a power of two of at least 16 bytes (4 for ports). It is off until it has an address and is
// enabled. The range has to be added to a bus by the caller.
func (f *Function) AddBAR(n int, io, prefetch bool, r *iobus.Range) {
	f.bars[n] = &bar{r: r, io: io}
	reg := RegBAR0 + 4*n
	le.PutUint32(f.mask[reg:], uint32(-int64(r.Size)))
	low := uint32(0)
	if io {
		low = barIO
	} else if prefetch {
		low = barPrefetch
	}
	le.PutUint32(f.cfg[reg:], low)
	f.place()
}

// SetBAR gives BAR n an address and enables its kind of access.
func (f *Function) SetBAR(n int, base uint32) {
	b, reg := f.bars[n], RegBAR0+4*n
	le.PutUint32(f.cfg[reg:], base|le.Uint32(f.cfg[reg:])&15)
	if b.io {
		f.cfg[RegCommand] |= CommandIO
	} else {
		f.cfg[RegCommand] |= CommandMemory
	}
	f.place()
}

// place moves the ranges to where the BARs say.
func (f *Function) place() {
	for n, b := range f.bars {
		if b == nil {
			continue
		}
		need := byte(CommandMemory)
		if b.io {
			need = CommandIO
		}
		base := uint64(le.Uint32(f.cfg[RegBAR0+4*n:])) &^ (b.r.Size - 1)
		b.r.Base = base
		b.r.Off = f.cfg[RegCommand]&need == 0 || base == 0 || b.io && base+b.r.Size > iobus.Ports+1 || base+b.r.Size > 1<<32
	}
}

// Master reports whether the function may reach memory by itself.
func (f *Function) Master() bool { return f.cfg[RegCommand]&CommandMaster != 0 }

// ReadConfig reads size bytes at reg.
func (f *Function) ReadConfig(reg, size uint8) (v uint32) {
	for i := range size {
		if n := int(reg) + int(i); n < len(f.cfg) {
			v |= uint32(f.cfg[n]) << (8 * i)
		} else {
			v |= 0xff << (8 * i)
		}
	}
	return v
}

// WriteConfig writes size bytes at reg, as far as they may be written.
func (f *Function) WriteConfig(reg, size uint8, v uint32) {
	for i := range size {
		if n := int(reg) + int(i); n < len(f.cfg) {
			m := f.mask[n]
			f.cfg[n] = f.cfg[n]&^m | byte(v>>(8*i))&m
		}
	}
	f.place()
	f.drive()
	if f.Changed != nil {
		f.Changed(reg, size)
	}
}

// Interrupt drives the function's interrupt pin.
func (f *Function) Interrupt(high bool) {
	f.pin = high
	f.drive()
}

// drive shows the pin to the bus, unless the guest has switched that off.
func (f *Function) drive() {
	if f.cfg[RegPin] == 0 {
		return
	}
	f.cfg[RegStatus] &^= statusIntx
	if f.pin {
		f.cfg[RegStatus] |= statusIntx
	}
	high := f.pin && le.Uint16(f.cfg[RegCommand:])&commandIntxOff == 0
	if high != f.shown {
		f.shown = high
		f.bus.pin(int(f.devfn>>3), int(f.cfg[RegPin]-1), high)
	}
}
