package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// Shifts and rotates (SDM 2D). Where a flag is undefined, the result is what AMD and Intel silicon gave in `make fuzz-cpu`, or masked
// there.

// count gives the masked shift count of a group-2 instruction.
func (c *CPU) count(in *decode.Inst) uint64 {
	var n uint64
	switch in.Form {
	case decode.FormRM_1:
		return 1
	case decode.FormRM_CL, decode.FormRM_RCL:
		n = c.regs[x86.RCX]
	default:
		n = uint64(in.Imm)
	}
	if in.Size == 8 {
		return n & 63
	}
	return n & 31
}

func (c *CPU) shift(in *decode.Inst, f aluFunc) bool {
	n := c.count(in)
	if n == 0 {
		return c.shiftZero(in)
	}
	c.setSize(in.Size)
	_, ok := c.modify(in, in.Size, false, f, n)
	return ok
}

// shiftZero leaves flags alone; a 32-bit register is still written (its upper half cleared), memory is still checked for writing.
func (c *CPU) shiftZero(in *decode.Inst) bool {
	_, ok := c.modify(in, in.Size, false, func(_ *CPU, a, _ uint64) uint64 { return a }, 0)
	return ok
}

func fnShl(c *CPU, a, n uint64) uint64 {
	bits := uint64(64 - c.sh)
	r := a << n
	var cf uint64
	if n <= bits {
		cf = a >> (bits - n) & 1
	}
	top := r << c.sh
	c.ccA, c.ccB, c.ccOp = top, cf|(top>>63^cf)<<11, ccRes|c.sh<<8
	return r
}

func fnShr(c *CPU, a, n uint64) uint64 {
	r := a >> n
	cf := a >> (n - 1) & 1
	of := (a << c.sh) >> 63
	if n > 1 {
		of = r << c.sh >> 63
		of ^= r << c.sh << 1 >> 63
	}
	c.ccA, c.ccB, c.ccOp = r<<c.sh, cf|of<<11, ccRes|c.sh<<8
	return r
}

func fnSar(c *CPU, a, n uint64) uint64 {
	s := int64(a<<c.sh) >> c.sh
	r := uint64(s >> n)
	cf := uint64(s>>(n-1)) & 1
	c.ccA, c.ccB, c.ccOp = r<<c.sh, cf, ccRes|c.sh<<8
	return r
}

func opShl(c *CPU, in *decode.Inst) bool { return c.shift(in, fnShl) }
func opShr(c *CPU, in *decode.Inst) bool { return c.shift(in, fnShr) }
func opSar(c *CPU, in *decode.Inst) bool { return c.shift(in, fnSar) }

// setCFOF replaces CF and OF only, as rotates do.
func (c *CPU) setCFOF(cf, of uint64) {
	c.flags = c.rflags()&^(x86.FlagCF|x86.FlagOF) | cf&1 | of&1<<11
}

func fnRol(c *CPU, a, n uint64) uint64 {
	bits := uint64(64 - c.sh)
	k := n % bits
	r := a<<k | trunc(a, uint8(bits/8))>>(bits-k)
	if k == 0 {
		r = a
	}
	cf := r & 1
	c.setCFOF(cf, r>>(bits-1)^cf)
	return r
}

func fnRor(c *CPU, a, n uint64) uint64 {
	bits := uint64(64 - c.sh)
	k := n % bits
	r := a>>k | a<<(bits-k)
	if k == 0 {
		r = a
	}
	c.setCFOF(r>>(bits-1), r>>(bits-1)^r>>(bits-2))
	return r
}

func fnRcl(c *CPU, a, n uint64) uint64 {
	bits := uint64(64 - c.sh)
	k := n % (bits + 1)
	cf := c.cf()
	for ; k > 0; k-- {
		out := a >> (bits - 1) & 1
		a = a<<1 | cf
		cf = out
	}
	c.setCFOF(cf, a>>(bits-1)^cf)
	return a
}

func fnRcr(c *CPU, a, n uint64) uint64 {
	bits := uint64(64 - c.sh)
	k := n % (bits + 1)
	cf := c.cf()
	a = trunc(a, uint8(bits/8))
	for ; k > 0; k-- {
		out := a & 1
		a = a>>1 | cf<<(bits-1)
		cf = out
	}
	c.setCFOF(cf, a>>(bits-1)^a>>(bits-2))
	return a
}

func opRol(c *CPU, in *decode.Inst) bool { return c.shift(in, fnRol) }
func opRor(c *CPU, in *decode.Inst) bool { return c.shift(in, fnRor) }
func opRcl(c *CPU, in *decode.Inst) bool { return c.shift(in, fnRcl) }
func opRcr(c *CPU, in *decode.Inst) bool { return c.shift(in, fnRcr) }

// double executes SHLD and SHRD. 16-bit counts above 16 give an undefined result; the bits come round again.
func (c *CPU) double(in *decode.Inst, left bool) bool {
	n := c.count(in)
	if n == 0 {
		return c.shiftZero(in)
	}
	bits := uint64(in.Size) * 8
	b := c.reg(in.Reg, in.Size)
	a, ok := c.rmForWrite(in)
	if !ok {
		return false
	}
	var r, cf uint64
	switch {
	case bits == 16:
		n2 := n
		if left {
			w := a<<32 | b<<16 | a
			r = w >> (32 - n2) & 0xffff
			cf = w >> (48 - n2) & 1
		} else {
			w := a | b<<16 | a<<32
			r = w >> n2
			cf = w >> (n2 - 1) & 1
		}
	case left:
		r = a<<n | b>>(bits-n)
		cf = a >> (bits - n) & 1
	default:
		r = a>>n | b<<(bits-n)
		cf = a >> (n - 1) & 1
	}
	if !c.setRM(in, in.Size, trunc(r, in.Size)) {
		return false
	}
	c.setSize(in.Size)
	c.ccA, c.ccOp = r<<c.sh, ccRes|c.sh<<8
	c.ccB = cf | ((r^a)<<c.sh>>63)<<11
	return true
}

// rmForWrite reads an r/m operand that will be written back.
func (c *CPU) rmForWrite(in *decode.Inst) (uint64, bool) {
	if in.Flags&decode.FlagMem == 0 {
		return c.reg(in.RM, in.Size), true
	}
	lin, ok := c.lin(in, in.Size, true)
	if !ok {
		return 0, false
	}
	return c.loadForWrite(lin, in.Size)
}

func opShld(c *CPU, in *decode.Inst) bool { return c.double(in, true) }
func opShrd(c *CPU, in *decode.Inst) bool { return c.double(in, false) }
