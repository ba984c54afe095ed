package ide

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"gozen/hypervisor/guestmem"
)

// ram is a disk in memory.
type ram struct {
	b      []byte
	ro     bool
	broken bool
	syncs  int
}

var errBroken = errors.New("broken")

func (r *ram) ReadAt(p []byte, off int64) (int, error) {
	if r.broken {
		return 0, errBroken
	}
	if off < 0 || off+int64(len(p)) > int64(len(r.b)) || off%SectorSize != 0 || len(p)%SectorSize != 0 {
		panic(fmt.Sprint("read of ", len(p), " bytes at ", off))
	}
	return copy(p, r.b[off:]), nil
}

func (r *ram) WriteAt(p []byte, off int64) (int, error) {
	if r.broken {
		return 0, errBroken
	}
	if r.ro || off < 0 || off+int64(len(p)) > int64(len(r.b)) || off%SectorSize != 0 || len(p)%SectorSize != 0 {
		panic(fmt.Sprint("write of ", len(p), " bytes at ", off))
	}
	return copy(r.b[off:], p), nil
}

func (r *ram) Sync() error    { r.syncs++; return nil }
func (r *ram) Size() int64    { return int64(len(r.b)) }
func (r *ram) ReadOnly() bool { return r.ro }

// memory is guest memory in a slice.
type memory []byte

func (m memory) Read(a guestmem.GPA, p []byte) error {
	if uint64(a)+uint64(len(p)) > uint64(len(m)) {
		return guestmem.ErrUnmapped
	}
	copy(p, m[a:])
	return nil
}

func (m memory) Write(a guestmem.GPA, p []byte) error {
	if uint64(a)+uint64(len(p)) > uint64(len(m)) {
		return guestmem.ErrUnmapped
	}
	copy(m[a:], p)
	return nil
}

// bench is a channel with one disk of 64 sectors, each full of its number.
type bench struct {
	*Channel
	disk *ram
	mem  memory
	bm   Masters
	irqs int
	line bool
}

func newBench() *bench {
	b := &bench{disk: &ram{b: make([]byte, 64*SectorSize)}, mem: make(memory, 1<<20)}
	for i := range b.disk.b {
		b.disk.b[i] = byte(i / SectorSize)
	}
	b.Channel = NewChannel(func(high bool) {
		if high && !b.line {
			b.irqs++
		}
		b.line = high
	}, b.mem)
	b.Attach(0, b.disk, "serial", false)
	b.bm = Masters{b.Channel, NewChannel(func(bool) {}, b.mem)}
	return b
}

// do writes a command with a 28-bit address.
func (b *bench) do(cmd uint8, lba, n int) {
	for i, v := range []int{n, lba, lba >> 8, lba >> 16, devLBA | lba>>24} {
		b.Write(uint64(regCount+i), 1, uint64(v))
	}
	b.Write(regStatus, 1, uint64(cmd))
}

func (b *bench) status() uint8 { return uint8(b.Read(regStatus, 1)) }

// in reads words from the data register as long as there are any.
func (b *bench) in() (out []byte) {
	for b.ReadControl(0, 1)&stDRQ != 0 {
		out = binary.LittleEndian.AppendUint16(out, uint16(b.Read(regData, 2)))
	}
	return out
}

func TestChannel_reads(t *testing.T) {
	for _, c := range []struct {
		name    string
		cmd     uint8
		lba, n  int
		sectors int
		irqs    int
	}{
		{"sectors", cmdRead, 5, 3, 3, 3}, {"multiple", cmdReadMulti, 1, 20, 20, 2}, {"the last", cmdRead, 63, 1, 1, 1},
	} {
		b := newBench()
		b.do(c.cmd, c.lba, c.n)
		if s := b.ReadControl(0, 1); s != stReady|stSeek|stDRQ || !b.line {
			t.Errorf("%s: status %#x, line %v", c.name, s, b.line)
		}
		if b.status(); b.line {
			t.Errorf("%s: reading the status does not end the interrupt", c.name)
		}
		var got []byte
		for b.ReadControl(0, 1)&stDRQ != 0 {
			got = binary.LittleEndian.AppendUint32(got, uint32(b.Read(regData, 4)))
			b.status()
		}
		if want := b.disk.b[c.lba*SectorSize:][:c.sectors*SectorSize]; !bytes.Equal(got, want) || b.irqs != c.irqs || b.status() != stReady|stSeek {
			t.Errorf("%s: %d bytes, %d interrupts, status %#x", c.name, len(got), b.irqs, b.status())
		}
	}
}

