package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// opPextrw is the form of 0F C5, with a register destination, and that of 0F 3A 15.
func opPextrw(c *CPU, in *decode.Inst) bool {
	if in.Form == decode.FormXM_X_I {
		return c.extract(in, 2)
	}
	if isX(in) {
		if !c.sseOK() {
			return false
		}
		c.regs[in.Reg&15] = c.fx.XMM[in.RM&15][in.Imm>>2&1] >> (in.Imm & 3 * 16) & 0xffff
		return true
	}
	if !c.mmxOK() {
		return false
	}
	c.mmxUsed()
	c.regs[in.Reg&15] = c.mm(in.RM) >> (in.Imm & 3 * 16) & 0xffff
	return true
}

// extract stores a lane of size bytes to a register, zero-extended, or memory.
func (c *CPU) extract(in *decode.Inst, size uint8) bool {
	if !c.sseOK() {
		return false
	}
	at := uint8(in.Imm) * size & 15
	v := trunc(c.fx.XMM[in.Reg&15][at/8]>>(at%8*8), size)
	if !isMem(in) {
		c.regs[in.RM&15] = v
		return true
	}
	return c.storeM(in, v, size)
}

func opPextrb(c *CPU, in *decode.Inst) bool    { return c.extract(in, 1) }
func opPextrd(c *CPU, in *decode.Inst) bool    { return c.extract(in, in.Size) }
func opExtractps(c *CPU, in *decode.Inst) bool { return c.extract(in, 4) }

// insert replaces a lane of size bytes.
func (c *CPU) insert(in *decode.Inst, size uint8) bool {
	if !c.sseOK() {
		return false
	}
	v, ok := c.gOrMem(in, size)
	if !ok {
		return false
	}
	at := uint8(in.Imm) * size & 15
	m := ^uint64(0) >> (64 - 8*size) << (at % 8 * 8)
	d := &c.fx.XMM[in.Reg&15][at/8]
	*d = *d&^m | v<<(at%8*8)&m
	return true
}

// gOrMem reads a general register, whole, or size bytes of memory.
func (c *CPU) gOrMem(in *decode.Inst, size uint8) (uint64, bool) {
	if !isMem(in) {
		return c.regs[in.RM&15], true
	}
	return c.loadM(in, size)
}

func opPinsrb(c *CPU, in *decode.Inst) bool { return c.insert(in, 1) }
func opPinsrd(c *CPU, in *decode.Inst) bool { return c.insert(in, in.Size) }

func opPinsrw(c *CPU, in *decode.Inst) bool {
	if isX(in) {
		return c.insert(in, 2)
	}
	if !c.mmxOK() {
		return false
	}
	v, ok := c.gOrMem(in, 2)
	if ok {
		sh := in.Imm & 3 * 16
		c.setMM(in.Reg, c.mm(in.Reg)&^(0xffff<<sh)|v&0xffff<<sh)
	}
	return ok
}

// opInsertps takes the lane that bits 6-7 of the immediate name (memory has only one), puts it where bits 4-5 say, and clears the lanes of bits
// 0-3.
func opInsertps(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	imm := uint8(in.Imm)
	var v uint64
	if isMem(in) {
		var ok bool
		if v, ok = c.loadM(in, 4); !ok {
			return false
		}
	} else {
		v = lane32(c.fx.XMM[in.RM&15], imm>>6)
	}
	d := &c.fx.XMM[in.Reg&15]
	at := imm >> 4 & 3
	for i := uint8(0); i < 4; i++ {
		sh := i & 1 * 32
		m := uint64(0xffffffff) << sh
		switch {
		case imm>>i&1 != 0:
			d[i/2] &^= m
		case i == at:
			d[i/2] = d[i/2]&^m | v<<sh
		}
	}
	return true
}

// extendLanes makes PMOVSX and PMOVZX: lanes of from bytes become lanes of to bytes.
func extendLanes(from, to uint8, signed bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		v, ok := c.loadLow(in, in.Size)
		if !ok {
			return false
		}
		var r vec
		for i := uint8(0); i < 16/to; i++ {
			x := trunc(v>>(8*i*from), from)
			if signed {
				x = sext(x, from)
			}
			at := i * to
			r[at/8] |= trunc(x, to) << (at % 8 * 8)
		}
		c.fx.XMM[in.Reg&15] = r
		return true
	}
}

// opPtest sets ZF if the operands have no common bit and CF if the first covers the second.
func opPtest(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	b, ok := c.loadX(in)
	if !ok {
		return false
	}
	a := c.fx.XMM[in.Reg&15]
	f := -b2u(a[0]&b[0]|a[1]&b[1] == 0) & x86.FlagZF
	f |= -b2u(b[0]&^a[0]|b[1]&^a[1] == 0) & x86.FlagCF
	c.setArith(f)
	return true
}

func mpsadbw(a, b vec, imm uint8) (r vec) {
	src := uint(imm & 3 * 4)
	dst := uint(imm >> 2 & 1 * 4)
	for i := uint(0); i < 8; i++ {
		sum := uint64(0)
		for j := uint(0); j < 4; j++ {
			x, y := byteOf(a, dst+i+j), byteOf(b, src+j)
			sum += max(x, y) - min(x, y)
		}
		r[i/4] |= sum << (i % 4 * 16)
	}
	return r
}

func byteOf(v vec, i uint) uint64 { return v[i/8] >> (i % 8 * 8) & 0xff }

func opEmms(c *CPU, in *decode.Inst) bool {
	if !c.mmxOK() {
		return false
	}
	c.fx.Valid = 0
	c.fx.FSW &^= fswTop
	return true
}
