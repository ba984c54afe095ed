package hvm

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gozen/hypervisor/apic"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hvm/ide"
	"gozen/hypervisor/hvm/isa"
	"gozen/hypervisor/hvm/pci"
	"gozen/hypervisor/iobus"
)

// Config says what a platform has and whom it talks to. Functions are called with the platform's lock held and must neither block nor call
// back into the platform.
type Config struct {
	Now  isa.Clock // system time
	Wall time.Time // the time of day now
	// Bus takes interrupt commands, Kick makes the first vCPU look at ExtINT and Deadline again.
	Bus  apic.Bus
	Kick func()
	// Serial takes what the guest sends to its first serial port; nil leaves the port out. SerialRoom, which may be nil, is
	// told when the guest can take more input.
	Serial     func(byte)
	SerialRoom func()
	// PlatformPCI gives the guest the Xen platform device. Log takes what it writes to that device's log port, and to the debug port.
	PlatformPCI bool
	Log         func(byte)
	// NoHPET leaves the HPET out.
	NoHPET bool
	// Disks are the IDE disks by place: 0 and 1 on the first channel, 2 and 3 on the second; nil for none. Memory is for them.
	Disks [4]ide.Disk
	CDs   [4]bool // places with a CD-ROM drive, in which the disk is; it may be empty
	// CDFirst makes firmware try a CD-ROM drive before a disk.
	CDFirst bool
	Memory  ide.Memory
	// PowerOff and Reset end the domain.
	PowerOff, Reset func()
}

// Platform is the devices of one domain. Its methods may be called from any goroutine.
type Platform struct {
	deadline atomic.Uint64
	intr     atomic.Bool // the 8259s ask for an interrupt
	throughs atomic.Bool // the IO-APIC lets them through

	mu     sync.Mutex
	kick   func()
	ports  *iobus.Bus
	memory *iobus.Bus
	routes routes
	pic    *isa.PIC
	io     *apic.IOAPIC
	pit    *isa.PIT
	hpet   *isa.HPET
	rtc    *isa.RTC
	power  *isa.Power
	uart   *isa.UART // nil without one
	bus    *pci.Bus
	xen    *pci.Xen // nil without one
	ide    ide.Masters
	hard   [4]bool // places with a hard disk
	upcall upcall
}

// New makes a platform as firmware leaves it.
func New(c Config) *Platform {
	p := &Platform{kick: c.Kick, ports: iobus.New(iobus.Ports), memory: iobus.New(^uint64(0))}
	p.pic, p.io = isa.NewPIC(), apic.NewIOAPIC(c.Bus)
	timer, alarm := p.routes.device(0), p.routes.device(8)
	p.hpet = isa.NewHPET(c.Now, [2]isa.Line{timer, alarm}, p.routes.pin)
	p.pit = isa.NewPIT(c.Now, p.unlessHPET(timer))
	p.rtc = isa.NewRTC(c.Now, p.unlessHPET(alarm), c.Wall)
	p.power = isa.NewPower(c.Now, p.routes.device(sciIRQ), c.PowerOff)
	p.bus = pci.NewBus(p.routes.intx)
	p.routes.pic, p.routes.io, p.routes.routed = p.pic, p.io, [4]int8{-1, -1, -1, -1}
	p.addMemory(c)
	p.addISA(c)
	p.addPCI(c)
	p.addDisks(c)
	p.settle()
	return p
}

func (p *Platform) addMemory(c Config) {
	p.memory.Add(&iobus.Range{Base: apic.IOAPICBase, Size: apic.IOAPICSize, Width: 8, Device: p.io})
	if c.NoHPET {
		return
	}
	p.memory.Add(&iobus.Range{Base: isa.HPETBase, Size: isa.HPETSize, Width: 8, Device: p.hpet})
}

// unlessHPET is a line that the HPET may take over.
func (p *Platform) unlessHPET(l isa.Line) isa.Line {
	return func(high bool) { l(high && !p.hpet.Legacy()) }
}

// port puts a device of one-byte registers on the port bus.
func (p *Platform) port(base, size uint64, d iobus.Device) {
	p.ports.Add(&iobus.Range{Base: base, Size: size, Width: 1, Device: d})
}

