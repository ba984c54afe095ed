package pci

import (
	"fmt"
	"strings"
	"testing"

	"gozen/hypervisor/iobus"
)

// board is a bus with a host bridge, an ISA bridge and the platform device, and the pins that were driven.
type board struct {
	*Bus
	x    *Xen
	pins []string
	lost []uint16
}

func newBoard() *board {
	b := &board{}
	b.Bus = NewBus(func(dev, pin int, high bool) { b.pins = append(b.pins, fmt.Sprint(dev, pin, high)) })
	b.x = NewXen(func(m uint16) { b.lost = append(b.lost, m) }, nil)
	b.Add(Devfn(SlotHost, 0), NewHostBridge())
	b.Add(Devfn(SlotISA, 0), NewISABridge([4]uint8{5, 10, 11, 5}))
	b.Add(Devfn(SlotISA, FnIDE), NewIDE())
	b.Add(Devfn(SlotISA, FnPower), NewPower(0xb000))
	b.Add(Devfn(SlotPlatform, 0), b.x.Function)
	return b
}

func address(devfn, reg uint8) uint64 { return cfgEnable | uint64(devfn)<<8 | uint64(reg&0xfc) }

func (b *board) get(devfn, reg, size uint8) uint32 {
	b.Write(0, 4, address(devfn, reg))
	return uint32(b.Read(portData+uint64(reg&3), size) & iobus.Mask(size))
}

func (b *board) put(devfn, reg, size uint8, v uint32) {
	b.Write(0, 4, address(devfn, reg))
	b.Write(portData+uint64(reg&3), size, uint64(v))
}

func TestBus_identities(t *testing.T) {
	b := newBoard()
	for _, c := range []struct {
		devfn, reg, size uint8
		want             uint32
	}{
		{0, 0, 4, 0x12378086}, {8, 0, 4, 0x70008086}, {9, 0, 4, 0x70108086}, {11, 0, 4, 0x71138086}, {16, 0, 4, 0x00015853},
		{0, 8, 4, 0x06000002}, {9, 8, 4, 0x01018000}, {16, 8, 4, 0xff800001}, {8, 0xe, 1, 0x80}, {16, 0xe, 1, 0},
		{16, 0x2c, 4, 0x00015853}, {16, 0x3d, 1, 1}, {24, 0, 4, 0xffffffff}, {10, 0, 2, 0xffff}, {8, 0x60, 4, 0x050b0a05},
		{11, 0x40, 2, 0xb001}, {0, 2, 2, 0x1237}, {0, 1, 1, 0x80},
	} {
		if got := b.get(c.devfn, c.reg, c.size); got != c.want {
			t.Errorf("%#x register %#x: %#x, want %#x", c.devfn, c.reg, got, c.want)
		}
	}
	b.Write(0, 4, address(0, 0)&^cfgEnable)
	if b.Read(portData, 4) != ^uint64(0) {
		t.Error("answers without the enable bit")
	}
	b.Write(0, 4, address(0, 0)|1<<16)
	if b.Read(portData, 4) != ^uint64(0) {
		t.Error("bus 1 answers")
	}
	if b.Write(0, 1, 0); b.Read(0, 4) != address(0, 0)|1<<16 {
		t.Error("the address register takes bytes")
	}
	b.put(0, 0, 4, 0)
	if got := b.get(0, 0, 4); got != 0x12378086 {
		t.Errorf("identity was overwritten: %#x", got)
	}
}

func TestFunction_bars(t *testing.T) {
	b := newBoard()
	const x = SlotPlatform << 3
	for _, c := range []struct {
		bar         uint8
		value, back uint32
		command     uint32
		base        uint64
		off         bool
		name        string
	}{
		{bar: 0, value: 0xffffffff, back: 0xffffff01, command: 1, base: 0xffffff00, off: true, name: "sizing of ports"},
		{bar: 1, value: 0xffffffff, back: 0xff000008, command: 2, base: 0xff000000, name: "sizing of memory"},
		{bar: 0, value: 0xc000, back: 0xc001, command: 1, base: 0xc000, name: "ports"},
		{bar: 0, value: 0xc000, back: 0xc001, command: 2, base: 0xc000, off: true, name: "ports that are not enabled"},
		{bar: 0, value: 0x10000, back: 0x10001, command: 3, base: 0x10000, off: true, name: "ports out of range"},
		{bar: 1, value: 0xf2000000, back: 0xf2000008, command: 3, base: 0xf2000000, name: "memory"},
		{bar: 1, value: 0, back: 8, command: 3, base: 0, off: true, name: "no address"},
		{bar: 2, value: 0xffffffff, back: 0, command: 3, name: "no BAR"},
	} {
		b.put(x, RegBAR0+4*c.bar, 4, c.value)
		b.put(x, RegCommand, 2, c.command)
		if got := b.get(x, RegBAR0+4*c.bar, 4); got != c.back {
			t.Errorf("%s: reads %#x, want %#x", c.name, got, c.back)
		}
		if c.bar > 1 {
			continue
		}
		r := []*iobus.Range{b.x.BAR0, b.x.BAR1}[c.bar]
		if r.Base != c.base || r.Off != c.off {
			t.Errorf("%s: range at %#x off %v", c.name, r.Base, r.Off)
		}
	}
	b.x.SetBAR(0, 0xd000)
	if b.x.BAR0.Off || b.x.BAR0.Base != 0xd000 || b.get(x, RegCommand, 2)&CommandIO == 0 {
		t.Error("SetBAR does not enable")
	}
}

func TestFunction_interruptPin(t *testing.T) {
	b := newBoard()
	const x = SlotPlatform << 3
	b.x.Interrupt(true)
	b.x.Interrupt(true)
	if b.get(x, RegStatus, 2)&statusIntx == 0 {
		t.Error("status does not show the interrupt")
	}
	b.put(x, RegCommand, 2, commandIntxOff)
	b.put(x, RegCommand, 2, 0)
	b.x.Interrupt(false)
	b.At(0).Interrupt(true) // has no pin
	if got := strings.Join(b.pins, ","); got != "2 0 true,2 0 false,2 0 true,2 0 false" {
		t.Error(got)
	}
}

func TestXen_unplug(t *testing.T) {
	b := newBoard()
	p := b.x.Ports()
	if p.Read(0, 2) != xenMagic || p.Read(2, 1) != 1 || p.Read(0, 1) != ^uint64(0) || p.Read(4, 4) != ^uint64(0) {
		t.Error("protocol")
	}
	p.Write(2, 2, 3)
	p.Write(0, 4, 0xffffffff)
	p.Write(3, 1, 'x')
	p.Write(0, 2, UnplugIDE|UnplugNICs)
	if len(b.lost) != 1 || b.lost[0] != 3 {
		t.Errorf("unplugged %v", b.lost)
	}
}
