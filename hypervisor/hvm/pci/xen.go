package pci

import "gozen/hypervisor/iobus"

// The Xen platform device (docs/misc/hvm-emulated-unplug.pandoc and docs/misc/pci-device-reservations.txt of Xen).
const (
	PortXen  = 0x10 // the fixed ports of the unplug protocol
	XenPorts = 16

	// XenMemory is the size of BAR 1, which guests use as room for grant tables.
	XenMemory = 16 << 20

	xenMagic    = 0x49d2
	xenProtocol = 1
	xenVersion  = 2 // offset of protocol version and product number
	xenLog      = 3
)

// What a guest may ask to be unplugged.
const (
	UnplugIDE  = 1
	UnplugNICs = 2
	UnplugAux  = 4 // IDE disks but the first
)

// Xen is the platform device: a PCI function whose interrupt can carry event channel upcalls, and the ports by which a guest with its own
// drivers unplugs emulated devices.
type Xen struct {
	*Function
	// BAR0 and BAR1 are to be added to the port and the memory bus.
	BAR0, BAR1 *iobus.Range

	unplug func(mask uint16)
	log    func(byte)
	flags  uint8
}

// NewXen makes the device. unplug is told what the guest wants to lose; log, which may be nil, takes what it writes to the log port.
func NewXen(unplug func(mask uint16), log func(byte)) *Xen {
	x := &Xen{unplug: unplug, log: log}
	x.Function = NewFunction(ID{Vendor: 0x5853, Device: 1, Revision: 1, Class: 0xff8000, SubVendor: 0x5853, SubDevice: 1, Pin: 1})
	x.BAR0 = &iobus.Range{Size: 256, Width: 4, Device: iobus.Funcs{R: x.readFlags, W: x.writeFlags}}
	x.BAR1 = &iobus.Range{Size: XenMemory, Width: 8, Device: iobus.Funcs{R: func(uint64, uint8) uint64 { return 0 }}}
	x.AddBAR(0, true, false, x.BAR0)
	x.AddBAR(1, false, true, x.BAR1)
	return x
}

func (x *Xen) readFlags(off uint64, _ uint8) uint64 {
	if off == 0 {
		return uint64(x.flags)
	}
	return ^uint64(0)
}

func (x *Xen) writeFlags(off uint64, _ uint8, v uint64) {
	if off == 0 {
		x.flags = uint8(v) & 1
	}
}

// Ports is the device of the fixed ports at PortXen.
func (x *Xen) Ports() iobus.Device { return iobus.Funcs{R: x.readPort, W: x.writePort} }

func (x *Xen) readPort(off uint64, size uint8) uint64 {
	switch {
	case off == 0 && size == 2:
		return xenMagic
	case off == xenVersion && size == 1:
		return xenProtocol
	}
	return ^uint64(0)
}

func (x *Xen) writePort(off uint64, size uint8, v uint64) {
	switch {
	case off == 0 && size == 2:
		x.unplug(uint16(v))
	case off == xenLog && size == 1 && x.log != nil:
		x.log(byte(v))
	}
}