func TestChannel_wideAndGeometry(t *testing.T) {
	b := newBench()
	for i, v := range []uint64{1, 10, 0, 0} { // each register twice, the high half first
		b.Write(uint64(regCount+i), 1, 0)
		b.Write(uint64(regCount+i), 1, v)
	}
	b.Write(regDevice, 1, devLBA)
	b.Write(regStatus, 1, cmdReadExt)
	if got := b.in(); len(got) != SectorSize || got[0] != 10 {
		t.Errorf("48-bit address: %d bytes", len(got))
	}
	b.Write(regLow, 1, 0x12)
	b.Write(regLow, 1, 0x34)
	b.WriteControl(0, 1, ctlHigh)
	if hi := b.Read(regLow, 1); hi != 0x12 {
		t.Errorf("high half %#x", hi)
	}
	b.WriteControl(0, 1, 0)
	b.Write(regCount, 1, 8) // 8 sectors a track, 2 heads
	b.Write(regDevice, 1, 1)
	b.Write(regStatus, 1, cmdGeometry)
	for i, v := range []uint64{1, 3, 2, 0, 1} { // cylinder 2, head 1, sector 3
		b.Write(uint64(regCount+i), 1, v)
	}
	b.Write(regStatus, 1, cmdRead)
	if got := b.in(); len(got) != SectorSize || got[0] != (2*2+1)*8+2 {
		t.Errorf("geometry: %d bytes of sector %d", len(got), got[0])
	}
}

func TestChannel_writes(t *testing.T) {
	for _, c := range []struct {
		cmd    uint8
		n      int
		irqs   int
		blocks int
	}{{cmdWrite, 3, 3, 1}, {cmdWriteMulti, 20, 2, 16}} {
		b := newBench()
		b.do(c.cmd, 7, c.n)
		if b.irqs != 0 {
			t.Error("the first block is announced by an interrupt")
		}
		for i := 0; b.status()&stDRQ != 0; i += 2 {
			b.Write(regData, 2, uint64(0xa500|i/SectorSize))
		}
		for i := range c.n {
			if s := b.disk.b[(7+i)*SectorSize:]; s[0] != byte(i) || s[1] != 0xa5 || s[SectorSize-1] != 0xa5 {
				t.Errorf("%#x: sector %d holds % x", c.cmd, i, s[:4])
			}
		}
		if b.irqs != c.irqs || b.disk.b[(7+c.n)*SectorSize] != byte(7+c.n) {
			t.Errorf("%#x: %d interrupts", c.cmd, b.irqs)
		}
	}
}

func TestChannel_errors(t *testing.T) {
	for _, c := range []struct {
		name   string
		cmd    uint8
		lba, n int
		change func(*bench)
		err    uint64
	}{
		{"beyond the end", cmdRead, 63, 2, nil, erNotFound},
		{"write beyond the end", cmdWriteDMA, 64, 1, nil, erNotFound},
		{"whole count", cmdRead, 0, 0, nil, erNotFound}, // 256 sectors
		{"unknown command", 0xff, 0, 1, nil, erAbort},
		{"read-only", cmdWrite, 0, 1, func(b *bench) { b.disk.ro = true }, erAbort},
		{"broken disk", cmdRead, 0, 1, func(b *bench) { b.disk.broken = true }, erData},
		{"blocks of three", cmdSetMulti, 0, 3, nil, erAbort},
		{"packet device", 0xa1, 0, 0, nil, erAbort},
		{"a feature", cmdFeatures, 0, 0, func(b *bench) { b.Write(regError, 1, 0x99) }, erAbort},
	} {
		b := newBench()
		if c.change != nil {
			c.change(b)
		}
		b.do(c.cmd, c.lba, c.n)
		if s := b.ReadControl(0, 1); s != stReady|stSeek|stErr || b.Read(regError, 1) != c.err || b.irqs != 1 {
			t.Errorf("%s: status %#x, error %#x", c.name, s, b.Read(regError, 1))
		}
	}
	b := newBench()
	if b.Write(regDevice, 1, devSecond); b.status() != 0 || b.ReadControl(0, 1) != 0 || b.Read(regData, 2) != 0 {
		t.Error("an empty place answers")
	}
	b.Write(regStatus, 1, cmdRead)
	b.Write(regDevice, 1, 0)
	if b.Detach(0); b.status() != 0 {
		t.Error("a disk that was taken away answers")
	}
}

func TestChannel_identifyResetFlush(t *testing.T) {
	b := newBench()
	b.do(cmdIdentify, 0, 0)
	id := b.in()
	word := func(n int) int { return int(binary.LittleEndian.Uint16(id[2*n:])) }
	if len(id) != SectorSize || word(60) != 64 || word(100) != 64 || string(id[54:58]) != "ogez" || word(49) != 0xb00 {
		t.Errorf("identity % x", id[:128])
	}
	b.do(cmdFlush, 0, 0)
	if b.disk.syncs != 1 || b.status() != stReady|stSeek {
		t.Error("not flushed")
	}
	b.do(cmdWrite, 0, 1)
	b.WriteControl(0, 1, ctlReset|ctlNoIRQ)
	if b.ReadControl(0, 1) != stBusy {
		t.Error("not busy in reset")
	}
	n := b.irqs
	b.WriteControl(0, 1, ctlNoIRQ)
	if b.status() != stReady|stSeek || b.Read(regError, 1) != 1 || b.Read(regCount, 1) != 1 || b.Read(regMid, 1) != 0 {
		t.Error("no signature after a reset")
	}
	if b.do(cmdRecalibrate, 0, 0); b.irqs != n {
		t.Error("interrupts are off")
	}
}

