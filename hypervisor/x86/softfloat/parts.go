package softfloat

import "math/bits"

// Rem gives the remainder of a/b: of the quotient rounded to nearest (FPREM1), or cut off (FPREM). quotient holds its
// low bits. If the exponents differ by 64 or more, the reduction is partial: r is congruent, and smaller by 32 to 63 bits.
func (e *Env) Rem(a, b Num, nearest bool) (r Num, quotient uint64, partial bool) {
	if n, ok := e.nan(a, b); ok {
		return n, 0, false
	}
	if a.Class == Inf || b.Class == Zero {
		return e.invalid(), 0, false
	}
	e.denormal(a, b)
	d := a.Exp - b.Exp
	if a.Class == Zero || b.Class == Inf || d < -1 || d < 0 && !nearest {
		return e.same(a), 0, false
	}
	if d < 0 {
		if a.Sig <= b.Sig {
			return e.same(a), 0, false
		}
		b.Neg = !a.Neg
		return e.sumFinite(F80, a, b), 1, false
	}
	last := int32(0)
	if d >= 64 {
		last = d - (d&31 | 32)
	}
	sig, q := reduce(a.Sig, b.Sig, d-last)
	neg := a.Neg
	if nearest && last == 0 && (sig > b.Sig-sig || sig == b.Sig-sig && q&1 != 0) {
		sig, q, neg = b.Sig-sig, q+1, !neg
	}
	if sig == 0 {
		return Num{Neg: a.Neg}, q, last != 0
	}
	return e.norm(neg, b.Exp+last, sig, 0, F80, 64), q, last != 0
}

// same is a as a result: a denormal may be an unmasked underflow.
func (e *Env) same(a Num) Num {
	if a.Class != Finite {
		return a
	}
	return e.round(a.Neg, a.Exp, a.Sig, 0, F80, 64)
}

// reduce divides a*2^n by b and gives the remainder and the low bits of the quotient.
func reduce(a, b uint64, n int32) (r, q uint64) {
	carry := uint64(0)
	for r = a; ; n-- {
		if carry != 0 || r >= b {
			r -= b
			q |= 1
		}
		if n == 0 {
			return r, q
		}
		carry = r >> 63
		r, q = r<<1, q<<1
	}
}

// Scale gives a * 2^trunc(b).
func (e *Env) Scale(a, b Num) Num {
	if n, ok := e.nan(a, b); ok {
		return n
	}
	if b.Class == Inf {
		if a.Class == Zero && !b.Neg || a.Class == Inf && b.Neg {
			return e.invalid()
		}
		e.denormal(a, b)
		if b.Neg {
			return Num{Neg: a.Neg}
		}
		return Num{Class: Inf, Neg: a.Neg}
	}
	e.denormal(a, b)
	if a.Class != Finite {
		return a
	}
	n := int32(0)
	switch {
	case b.Class == Zero || b.Exp < 0:
	case b.Exp > 15:
		n = 1 << 16
	default:
		n = int32(b.Sig >> (63 - b.Exp))
	}
	if b.Neg {
		n = -n
	}
	return e.round(a.Neg, a.Exp+n, a.Sig, 0, F80, 64)
}

// Extract splits a into a significand in [1, 2) with a's sign and the exponent.
func (e *Env) Extract(a Num) (sig, exp Num) {
	switch a.Class {
	case Unsupported:
		n := e.invalid()
		return n, n
	case QNaN, SNaN:
		n := e.quiet(a)
		return n, n
	case Inf:
		return a, Num{Class: Inf}
	case Zero:
		e.Flags |= FlagDivZero
		return a, Num{Class: Inf, Neg: true}
	}
	e.denormal(a, a)
	return Num{Sig: a.Sig, Class: Finite, Neg: a.Neg}, e.FromInt(F80, int64(a.Exp))
}

// FromBCD converts 18 packed decimal digits: 16 in lo, 2 in the low byte of hi, whose bit 15 is the sign.
func (e *Env) FromBCD(lo uint64, hi uint16) Num {
	v := uint64(hi>>4&15)*10 + uint64(hi&15)
	for i := 60; i >= 0; i -= 4 {
		v = v*10 + lo>>i&15
	}
	n := Num{}
	if v != 0 {
		lz := bits.LeadingZeros64(v)
		n = Num{Sig: v << lz, Exp: 63 - int32(lz), Class: Finite}
	}
	n.Neg = hi>>15 != 0
	return n
}

// ToBCD is the reverse, rounding to an integer. What has more than 18 digits raises Invalid and gives the indefinite.
func (e *Env) ToBCD(a Num) (lo uint64, hi uint16) {
	var m uint64
	var up, inexact bool
	if a.Class == Finite && a.Exp < 60 {
		m, up, inexact = integral(a, e.Rounding)
	}
	if a.Class > Finite || a.Class == Finite && a.Exp >= 60 || m > 999_999_999_999_999_999 {
		e.Flags |= FlagInvalid
		return 0xc000000000000000, 0xffff
	}
	e.RoundedUp = up
	if inexact {
		e.Flags |= FlagInexact
	}
	for i := 0; i < 64; i += 4 {
		lo |= m % 10 << i
		m /= 10
	}
	hi = uint16(m%10 | m/10%10<<4)
	if a.Neg {
		hi |= 1 << 15
	}
	return lo, hi
}