func (p *Platform) addISA(c Config) {
	p.port(isa.PortPIC1, 2, p.pic.Chip(0))
	p.port(isa.PortPIC2, 2, p.pic.Chip(1))
	p.port(isa.PortELCR, 2, iobus.Funcs{R: p.pic.ReadELCR, W: p.pic.WriteELCR})
	p.port(isa.PortPIT, 4, p.pit)
	p.port(isa.PortGate, 1, iobus.Funcs{R: p.pit.ReadGate, W: p.pit.WriteGate})
	p.port(isa.PortRTC, 2, p.rtc)
	p.ports.Add(&iobus.Range{Base: isa.PortPM1, Size: isa.PMBlockLen, Width: 4, Device: p.power})
	p.port(isa.PortGPE0, isa.GPE0Len, iobus.Funcs{R: p.power.ReadGPE, W: p.power.WriteGPE})
	k := isa.NewKeyboard(p.routes.device(1), c.Reset)
	p.port(isa.PortKBCData, 1, iobus.Funcs{R: k.ReadData, W: k.WriteData})
	p.port(isa.PortKBCStatus, 1, iobus.Funcs{R: k.ReadStatus, W: k.WriteCommand})
	p.port(isa.PortSystemA, 1, iobus.Funcs{R: k.ReadSystemA, W: k.WriteSystemA})
	p.port(isa.PortReset, 1, iobus.Funcs{R: func(uint64, uint8) uint64 { return 0 }, W: func(_ uint64, _ uint8, v uint64) {
		if v&4 != 0 {
			c.Reset()
		}
	}})
	p.port(portDebug, 1, iobus.Funcs{R: func(uint64, uint8) uint64 { return portDebug }, W: func(_ uint64, _ uint8, v uint64) {
		if c.Log != nil {
			c.Log(byte(v))
		}
	}})
	if c.Serial != nil {
		p.uart = isa.NewUART(p.routes.device(4), c.Serial, c.SerialRoom)
		p.port(isa.PortCOM1, 8, p.uart)
	}
}

// Places that firmware gives BARs.
const (
	xenPortsBase  = 0xc000
	xenMemoryBase = 0xf2000000
	idePortsBase  = 0xc100
)

// portDebug takes letters for the hypervisor's log, as Xen's does (arch/x86/hvm/hvm.c, hvm_print_line).
const portDebug = 0xe9

// links are the ISA interrupts of the bridge's links as hvmloader sets them, and levels their bits in the control registers.
var links = [4]uint8{5, 10, 11, 5}

func (p *Platform) addPCI(c Config) {
	p.ports.Add(&iobus.Range{Base: pci.PortConfig, Size: 8, Width: 4, Device: p.bus})
	p.bus.Add(pci.Devfn(pci.SlotHost, 0), pci.NewHostBridge())
	p.routes.bridge = pci.NewISABridge(links)
	p.routes.bridge.Changed = func(uint8, uint8) { p.routes.relink() }
	p.bus.Add(pci.Devfn(pci.SlotISA, 0), p.routes.bridge)
	p.bus.Add(pci.Devfn(pci.SlotISA, pci.FnPower), pci.NewPower(isa.PortPM1))
	for _, irq := range links {
		p.pic.WriteELCR(uint64(irq>>3), 1, p.pic.ReadELCR(uint64(irq>>3), 1)|1<<(irq&7))
	}
	if !c.PlatformPCI {
		return
	}
	p.xen = pci.NewXen(p.unplug, c.Log)
	p.bus.Add(pci.Devfn(pci.SlotPlatform, 0), p.xen.Function)
	p.ports.Add(&iobus.Range{Base: pci.PortXen, Size: pci.XenPorts, Width: 4, Device: p.xen.Ports()})
	p.ports.Add(p.xen.BAR0)
	p.memory.Add(p.xen.BAR1)
	p.xen.SetBAR(0, xenPortsBase)
	p.xen.SetBAR(1, xenMemoryBase)
	p.xen.Preset(pci.RegLine, links[link(pci.SlotPlatform, 0)])
}

// What CMOS memory says of booting (SeaBIOS src/boot.c): its digits, the low one first, are the devices to try.
const (
	cmosBoot = 0x3d
	bootDisk = 2
	bootCD   = 3
)

