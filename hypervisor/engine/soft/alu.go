package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// An aluFunc computes the result of a two-operand instruction and leaves its flags. c.sh is 64 minus the operand
// size in bits; the result may have garbage above the operand size.
type aluFunc = func(c *CPU, a, b uint64) uint64

func (c *CPU) setSize(size uint8) { c.sh = 64 - 8*uint32(size) }

func fnAdd(c *CPU, a, b uint64) uint64 {
	c.ccA, c.ccB, c.ccOp = a<<c.sh, b<<c.sh, ccAdd|c.sh<<8
	return a + b
}

func fnSub(c *CPU, a, b uint64) uint64 {
	c.ccA, c.ccB, c.ccOp = a<<c.sh, b<<c.sh, ccSub|c.sh<<8
	return a - b
}

func fnLogic(c *CPU, r uint64) uint64 {
	c.ccA, c.ccOp = r<<c.sh, ccLogic|c.sh<<8
	return r
}

func fnOr(c *CPU, a, b uint64) uint64  { return fnLogic(c, a|b) }
func fnAnd(c *CPU, a, b uint64) uint64 { return fnLogic(c, a&b) }
func fnXor(c *CPU, a, b uint64) uint64 { return fnLogic(c, a^b) }

func fnAdc(c *CPU, a, b uint64) uint64 {
	cf := c.cf()
	r := a + b + cf
	x, y, z := a<<c.sh, b<<c.sh, r<<c.sh
	carry := (x&y | (x|y)&^z) >> 63
	over := (x ^ z) & (y ^ z) >> 63
	c.ccA, c.ccB = z, carry|(a^b^r)&x86.FlagAF|over<<11
	c.ccOp = ccRes | c.sh<<8
	return r
}

func fnSbb(c *CPU, a, b uint64) uint64 {
	cf := c.cf()
	r := a - b - cf
	x, y, z := a<<c.sh, b<<c.sh, r<<c.sh
	borrow := (^x&y | (^x|y)&z) >> 63
	over := (x ^ y) & (x ^ z) >> 63
	c.ccA, c.ccB = z, borrow|(a^b^r)&x86.FlagAF|over<<11
	c.ccOp = ccRes | c.sh<<8
	return r
}

func fnInc(c *CPU, a, _ uint64) uint64 {
	c.ccB = c.cf()
	c.ccA, c.ccOp = (a+1)<<c.sh, ccInc|c.sh<<8
	return a + 1
}

func fnDec(c *CPU, a, _ uint64) uint64 {
	c.ccB = c.cf()
	c.ccA, c.ccOp = (a-1)<<c.sh, ccDec|c.sh<<8
	return a - 1
}

func fnNeg(c *CPU, a, _ uint64) uint64 { return fnSub(c, 0, a) }
func fnNot(_ *CPU, a, _ uint64) uint64 { return ^a }

// binary executes the eight ALU operations in all forms.
func (c *CPU) binary(in *decode.Inst, f aluFunc) bool {
	b, ok := c.src(in)
	if !ok {
		return false
	}
	c.setSize(in.Size)
	if in.Form == decode.FormR_RM {
		c.setReg(in.Reg, in.Size, f(c, c.reg(in.Reg, in.Size), b))
		return true
	}
	_, ok = c.modify(in, in.Size, in.Flags&decode.FlagLock != 0, f, b)
	return ok
}

func opAdd(c *CPU, in *decode.Inst) bool { return c.binary(in, fnAdd) }
func opOr(c *CPU, in *decode.Inst) bool  { return c.binary(in, fnOr) }
func opAdc(c *CPU, in *decode.Inst) bool { return c.binary(in, fnAdc) }
func opSbb(c *CPU, in *decode.Inst) bool { return c.binary(in, fnSbb) }
func opAnd(c *CPU, in *decode.Inst) bool { return c.binary(in, fnAnd) }
func opSub(c *CPU, in *decode.Inst) bool { return c.binary(in, fnSub) }
func opXor(c *CPU, in *decode.Inst) bool { return c.binary(in, fnXor) }

func opCmp(c *CPU, in *decode.Inst) bool  { return c.compare(in, fnSub) }
func opTest(c *CPU, in *decode.Inst) bool { return c.compare(in, fnAnd) }

func (c *CPU) compare(in *decode.Inst, f aluFunc) bool {
	b, ok := c.src(in)
	if !ok {
		return false
	}
	a := c.reg(in.Reg, in.Size)
	if in.Form != decode.FormR_RM {
		if a, ok = c.rm(in, in.Size); !ok {
			return false
		}
	}
	c.setSize(in.Size)
	f(c, a, b)
	return true
}

func (c *CPU) unary(in *decode.Inst, f aluFunc) bool {
	c.setSize(in.Size)
	_, ok := c.modify(in, in.Size, in.Flags&decode.FlagLock != 0, f, 0)
	return ok
}

func opInc(c *CPU, in *decode.Inst) bool { return c.unary(in, fnInc) }
func opDec(c *CPU, in *decode.Inst) bool { return c.unary(in, fnDec) }
func opNeg(c *CPU, in *decode.Inst) bool { return c.unary(in, fnNeg) }
func opNot(c *CPU, in *decode.Inst) bool { return c.unary(in, fnNot) }

