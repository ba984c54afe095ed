package ide

import "encoding/binary"

// Commands (ATA/ATAPI-6, 8).
const (
	cmdRecalibrate   = 0x10 // to 0x1f
	cmdRead          = 0x20
	cmdReadOnce      = 0x21
	cmdReadExt       = 0x24
	cmdReadDMAExt    = 0x25
	cmdNativeMaxExt  = 0x27
	cmdReadMultiExt  = 0x29
	cmdWrite         = 0x30
	cmdWriteOnce     = 0x31
	cmdWriteExt      = 0x34
	cmdWriteDMAExt   = 0x35
	cmdWriteMultiExt = 0x39
	cmdVerify        = 0x40
	cmdVerifyOnce    = 0x41
	cmdVerifyExt     = 0x42
	cmdSeek          = 0x70
	cmdDiagnose      = 0x90
	cmdGeometry      = 0x91
	cmdReadMulti     = 0xc4
	cmdWriteMulti    = 0xc5
	cmdSetMulti      = 0xc6
	cmdReadDMA       = 0xc8
	cmdReadDMAOnce   = 0xc9
	cmdWriteDMA      = 0xca
	cmdWriteDMAOnce  = 0xcb
	cmdStandbyNow    = 0xe0
	cmdIdleNow       = 0xe1
	cmdStandby       = 0xe2
	cmdIdle          = 0xe3
	cmdCheckPower    = 0xe5
	cmdFlush         = 0xe7
	cmdFlushExt      = 0xea
	cmdIdentify      = 0xec
	cmdFeatures      = 0xef
	cmdNativeMax     = 0xf8

	featTransfer  = 0x03 // set transfer mode
	featCacheOn   = 0x02
	featCacheOff  = 0x82
	featAheadOn   = 0xaa
	featAheadOff  = 0x55
	featPowerOn   = 0x66
	featPowerOff  = 0xcc
	udmaModes     = 0x3f
	modeUDMA      = 0x40
	modeMulti     = 0x20
	geometryHeads = 16
	geometrySect  = 63
)

// command executes a command.
func (d *drive) command(cmd uint8) {
	if d.status&stBusy != 0 { // in reset
		return
	}
	d.stop()
	d.err = 0
	if d.packet.on {
		d.commandCD(cmd)
		return
	}
	switch cmd {
	case cmdRead, cmdReadOnce:
		d.begin(false, false, 1)
	case cmdReadExt:
		d.begin(true, false, 1)
	case cmdReadMulti:
		d.begin(false, false, d.multiple)
	case cmdReadMultiExt:
		d.begin(true, false, d.multiple)
	case cmdWrite, cmdWriteOnce:
		d.begin(false, true, 1)
	case cmdWriteExt:
		d.begin(true, true, 1)
	case cmdWriteMulti:
		d.begin(false, true, d.multiple)
	case cmdWriteMultiExt:
		d.begin(true, true, d.multiple)
	case cmdReadDMA, cmdReadDMAOnce:
		d.beginDMA(false, false)
	case cmdReadDMAExt:
		d.beginDMA(true, false)
	case cmdWriteDMA, cmdWriteDMAOnce:
		d.beginDMA(false, true)
	case cmdWriteDMAExt:
		d.beginDMA(true, true)
	case cmdIdentify:
		d.answer(d.identity())
	case cmdFlush, cmdFlushExt:
		if d.disk.Sync() != nil {
			d.fail(erData)
			return
		}
		d.done()
	default:
		d.control(cmd)
	}
}

