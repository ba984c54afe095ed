package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// Decimal adjustment: 16- and 32-bit code only (SDM 2A).

func opDaa(c *CPU, in *decode.Inst) bool { return c.decimal(1) }
func opDas(c *CPU, in *decode.Inst) bool { return c.decimal(^uint64(0)) }

// decimal executes DAA with sign 1 and DAS with sign -1.
func (c *CPU) decimal(sign uint64) bool {
	al := c.reg(x86.RAX, 1)
	f := c.rflags()
	old, oldCF := al, f&x86.FlagCF
	var out uint64
	if al&15 > 9 || f&x86.FlagAF != 0 {
		al += 6 * sign
		out |= x86.FlagAF | oldCF | al>>8&1
	}
	if old > 0x99 || oldCF != 0 {
		al += 0x60 * sign
		out |= x86.FlagCF
	} else if sign == 1 {
		out &^= x86.FlagCF
	}
	al &= 0xff
	c.setReg(x86.RAX, 1, al)
	c.setArith(out | parity(al) | zs(al<<56))
	return true
}

func opAaa(c *CPU, in *decode.Inst) bool { return c.asciiAdjust(0x106) }
func opAas(c *CPU, in *decode.Inst) bool { return c.asciiAdjust(^uint64(0x106) + 1) }

func (c *CPU) asciiAdjust(by uint64) bool {
	f := c.rflags()
	ax := c.reg(x86.RAX, 2)
	out := f &^ (x86.FlagCF | x86.FlagAF)
	if ax&15 > 9 || f&x86.FlagAF != 0 {
		ax += by
		out |= x86.FlagCF | x86.FlagAF
	}
	c.setReg(x86.RAX, 2, ax&0xff0f)
	c.flags = out
	return true
}

func opAam(c *CPU, in *decode.Inst) bool {
	d := uint64(uint8(in.Imm))
	if d == 0 {
		return c.raise(x86.VectorDE)
	}
	al := c.reg(x86.RAX, 1)
	c.setReg(x86.RAX, 2, al/d<<8|al%d)
	c.setArith(parity(al%d) | zs(al%d<<56))
	return true
}

func opAad(c *CPU, in *decode.Inst) bool {
	ax := c.reg(x86.RAX, 2)
	al := (ax + ax>>8*uint64(uint8(in.Imm))) & 0xff
	c.setReg(x86.RAX, 2, al)
	c.setArith(parity(al) | zs(al<<56))
	return true
}

func opSalc(c *CPU, in *decode.Inst) bool {
	c.setReg(x86.RAX, 1, -c.cf())
	return true
}