func fnSwap(_ *CPU, _, b uint64) uint64 { return b }

// opXchg is always locked with a memory operand (SDM 2D XCHG).
func opXchg(c *CPU, in *decode.Inst) bool {
	if in.Form == decode.FormO {
		a, b := c.reg(0, in.Size), c.reg(in.RM, in.Size)
		c.setReg(0, in.Size, b)
		c.setReg(in.RM, in.Size, a)
		return true
	}
	old, ok := c.modify(in, in.Size, true, fnSwap, c.reg(in.Reg, in.Size))
	if ok {
		c.setReg(in.Reg, in.Size, old)
	}
	return ok
}

func opXadd(c *CPU, in *decode.Inst) bool {
	c.setSize(in.Size)
	b := c.reg(in.Reg, in.Size)
	if in.Flags&decode.FlagMem == 0 {
		a := c.reg(in.RM, in.Size)
		sum := fnAdd(c, a, b)
		c.setReg(in.Reg, in.Size, a)
		c.setReg(in.RM, in.Size, sum)
		return true
	}
	old, ok := c.modify(in, in.Size, in.Flags&decode.FlagLock != 0, fnAdd, b)
	if ok {
		c.setReg(in.Reg, in.Size, old)
	}
	return ok
}

func opCmpxchg(c *CPU, in *decode.Inst) bool {
	size := in.Size
	acc, src := c.reg(0, size), c.reg(in.Reg, size)
	c.setSize(size)
	if in.Flags&decode.FlagMem == 0 {
		old := c.reg(in.RM, size)
		fnSub(c, acc, old)
		if old == acc {
			c.setReg(in.RM, size, src)
		} else {
			c.setReg(0, size, old)
		}
		return true
	}
	lin, ok := c.lin(in, size, true)
	if !ok {
		return false
	}
	p, code, ok := c.atomicPtr(lin, size)
	if !ok {
		return false
	}
	var old uint64
	if p != nil {
		for {
			if old = peek(p, size); old != acc || cas(p, acc, src, size) {
				break
			}
		}
		if code != 0 && old == acc {
			c.wroteCode(gpaOf(code), uint64(size))
		}
	} else {
		if old, ok = c.load(lin, size); !ok {
			return false
		}
		v := old
		if old == acc {
			v = src
		}
		if !c.store(lin, v, size) { // the destination is written in any case
			return false
		}
	}
	fnSub(c, acc, old)
	if old != acc {
		c.setReg(0, size, old)
	}
	return true
}

// opCmpxchg8b covers CMPXCHG8B and CMPXCHG16B.
func opCmpxchg8b(c *CPU, in *decode.Inst) bool {
	half := in.Size / 2
	lin, ok := c.lin(in, in.Size, true)
	if !ok {
		return false
	}
	if half == 8 && lin&15 != 0 {
		return c.gp(0)
	}
	if !c.probe(lin, in.Size, accWrite) {
		return false
	}
	if lin&(uint64(in.Size)-1) != 0 {
		return c.cmpxchgSplit(in, lin)
	}
	p, code, ok := c.atomicPtr(lin, in.Size)
	if !ok {
		return false
	}
	if p == nil {
		return c.cmpxchgSplit(in, lin)
	}
	accLo, accHi := c.reg(x86.RAX, half), c.reg(x86.RDX, half)
	newLo, newHi := c.reg(x86.RBX, half), c.reg(x86.RCX, half)
	var lo, hi uint64
	var done bool
	if half == 8 {
		lo, hi, done = c.vm.cas16(p, accLo, accHi, newLo, newHi)
	} else {
		for v := peek(p, 8); ; v = peek(p, 8) {
			lo, hi = v&0xffffffff, v>>32
			if lo != accLo || hi != accHi {
				break
			}
			if done = cas(p, v, newLo|newHi<<32, 8); done {
				break
			}
		}
	}
	if done && code != 0 {
		c.wroteCode(gpaOf(code), uint64(in.Size))
	}
	c.finishExchange(half, lo, hi, done)
	return true
}

// finishExchange sets ZF and, if memory differed, loads the accumulator pair.
func (c *CPU) finishExchange(half uint8, lo, hi uint64, done bool) {
	f := c.rflags() &^ x86.FlagZF
	if done {
		f |= x86.FlagZF
	} else {
		c.setReg(x86.RAX, half, lo)
		c.setReg(x86.RDX, half, hi)
	}
	c.flags = f
}

// cmpxchgSplit does the exchange by plain loads and stores: operands that are misaligned or not in plain memory.
func (c *CPU) cmpxchgSplit(in *decode.Inst, lin uint64) bool {
	half := in.Size / 2
	lo, ok := c.load(lin, half)
	if !ok {
		return false
	}
	hi, ok := c.load(c.wrap(lin+uint64(half)), half)
	if !ok {
		return false
	}
	done := lo == c.reg(x86.RAX, half) && hi == c.reg(x86.RDX, half)
	newLo, newHi := lo, hi
	if done {
		newLo, newHi = c.reg(x86.RBX, half), c.reg(x86.RCX, half)
	}
	if !c.store(lin, newLo, half) || !c.store(c.wrap(lin+uint64(half)), newHi, half) {
		return false
	}
	c.finishExchange(half, lo, hi, done)
	return true
}
