package soft

import (
	"math/bits"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// Flags beyond CF and OF are undefined after MUL and IMUL; here they follow the low half of the result.

func (c *CPU) mulFlags(low uint64, over bool) {
	c.ccA, c.ccOp = low<<c.sh, ccRes|c.sh<<8
	c.ccB = b2u(over) * (x86.FlagCF | x86.FlagOF)
}

func opMul(c *CPU, in *decode.Inst) bool {
	b, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	c.setSize(in.Size)
	a := c.reg(x86.RAX, in.Size)
	switch in.Size {
	case 8:
		hi, lo := bits.Mul64(a, b)
		c.regs[x86.RAX], c.regs[x86.RDX] = lo, hi
		c.mulFlags(lo, hi != 0)
	case 1:
		c.setReg(x86.RAX, 2, a*b)
		c.mulFlags(a*b, a*b>>8 != 0)
	default:
		c.wideResult(in.Size, a*b)
		c.mulFlags(a*b, a*b>>(8*in.Size) != 0)
	}
	return true
}

// wideResult stores a 32- or 64-bit product in DX:AX or EDX:EAX.
func (c *CPU) wideResult(size uint8, r uint64) {
	c.setReg(x86.RAX, size, r)
	c.setReg(x86.RDX, size, r>>(8*size))
}

func opImul(c *CPU, in *decode.Inst) bool {
	b, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	c.setSize(in.Size)
	switch in.Form {
	case decode.FormRM:
		c.imulWide(in.Size, b)
		return true
	case decode.FormR_RM_I:
		c.imulNarrow(in, b, uint64(in.Imm))
	default:
		c.imulNarrow(in, c.reg(in.Reg, in.Size), b)
	}
	return true
}

func mulSigned(a, b uint64) (hi, lo uint64) {
	hi, lo = bits.Mul64(a, b)
	hi -= a&uint64(int64(b)>>63) + b&uint64(int64(a)>>63)
	return hi, lo
}

func (c *CPU) imulWide(size uint8, b uint64) {
	a := c.reg(x86.RAX, size)
	if size == 8 {
		hi, lo := mulSigned(a, b)
		c.regs[x86.RAX], c.regs[x86.RDX] = lo, hi
		c.mulFlags(lo, hi != uint64(int64(lo)>>63))
		return
	}
	r := sext(a, size) * sext(b, size)
	if size == 1 {
		c.setReg(x86.RAX, 2, r)
	} else {
		c.wideResult(size, r)
	}
	c.mulFlags(r, sext(r, size) != r)
}

func (c *CPU) imulNarrow(in *decode.Inst, a, b uint64) {
	if in.Size == 8 {
		hi, lo := mulSigned(a, b)
		c.regs[in.Reg] = lo
		c.mulFlags(lo, hi != uint64(int64(lo)>>63))
		return
	}
	r := sext(a, in.Size) * sext(b, in.Size)
	c.setReg(in.Reg, in.Size, r)
	c.mulFlags(r, sext(r, in.Size) != r)
}

func opDiv(c *CPU, in *decode.Inst) bool {
	d, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	if d == 0 {
		return c.raise(x86.VectorDE)
	}
	switch in.Size {
	case 8:
		hi := c.regs[x86.RDX]
		if hi >= d {
			return c.raise(x86.VectorDE)
		}
		c.regs[x86.RAX], c.regs[x86.RDX] = bits.Div64(hi, c.regs[x86.RAX], d)
	case 1:
		n := c.reg(x86.RAX, 2)
		if n/d > 0xff {
			return c.raise(x86.VectorDE)
		}
		c.setReg(x86.RAX, 2, n/d|n%d<<8)
	default:
		n := c.reg(x86.RAX, in.Size) | c.reg(x86.RDX, in.Size)<<(8*in.Size)
		if n/d>>(8*in.Size) != 0 {
			return c.raise(x86.VectorDE)
		}
		c.setReg(x86.RAX, in.Size, n/d)
		c.setReg(x86.RDX, in.Size, n%d)
	}
	return true
}

func opIdiv(c *CPU, in *decode.Inst) bool {
	d, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	if d == 0 {
		return c.raise(x86.VectorDE)
	}
	if in.Size == 8 {
		return c.idiv128(d)
	}
	sd := int64(sext(d, in.Size))
	var n int64
	if in.Size == 1 {
		n = int64(int16(c.regs[x86.RAX]))
	} else {
		n = int64(sext(c.reg(x86.RAX, in.Size)|c.reg(x86.RDX, in.Size)<<(8*in.Size), 2*in.Size))
	}
	if sd == -1 && n == -1<<63 {
		return c.raise(x86.VectorDE)
	}
	q, r := n/sd, n%sd
	if int64(sext(uint64(q), in.Size)) != q {
		return c.raise(x86.VectorDE)
	}
	if in.Size == 1 {
		c.setReg(x86.RAX, 2, uint64(q)&0xff|uint64(r)&0xff<<8)
		return true
	}
	c.setReg(x86.RAX, in.Size, uint64(q))
	c.setReg(x86.RDX, in.Size, uint64(r))
	return true
}

func (c *CPU) idiv128(d uint64) bool {
	hi, lo := c.regs[x86.RDX], c.regs[x86.RAX]
	neg := int64(hi) < 0
	if neg {
		lo = -lo
		hi = ^hi
		if lo == 0 {
			hi++
		}
	}
	ud := d
	if int64(d) < 0 {
		ud = -d
	}
	if hi >= ud {
		return c.raise(x86.VectorDE)
	}
	q, r := bits.Div64(hi, lo, ud)
	if neg != (int64(d) < 0) {
		if q > 1<<63 {
			return c.raise(x86.VectorDE)
		}
		q = -q
	} else if q >= 1<<63 {
		return c.raise(x86.VectorDE)
	}
	if neg {
		r = -r
	}
	c.regs[x86.RAX], c.regs[x86.RDX] = q, r
	return true
}
