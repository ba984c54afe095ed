package ide

import (
	"encoding/binary"

	"gozen/hypervisor/guestmem"
)

// Registers of a channel's busmaster.
const (
	bmCommand   = 0
	bmStatus    = 2
	bmTable     = 4
	bmStart     = 1
	bmToMemory  = 8
	bmActive    = 1
	bmError     = 2
	bmInterrupt = 4
	bmCapable   = 0x60

	// maxRegions bounds the table of a transfer: it may not cross a boundary of 64 KiB.
	maxRegions = 8192
	lastRegion = 1 << 31
)

// master is the busmaster of a channel.
type master struct {
	command, status uint8
	table           uint32
}

// Masters is the busmaster ports of both channels, as a device.
type Masters [2]*Channel

// Read implements iobus.Device.
func (m Masters) Read(off uint64, size uint8) (v uint64) {
	for i := range uint64(size) {
		v |= uint64(m[(off+i)>>3&1].readMaster((off+i)&7)) << (8 * i)
	}
	return v
}

// Write implements iobus.Device.
func (m Masters) Write(off uint64, size uint8, v uint64) {
	for i := range uint64(size) {
		m[(off+i)>>3&1].writeMaster((off+i)&7, uint8(v>>(8*i)))
	}
}

func (c *Channel) readMaster(reg uint64) uint8 {
	switch {
	case reg == bmCommand:
		return c.master.command
	case reg == bmStatus:
		return c.master.status
	case reg >= bmTable:
		return uint8(c.master.table >> (8 * (reg - bmTable)))
	}
	return 0
}

func (c *Channel) writeMaster(reg uint64, b uint8) {
	m := &c.master
	switch {
	case reg == bmCommand:
		was := m.command
		m.command = b & (bmStart | bmToMemory)
		if b&bmStart == 0 {
			m.status &^= bmActive
		} else if was&bmStart == 0 {
			m.status |= bmActive
			c.transfer()
		}
	case reg == bmStatus:
		m.status = m.status&^(b&(bmError|bmInterrupt))&^bmCapable | b&bmCapable
	case reg >= bmTable:
		sh := 8 * (reg - bmTable)
		m.table = (m.table&^(0xff<<sh) | uint32(b)<<sh) &^ 3
	}
}

// beginDMA makes a command's sectors wait for the busmaster.
func (d *drive) beginDMA(wide, store bool) {
	if !d.aim(wide, store) {
		return
	}
	d.dma = true
	d.status = stReady | stSeek | stDRQ
	if d.c.master.status&bmActive != 0 {
		d.c.transfer()
	}
}

// transfer moves the sectors of the waiting command between disk and memory, along the table of regions.
func (c *Channel) transfer() {
	d := c.selected()
	if d == nil || !d.dma || d.store == (c.master.command&bmToMemory != 0) {
		return
	}
	m := &c.master
	at := guestmem.GPA(m.table)
	for range maxRegions {
		var e [8]byte
		if c.mem.Read(at, e[:]) != nil {
			break
		}
		base, n := binary.LittleEndian.Uint32(e[:]), binary.LittleEndian.Uint32(e[4:])
		size := int(n & 0xfffe)
		if size == 0 {
			size = 1 << 16
		}
		if !d.region(guestmem.GPA(base&^1), size) {
			break
		}
		if d.left == 0 && d.at == len(d.buf) { // all moved: the guest may have given more room
			if n&lastRegion != 0 {
				m.status &^= bmActive
			}
			if d.packet.on {
				d.good()
			} else {
				d.done()
			}
			return
		}
		if n&lastRegion != 0 {
			break
		}
		at += 8
	}
	m.status = m.status&^bmActive | bmError
	if d.packet.on {
		d.check(senseMedium, ascRead)
		return
	}
	d.fail(erAbort)
}

// region moves one region's bytes, by blocks of sectors; false is an error of disk or memory.
func (d *drive) region(at guestmem.GPA, size int) bool {
	for size > 0 && (d.left > 0 || d.at < len(d.buf)) {
		if d.at == len(d.buf) && !d.fill() {
			return false
		}
		n := min(size, len(d.buf)-d.at)
		p := d.buf[d.at : d.at+n]
		var err error
		if d.store {
			err = d.c.mem.Read(at, p)
		} else {
			err = d.c.mem.Write(at, p)
		}
		if err != nil {
			return false
		}
		d.at, at, size = d.at+n, at+guestmem.GPA(n), size-n
		if d.store && d.at == len(d.buf) {
			if _, err := d.disk.WriteAt(d.buf, d.lba*SectorSize); err != nil {
				return false
			}
			d.lba += int64(len(d.buf) / SectorSize)
		}
	}
	return true
}

// fill takes the next block of sectors: read from the disk, or room for what is written.
func (d *drive) fill() bool {
	unit := SectorSize
	if d.packet.on {
		unit = blockSize
	}
	n := min(len(d.sect)/unit, d.left)
	d.buf, d.at, d.left = d.sect[:n*unit], 0, d.left-n
	if d.store {
		return true
	}
	_, err := d.disk.ReadAt(d.buf, d.lba*int64(unit))
	d.lba += int64(n)
	return err == nil
}
