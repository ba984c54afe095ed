package ide

import (
	"encoding/binary"
	"errors"
)

// Commands of a CD-ROM drive beside the disks' (ATA/ATAPI-6, 8), and what its registers say in a packet command.
const (
	cmdDeviceReset    = 0x08
	cmdPacket         = 0xa0
	cmdIdentifyPacket = 0xa1

	packetSize  = 12
	packetDMA   = 1 // in the features register
	reasonCoD   = 1 // count register: a command, not data
	reasonToUs  = 2 // from the drive to the guest
	blockSize   = 2048
	signatureLo = 0x14
	signatureHi = 0xeb
)

// Packet commands (SPC-3, MMC-3), sense keys and their additional codes.
const (
	scsiTestReady    = 0x00
	scsiRequestSense = 0x03
	scsiInquiry      = 0x12
	scsiStartStop    = 0x1b
	scsiPrevent      = 0x1e
	scsiCapacity     = 0x25
	scsiRead10       = 0x28
	scsiTOC          = 0x43
	scsiConfig       = 0x46
	scsiEvents       = 0x4a
	scsiModeSense10  = 0x5a
	scsiRead12       = 0xa8

	senseNotReady  = 2
	senseMedium    = 3
	senseIllegal   = 5
	senseAttention = 6
	ascRead        = 0x11
	ascCommand     = 0x20
	ascRange       = 0x21
	ascField       = 0x24
	ascChanged     = 0x28
	ascNoMedium    = 0x3a
	ascLocked      = 0x53 // with qualifier 2: medium removal prevented
)

// Events of the medium (MMC-3, 5.8, GET EVENT/STATUS NOTIFICATION).
const (
	eventNone    = 0
	eventRequest = 1 // somebody wants the medium out
	eventNew     = 2
	eventRemoved = 3

	mediaOpen    = 1
	mediaPresent = 2
	mediaClass   = 4
)

// packet is the state of a CD-ROM drive.
type packet struct {
	on       bool   // the drive is one
	waits    bool   // for the 12 bytes of a command
	dma      bool   // which asked for the busmaster
	limit    int    // bytes that the guest takes at a time
	rest     []byte // of what is in memory, behind what the guest reads now
	key, asc uint8  // of the last error

	open    bool  // the tray is out
	locked  bool  // the guest prevents removal
	changed bool  // there is another medium, which the guest has not been told
	event   uint8 // that the guest has not asked for yet
}

// noMedium is what an empty CD-ROM drive has.
type noMedium struct{}

var errNoMedium = errors.New("there is no medium")

func (noMedium) ReadAt([]byte, int64) (int, error)  { return 0, errNoMedium }
func (noMedium) WriteAt([]byte, int64) (int, error) { return 0, errNoMedium }
func (noMedium) Sync() error                        { return nil }
func (noMedium) Size() int64                        { return 0 }
func (noMedium) ReadOnly() bool                     { return true }

// Change puts another medium into the CD-ROM drive at a place, nil for none. It is false, and the guest is asked for the one that is in there, where the
// guest has locked the drive; with force the lock is broken. A transfer under way fails or has what comes from the new medium.
func (c *Channel) Change(n int, d Disk, force bool) bool {
	v := c.drives[n]
	if v == nil || !v.packet.on {
		return false
	}
	p := &v.packet
	if p.locked && v.present() && !force {
		p.event = eventRequest
		return false
	}
	p.locked, p.open = false, d == nil
	if d == nil {
		v.disk, p.event, p.changed = noMedium{}, eventRemoved, false
	} else {
		v.disk, p.event, p.changed = d, eventNew, true
	}
	return true
}

// present says that there is a medium which can be read.
func (d *drive) present() bool { return !d.packet.open && d.disk.Size() >= blockSize }

