package pci

// PortConfig is the address port of configuration mechanism 1; its data ports follow (PCI 3.0, 3.2.2.3.2).
const (
	PortConfig = 0xcf8

	portData  = 4
	cfgEnable = 1 << 31
)

// Devfn gives the number of a function on a bus: device, function.
func Devfn(dev, fn int) uint8 { return uint8(dev<<3 | fn) }

// Bus is PCI bus 0. It implements iobus.Device for the eight ports at PortConfig.
type Bus struct {
	fns  [256]*Function
	addr uint32
	pin  func(dev, pin int, high bool)
}

// NewBus makes a bus without functions. pin is told when a device's interrupt pin (0 is INTA) changes.
func NewBus(pin func(dev, pin int, high bool)) *Bus { return &Bus{pin: pin} }

// Add puts a function on the bus.
func (b *Bus) Add(devfn uint8, f *Function) {
	f.bus, f.devfn = b, devfn
	b.fns[devfn] = f
}

// At gives the function at devfn, or nil.
func (b *Bus) At(devfn uint8) *Function { return b.fns[devfn] }

// target gives the function that the address register names, and the register in its configuration space.
func (b *Bus) target(off uint64) (*Function, uint8) {
	if b.addr&cfgEnable == 0 || b.addr>>16&0xff != 0 {
		return nil, 0
	}
	return b.fns[b.addr>>8&0xff], uint8(b.addr&0xfc) | uint8(off&3)
}

// Read implements iobus.Device.
func (b *Bus) Read(off uint64, size uint8) uint64 {
	if off < portData {
		if off == 0 && size == 4 {
			return uint64(b.addr)
		}
		return ^uint64(0)
	}
	f, reg := b.target(off)
	if f == nil {
		return ^uint64(0)
	}
	return uint64(f.ReadConfig(reg, size))
}

// Write implements iobus.Device.
func (b *Bus) Write(off uint64, size uint8, v uint64) {
	if off < portData {
		if off == 0 && size == 4 {
			b.addr = uint32(v)
		}
		return
	}
	if f, reg := b.target(off); f != nil {
		f.WriteConfig(reg, size, uint32(v))
	}
}
