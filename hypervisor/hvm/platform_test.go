package hvm

import (
	"math/rand/v2"
	"testing"
	"time"

	"gozen/hypervisor/apic"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hvm/isa"
	"gozen/hypervisor/hvm/pci"
)

// bench is a platform with what is around it.
type bench struct {
	*Platform
	ns                 uint64
	sent               []apic.Command
	kicks, offs, reset int
	serial             []byte
}

func (b *bench) Send(c apic.Command) { b.sent = append(b.sent, c) }

func newBench(change func(*Config)) *bench {
	b := &bench{ns: 1000}
	c := Config{Now: func() uint64 { return b.ns }, Wall: time.Unix(1e9, 0), Bus: b, Kick: func() { b.kicks++ },
		Serial: func(c byte) { b.serial = append(b.serial, c) }, PlatformPCI: true,
		PowerOff: func() { b.offs++ }, Reset: func() { b.reset++ }}
	if change != nil {
		change(&c)
	}
	b.Platform = New(c)
	return b
}

func (b *bench) out(port uint16, size uint8, v uint32) { b.Port(port, size, true, v) }
func (b *bench) in(port uint16, size uint8) uint32     { return b.Port(port, size, false, 0) }

// openPICs initialises the 8259s with all inputs open, vectors from 0x30 on.
func (b *bench) openPICs() {
	for i, port := range []uint16{isa.PortPIC1, isa.PortPIC2} {
		b.out(port, 1, 0x11)
		for _, v := range []uint32{uint32(0x30 + 8*i), []uint32{4, 2}[i], 1, 0} {
			b.out(port+1, 1, v)
		}
	}
}

// redirect writes an entry of the IO-APIC.
func (b *bench) redirect(pin int, e uint64) {
	for half := range 2 {
		b.MMIO(apic.IOAPICBase, 4, true, uint64(0x10+2*pin+1-half))
		b.MMIO(apic.IOAPICBase+0x10, 4, true, e>>(32*(1-half))&0xffffffff)
	}
}