// addDisks makes the IDE controller, if there is a disk for it.
func (p *Platform) addDisks(c Config) {
	order := uint8(bootDisk | bootCD<<4)
	if c.CDFirst {
		order = bootCD | bootDisk<<4
	}
	p.rtc.SetMemory(cmosBoot, order)
	if c.Disks == [4]ide.Disk{} && c.CDs == [4]bool{} {
		return
	}
	ch := ide.Masters{ide.NewChannel(p.routes.device(14), c.Memory), ide.NewChannel(p.routes.device(15), c.Memory)}
	for i, d := range c.Disks {
		if d != nil || c.CDs[i] {
			ch[i/2].Attach(i&1, d, fmt.Sprintf("gozen-%d", i+1), c.CDs[i])
			p.hard[i] = !c.CDs[i]
		}
	}
	p.ide = ch
	for i, at := range [2][2]uint64{{ide.PortCommand1, ide.PortControl1}, {ide.PortCommand2, ide.PortControl2}} {
		p.ports.Add(&iobus.Range{Base: at[0], Size: ide.CommandPorts, Width: 4, Device: ch[i]})
		p.port(at[1], 1, iobus.Funcs{R: ch[i].ReadControl, W: ch[i].WriteControl})
	}
	f := pci.NewIDE()
	bar := p.ports.Add(&iobus.Range{Size: ide.MasterPorts, Width: 4, Device: ch})
	f.AddBAR(4, true, false, bar)
	f.SetBAR(4, idePortsBase)
	p.bus.Add(pci.Devfn(pci.SlotISA, pci.FnIDE), f)
}

// unplug takes away the emulated hard disks that a guest does not want, because it has drivers for the PV disks that are the same. CD-ROM drives
// stay. The caller holds mu, as for every access.
func (p *Platform) unplug(mask uint16) {
	for i, hard := range p.hard {
		if hard && (mask&pci.UnplugIDE != 0 || mask&pci.UnplugAux != 0 && i > 0) {
			p.ide[i/2].Detach(i & 1)
			p.hard[i] = false
		}
	}
}

// ChangeCD puts another medium into the CD-ROM drive at a place, nil for none; see ide.Channel.Change.
func (p *Platform) ChangeCD(place int, d ide.Disk, force bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ide == (ide.Masters{}) {
		return false
	}
	return p.ide[place/2].Change(place&1, d, force)
}

// settle shows what an access or an event has changed to the vCPUs; the caller holds mu.
func (p *Platform) settle() {
	next := min(p.pit.Deadline(), p.hpet.Deadline(), p.rtc.Deadline(), p.power.Deadline())
	p.throughs.Store(p.io.ExtINT())
	intr := p.pic.Pending()
	sooner := next < p.deadline.Swap(next)
	if intr && !p.intr.Swap(true) || sooner {
		p.kick()
	} else if !intr {
		p.intr.Store(false)
	}
}

// Port does a port access.
func (p *Platform) Port(port uint16, size uint8, write bool, v uint32) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if write {
		p.ports.Write(uint64(port), size, uint64(v))
	} else {
		r, _ := p.ports.Read(uint64(port), size)
		v = uint32(r)
	}
	p.settle()
	return v
}

// MMIO does an access to memory that no page backs; what belongs to no device reads all ones.
func (p *Platform) MMIO(at guestmem.GPA, size uint8, write bool, v uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if write {
		p.memory.Write(uint64(at), size, v)
	} else {
		v, _ = p.memory.Read(uint64(at), size)
	}
	p.settle()
	return v
}

// EOI tells of the end of a level-triggered interrupt at a local APIC.
func (p *Platform) EOI(vector uint8) {
	p.mu.Lock()
	p.io.EOI(vector)
	p.mu.Unlock()
}

// ExtINT reports whether the 8259s interrupt the first vCPU; lint0 tells that its local APIC lets them. Ack then gives the vector.
func (p *Platform) ExtINT(lint0 bool) bool { return p.intr.Load() && (lint0 || p.throughs.Load()) }

// Ack acknowledges the interrupt of the 8259s that goes to the vCPU now.
func (p *Platform) Ack() uint8 {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.pic.Ack()
	p.settle()
	return v
}

// Deadline gives the system time at which Expire has something to do.
func (p *Platform) Deadline() uint64 { return p.deadline.Load() }

// Expire raises what is due.
func (p *Platform) Expire(now uint64) {
	if p.deadline.Load() > now {
		return
	}
	p.mu.Lock()
	p.pit.Expire(now)
	p.hpet.Expire(now)
	p.rtc.Expire(now)
	p.power.Expire(now)
	p.settle()
	p.mu.Unlock()
}

// PressPower is the power button.
func (p *Platform) PressPower() {
	p.mu.Lock()
	p.power.PressPower()
	p.settle()
	p.mu.Unlock()
}

// Type gives input to the serial port and says how many bytes it took. ok is false if there is no port, or nobody listens at it.
func (p *Platform) Type(b []byte) (n int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.uart == nil || !p.uart.Listening() {
		return 0, false
	}
	n = p.uart.Receive(b)
	p.settle()
	return n, true
}

// Listening reports whether the guest reads its serial port.
func (p *Platform) Listening() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.uart != nil && p.uart.Listening()
}
