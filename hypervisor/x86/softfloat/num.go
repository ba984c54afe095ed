package softfloat

import "math/bits"

// Class of a number.
type Class uint8

// The classes. Unsupported is a double extended encoding that is none (SDM 1 8.2.2).
const (
	Zero Class = iota
	Finite
	Inf
	QNaN
	SNaN
	Unsupported
)

// Num is an unpacked number: for Finite, (-1)^Neg * Sig/2^63 * 2^Exp. Bit 63 of Sig is set, except in a result
// that Round made denormal. A NaN's Sig is its significand, left-justified with the integer bit set.
type Num struct {
	Sig    uint64
	Exp    int32
	Class  Class
	Neg    bool
	Denorm bool // came from, or is to become, a denormal
}

// Format is a binary format.
type Format struct {
	prec       uint // bits of the significand with the integer bit
	emin, emax int32
}

// The formats (SDM 1 table 4-3).
var (
	F32 = &Format{24, -126, 127}
	F64 = &Format{53, -1022, 1023}
	F80 = &Format{64, -16382, 16383}
)

const (
	intBit   = 1 << 63
	quietBit = 1 << 62
)

// IsNaN reports whether n is a NaN of either kind.
func (n Num) IsNaN() bool { return n.Class == QNaN || n.Class == SNaN }

// Unpack takes the bits of a single or double.
func (f *Format) Unpack(v uint64) Num {
	width := f.prec - 1
	ebits := uint(8)
	if f == F64 {
		ebits = 11
	}
	n := Num{Neg: v>>(width+ebits)&1 != 0}
	e := int32(v >> width & (1<<ebits - 1))
	sig := v << (64 - width) >> 1
	switch {
	case e == 0 && sig == 0:
	case e == 0:
		lz := bits.LeadingZeros64(sig)
		n.Sig, n.Exp, n.Class, n.Denorm = sig<<lz, f.emin-int32(lz), Finite, true
	case e <= f.emax*2:
		n.Sig, n.Exp, n.Class = sig|intBit, e-f.emax, Finite
	case sig == 0:
		n.Class = Inf
	case sig&quietBit != 0:
		n.Sig, n.Class = sig|intBit, QNaN
	default:
		n.Sig, n.Class = sig|intBit, SNaN
	}
	return n
}

// Pack makes the bits of a single or double out of a number rounded for the format.
func (f *Format) Pack(n Num) uint64 {
	width := f.prec - 1
	ebits := uint(8)
	if f == F64 {
		ebits = 11
	}
	v := uint64(0)
	if n.Neg {
		v = 1 << (width + ebits)
	}
	switch n.Class {
	case Zero:
		return v
	case Inf:
		return v | (1<<ebits-1)<<width
	case Finite:
		if n.Sig&intBit != 0 {
			v |= uint64(n.Exp+f.emax) << width
		}
		return v | n.Sig<<1>>(64-width)
	}
	return v | (1<<ebits-1)<<width | n.Sig<<1>>(64-width)
}

// Unpack80 takes a double extended value: its significand, and its sign and exponent.
func Unpack80(sig uint64, se uint16) Num {
	n := Num{Neg: se>>15 != 0}
	e := int32(se & 0x7fff)
	switch {
	case sig == 0 && e == 0:
	case e == 0:
		lz := bits.LeadingZeros64(sig)
		n.Sig, n.Exp, n.Class, n.Denorm = sig<<lz, F80.emin-int32(lz), Finite, true
	case sig&intBit == 0:
		n.Sig, n.Class = sig, Unsupported
	case e < 0x7fff:
		n.Sig, n.Exp, n.Class = sig, e-F80.emax, Finite
	case sig == intBit:
		n.Class = Inf
	case sig&quietBit != 0:
		n.Sig, n.Class = sig, QNaN
	default:
		n.Sig, n.Class = sig, SNaN
	}
	return n
}

// Pack80 is the inverse of Unpack80.
func Pack80(n Num) (sig uint64, se uint16) {
	if n.Neg {
		se = 1 << 15
	}
	switch n.Class {
	case Zero:
		return 0, se
	case Inf:
		return intBit, se | 0x7fff
	case Finite:
		if n.Sig&intBit != 0 {
			se |= uint16(n.Exp+F80.emax) & 0x7fff
		}
		return n.Sig, se
	}
	return n.Sig | intBit, se | 0x7fff
}
