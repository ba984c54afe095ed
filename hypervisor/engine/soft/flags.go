package soft

import (
	"math/bits"

	"gozen/hypervisor/x86"
)

// Lazy flags. ccOp holds a class in its low byte and, above it, the number of bits by which operands were shifted
// to the top of a 64-bit word (0, 32, 48 or 56). With operands at the top, carry, sign, zero and overflow do not
// depend on the size.
//
//	ccFlags  all in c.flags
//	ccAdd    ccA + ccB
//	ccSub    ccA - ccB
//	ccLogic  result in ccA; CF, OF and AF are 0
//	ccInc    result in ccA; CF in ccB
//	ccDec    result in ccA; CF in ccB
//	ccRes    result in ccA; CF, OF and AF in ccB as flag bits
const (
	ccFlags = iota
	ccAdd
	ccSub
	ccLogic
	ccInc
	ccDec
	ccRes
)

const (
	cc64 = 0
	cc32 = 32 << 8
	cc16 = 48 << 8
	cc8  = 56 << 8
)

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func parity(v uint64) uint64 {
	return uint64(^bits.OnesCount8(uint8(v))&1) << 2
}

// arith gives the six arithmetic flags.
func (c *CPU) arith() uint64 {
	sh := c.ccOp >> 8 & 63
	a, b := c.ccA, c.ccB
	switch c.ccOp & 0xff {
	case ccAdd:
		r := a + b
		return b2u(r < a) | parity(r>>sh) | (a^b^r)>>sh&x86.FlagAF | zs(r) | (a^r)&(b^r)>>63<<11
	case ccSub:
		r := a - b
		return b2u(a < b) | parity(r>>sh) | (a^b^r)>>sh&x86.FlagAF | zs(r) | (a^b)&(a^r)>>63<<11
	case ccLogic:
		return parity(a>>sh) | zs(a)
	case ccInc:
		af := b2u(a>>sh&15 == 0) << 4
		return b | parity(a>>sh) | af | zs(a) | b2u(a == 1<<63)<<11
	case ccDec:
		af := b2u(a>>sh&15 == 15) << 4
		return b | parity(a>>sh) | af | zs(a) | b2u(a == ^uint64(0)>>1>>sh<<sh)<<11
	case ccRes:
		return b | parity(a>>sh) | zs(a)
	}
	return c.flags & x86.FlagsArith
}

// zs gives ZF and SF of a result at the top of the word.
func zs(r uint64) uint64 {
	f := r >> 63 << 7
	if r == 0 {
		f |= x86.FlagZF
	}
	return f
}

// rflags materialises the flags and gives RFLAGS.
func (c *CPU) rflags() uint64 {
	if c.ccOp&0xff != ccFlags {
		c.flags = c.flags&^x86.FlagsArith | c.arith()
		c.ccOp = ccFlags
	}
	return c.flags
}

// setArith replaces the six arithmetic flags.
func (c *CPU) setArith(f uint64) {
	c.flags = c.flags&^x86.FlagsArith | f
	c.ccOp = ccFlags
}

// cf gives the carry flag, 0 or 1.
func (c *CPU) cf() uint64 {
	switch c.ccOp & 0xff {
	case ccAdd:
		return b2u(c.ccA+c.ccB < c.ccA)
	case ccSub:
		return b2u(c.ccA < c.ccB)
	case ccLogic:
		return 0
	case ccInc, ccDec, ccRes:
		return c.ccB & 1
	}
	return c.flags & 1
}

// cond evaluates condition code cc, the low nibble of Jcc's opcode (SDM 1 appendix B).
func (c *CPU) cond(cc uint8) bool {
	var r bool
	switch c.ccOp & 0xff {
	case ccSub:
		a, b := c.ccA, c.ccB
		switch cc >> 1 & 7 {
		case 0:
			r = int64((a^b)&(a^(a-b))) < 0
		case 1:
			r = a < b
		case 2:
			r = a == b
		case 3:
			r = a <= b
		case 4:
			r = int64(a-b) < 0
		case 5:
			r = parity((a-b)>>(c.ccOp>>8&63)) != 0
		case 6:
			r = int64(a) < int64(b)
		case 7:
			r = int64(a) <= int64(b)
		}
	case ccLogic:
		a := c.ccA
		switch cc >> 1 & 7 {
		case 0, 1:
		case 2, 3:
			r = a == 0
		case 4, 6:
			r = int64(a) < 0
		case 5:
			r = parity(a>>(c.ccOp>>8&63)) != 0
		case 7:
			r = int64(a) <= 0
		}
	default:
		if cc>>1&7 == 2 && c.ccOp&0xff >= ccInc {
			r = c.ccA == 0
			break
		}
		r = condOf(cc, c.rflags())
	}
	return r != (cc&1 != 0)
}

// condOf evaluates the even condition of the pair cc belongs to, on materialised flags.
func condOf(cc uint8, f uint64) bool {
	switch cc >> 1 & 7 {
	case 0:
		return f&x86.FlagOF != 0
	case 1:
		return f&x86.FlagCF != 0
	case 2:
		return f&x86.FlagZF != 0
	case 3:
		return f&(x86.FlagCF|x86.FlagZF) != 0
	case 4:
		return f&x86.FlagSF != 0
	case 5:
		return f&x86.FlagPF != 0
	case 6:
		return (f>>7^f>>11)&1 != 0
	}
	return f&x86.FlagZF != 0 || (f>>7^f>>11)&1 != 0
}
