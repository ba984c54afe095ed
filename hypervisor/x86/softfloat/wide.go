package softfloat

import "math/bits"

// wide is a number with about 126 significant bits, for intermediate results: (-1)^neg * (hi + lo/2^64)/2^63 * 2^exp, zero if hi is 0.
type wide struct {
	neg    bool
	exp    int32
	hi, lo uint64
}

func wideOf(n Num) wide { return wide{n.Neg, n.Exp, n.Sig, 0} }

func wideInt(v int64) wide {
	if v == 0 {
		return wide{}
	}
	m := uint64(v)
	if v < 0 {
		m = -m
	}
	lz := bits.LeadingZeros64(m)
	return wide{v < 0, 63 - int32(lz), m << lz, 0}
}

// Constants: pi/2, ln 2, 1/ln 2.
var (
	widePi2   = wide{false, 0, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1}
	wideLn2   = wide{false, -1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af}
	wideLog2e = wide{false, 0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e88}
	wideOne   = wide{false, 0, intBit, 0}
)

func (a wide) negate() wide { a.neg = !a.neg; return a }

// scaled is a * 2^n.
func (a wide) scaled(n int32) wide {
	a.exp += n
	return a
}

func (a wide) mul(b wide) wide {
	if a.hi == 0 || b.hi == 0 {
		return wide{}
	}
	hi, lo := bits.Mul64(a.hi, b.hi)
	x, _ := bits.Mul64(a.hi, b.lo)
	y, _ := bits.Mul64(a.lo, b.hi)
	var c uint64
	lo, c = bits.Add64(lo, x, 0)
	hi += c
	lo, c = bits.Add64(lo, y, 0)
	hi += c
	return wide{a.neg != b.neg, a.exp + b.exp + 1, hi, lo}.normal()
}

func (a wide) normal() wide {
	if a.hi == 0 {
		if a.lo == 0 {
			return wide{}
		}
		a.hi, a.lo, a.exp = a.lo, 0, a.exp-64
	}
	if n := uint(bits.LeadingZeros64(a.hi)); n > 0 {
		a.hi, a.lo, a.exp = a.hi<<n|a.lo>>(64-n), a.lo<<n, a.exp-int32(n)
	}
	return a
}

func (a wide) less(b wide) bool {
	if a.exp != b.exp {
		return a.exp < b.exp
	}
	return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo
}

func (a wide) add(b wide) wide {
	if a.hi == 0 {
		return b
	}
	if b.hi == 0 {
		return a
	}
	if a.less(b) {
		a, b = b, a
	}
	if a.exp-b.exp > 127 {
		return a
	}
	bh, bl := shiftRight(b.hi, b.lo, uint(a.exp-b.exp))
	if a.neg == b.neg {
		lo, c := bits.Add64(a.lo, bl, 0)
		hi, c := bits.Add64(a.hi, bh, c)
		if c != 0 {
			hi, lo = hi>>1|intBit, lo>>1|hi<<63
			a.exp++
		}
		a.hi, a.lo = hi, lo
		return a
	}
	lo, c := bits.Sub64(a.lo, bl, 0)
	hi, _ := bits.Sub64(a.hi, bh, c)
	a.hi, a.lo = hi, lo
	return a.normal()
}

func (a wide) sub(b wide) wide { return a.add(b.negate()) }

// div divides in two steps of 64 bits; b is not zero.
func (a wide) div(b wide) wide {
	if a.hi == 0 {
		return a
	}
	q := a.quotient(b)
	rest := a.sub(q.mul(b))
	if rest.hi == 0 {
		return q
	}
	return q.add(rest.quotient(b))
}

// quotient gives the first 62 bits or so of a/b.
func (a wide) quotient(b wide) wide {
	hi, _, exp := quotient(Num{Sig: a.hi, Exp: a.exp}, Num{Sig: b.hi, Exp: b.exp})
	return wide{a.neg != b.neg, exp, hi, 0}
}

// below is a, or if that is still x, the next number towards zero: the rest of an alternating series was too small to show.
func (a wide) below(x wide) wide {
	if a != x || a.hi == 0 {
		return a
	}
	lo, borrow := bits.Sub64(a.lo, 1, 0)
	a.hi, a.lo = a.hi-borrow, lo
	return a.normal()
}

// result rounds an approximation, which is taken to be inexact.
func (e *Env) result(a wide) Num {
	if a.hi == 0 {
		return Num{Neg: a.neg}
	}
	return e.round(a.neg, a.exp, a.hi, a.lo|1, F80, 64)
}