// control executes commands that move no data.
func (d *drive) control(cmd uint8) {
	switch cmd {
	case cmdVerify, cmdVerifyOnce, cmdVerifyExt:
		if _, _, ok := d.extent(cmd == cmdVerifyExt); !ok {
			d.fail(erNotFound)
			return
		}
		d.done()
	case cmdSetMulti:
		n := int(d.count.now)
		if n == 0 || n > maxMultiple || n&(n-1) != 0 {
			d.fail(erAbort)
			return
		}
		d.multiple = n
		d.done()
	case cmdGeometry:
		if d.count.now == 0 {
			d.fail(erAbort)
			return
		}
		d.heads, d.sectors = int64(d.c.dev&15)+1, int64(d.count.now)
		d.done()
	case cmdFeatures:
		d.setFeatures()
	case cmdNativeMax, cmdNativeMaxExt:
		d.nativeMax(cmd == cmdNativeMaxExt)
	case cmdCheckPower:
		d.count.now = 0xff // active
		d.done()
	case cmdDiagnose:
		d.reset()
		d.c.interrupt()
	case cmdSeek, cmdStandbyNow, cmdIdleNow, cmdStandby, cmdIdle:
		d.done()
	default:
		if cmd&0xf0 == cmdRecalibrate {
			d.done()
			return
		}
		d.fail(erAbort)
	}
}

func (d *drive) setFeatures() {
	switch d.features {
	case featTransfer:
		switch m := d.count.now; {
		case m&0xf8 == modeUDMA && udmaModes>>(m&7)&1 != 0:
			d.udma = 1 << (m & 7)
		case m&0xf8 == modeMulti || m < 0x10:
			d.udma = 0
		default:
			d.fail(erAbort)
			return
		}
	case featCacheOn, featCacheOff, featAheadOn, featAheadOff, featPowerOn, featPowerOff:
	default:
		d.fail(erAbort)
		return
	}
	d.done()
}

// nativeMax tells the last sector.
func (d *drive) nativeMax(wide bool) {
	last := d.total() - 1
	if !wide {
		last = min(last, 1<<28-1)
		d.c.dev = d.c.dev&0xf0 | uint8(last>>24)
	}
	d.low = pair{uint8(last), uint8(last >> 24)}
	d.mid = pair{uint8(last >> 8), uint8(last >> 32)}
	d.high = pair{uint8(last >> 16), uint8(last >> 40)}
	d.done()
}

// identity gives the answer to IDENTIFY DEVICE (ATA/ATAPI-6, 8.15).
func (d *drive) identity() []byte {
	var w words
	total := d.total()
	cylinders := uint16(min(total/(geometryHeads*geometrySect), 16383))
	w[0], w[1], w[3], w[6] = 0x40, cylinders, geometryHeads, geometrySect
	w.text(10, 10, d.serial)
	w.text(23, 4, "1.0")
	w.text(27, 20, "gozen hard disk")
	w[47], w[48], w[49] = 0x8000|maxMultiple, 1, 0x0b00 // double words; LBA, DMA, IORDY
	w[51], w[53] = 0x200, 7
	now := min(total/(d.heads*d.sectors), 65535)
	capacity := uint32(now * d.heads * d.sectors)
	w[54], w[55], w[56], w[57], w[58] = uint16(now), uint16(d.heads), uint16(d.sectors), uint16(capacity), uint16(capacity>>16)
	w[59] = 0x100 | uint16(d.multiple)
	small := uint32(min(total, 1<<28-1))
	w[60], w[61] = uint16(small), uint16(small>>16)
	w[63], w[64], w[65], w[66], w[67], w[68] = 7, 3, 120, 120, 120, 120
	w[80] = 0x70 // ATA-4 to ATA-6
	w[82], w[83], w[84] = 0x4020, 0x7400, 0x4000
	w[85], w[86], w[87] = 0x0020, 0x3400, 0x4000
	w[88] = udmaModes | uint16(d.udma)<<8
	w[93] = 0x6001
	for i := range 4 {
		w[100+i] = uint16(uint64(total) >> (16 * i))
	}
	return w.bytes()
}

// words is the answer to an identify command.
type words [256]uint16

// text writes letters, padded with spaces, two a word.
func (w *words) text(at, n int, s string) {
	for i := range n {
		c := [2]byte{' ', ' '}
		copy(c[:], s[min(2*i, len(s)):])
		w[at+i] = uint16(c[0])<<8 | uint16(c[1])
	}
}

func (w *words) bytes() []byte {
	b := make([]byte, SectorSize)
	for i, v := range w {
		binary.LittleEndian.PutUint16(b[2*i:], v)
	}
	return b
}