// table writes a table of regions at 0x100 and names it to the busmaster.
func (b *bench) table(regions ...[2]uint32) {
	for i, r := range regions {
		if i == len(regions)-1 {
			r[1] |= lastRegion
		}
		binary.LittleEndian.PutUint32(b.mem[0x100+8*i:], r[0])
		binary.LittleEndian.PutUint32(b.mem[0x104+8*i:], r[1])
	}
	b.bm.Write(bmTable, 4, 0x100)
}

func TestMaster(t *testing.T) {
	for _, c := range []struct {
		name    string
		cmd     uint8
		n       int
		regions [][2]uint32
		dir     uint64
		ok      bool
	}{
		{"read", cmdReadDMA, 20, [][2]uint32{{0x1000, 0x1000}, {0x8000, 0x1800}}, bmToMemory, true},
		{"write", cmdWriteDMA, 20, [][2]uint32{{0x1000, 0x1000}, {0x2000, 0x1800}}, 0, true},
		{"more room than data", cmdReadDMA, 2, [][2]uint32{{0x1000, 0}}, bmToMemory, true},
		{"too little room", cmdReadDMA, 20, [][2]uint32{{0x1000, 0x1000}}, bmToMemory, false},
		{"no memory there", cmdReadDMA, 20, [][2]uint32{{0xfff000, 0x4000}}, bmToMemory, false},
	} {
		b := newBench()
		for i := range 0x3000 {
			b.mem[0x1000+i] = byte(i >> 4)
		}
		b.table(c.regions...)
		b.do(c.cmd, 4, c.n)
		if b.irqs != 0 {
			t.Errorf("%s: it interrupts before the busmaster has been started", c.name)
		}
		b.bm.Write(bmCommand, 1, c.dir|bmStart)
		st := b.bm.Read(bmStatus, 1)
		if st&bmInterrupt == 0 || st&bmActive != 0 && c.name != "more room than data" || st&bmError == 0 != c.ok || b.irqs != 1 {
			t.Errorf("%s: busmaster %#x, %d interrupts", c.name, st, b.irqs)
		}
		if b.status()&stErr == 0 != c.ok {
			t.Errorf("%s: status %#x", c.name, b.status())
		}
		switch {
		case c.name == "read" && (b.mem[0x1000] != 4 || b.mem[0x1fff] != 11 || b.mem[0x8000] != 12 || b.mem[0x97ff] != 23):
			t.Error("read: wrong data")
		case c.name == "write" && !bytes.Equal(b.disk.b[4*SectorSize:24*SectorSize], b.mem[0x1000:0x3800]):
			t.Error("write: wrong data")
		}
	}
}

func TestMaster_order(t *testing.T) {
	b := newBench()
	b.table([2]uint32{0x1000, 0x200})
	b.bm.Write(bmCommand, 1, bmToMemory|bmStart) // started first
	b.do(cmdReadDMA, 9, 1)
	if b.mem[0x1000] != 9 || b.bm.Read(bmStatus, 1)&bmError != 0 {
		t.Error("no transfer when the busmaster is started first")
	}
	b.bm.Write(bmStatus, 1, bmInterrupt|bmCapable)
	b.bm.Write(bmCommand, 1, 0)
	if s := b.bm.Read(bmStatus, 1); s != bmCapable {
		t.Errorf("status %#x", s)
	}
	if b.bm.Write(8+bmTable, 4, 0x12345678); b.bm[1].master.table != 0x12345678 || b.bm.Read(8+bmTable, 4) != 0x12345678 {
		t.Error("the second channel has no registers of its own")
	}
}

// TestChannel_random writes at random: nothing panics, and no access leaves the disk.
func TestChannel_random(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	commands := []uint64{cmdRead, cmdReadExt, cmdWrite, cmdWriteExt, cmdReadMulti, cmdWriteMulti, cmdReadDMA, cmdWriteDMA, cmdReadDMAExt, cmdIdentify, cmdGeometry, cmdSetMulti, cmdFeatures}
	for range 50 {
		b := newBench()
		b.table([2]uint32{0x1000, 0x1000}, [2]uint32{0x4000, 0xfffe}, [2]uint32{r.Uint32(), r.Uint32()})
		for range 5000 {
			v, size := r.Uint64(), uint8(1)<<r.IntN(3)
			switch off := r.Uint64N(8); r.IntN(6) {
			case 0:
				b.Write(regStatus, 1, commands[r.IntN(len(commands))])
			case 1:
				b.Write(off&^(uint64(size)-1), size, v&0xff)
			case 2:
				b.Read(off&^(uint64(size)-1), size)
			case 3:
				b.bm.Write(r.Uint64N(8), 1, v&0xff)
				b.bm.Write(bmTable, 4, 0x100)
			case 4:
				b.Write(regData, size, v)
			case 5:
				b.WriteControl(0, 1, v&0x86)
			}
		}
	}
}
