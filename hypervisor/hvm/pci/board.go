package pci

// Places of the board's chips on bus 0, as in Xen's HVM domains.
const (
	SlotHost     = 0
	SlotISA      = 1 // functions: 0 ISA bridge, 1 IDE, 3 power management
	SlotPlatform = 2

	FnIDE   = 1
	FnPower = 3

	// RegLinks is where the ISA bridge keeps which ISA interrupt each of its four links goes to (82371SB datasheet, PIRQRC).
	RegLinks = 0x60

	linkOff     = 0x80
	regPAM      = 0x59
	regPMBase   = 0x40
	regPMMisc   = 0x80
	regIDETimes = 0x40
	intel       = 0x8086
)

// NewHostBridge makes the 82441FX. Its shadow registers can be written and do nothing: memory there is always RAM.
func NewHostBridge() *Function {
	f := NewFunction(ID{Vendor: intel, Device: 0x1237, Revision: 2, Class: 0x060000})
	f.Writable(regPAM, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77)
	return f
}

// NewISABridge makes the PIIX3's bridge. links gives the ISA interrupts of the four links as firmware sets them.
func NewISABridge(links [4]uint8) *Function {
	f := NewFunction(ID{Vendor: intel, Device: 0x7000, Class: 0x060100, Multi: true})
	f.Writable(RegLinks, 0x8f, 0x8f, 0x8f, 0x8f)
	f.Preset(RegLinks, links[:]...)
	f.Preset(RegCommand, CommandIO|CommandMemory|CommandMaster)
	return f
}

// Link gives the ISA interrupt that link n of the bridge goes to; ok is false if to none.
func (f *Function) Link(n int) (irq int, ok bool) {
	v := f.cfg[RegLinks+n]
	return int(v & 15), v&linkOff == 0
}

// NewIDE makes the PIIX3's IDE function, both channels at their legacy ports and enabled.
func NewIDE() *Function {
	f := NewFunction(ID{Vendor: intel, Device: 0x7010, Class: 0x010180})
	f.Writable(regIDETimes, 0xff, 0xff, 0xff, 0xff)
	f.Preset(regIDETimes, 0, 0x80, 0, 0x80)
	f.Preset(RegCommand, CommandIO|CommandMaster)
	return f
}

// NewPower makes the PIIX4's power-management function, which names the port of the power block.
func NewPower(base uint16) *Function {
	f := NewFunction(ID{Vendor: intel, Device: 0x7113, Revision: 3, Class: 0x068000, Pin: 1})
	f.Preset(regPMBase, byte(base)|barIO, byte(base>>8))
	f.Preset(regPMMisc, 1)
	f.Preset(RegLine, 9)
	return f
}