func TestPlatform_ports(t *testing.T) {
	b := newBench(nil)
	for _, c := range []struct {
		name string
		port uint16
		size uint8
		want uint32
	}{
		{"nobody", 0x300, 4, 0xffffffff}, {"second serial port", 0x2f8, 1, 0xff}, {"line status", 0x3fd, 1, 0x60},
		{"host bridge", 0xcfc, 4, 0x12378086}, {"magic", 0x10, 2, 0x49d2}, {"power control", 0xb004, 2, 1},
		{"timer enable", 0xb002, 2, 0}, {"events", 0xafe0, 4, 0}, {"level control", 0x4d0, 2, 0x0c20}, {"across PIT and nobody", 0x43, 2, 0xffff},
		{"keyboard status", 0x64, 1, 0x14},
	} {
		if c.port == 0xcfc {
			b.out(0xcf8, 4, 0x80000000)
		}
		if got := b.in(c.port, c.size); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
	b.out(0x3f8, 1, 'a')
	b.out(0xb004, 2, 0x2000)
	b.out(0x64, 1, 0xfe)
	b.out(0xcf9, 1, 6)
	if string(b.serial) != "a" || b.offs != 1 || b.reset != 2 {
		t.Errorf("sent %q, %d times off, %d resets", b.serial, b.offs, b.reset)
	}
}

func TestPlatform_without(t *testing.T) {
	b := newBench(func(c *Config) { c.Serial, c.PlatformPCI = nil, false })
	if b.in(0x3fd, 1) != 0xff || b.in(0x10, 2) != 0xffff {
		t.Error("devices that were left out answer")
	}
	b.out(0xcf8, 4, 0x80000000|pci.SlotPlatform<<11)
	if b.in(0xcfc, 4) != 0xffffffff {
		t.Error("the platform device is there")
	}
	if _, ok := b.Type([]byte("x")); ok {
		t.Error("input went nowhere")
	}
}

func TestPlatform_timerInterrupts(t *testing.T) {
	b := newBench(nil)
	b.openPICs()
	b.redirect(timerPin, 0x51)
	b.out(0x43, 1, 0x34)
	b.out(0x40, 1, 0xa9)
	b.out(0x40, 1, 0x04)
	if b.kicks != 1 || b.Deadline() == isa.Never {
		t.Fatalf("%d kicks, deadline %d", b.kicks, b.Deadline())
	}
	b.ns = b.Deadline()
	b.Expire(b.ns)
	if len(b.sent) != 1 || b.sent[0].Vector != 0x51 || b.sent[0].Level {
		t.Errorf("IO-APIC sent %+v", b.sent)
	}
	if b.ExtINT(false) || !b.ExtINT(true) || b.kicks != 2 {
		t.Errorf("8259: %v behind a closed pin, %v behind an open one, %d kicks", b.ExtINT(false), b.ExtINT(true), b.kicks)
	}
	b.redirect(0, apic.ModeExtINT<<8)
	if !b.ExtINT(false) {
		t.Error("the IO-APIC does not let the 8259 through")
	}
	if v := b.Ack(); v != 0x30 || b.ExtINT(true) {
		t.Errorf("vector %#x", v)
	}
	// The HPET takes over: the 8254 is silent.
	b.MMIO(isa.HPETBase+0x10, 4, true, 3)
	b.ns = b.Deadline()
	b.Expire(b.ns)
	if len(b.sent) != 1 {
		t.Error("two timers drive interrupt 0")
	}
}

func TestPlatform_serialInterrupts(t *testing.T) {
	b := newBench(nil)
	b.redirect(4, 0x61)
	b.out(0x3fc, 1, 8)
	if _, ok := b.Type([]byte("a")); ok {
		t.Error("input was taken before the guest listens")
	}
	b.out(0x3f9, 1, 1)
	if n, ok := b.Type([]byte("ab")); n != 1 || !ok {
		t.Errorf("took %d bytes", n)
	}
	if len(b.sent) != 1 || b.sent[0].Vector != 0x61 || b.in(0x3f8, 1) != 'a' {
		t.Errorf("sent %+v", b.sent)
	}
}

func TestPlatform_pciInterrupts(t *testing.T) {
	b := newBench(nil)
	b.openPICs()
	gsi := GSI(pci.SlotPlatform, 0)
	if gsi != 24 {
		t.Errorf("the platform device is at pin %d", gsi)
	}
	b.redirect(gsi, 1<<15|0x71)
	via := uint64(1)<<56 | pci.SlotPlatform<<11
	b.Upcall(via, true)
	if len(b.sent) != 1 || !b.sent[0].Level || b.sent[0].Vector != 0x71 {
		t.Errorf("sent %+v", b.sent)
	}
	if !b.ExtINT(true) || b.Ack() != 0x3b { // link 2 is interrupt 11
		t.Error("the link is not routed")
	}
	b.EOI(0x71)
	if len(b.sent) != 2 {
		t.Error("a line that is high does not interrupt again")
	}
	b.Upcall(via, false)
	b.EOI(0x71)
	if len(b.sent) != 2 {
		t.Error("a line that fell interrupts again")
	}
	// Another interrupt for the link, and none.
	b.Upcall(via, true)
	b.out(0xcf8, 4, 0x80000800|pci.RegLinks)
	b.out(0xcfe, 1, 5)
	b.out(0x20, 1, 0x62)
	b.out(0xa0, 1, 0x63)
	if v := b.Ack(); v != 0x35 {
		t.Errorf("after rerouting, vector %#x", v)
	}
	b.out(0xcfe, 1, 0x80)
	b.out(0x20, 1, 0x65)
	if b.ExtINT(true) {
		t.Error("a link that is off interrupts")
	}
}

func TestPlatform_callbackByGSI(t *testing.T) {
	for _, c := range []struct {
		via  uint64
		pin  int
		want int
	}{{10, 10, 1}, {30, 30, 1}, {0, 1, 0}, {2, 2, 0}, {48, 47, 0}, {255, 5, 0}, {3 << 56, 5, 0}} {
		b := newBench(nil)
		b.redirect(c.pin, 1<<15|0x81)
		for range 3 {
			b.Upcall(c.via, true)
		}
		if len(b.sent) != c.want {
			t.Errorf("via %#x: sent %+v", c.via, b.sent)
		}
		b.Upcall(0, false) // the guest turns to another way: the line falls
		b.EOI(0x81)
		if len(b.sent) != c.want {
			t.Errorf("via %#x: the line stays high", c.via)
		}
	}
}

// ramDisk is an IDE disk in memory.
type ramDisk []byte

func (r ramDisk) ReadAt(p []byte, off int64) (int, error)  { return copy(p, r[off:]), nil }
func (r ramDisk) WriteAt(p []byte, off int64) (int, error) { return copy(r[off:], p), nil }
func (r ramDisk) Sync() error                              { return nil }
func (r ramDisk) Size() int64                              { return int64(len(r)) }
func (r ramDisk) ReadOnly() bool                           { return false }

// withDisk adds a disk of 256 sectors and memory of 64 KiB.
func withDisk(t testing.TB) func(*Config) {
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 1 << 16}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return func(c *Config) { c.Disks[0], c.Memory = make(ramDisk, 256*512), m }
}

