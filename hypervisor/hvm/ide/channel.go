package ide

import "gozen/hypervisor/guestmem"

// Disk is what a drive's content is kept in. Offsets and lengths are multiples of SectorSize within Size.
type Disk interface {
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// Sync returns when everything that was written is on stable storage.
	Sync() error
	// Size is in bytes, a multiple of SectorSize.
	Size() int64
	// ReadOnly says that writes are refused.
	ReadOnly() bool
}

// Memory is the guest's memory, for busmaster transfers.
type Memory interface {
	Read(guestmem.GPA, []byte) error
	Write(guestmem.GPA, []byte) error
}

// SectorSize is the size of a sector in bytes.
const SectorSize = 512

// Places of the two channels (PCI IDE Controller Specification 1.0, compatibility mode).
const (
	PortCommand1, PortControl1 = 0x1f0, 0x3f6
	PortCommand2, PortControl2 = 0x170, 0x376
	CommandPorts               = 8
	MasterPorts                = 16 // of the busmaster, both channels
)

// Registers of the command block (ATA/ATAPI-6, 7).
const (
	regData     = 0
	regError    = 1 // features when written
	regCount    = 2
	regLow      = 3
	regMid      = 4
	regHigh     = 5
	regDevice   = 6
	regStatus   = 7 // command when written
	stErr       = 0x01
	stDRQ       = 0x08
	stSeek      = 0x10
	stReady     = 0x40
	stBusy      = 0x80
	erAbort     = 0x04
	erNotFound  = 0x10
	erData      = 0x40
	ctlNoIRQ    = 0x02
	ctlReset    = 0x04
	ctlHigh     = 0x80 // reads give the older of two writes
	devSecond   = 0x10
	devLBA      = 0x40
	devObsolete = 0xa0
	maxMultiple = 16
)

// Channel is one IDE channel with up to two drives.
type Channel struct {
	irq    func(high bool)
	mem    Memory
	drives [2]*drive
	dev    uint8
	ctl    uint8
	master master
}

// NewChannel makes a channel; irq is its interrupt line.
func NewChannel(irq func(high bool), mem Memory) *Channel { return &Channel{irq: irq, mem: mem} }

// Attach puts a disk at place 0 or 1, or a CD-ROM drive with the disk in it, nil for an empty one. serial is its serial number, at most 20 letters.
func (c *Channel) Attach(n int, d Disk, serial string, cd bool) {
	if d == nil {
		d = noMedium{}
	}
	c.drives[n] = newDrive(c, d, serial, cd)
	c.master.status |= 0x20 << n
}

// Detach takes a disk away: the place is empty from then on.
func (c *Channel) Detach(n int) { c.drives[n] = nil }

func (c *Channel) selected() *drive { return c.drives[c.dev>>4&1] }

// Read implements iobus.Device for the command block.
func (c *Channel) Read(off uint64, size uint8) (v uint64) {
	d := c.selected()
	if d == nil {
		return 0
	}
	if off == regData {
		return uint64(d.pull(size))
	}
	for i := range uint64(size) {
		v |= uint64(c.register(d, off+i)) << (8 * i)
	}
	return v
}

func (c *Channel) register(d *drive, reg uint64) uint8 {
	high := c.ctl&ctlHigh != 0
	switch reg {
	case regError:
		return d.err
	case regCount:
		return d.count.get(high)
	case regLow:
		return d.low.get(high)
	case regMid:
		return d.mid.get(high)
	case regHigh:
		return d.high.get(high)
	case regDevice:
		return c.dev | devObsolete
	case regStatus:
		c.irq(false)
		return d.status
	}
	return 0xff
}

// Write implements iobus.Device for the command block. Both drives hear all registers.
func (c *Channel) Write(off uint64, size uint8, v uint64) {
	if off == regData {
		if d := c.selected(); d != nil {
			d.push(size, uint32(v))
		}
		return
	}
	for i := range uint64(size) {
		c.write(off+i, uint8(v>>(8*i)))
	}
}

func (c *Channel) write(reg uint64, b uint8) {
	c.ctl &^= ctlHigh
	if reg == regDevice {
		c.dev = b
		return
	}
	if reg == regStatus {
		c.irq(false)
		if d := c.selected(); d != nil {
			d.command(b)
		}
		return
	}
	for _, d := range c.drives {
		if d == nil {
			continue
		}
		switch reg {
		case regError:
			d.features = b
		case regCount:
			d.count.set(b)
		case regLow:
			d.low.set(b)
		case regMid:
			d.mid.set(b)
		case regHigh:
			d.high.set(b)
		}
	}
}

// ReadControl and WriteControl are the control port: alternate status, and device control.
func (c *Channel) ReadControl(uint64, uint8) uint64 {
	if d := c.selected(); d != nil {
		return uint64(d.status)
	}
	return 0
}

// WriteControl writes the device control register; its reset bit resets both drives when it falls.
func (c *Channel) WriteControl(_ uint64, _ uint8, v uint64) {
	was := c.ctl
	c.ctl = uint8(v)
	if c.ctl&ctlReset != 0 {
		c.irq(false)
		for _, d := range c.drives {
			if d != nil {
				d.stop()
				d.status = stBusy
			}
		}
	} else if was&ctlReset != 0 {
		c.dev = 0
		for _, d := range c.drives {
			if d != nil {
				d.reset()
			}
		}
	}
}

// interrupt tells the guest that the selected drive has something.
func (c *Channel) interrupt() {
	c.master.status |= bmInterrupt
	if c.ctl&ctlNoIRQ == 0 {
		c.irq(true)
	}
}
