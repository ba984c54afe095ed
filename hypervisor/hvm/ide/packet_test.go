package ide

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// newCD is a channel with a CD-ROM drive of 16 blocks.
func newCD() *bench {
	b := newBench()
	b.disk.ro = true
	b.Attach(0, b.disk, "cd", true)
	return b
}

// packet sends a packet command; limit is how much the guest takes at a time, -1 for the busmaster.
func (b *bench) packet(limit int, c ...byte) {
	dma := uint64(0)
	if limit < 0 {
		dma, limit = packetDMA, 0
	}
	b.Write(regError, 1, dma)
	b.Write(regMid, 1, uint64(limit&0xff))
	b.Write(regHigh, 1, uint64(limit>>8))
	b.Write(regStatus, 1, cmdPacket)
	c = append(c, make([]byte, packetSize-len(c))...)
	for i := 0; i < packetSize; i += 2 {
		b.Write(regData, 2, uint64(binary.LittleEndian.Uint16(c[i:])))
	}
}

// data reads what a packet command answers, by the byte counts the drive gives.
func (b *bench) data() (out []byte, pieces int) {
	for b.ReadControl(0, 1)&stDRQ != 0 && b.Read(regCount, 1) == reasonToUs {
		for n := int(b.Read(regMid, 1) | b.Read(regHigh, 1)<<8); n > 0; n -= 2 {
			out = binary.LittleEndian.AppendUint16(out, uint16(b.Read(regData, 2)))
		}
		pieces++
	}
	return out, pieces
}

func TestCD_reads(t *testing.T) {
	for _, c := range []struct {
		name        string
		limit       int
		cmd         []byte
		from, size  int
		pieces      int
		wantedBytes []byte
	}{
		{name: "a block", limit: 0xfffe, cmd: []byte{scsiRead10, 0, 0, 0, 0, 3, 0, 0, 1}, from: 3, size: 1, pieces: 1},
		{name: "blocks", limit: 0xfffe, cmd: []byte{scsiRead10, 0, 0, 0, 0, 0, 0, 0, 16}, size: 16, pieces: 4},
		{name: "blocks by halves", limit: 1024, cmd: []byte{scsiRead12, 0, 0, 0, 0, 2, 0, 0, 0, 3}, from: 2, size: 3, pieces: 6},
		{name: "no block", limit: 2048, cmd: []byte{scsiRead10}},
		{name: "capacity", limit: 8, cmd: []byte{scsiCapacity}, pieces: 1, wantedBytes: []byte{0, 0, 0, 15, 0, 0, 8, 0}},
		{name: "no limit", limit: 0, cmd: []byte{scsiCapacity}, pieces: 1, wantedBytes: []byte{0, 0, 0, 15, 0, 0, 8, 0}},
		{name: "short inquiry", limit: 64, cmd: []byte{scsiInquiry, 0, 0, 0, 4}, pieces: 1, wantedBytes: []byte{5, 0x80, 0, 0x21}},
		{name: "contents", limit: 64, cmd: []byte{scsiTOC, 0, 0, 0, 0, 0, 0, 0, 64}, pieces: 1,
			wantedBytes: []byte{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x16, 0xaa, 0, 0, 0, 0, 16}},
		{name: "ready", limit: 64, cmd: []byte{scsiTestReady}},
	} {
		b := newCD()
		b.packet(c.limit, c.cmd...)
		got, pieces := b.data()
		want := c.wantedBytes
		if want == nil {
			want = b.disk.b[c.from*blockSize:][:c.size*blockSize]
		}
		if !bytes.Equal(got, want) || pieces != c.pieces {
			t.Errorf("%s: %d bytes in %d pieces", c.name, len(got), pieces)
		}
		if b.status() != stReady|stSeek || b.Read(regCount, 1) != reasonCoD|reasonToUs || b.irqs == 0 {
			t.Errorf("%s: status %#x, reason %d, %d interrupts", c.name, b.status(), b.Read(regCount, 1), b.irqs)
		}
	}
}

