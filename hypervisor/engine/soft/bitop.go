package soft

import (
	"hash/crc32"
	"math/bits"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

func fnBts(_ *CPU, a, n uint64) uint64 { return a | 1<<n }
func fnBtr(_ *CPU, a, n uint64) uint64 { return a &^ (1 << n) }
func fnBtc(_ *CPU, a, n uint64) uint64 { return a ^ 1<<n }

// bitTest executes BT (f nil), BTS, BTR and BTC. With a register bit offset and a memory operand the offset reaches beyond
// the operand (SDM 2A BT).
func (c *CPU) bitTest(in *decode.Inst, f aluFunc) bool {
	w := uint64(in.Size) * 8
	if in.Flags&decode.FlagMem == 0 || in.Form == decode.FormRM_I {
		n := uint64(in.Imm)
		if in.Form != decode.FormRM_I {
			n = c.reg(in.Reg, in.Size)
		}
		n &= w - 1
		var old uint64
		var ok bool
		if f == nil {
			old, ok = c.rm(in, in.Size)
		} else {
			old, ok = c.modify(in, in.Size, in.Flags&decode.FlagLock != 0, f, n)
		}
		if ok {
			c.setBitCF(old >> n)
		}
		return ok
	}
	off := int64(sext(c.reg(in.Reg, in.Size), in.Size))
	at := c.ea(in) + uint64(off>>(3+bits.TrailingZeros8(in.Size)))*uint64(in.Size)
	switch in.ASize {
	case 4:
		at &= 0xffffffff
	case 2:
		at &= 0xffff
	}
	n := uint64(off) & (w - 1)
	lin, ok := c.linear(in.Seg, at, in.Size, f != nil)
	if !ok {
		return false
	}
	if f == nil {
		old, ok := c.load(lin, in.Size)
		if ok {
			c.setBitCF(old >> n)
		}
		return ok
	}
	if in.Flags&decode.FlagLock != 0 {
		p, code, ok := c.atomicPtr(lin, in.Size)
		if !ok {
			return false
		}
		if p != nil {
			c.setBitCF(c.modifyAtomic(p, code, in.Size, f, n) >> n)
			return true
		}
	}
	old, ok := c.loadForWrite(lin, in.Size)
	if !ok || !c.store(lin, f(c, old, n), in.Size) {
		return false
	}
	c.setBitCF(old >> n)
	return true
}

// setBitCF sets CF alone: ZF is unchanged, and so are, in silicon, the undefined ones.
func (c *CPU) setBitCF(v uint64) { c.flags = c.rflags()&^x86.FlagCF | v&1 }

func opBt(c *CPU, in *decode.Inst) bool  { return c.bitTest(in, nil) }
func opBts(c *CPU, in *decode.Inst) bool { return c.bitTest(in, fnBts) }
func opBtr(c *CPU, in *decode.Inst) bool { return c.bitTest(in, fnBtr) }
func opBtc(c *CPU, in *decode.Inst) bool { return c.bitTest(in, fnBtc) }

// scan executes BSF and BSR: a zero source sets ZF and leaves the destination (all bits of it).
func (c *CPU) scan(in *decode.Inst, forward bool) bool {
	v, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	f := c.rflags() &^ x86.FlagZF
	if v == 0 {
		c.flags = f | x86.FlagZF
		return true
	}
	if forward {
		c.setReg(in.Reg, in.Size, uint64(bits.TrailingZeros64(v)))
	} else {
		c.setReg(in.Reg, in.Size, uint64(63-bits.LeadingZeros64(v)))
	}
	c.flags = f
	return true
}

// opBsf and opBsr: with F3 they would be TZCNT and LZCNT, which are not advertised, so F3 is ignored.
func opBsf(c *CPU, in *decode.Inst) bool { return c.scan(in, true) }
func opBsr(c *CPU, in *decode.Inst) bool { return c.scan(in, false) }

func opPopcnt(c *CPU, in *decode.Inst) bool {
	v, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	c.setReg(in.Reg, in.Size, uint64(bits.OnesCount64(v)))
	c.setArith(b2u(v == 0) << 6)
	return true
}

func opBswap(c *CPU, in *decode.Inst) bool {
	switch in.Size {
	case 8:
		c.regs[in.RM] = bits.ReverseBytes64(c.regs[in.RM])
	case 4:
		c.regs[in.RM] = uint64(bits.ReverseBytes32(uint32(c.regs[in.RM])))
	default:
		c.setReg(in.RM, 2, 0) // undefined by the manuals; zero in silicon
	}
	return true
}

// opCrc32 works on the Castagnoli polynomial without the inversions of the checksum.
func opCrc32(c *CPU, in *decode.Inst) bool {
	v, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	crc := uint32(c.regs[in.Reg])
	for i := uint8(0); i < in.Size; i++ {
		crc ^= uint32(v >> (8 * i) & 0xff)
		for k := 0; k < 8; k++ {
			crc = crc>>1 ^ crc32.Castagnoli&-(crc&1)
		}
	}
	c.regs[in.Reg] = uint64(crc)
	return true
}