func TestPlatform_disk(t *testing.T) {
	b := newBench(withDisk(t))
	b.redirect(14, 0x91)
	for i, v := range []uint32{1, 0, 0, 0, 0x40, 0x20} { // read a sector
		b.out(uint16(0x1f2+i), 1, v)
	}
	if len(b.sent) != 1 || b.sent[0].Vector != 0x91 || b.in(0x3f6, 1) != 0x58 {
		t.Errorf("sent %+v, status %#x", b.sent, b.in(0x3f6, 1))
	}
	b.out(0xcf8, 4, 0x80000920) // BAR 4 of the IDE function
	if v := b.in(0xcfc, 4); v != idePortsBase|1 || b.in(idePortsBase+2, 1) != 0x24 {
		t.Errorf("busmaster at %#x, status %#x", v, b.in(idePortsBase+2, 1))
	}
	if b.in(0x3f6, 1); b.in(0x177, 1) != 0 {
		t.Error("the second channel has a disk")
	}
}

// access does what four words say, and lets time pass.
func (b *bench) access(kind, a, v uint64) {
	size := uint8(1) << (kind >> 1 & 3)
	write := kind&1 != 0
	switch kind >> 3 & 7 {
	case 0, 1, 2:
		b.Port(uint16(a), min(size, 4), write, uint32(v))
	case 3:
		b.MMIO(guestmem.GPA(a), size, write, v)
	case 4:
		b.ns += v >> 24
		b.Expire(b.ns)
	case 5:
		b.Upcall(v, a&1 != 0)
	case 6:
		if b.ExtINT(true) {
			b.Ack()
		}
		b.EOI(uint8(v))
	case 7:
		b.Type([]byte{byte(v)})
	}
	if len(b.sent) > 1<<16 {
		b.sent = nil
	}
}

// places are where a random access is likely to find something.
var places = []uint64{0x20, 0x21, 0xa0, 0xa1, 0x40, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x92, 0x3f8, 0x3f9, 0x3fa, 0x3fc, 0x4d0, 0xcf8, 0xcfc, 0xcfe,
	0xb000, 0xb002, 0xb004, 0xb008, 0xafe0, 0x10, 0x12, 0xc000, 0x1f0, 0x1f2, 0x1f3, 0x1f6, 0x1f7, 0x3f6, 0x170, 0xc100, 0xc104}

func FuzzPlatform(f *testing.F) {
	f.Add([]byte{1, 0x43, 0, 0x34, 1, 0x40, 0, 0xff, 33, 0, 0, 0xff})
	f.Add([]byte{5, 0xf8, 0x0c, 0, 24, 0, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		b := newBench(withDisk(t))
		for ; len(ops) >= 4; ops = ops[4:] {
			v := uint64(ops[3]) * 0x0101010101010101
			at := uint64(ops[1]) | uint64(ops[2])<<8
			if ops[0]>>3&7 == 3 {
				at = []uint64{apic.IOAPICBase, isa.HPETBase, xenMemoryBase, 0xa0000}[ops[2]&3] + uint64(ops[1])
			} else if ops[2]&1 != 0 {
				at = places[int(ops[1])%len(places)]
			}
			b.access(uint64(ops[0]), at, v)
		}
	})
}

// TestPlatform_random does a lot of random accesses at likely places: nothing panics, and deadlines stay in the future.
func TestPlatform_random(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := newBench(withDisk(t))
		for range 20000 {
			kind, v := r.Uint64()&63, r.Uint64()
			at := places[r.IntN(len(places))]
			if kind>>3 == 3 {
				at = []uint64{apic.IOAPICBase, isa.HPETBase}[r.IntN(2)] + r.Uint64N(0x140)&^3
			}
			b.access(kind, at, v)
		}
		b.Expire(b.ns)
		b.Expire(b.ns)
		if d := b.Deadline(); d <= b.ns {
			t.Errorf("deadline %d has passed at %d", d, b.ns)
		}
	}
}

// frequent is what a guest does often at a platform's registers.
func (b *bench) frequent() {
	b.ns += 1000
	b.Expire(b.ns)
	b.in(0xb008, 4)
	b.in(0x40, 1)
	b.in(0x3fd, 1)
	b.out(0x21, 1, 0)
	b.out(0xcf8, 4, 0x80001000)
	b.in(0xcfc, 4)
	b.MMIO(isa.HPETBase+0xf0, 8, false, 0)
	b.MMIO(apic.IOAPICBase, 4, true, 0x10)
	b.Upcall(0, false)
	b.in(0x1f7, 1)
}

func TestPlatform_doesNotAllocate(t *testing.T) {
	b := newBench(withDisk(t))
	if n := testing.AllocsPerRun(100, b.frequent); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPlatform_port(b *testing.B) {
	p := newBench(withDisk(b))
	for b.Loop() {
		p.in(0xb008, 4)
	}
}

func BenchmarkPlatform_mmio(b *testing.B) {
	p := newBench(withDisk(b))
	for b.Loop() {
		p.MMIO(isa.HPETBase+0xf0, 8, false, 0)
	}
}