func TestCD_errors(t *testing.T) {
	for _, c := range []struct {
		name   string
		cmd    []byte
		key    uint8
		asc    uint8
		broken bool
	}{
		{"beyond the end", []byte{scsiRead10, 0, 0, 0, 0, 15, 0, 0, 2}, senseIllegal, ascRange, false},
		{"far beyond", []byte{scsiRead12, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, senseIllegal, ascRange, false},
		{"unknown", []byte{0xff}, senseIllegal, ascCommand, false},
		{"session", []byte{scsiTOC, 0, 1, 0, 0, 0, 0, 0, 12}, senseIllegal, ascField, false},
		{"broken", []byte{scsiRead10, 0, 0, 0, 0, 1, 0, 0, 1}, senseMedium, ascRead, true},
	} {
		b := newCD()
		b.disk.broken = c.broken
		b.packet(2048, c.cmd...)
		if b.status() != stReady|stSeek|stErr || uint8(b.Read(regError, 1)) != c.key<<4 {
			t.Errorf("%s: status %#x, error %#x", c.name, b.status(), b.Read(regError, 1))
		}
		b.packet(18, scsiRequestSense, 0, 0, 0, 18)
		if s, _ := b.data(); len(s) != 18 || s[2] != c.key || s[12] != c.asc {
			t.Errorf("%s: sense % x", c.name, s)
		}
	}
	b := newCD()
	b.do(cmdIdentify, 0, 0)
	if b.status()&stErr == 0 || b.Read(regMid, 1) != signatureLo || b.Read(regHigh, 1) != signatureHi {
		t.Error("it does not say that it is a packet device")
	}
	b.do(cmdWrite, 0, 1)
	if b.status()&stErr == 0 {
		t.Error("a disk's command was taken")
	}
	b.do(cmdIdentifyPacket, 0, 0)
	if id := b.in(); len(id) != SectorSize || binary.LittleEndian.Uint16(id) != 0x85c0 {
		t.Error("identity")
	}
	b.do(cmdDeviceReset, 0, 0)
	if b.status() != stReady|stSeek || b.Read(regMid, 1) != signatureLo {
		t.Error("no signature after a reset")
	}
}

func TestCD_busmaster(t *testing.T) {
	b := newCD()
	b.table([2]uint32{0x1000, 0x1800}, [2]uint32{0x8000, 0x3000})
	b.packet(-1, scsiRead10, 0, 0, 0, 0, 1, 0, 0, 9)
	b.bm.Write(bmCommand, 1, bmToMemory|bmStart)
	want := b.disk.b[blockSize : 10*blockSize]
	if !bytes.Equal(b.mem[0x1000:0x2800], want[:0x1800]) || !bytes.Equal(b.mem[0x8000:0x8000+0x3000], want[0x1800:]) {
		t.Error("wrong data")
	}
	if b.status() != stReady|stSeek || b.bm.Read(bmStatus, 1)&bmError != 0 || b.irqs != 1 {
		t.Errorf("status %#x, %d interrupts", b.status(), b.irqs)
	}
	b.bm.Write(bmCommand, 1, 0)
	b.table([2]uint32{0x1000, 8})
	b.packet(-1, scsiCapacity)
	b.bm.Write(bmCommand, 1, bmToMemory|bmStart)
	if b.mem[0x1003] != 15 {
		t.Error("a short answer does not come by the busmaster")
	}
}

// TestCD_random sends packets of random bytes.
func TestCD_random(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	commands := []byte{scsiRead10, scsiRead12, scsiTOC, scsiInquiry, scsiModeSense10, scsiConfig, scsiCapacity, scsiEvents, scsiStartStop, scsiPrevent, scsiTestReady}
	for range 20 {
		b := newCD()
		b.table([2]uint32{0x1000, 0x800}, [2]uint32{r.Uint32(), r.Uint32()})
		for range 500 {
			c := make([]byte, packetSize)
			for i := range c {
				c[i] = byte(1<<r.IntN(9)) - byte(r.IntN(2))
			}
			c[0] = commands[r.IntN(len(commands))]
			b.packet(r.IntN(0x10000)-1, c...)
			for range r.IntN(3000) {
				b.Read(regData, 2)
			}
			b.bm.Write(bmCommand, 1, r.Uint64N(2)*bmStart|bmToMemory)
			if r.IntN(20) == 0 {
				b.Change(0, []Disk{nil, b.disk}[r.IntN(2)], r.IntN(2) == 0)
			}
			if r.IntN(9) == 0 {
				b.Write(regStatus, 1, r.Uint64N(256))
			}
		}
	}
}

// sense sends a command without data and gives the sense key and code that follow, 0 and 0 if all is well.
func (b *bench) sense(c ...byte) (key, asc uint8) {
	b.packet(2048, c...)
	_, _ = b.data()
	if b.status()&stErr == 0 {
		return 0, 0
	}
	b.packet(18, scsiRequestSense, 0, 0, 0, 18)
	s, _ := b.data()
	return s[2], s[12]
}

// happens asks for the event of the medium and the drive's state.
func (b *bench) happens() (event, status uint8) {
	b.packet(8, scsiEvents, 1, 0, 0, 1<<mediaClass, 0, 0, 0, 8)
	e, _ := b.data()
	return e[4], e[5]
}

func TestCD_change(t *testing.T) {
	b := newBench()
	b.disk.ro = true
	b.Attach(0, nil, "cd", true)
	ready := []byte{scsiTestReady}
	check := func(what string, key, asc uint8) {
		t.Helper()
		if k, a := b.sense(ready...); k != key || a != asc {
			t.Errorf("%s: sense %d %#x", what, k, a)
		}
	}
	event := func(what string, event, status uint8) {
		t.Helper()
		if e, s := b.happens(); e != event || s != status {
			t.Errorf("%s: event %d, status %#x", what, e, s)
		}
	}
	check("empty", senseNotReady, ascNoMedium)
	if k, a := b.sense(scsiRead10, 0, 0, 0, 0, 0, 0, 0, 1); k != senseNotReady || a != ascNoMedium {
		t.Errorf("a read without medium: %d %#x", k, a)
	}
	event("empty", eventNone, 0)
	if !b.Change(0, b.disk, false) {
		t.Fatal("not inserted")
	}
	event("inserted", eventNew, mediaPresent)
	event("told", eventNone, mediaPresent)
	check("inserted", senseAttention, ascChanged)
	check("told", 0, 0)
	if b.packet(2048, scsiRead10, 0, 0, 0, 0, 3, 0, 0, 1); true {
		if got, _ := b.data(); !bytes.Equal(got, b.disk.b[3*blockSize:4*blockSize]) {
			t.Error("the medium reads wrong")
		}
	}
	b.sense(scsiPrevent, 0, 0, 0, 1)
	if b.Change(0, nil, false) {
		t.Error("a locked drive gave its medium")
	}
	event("asked for", eventRequest, mediaPresent)
	if k, a := b.sense(scsiStartStop, 0, 0, 0, 2); k != senseIllegal || a != ascLocked {
		t.Errorf("a locked drive opened: %d %#x", k, a)
	}
	b.sense(scsiPrevent)
	if !b.Change(0, nil, false) {
		t.Error("not ejected")
	}
	event("ejected", eventRemoved, mediaOpen)
	check("ejected", senseNotReady, ascNoMedium)
	b.Change(0, b.disk, false)
	check("back", senseAttention, ascChanged)
	b.sense(scsiPrevent, 0, 0, 0, 1)
	if !b.Change(0, nil, true) || b.Change(1, b.disk, true) {
		t.Error("by force")
	}
	b.Change(0, b.disk, false)
	check("after force", senseAttention, ascChanged)
	// The guest moves the tray itself.
	b.happens()
	b.sense(scsiStartStop, 0, 0, 0, 2)
	event("opened", eventRemoved, mediaOpen)
	check("opened", senseNotReady, ascNoMedium)
	b.sense(scsiStartStop, 0, 0, 0, 3)
	event("closed", eventNew, mediaPresent)
	check("closed", senseAttention, ascChanged)
	check("closed", 0, 0)
	// A medium that goes while it is read: an error, then nothing.
	b.packet(2048, scsiRead10, 0, 0, 0, 0, 0, 0, 0, 16)
	b.Change(0, nil, true)
	_, _ = b.data()
	if b.status()&(stErr|stDRQ) != stErr {
		t.Errorf("status %#x after a read that lost its medium", b.status())
	}
}