// commandCD executes a command of a CD-ROM drive.
func (d *drive) commandCD(cmd uint8) {
	p := &d.packet
	p.waits, p.dma, p.limit, p.rest = false, false, 0, nil
	switch cmd {
	case cmdPacket:
		p.waits, p.dma = true, d.features&packetDMA != 0
		p.limit = (int(d.mid.now) | int(d.high.now)<<8) &^ 1
		if p.limit == 0 {
			p.limit = 0xfffe
		}
		d.buf, d.at, d.store = d.sect[:packetSize], 0, true
		d.count.now = reasonCoD
		d.status = stReady | stSeek | stDRQ
	case cmdIdentifyPacket:
		d.answer(d.identityCD())
	case cmdDeviceReset:
		p.locked = false
		d.reset()
	case cmdFeatures:
		d.setFeatures()
	case cmdCheckPower, cmdStandbyNow, cmdIdleNow, cmdStandby, cmdIdle, cmdFlush, cmdDiagnose:
		d.control(cmd)
	default:
		if cmd == cmdIdentify || cmd == cmdRead {
			d.sign()
		}
		d.fail(erAbort)
	}
}

// sign puts the signature of the kind of drive into the registers.
func (d *drive) sign() {
	d.count, d.low, d.mid, d.high = pair{now: 1}, pair{now: 1}, pair{}, pair{}
	if d.packet.on {
		d.mid.now, d.high.now = signatureLo, signatureHi
	}
}

// good ends a packet command well, check with a sense key.
func (d *drive) good() {
	d.packet.key, d.packet.asc = 0, 0
	d.count.now = reasonCoD | reasonToUs
	d.done()
}

func (d *drive) check(key, asc uint8) {
	d.packet.key, d.packet.asc = key, asc
	d.count.now = reasonCoD | reasonToUs
	d.fail(key << 4)
}

// reply gives the guest at most limit bytes of b, or moves them by the busmaster.
func (d *drive) reply(b []byte, limit int) {
	n := copy(d.sect[:], b[:min(len(b), limit)])
	d.packet.rest, d.left, d.store = d.sect[:n], 0, false
	if n == 0 {
		d.good()
		return
	}
	d.send()
}

// send offers the guest the next bytes, and reads blocks when there are none left.
func (d *drive) send() {
	p := &d.packet
	if p.dma {
		d.buf, d.at, d.dma, p.rest = p.rest, 0, true, nil
		d.status = stReady | stSeek | stDRQ
		if d.c.master.status&bmActive != 0 {
			d.c.transfer()
		}
		return
	}
	if len(p.rest) == 0 {
		if d.left == 0 {
			d.good()
			return
		}
		if !d.fill() {
			d.check(senseMedium, ascRead)
			return
		}
		p.rest = d.buf
	}
	n := min(len(p.rest), p.limit)
	d.buf, d.at, p.rest = p.rest[:n], 0, p.rest[n:]
	d.count.now = reasonToUs
	d.mid.now, d.high.now = uint8(n), uint8(n>>8)
	d.status = stReady | stSeek | stDRQ
	d.c.interrupt()
}

