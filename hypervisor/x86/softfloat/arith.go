package softfloat

import (
	"math"
	"math/bits"
)

// Add gives a+b, rounded for f.
func (e *Env) Add(f *Format, a, b Num) Num { return e.sum(f, a, b, false) }

// Sub gives a-b, rounded for f.
func (e *Env) Sub(f *Format, a, b Num) Num { return e.sum(f, a, b, true) }

func (e *Env) sum(f *Format, a, b Num, sub bool) Num {
	a, b = e.daz(a), e.daz(b)
	if r, ok := e.nan(a, b); ok {
		return r
	}
	bneg := b.Neg != sub
	if a.Class == Inf || b.Class == Inf {
		if a.Class == Inf && b.Class == Inf && a.Neg != bneg {
			return e.invalid()
		}
		e.denormal(a, b)
		if a.Class == Inf {
			return a
		}
		return Num{Class: Inf, Neg: bneg}
	}
	e.denormal(a, b)
	b.Neg = bneg
	switch {
	case a.Class == Zero && b.Class == Zero:
		if a.Neg != b.Neg {
			return Num{Neg: e.Rounding == Down}
		}
		return a
	case a.Class == Zero:
		return e.round(b.Neg, b.Exp, b.Sig, 0, f, e.prec(f))
	case b.Class == Zero:
		return e.round(a.Neg, a.Exp, a.Sig, 0, f, e.prec(f))
	}
	return e.sumFinite(f, a, b)
}

func (e *Env) sumFinite(f *Format, a, b Num) Num {
	if a.Exp < b.Exp || a.Exp == b.Exp && a.Sig < b.Sig {
		a, b = b, a
	}
	bhi, blo := shiftRight(b.Sig, 0, uint(a.Exp-b.Exp))
	if a.Neg == b.Neg {
		lo := blo
		hi, carry := bits.Add64(a.Sig, bhi, 0)
		exp := a.Exp
		if carry != 0 {
			hi, lo = shiftRight(hi, lo, 1)
			hi |= intBit
			exp++
		}
		return e.round(a.Neg, exp, hi, lo, f, e.prec(f))
	}
	lo, borrow := bits.Sub64(0, blo, 0)
	hi, _ := bits.Sub64(a.Sig, bhi, borrow)
	if hi|lo == 0 {
		return Num{Neg: e.Rounding == Down}
	}
	return e.norm(a.Neg, a.Exp, hi, lo, f, e.prec(f))
}

// norm is round for a significand that is not normalised; hi:lo is not zero.
func (e *Env) norm(neg bool, exp int32, hi, lo uint64, f *Format, prec uint) Num {
	if hi == 0 {
		hi, lo, exp = lo, 0, exp-64
	}
	if n := uint(bits.LeadingZeros64(hi)); n > 0 {
		hi, lo, exp = hi<<n|lo>>(64-n), lo<<n, exp-int32(n)
	}
	return e.round(neg, exp, hi, lo, f, prec)
}

// Mul gives a*b, rounded for f.
func (e *Env) Mul(f *Format, a, b Num) Num {
	a, b = e.daz(a), e.daz(b)
	if r, ok := e.nan(a, b); ok {
		return r
	}
	neg := a.Neg != b.Neg
	if a.Class == Inf || b.Class == Inf {
		if a.Class == Zero || b.Class == Zero {
			return e.invalid()
		}
		e.denormal(a, b)
		return Num{Class: Inf, Neg: neg}
	}
	e.denormal(a, b)
	if a.Class == Zero || b.Class == Zero {
		return Num{Neg: neg}
	}
	hi, lo := bits.Mul64(a.Sig, b.Sig)
	return e.norm(neg, a.Exp+b.Exp+1, hi, lo, f, e.prec(f))
}

// Div gives a/b, rounded for f.
func (e *Env) Div(f *Format, a, b Num) Num {
	a, b = e.daz(a), e.daz(b)
	if r, ok := e.nan(a, b); ok {
		return r
	}
	neg := a.Neg != b.Neg
	switch {
	case a.Class == Inf && b.Class == Inf, a.Class == Zero && b.Class == Zero:
		return e.invalid()
	case a.Class == Inf:
		e.denormal(a, b)
		return Num{Class: Inf, Neg: neg}
	case b.Class == Zero:
		e.Flags |= FlagDivZero
		return Num{Class: Inf, Neg: neg}
	}
	e.denormal(a, b)
	if a.Class == Zero || b.Class == Inf {
		return Num{Neg: neg}
	}
	hi, lo, exp := quotient(a, b)
	return e.round(neg, exp, hi, lo, f, e.prec(f))
}

