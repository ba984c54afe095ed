package decode

import "encoding/binary"

// MaxLen is the greatest length of an instruction in bytes (SDM 2A 2.3.11).
const MaxLen = 15

type decoder struct {
	code   []byte
	pos    int
	mode   Mode
	opsize bool
	adsize bool
	lock   bool
	rep    uint8 // 0, 0xf2 or 0xf3: the last one wins
	rex    uint8
	seg    uint8 // override, or noSeg
	short  bool
}

const noSeg = 0xff

func (d *decoder) byte() uint8 {
	if d.pos >= len(d.code) {
		d.short = true
		return 0
	}
	b := d.code[d.pos]
	d.pos++
	return b
}

func (d *decoder) take(n int) uint64 {
	if d.pos+n > len(d.code) {
		d.short = true
		d.pos = len(d.code)
		return 0
	}
	p := d.code[d.pos:]
	d.pos += n
	switch n {
	case 1:
		return uint64(p[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p))
	case 4:
		return uint64(binary.LittleEndian.Uint32(p))
	}
	return binary.LittleEndian.Uint64(p)
}

// Decode decodes the instruction at the start of code into in. code may hold more than one
// instruction; at most MaxLen bytes are looked at. With Short the caller may try again with more bytes, if there are more.
func Decode(in *Inst, code []byte, mode Mode) Error {
	full := len(code) >= MaxLen
	if full {
		code = code[:MaxLen]
	}
	d := decoder{code: code, mode: mode, seg: noSeg}
	*in = Inst{}
	e := d.opcode(in)
	if !d.short && e.op == INVALID && e.attr&aGroup == 0 {
		return Invalid
	}
	if !d.short {
		e = d.operands(in, e)
	}
	if d.short {
		if full {
			return TooLong
		}
		return Short
	}
	if e.op == INVALID || !d.allowed(in, e) {
		return Invalid
	}
	in.Op, in.Form, in.Len = e.op, e.form, uint8(d.pos)
	d.flags(in)
	return OK
}

// opcode reads prefixes and the opcode bytes and finds the table entry.
func (d *decoder) opcode(in *Inst) entry {
	for {
		b := d.byte()
		if d.short {
			return entry{}
		}
		switch b {
		case 0x66:
			d.opsize = true
		case 0x67:
			d.adsize = true
		case 0xf0:
			d.lock = true
		case 0xf2, 0xf3:
			d.rep = b
		case 0x26, 0x2e, 0x36, 0x3e:
			if d.mode != Mode64 {
				d.seg = b >> 3 & 3
			}
		case 0x64, 0x65:
			d.seg = b - 0x60
		default:
			if d.mode == Mode64 && b&0xf0 == 0x40 {
				// Only a REX right before the opcode counts (SDM 2A 2.2.1).
				d.rex = b
				nb := d.byte()
				if d.short {
					return entry{}
				}
				if isPrefix(nb) || nb&0xf0 == 0x40 {
					d.rex = 0
					d.pos--
					continue
				}
				b = nb
			}
			in.Opcode = b
			if b != 0x0f {
				e := oneByte[b]
				if b == 0x63 && d.mode != Mode64 {
					return entry{op: ARPL, form: FormRM_R, size: szW}
				}
				if b == 0x90 && d.rex&1 == 0 {
					e = entry{op: NOP}
					if d.rep == 0xf3 {
						e.op = PAUSE
					}
				}
				return e
			}
			return d.escape(in)
		}
	}
}

func isPrefix(b uint8) bool {
	switch b {
	case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65:
		return true
	}
	return false
}

// escape handles the maps behind 0F.
func (d *decoder) escape(in *Inst) entry {
	b := d.byte()
	in.Opcode = b
	switch b {
	case 0x38:
		in.Opcode = d.byte()
		return d.map38(in.Opcode)
	case 0x3a:
		in.Opcode = d.byte()
		return d.map3a(in.Opcode)
	}
	e := twoByte[b]
	if d.rep == 0xf3 {
		switch b {
		case 0xb8:
			return entry{op: POPCNT, form: FormR_RM, size: szV}
		case 0x1e:
			return entry{op: NOP, form: FormRM, size: szV} // ENDBR, RDSSP as no-operations
		}
	}
	if e.op == INVALID && e.attr&aGroup == 0 || b == 0xc3 && (d.rep != 0 || d.opsize) {
		return sseTwoByte(b, d.mandatory())
	}
	return e
}

// mandatory gives the index of the mandatory prefix: none, 66, F3, F2. A REP prefix wins over 66.
func (d *decoder) mandatory() int {
	switch {
	case d.rep == 0xf3:
		return 2
	case d.rep == 0xf2:
		return 3
	case d.opsize:
		return 1
	}
	return 0
}

func (d *decoder) map38(b uint8) entry {
	switch {
	case (b == 0xf0 || b == 0xf1) && d.rep == 0xf2:
		if b == 0xf0 {
			return entry{op: CRC32, form: FormR_RM, size: szB}
		}
		return entry{op: CRC32, form: FormR_RM, size: szV}
	case (b == 0xf0 || b == 0xf1) && d.rep == 0:
		if b == 0xf0 {
			return entry{op: MOVBE, form: FormR_RM, size: szV, attr: aMemOnly}
		}
		return entry{op: MOVBE, form: FormRM_R, size: szV, attr: aMemOnly}
	case b == 0x82 && d.opsize:
		return entry{op: INVPCID, form: FormR_RM, size: szN, attr: aMemOnly}
	}
	return sseMap38(b, d.mandatory())
}

func (d *decoder) map3a(b uint8) entry { return sseMap3A(b, d.mandatory()) }

// allowed applies the rules that make an encoding #UD.
func (d *decoder) allowed(in *Inst, e entry) bool {
	mem := in.Flags&FlagMem != 0
	switch {
	case e.attr&aNo64 != 0 && d.mode == Mode64,
		e.attr&aOnly64 != 0 && d.mode != Mode64,
		e.attr&aMemOnly != 0 && !mem,
		e.attr&aRegOnly != 0 && mem && e.form != FormC:
		return false
	case d.lock && (e.attr&aLock == 0 || !mem):
		return false
	}
	return true
}

func (d *decoder) flags(in *Inst) {
	set := func(on bool, f uint8) {
		if on {
			in.Flags |= f
		}
	}
	set(d.lock, FlagLock)
	set(d.rep == 0xf3, FlagRepz)
	set(d.rep == 0xf2, FlagRepn)
	set(d.opsize, Flag66)
	set(d.rex != 0, FlagRex)
	set(d.rex&8 != 0, FlagRexW)
	set(d.seg != noSeg, FlagSeg)
}