// execute does a packet command.
func (d *drive) execute() {
	c := [packetSize]byte(d.sect[:packetSize])
	be := binary.BigEndian
	d.packet.waits, d.store, d.buf, d.at = false, false, nil, 0
	switch c[0] {
	case scsiRequestSense, scsiInquiry, scsiEvents:
	case scsiTestReady, scsiCapacity, scsiRead10, scsiRead12, scsiTOC:
		if d.packet.changed {
			d.packet.changed = false
			d.check(senseAttention, ascChanged)
			return
		}
		if !d.present() {
			d.check(senseNotReady, ascNoMedium)
			return
		}
	}
	last := uint32(d.disk.Size()/blockSize) - 1
	switch c[0] {
	case scsiTestReady:
		d.good()
	case scsiStartStop:
		d.tray(c[4])
	case scsiPrevent:
		d.packet.locked = c[4]&1 != 0
		d.good()
	case scsiRequestSense:
		b := make([]byte, 18)
		b[0], b[2], b[7], b[12] = 0x70, d.packet.key, 10, d.packet.asc
		d.reply(b, int(c[4]))
	case scsiInquiry:
		b := append([]byte{5, 0x80, 0, 0x21, 31, 0, 0, 0}, "gozen   CD-ROM          1.0 "...)
		d.reply(b, int(c[4]))
	case scsiCapacity:
		b := be.AppendUint32(nil, last)
		d.reply(be.AppendUint32(b, blockSize), 8)
	case scsiRead10:
		d.readBlocks(be.Uint32(c[2:]), uint32(be.Uint16(c[7:])))
	case scsiRead12:
		d.readBlocks(be.Uint32(c[2:]), be.Uint32(c[6:]))
	case scsiTOC:
		if c[2]&15 != 0 || c[9]>>6 != 0 {
			d.check(senseIllegal, ascField)
			return
		}
		b := []byte{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x16, 0xaa, 0}
		d.reply(be.AppendUint32(b, last+1), int(be.Uint16(c[7:])))
	case scsiConfig: // no more than the profile of a CD-ROM
		d.reply([]byte{0, 0, 0, 12, 0, 0, 0, 8, 0, 0, 3, 4, 0, 8, 1, 0}, int(be.Uint16(c[7:])))
	case scsiEvents:
		d.events(c[1]&1 != 0, int(be.Uint16(c[7:])))
	case scsiModeSense10:
		b := make([]byte, 8+20)
		b[1], b[2], b[8], b[9] = byte(len(b)-2), 1, 0x2a, 18
		d.reply(b, int(be.Uint16(c[7:])))
	default:
		d.check(senseIllegal, ascCommand)
	}
}

// tray does START STOP UNIT, which moves the tray if its second bit is set: in with the first bit, out without.
func (d *drive) tray(how uint8) {
	p := &d.packet
	switch how & 3 {
	case 2:
		if p.locked {
			d.check(senseIllegal, ascLocked)
			return
		}
		if !p.open {
			p.open, p.event = true, eventRemoved
		}
	case 3:
		if p.open {
			p.open = false
			if d.present() {
				p.changed, p.event = true, eventNew
			}
		}
	}
	d.good()
}

// events answers GET EVENT/STATUS NOTIFICATION, which has to be polled.
func (d *drive) events(polled bool, limit int) {
	if !polled {
		d.check(senseIllegal, ascField)
		return
	}
	p := &d.packet
	status := uint8(0)
	if p.open {
		status |= mediaOpen
	}
	if d.present() {
		status |= mediaPresent
	}
	event := p.event
	p.event = eventNone
	d.reply([]byte{0, 6, mediaClass, 1 << mediaClass, event, status, 0, 0}, limit)
}

func (d *drive) readBlocks(lba, n uint32) {
	total := uint64(d.disk.Size() / blockSize)
	switch {
	case uint64(lba)+uint64(n) > total || n > 1<<14: // 32 MiB a command
		d.check(senseIllegal, ascRange)
		return
	case n == 0:
		d.good()
		return
	}
	d.lba, d.left = int64(lba), int(n)
	d.packet.rest = nil
	d.send()
}

// identityCD gives the answer to IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.16).
func (d *drive) identityCD() []byte {
	var w words
	w[0] = 0x85c0 // a CD-ROM drive, removable, packets of 12 bytes
	w.text(10, 10, d.serial)
	w.text(23, 4, "1.0")
	w.text(27, 20, "gozen CD-ROM")
	w[49], w[51], w[53] = 0x0b00, 0x200, 7
	w[63], w[64], w[65], w[66], w[67], w[68] = 7, 3, 120, 120, 120, 120
	w[80] = 0x70
	w[82], w[83], w[84] = 0x0210, 0x4000, 0x4000 // packets, device reset
	w[85], w[87] = 0x0210, 0x4000
	w[88] = udmaModes | uint16(d.udma)<<8
	w[93] = 0x6001
	return w.bytes()
}
