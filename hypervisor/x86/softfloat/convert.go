package softfloat

import "math/bits"

// Convert rounds a number of one format for another: denormal operands and signaling NaNs raise their flags.
func (e *Env) Convert(f *Format, a Num) Num {
	a = e.daz(a)
	switch a.Class {
	case Unsupported:
		return e.invalid()
	case QNaN, SNaN:
		a = e.quiet(a)
		a.Sig &= ^uint64(0) << (64 - f.prec)
		return a
	case Finite:
		e.denormal(a, a)
		return e.round(a.Neg, a.Exp, a.Sig, 0, f, f.prec)
	}
	return a
}

// Store is Convert without the denormal flag, for x87 stores.
func (e *Env) Store(f *Format, a Num) Num {
	a.Denorm = false
	return e.Convert(f, a)
}

// FromInt converts an integer.
func (e *Env) FromInt(f *Format, v int64) Num {
	if v == 0 {
		return Num{}
	}
	m := uint64(v)
	if v < 0 {
		m = -m
	}
	return e.norm(v < 0, 63, m, 0, f, f.prec)
}

// ToInt converts to a signed integer of width bits, rounding by r. NaNs and values out of range raise Invalid and give the
// most negative integer, the integer indefinite.
func (e *Env) ToInt(a Num, width uint, r Rounding) int64 {
	indefinite := int64(-1) << (width - 1)
	a = e.daz(a)
	switch {
	case a.Class == Zero:
		return 0
	case a.Class != Finite || a.Exp >= int32(width):
		e.Flags |= FlagInvalid
		return indefinite
	}
	m, up, inexact := integral(a, r)
	limit := uint64(1)<<(width-1) - 1
	if a.Neg {
		limit++
	}
	if m > limit {
		e.Flags |= FlagInvalid
		return indefinite
	}
	e.RoundedUp = up
	if inexact {
		e.Flags |= FlagInexact
	}
	if a.Neg {
		return -int64(m)
	}
	return int64(m)
}

// integral rounds |a|, which is below 2^64, to an integer (2^64 comes out as 0 with up).
func integral(a Num, r Rounding) (m uint64, up, inexact bool) {
	hi, lo := shiftRight(a.Sig, 0, uint(63-a.Exp))
	m, up, inexact, _ = r.cut(a.Neg, hi, lo, 64)
	return m, up, inexact
}

// RoundInt rounds to an integral value of the same format. quiet suppresses Inexact.
func (e *Env) RoundInt(f *Format, a Num, r Rounding, quiet bool) Num {
	a = e.daz(a)
	if n, ok := e.nan(a, a); ok {
		return n
	}
	if a.Class != Finite {
		return a
	}
	if e.X87 {
		e.denormal(a, a)
	}
	if a.Exp >= 63 {
		return a
	}
	m, up, inexact := integral(a, r)
	e.RoundedUp = up
	if inexact && !quiet {
		e.Flags |= FlagInexact
	}
	if m == 0 {
		return Num{Neg: a.Neg}
	}
	lz := bits.LeadingZeros64(m)
	return Num{Sig: m << lz, Exp: 63 - int32(lz), Class: Finite, Neg: a.Neg}
}
