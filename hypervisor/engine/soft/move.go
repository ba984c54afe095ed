package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

func opMov(c *CPU, in *decode.Inst) bool {
	switch in.Form {
	case decode.FormRM_R:
		return c.setRM(in, in.Size, c.reg(in.Reg, in.Size))
	case decode.FormR_RM:
		v, ok := c.rm(in, in.Size)
		if ok {
			c.setReg(in.Reg, in.Size, v)
		}
		return ok
	case decode.FormO_I:
		c.setReg(in.RM, in.Size, uint64(in.Imm))
		return true
	case decode.FormA_M:
		lin, ok := c.linear(in.Seg, uint64(in.Imm), in.Size, false)
		if !ok {
			return false
		}
		v, ok := c.load(lin, in.Size)
		if ok {
			c.setReg(x86.RAX, in.Size, v)
		}
		return ok
	case decode.FormM_A:
		lin, ok := c.linear(in.Seg, uint64(in.Imm), in.Size, true)
		return ok && c.store(lin, c.reg(x86.RAX, in.Size), in.Size)
	}
	return c.setRM(in, in.Size, uint64(in.Imm))
}

func (c *CPU) extend(in *decode.Inst, from uint8, signed bool) bool {
	v, ok := c.rm(in, from)
	if !ok {
		return false
	}
	if signed {
		v = sext(v, from)
	}
	c.setReg(in.Reg, in.Size, v)
	return true
}

func opMovzx8(c *CPU, in *decode.Inst) bool  { return c.extend(in, 1, false) }
func opMovzx16(c *CPU, in *decode.Inst) bool { return c.extend(in, 2, false) }
func opMovsx8(c *CPU, in *decode.Inst) bool  { return c.extend(in, 1, true) }
func opMovsx16(c *CPU, in *decode.Inst) bool { return c.extend(in, 2, true) }

func opMovsxd(c *CPU, in *decode.Inst) bool {
	if in.Size == 8 {
		return c.extend(in, 4, true)
	}
	return c.extend(in, in.Size, false)
}

func opLea(c *CPU, in *decode.Inst) bool {
	c.setReg(in.Reg, in.Size, c.ea(in))
	return true
}

func opMovnti(c *CPU, in *decode.Inst) bool { return c.setRM(in, in.Size, c.reg(in.Reg, in.Size)) }

func opSetcc(c *CPU, in *decode.Inst) bool { return c.setRM(in, 1, b2u(c.cond(in.Opcode))) }

// opCmov reads its source, and may fault, even when the condition is false.
func opCmov(c *CPU, in *decode.Inst) bool {
	v, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	if !c.cond(in.Opcode) {
		v = c.reg(in.Reg, in.Size)
	}
	c.setReg(in.Reg, in.Size, v)
	return true
}

func opCbw(c *CPU, in *decode.Inst) bool {
	half := in.Size / 2
	c.setReg(x86.RAX, in.Size, sext(c.reg(x86.RAX, half), half))
	return true
}

func opCwd(c *CPU, in *decode.Inst) bool {
	v := sext(c.reg(x86.RAX, in.Size), in.Size)
	c.setReg(x86.RDX, in.Size, uint64(int64(v)>>63))
	return true
}

func opLahf(c *CPU, in *decode.Inst) bool {
	c.setReg(decode.High8, 1, c.rflags()&0xd5|x86.FlagOne)
	return true
}

func opSahf(c *CPU, in *decode.Inst) bool {
	ah := c.reg(decode.High8, 1)
	c.flags = c.rflags()&^0xd5 | ah&0xd5
	return true
}

func opXlat(c *CPU, in *decode.Inst) bool {
	off := c.regs[x86.RBX] + c.regs[x86.RAX]&0xff
	lin, ok := c.linear(in.Seg, c.cut(off, in.ASize), 1, false)
	if !ok {
		return false
	}
	v, ok := c.load8(lin)
	if ok {
		c.setReg(x86.RAX, 1, v)
	}
	return ok
}

// cut truncates an offset to the address size.
func (c *CPU) cut(off uint64, asize uint8) uint64 {
	switch asize {
	case 4:
		return off & 0xffffffff
	case 2:
		return off & 0xffff
	}
	return off
}

func opNop(c *CPU, in *decode.Inst) bool { return true }

func opCmc(c *CPU, in *decode.Inst) bool { c.flags = c.rflags() ^ x86.FlagCF; return true }
func opClc(c *CPU, in *decode.Inst) bool { c.flags = c.rflags() &^ x86.FlagCF; return true }
func opStc(c *CPU, in *decode.Inst) bool { c.flags = c.rflags() | x86.FlagCF; return true }
func opCld(c *CPU, in *decode.Inst) bool { c.flags &^= x86.FlagDF; return true }
func opStd(c *CPU, in *decode.Inst) bool { c.flags |= x86.FlagDF; return true }
