package ide

// pair is a register that remembers the write before the last, for 48-bit addresses.
type pair struct{ now, before uint8 }

func (p *pair) set(b uint8) { p.before, p.now = p.now, b }

func (p *pair) get(high bool) uint8 {
	if high {
		return p.before
	}
	return p.now
}

// drive is one hard disk or CD-ROM drive.
type drive struct {
	c      *Channel
	disk   Disk
	serial string

	status, err, features uint8
	count, low, mid, high pair
	heads, sectors        int64 // of the cylinder geometry in force
	multiple              int
	udma                  uint8

	// A transfer under way.
	buf   []byte // what the guest reads or writes now, from at on
	at    int
	store bool  // the guest writes
	lba   int64 // of the next block
	left  int   // sectors beyond buf
	block int   // sectors a block
	dma   bool  // waits for the busmaster
	sect  [maxMultiple * SectorSize]byte

	packet packet // of a CD-ROM drive
}

func newDrive(c *Channel, d Disk, serial string, cd bool) *drive {
	v := &drive{c: c, disk: d, serial: serial, heads: 16, sectors: 63, multiple: maxMultiple}
	v.packet.on = cd
	v.reset()
	return v
}

// reset is the state after power-on, with the signature of the kind of drive.
func (d *drive) reset() {
	d.stop()
	d.status, d.err = stReady|stSeek, 1
	d.sign()
}

// stop ends a transfer.
func (d *drive) stop() { d.buf, d.at, d.left, d.dma, d.store = nil, 0, 0, false, false }

func (d *drive) total() int64 { return d.disk.Size() / SectorSize }

// done ends a command well, fail with an error.
func (d *drive) done() {
	d.stop()
	d.status, d.err = stReady|stSeek, 0
	d.c.interrupt()
}

func (d *drive) fail(err uint8) {
	d.stop()
	d.status, d.err = stReady|stSeek|stErr, err
	d.c.interrupt()
}

// extent decodes address and length of a command; ok is false if it leaves the disk.
func (d *drive) extent(wide bool) (lba int64, n int, ok bool) {
	n = int(d.count.now)
	dev := int64(d.c.dev)
	switch {
	case wide:
		n |= int(d.count.before) << 8
		if n == 0 {
			n = 1 << 16
		}
		lba = int64(d.low.now) | int64(d.mid.now)<<8 | int64(d.high.now)<<16 | int64(d.low.before)<<24 |
			int64(d.mid.before)<<32 | int64(d.high.before)<<40
	case dev&devLBA != 0:
		lba = int64(d.low.now) | int64(d.mid.now)<<8 | int64(d.high.now)<<16 | dev&15<<24
	default:
		cylinder := int64(d.mid.now) | int64(d.high.now)<<8
		lba = (cylinder*d.heads+dev&15)*d.sectors + int64(d.low.now) - 1
	}
	if n == 0 {
		n = 256
	}
	return lba, n, lba >= 0 && lba+int64(n) <= d.total()
}

// aim takes the extent of a command to read or store; false if the command has failed.
func (d *drive) aim(wide, store bool) bool {
	lba, n, ok := d.extent(wide)
	switch {
	case store && d.disk.ReadOnly():
		d.fail(erAbort)
		return false
	case !ok:
		d.fail(erNotFound)
		return false
	}
	d.lba, d.left, d.store = lba, n, store
	return true
}

// begin starts a transfer of the command's sectors in blocks of so many.
func (d *drive) begin(wide, store bool, block int) {
	if !d.aim(wide, store) {
		return
	}
	d.block, d.err = block, 0
	if store {
		d.room()
	} else {
		d.next()
	}
}

// next reads a block from the disk, for the guest to take.
func (d *drive) next() {
	n := min(d.block, d.left)
	b := d.sect[:n*SectorSize]
	if _, err := d.disk.ReadAt(b, d.lba*SectorSize); err != nil {
		d.fail(erData)
		return
	}
	d.buf, d.at = b, 0
	d.lba, d.left = d.lba+int64(n), d.left-n
	d.status = stReady | stSeek | stDRQ
	d.c.interrupt()
}

// room makes room for a block from the guest. Only blocks after the first are announced by an interrupt.
func (d *drive) room() {
	n := min(d.block, d.left)
	d.buf, d.at, d.left = d.sect[:n*SectorSize], 0, d.left-n
	d.status = stReady | stSeek | stDRQ
}

// flush writes a block that is full.
func (d *drive) flush() {
	b := d.buf
	if _, err := d.disk.WriteAt(b, d.lba*SectorSize); err != nil {
		d.fail(erData)
		return
	}
	d.lba += int64(len(b) / SectorSize)
	if d.left == 0 {
		d.done()
		return
	}
	d.room()
	d.c.interrupt()
}

// answer gives the guest a block that comes from no sector.
func (d *drive) answer(b []byte) {
	d.stop()
	n := copy(d.sect[:], b)
	d.buf = d.sect[:n]
	d.status, d.err = stReady|stSeek|stDRQ, 0
	d.c.interrupt()
}

// pull takes bytes from the buffer: a read of the data register.
func (d *drive) pull(size uint8) (v uint32) {
	if d.buf == nil || d.store || d.dma {
		return 0
	}
	for i := range int(size) {
		if d.at < len(d.buf) {
			v |= uint32(d.buf[d.at]) << (8 * i)
			d.at++
		}
	}
	if d.at == len(d.buf) {
		if d.packet.on && d.status&stDRQ != 0 && d.packet.limit > 0 {
			d.send()
		} else if d.left > 0 {
			d.next()
		} else {
			d.stop()
			d.status = stReady | stSeek
		}
	}
	return v
}

// push puts bytes into the buffer: a write of the data register.
func (d *drive) push(size uint8, v uint32) {
	if d.buf == nil || !d.store || d.dma {
		return
	}
	for i := range int(size) {
		if d.at < len(d.buf) {
			d.buf[d.at] = byte(v >> (8 * i))
			d.at++
		}
	}
	switch {
	case d.at < len(d.buf):
	case d.packet.waits:
		d.execute()
	default:
		d.flush()
	}
}