// quotient divides the significands to 128 bits, the last one sticky.
func quotient(a, b Num) (hi, lo uint64, exp int32) {
	exp = a.Exp - b.Exp
	var r uint64
	if a.Sig < b.Sig {
		exp--
		hi, r = bits.Div64(a.Sig, 0, b.Sig)
	} else {
		hi, r = bits.Div64(a.Sig>>1, a.Sig<<63, b.Sig)
	}
	lo, r = bits.Div64(r, 0, b.Sig)
	return hi, lo | sticky(r), exp
}

// Sqrt gives the square root of a, rounded for f.
func (e *Env) Sqrt(f *Format, a Num) Num {
	a = e.daz(a)
	if r, ok := e.nan(a, a); ok {
		return r
	}
	if a.Class == Zero {
		return a
	}
	if a.Neg {
		return e.invalid()
	}
	if a.Class == Inf {
		return a
	}
	e.denormal(a, a)
	hi, lo := a.Sig>>1, a.Sig<<63 // Sig * 2^63
	exp := a.Exp >> 1
	if a.Exp&1 != 0 {
		hi, lo = a.Sig, 0
	}
	root, rest := root128(hi, lo)
	lo = 0
	switch {
	case rest > root: // more than half: hi:lo - root^2 > root
		lo = 1<<63 | 1
	case rest != 0:
		lo = 1
	}
	return e.round(false, exp, root, lo, f, e.prec(f))
}

// root128 gives the integer square root of hi:lo, which is at least 2^126, and what is left, cut to 64 bits of ones.
func root128(hi, lo uint64) (root, rest uint64) {
	est := math.Sqrt(float64(hi)) * (1 << 32)
	root = ^uint64(0)
	if est < 1<<64 {
		root = uint64(est)
	}
	if root > hi {
		q, _ := bits.Div64(hi, lo, root)
		sum, carry := bits.Add64(root, q, 0)
		root = sum>>1 | carry<<63
	}
	for {
		phi, plo := bits.Mul64(root, root)
		l, borrow := bits.Sub64(lo, plo, 0)
		h, borrow := bits.Sub64(hi, phi, borrow)
		switch twice := root >> 63; {
		case borrow != 0:
			root--
		case h > twice || h == twice && l > root<<1:
			root++
		case h != 0:
			return root, ^uint64(0)
		default:
			return root, l
		}
	}
}

// Order is the result of a comparison.
type Order uint8

// The results.
const (
	Less Order = iota
	Equal
	Greater
	Unordered
)

// Compare compares a with b. A quiet comparison raises Invalid only for signaling NaNs.
func (e *Env) Compare(a, b Num, quiet bool) Order {
	a, b = e.daz(a), e.daz(b)
	if a.Class >= QNaN || b.Class >= QNaN {
		if !quiet || a.Class >= SNaN || b.Class >= SNaN {
			e.Flags |= FlagInvalid
		}
		return Unordered
	}
	e.denormal(a, b)
	return order(a, b)
}

func order(a, b Num) Order {
	if a.Class == Zero && b.Class == Zero {
		return Equal
	}
	if a.Class == Zero {
		return orderOf(b.Neg)
	}
	if b.Class == Zero {
		return orderOf(!a.Neg)
	}
	if a.Neg != b.Neg {
		return orderOf(!a.Neg)
	}
	m := magnitude(a, b)
	if m == Equal {
		return Equal
	}
	return orderOf((m == Greater) != a.Neg)
}

func orderOf(greater bool) Order {
	if greater {
		return Greater
	}
	return Less
}

// magnitude compares the absolute values of finite numbers other than zero and infinities.
func magnitude(a, b Num) Order {
	switch {
	case a.Class == Inf && b.Class == Inf:
		return Equal
	case a.Class == Inf || b.Class == Inf:
		return orderOf(a.Class == Inf)
	case a.Exp != b.Exp:
		return orderOf(a.Exp > b.Exp)
	case a.Sig != b.Sig:
		return orderOf(a.Sig > b.Sig)
	}
	return Equal
}

// Pick is MINSS, MINSD and MAXSS, MAXSD: with a NaN, or with two zeros, it is the second operand. It raises Invalid for every NaN.
func (e *Env) Pick(a, b Num, largest bool) (first bool) {
	o := e.Compare(a, b, false)
	return o == Less && !largest || o == Greater && largest
}
