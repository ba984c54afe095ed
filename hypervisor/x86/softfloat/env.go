package softfloat

// Exception flags, as the low bits of MXCSR and of the x87 status word have them.
const (
	FlagInvalid   = 1 << 0
	FlagDenormal  = 1 << 1
	FlagDivZero   = 1 << 2
	FlagOverflow  = 1 << 3
	FlagUnderflow = 1 << 4
	FlagInexact   = 1 << 5

	// FlagsPre are those found before a result is computed: unmasked, they keep the result from being computed.
	FlagsPre = FlagInvalid | FlagDenormal | FlagDivZero
)

// Rounding is a rounding mode, encoded as in MXCSR and the x87 control word.
type Rounding uint8

// The rounding modes (SDM 1 table 4-8).
const (
	Nearest Rounding = iota
	Down
	Up
	Truncate
)

// Env is what a computation depends on besides its operands, and where its flags gather. The zero value rounds to nearest with
// all exceptions unmasked.
type Env struct {
	Rounding Rounding
	Masks    uint8 // masked exceptions, Flag* bits
	FTZ, DAZ bool
	// X87 selects x87 NaN rules, and scaled results of unmasked overflow and underflow.
	X87  bool
	Prec uint8 // x87 precision control: bits of the significand, 24, 53 or 64

	Flags     uint8 // raised so far
	Done      uint8 // raised by the finished stages of a compound operation
	RoundedUp bool  // the last rounding increased the magnitude (C1)
}

// Indefinite is the default NaN.
var Indefinite = Num{Sig: intBit | quietBit, Class: QNaN, Neg: true}

func (e *Env) invalid() Num {
	e.Flags |= FlagInvalid
	return Indefinite
}

// daz replaces a denormal by zero if DAZ says so.
func (e *Env) daz(n Num) Num {
	if e.DAZ && n.Denorm {
		return Num{Neg: n.Neg}
	}
	return n
}

func (e *Env) denormal(a, b Num) {
	if a.Denorm || b.Denorm {
		e.Flags |= FlagDenormal
	}
}

// quiet makes a NaN quiet, raising Invalid if it was signaling.
func (e *Env) quiet(n Num) Num {
	if n.Class == SNaN {
		e.Flags |= FlagInvalid
		n.Class, n.Sig = QNaN, n.Sig|quietBit
	}
	return n
}

// nan gives the result of an operation with a NaN or an unsupported operand; ok is false if neither operand is one. SSE: the first
// NaN (SDM 1 table 4-7). x87: a quiet one before a signaling one, then the greater significand, then the positive one.
func (e *Env) nan(a, b Num) (r Num, ok bool) {
	if a.Class < QNaN && b.Class < QNaN {
		return Num{}, false
	}
	if a.Class == Unsupported || b.Class == Unsupported {
		return e.invalid(), true
	}
	if a.Class == SNaN || b.Class == SNaN {
		e.Flags |= FlagInvalid
	}
	r = a
	switch {
	case !a.IsNaN():
		r = b
	case !b.IsNaN() || !e.X87:
	case a.Class != b.Class:
		if a.Class == SNaN {
			r = b
		}
	case b.Sig > a.Sig || b.Sig == a.Sig && !b.Neg:
		r = b
	}
	r.Class, r.Sig = QNaN, r.Sig|quietBit
	return r, true
}

// shiftRight shifts hi:lo right by n bits; bits shifted out are kept as a set lowest bit.
func shiftRight(hi, lo uint64, n uint) (uint64, uint64) {
	switch {
	case n == 0:
		return hi, lo
	case n < 64:
		return hi >> n, lo>>n | hi<<(64-n) | sticky(lo<<(64-n))
	case n == 64:
		return 0, hi | sticky(lo)
	case n < 128:
		n -= 64
		return 0, hi>>n | sticky(hi<<(64-n)|lo)
	}
	return 0, sticky(hi | lo)
}

func sticky(v uint64) uint64 {
	if v != 0 {
		return 1
	}
	return 0
}

// increments reports whether rounding goes away from zero: rem is the part cut off, as a fraction of 2^64 of the last place.
func (r Rounding) increments(neg, odd bool, rem uint64) bool {
	switch r {
	case Nearest:
		return rem > 1<<63 || rem == 1<<63 && odd
	case Down:
		return neg && rem != 0
	case Up:
		return !neg && rem != 0
	}
	return false
}

// cut rounds hi:lo to prec bits below bit 63 of hi. carry: the result is 2^64.
func (r Rounding) cut(neg bool, hi, lo uint64, prec uint) (sig uint64, up, inexact, carry bool) {
	rem, ulp := lo, uint64(1)
	if prec < 64 {
		rem = hi<<prec | sticky(lo)
		ulp = 1 << (64 - prec)
		hi &^= ulp - 1
	}
	if r.increments(neg, hi&ulp != 0, rem) {
		hi += ulp
		return hi, true, true, hi == 0
	}
	return hi, false, rem != 0, false
}

func (e *Env) prec(f *Format) uint {
	if f == F80 && e.X87 {
		return uint(e.Prec)
	}
	return f.prec
}

// x87Wrap is what the exponent of an x87 result is adjusted by on unmasked overflow and underflow (SDM 1 8.5.4).
const x87Wrap = 24576

// round makes a result of (-1)^neg * (hi + lo/2^64)/2^63 * 2^exp, bit 63 of hi set, with prec bits. An exponent that the
// adjustment for unmasked exceptions does not bring into range gives zero or infinity.
func (e *Env) round(neg bool, exp int32, hi, lo uint64, f *Format, prec uint) Num {
	sig, up, inexact, carry := e.Rounding.cut(neg, hi, lo, prec)
	x := exp
	if carry {
		sig, x = intBit, x+1
	}
	e.RoundedUp = up
	switch {
	case x < f.emin && !e.X87 && e.Masks&FlagUnderflow == 0:
		// SSE gives no result then, and is inexact if it would be with an exponent without bounds.
		e.Flags |= FlagUnderflow
	case x < f.emin:
		if e.Masks&FlagUnderflow != 0 || !e.X87 || f != F80 {
			return e.tiny(neg, exp, hi, lo, f, prec)
		}
		e.Flags |= FlagUnderflow
		if x += x87Wrap; x < f.emin {
			e.Flags |= FlagInexact
			e.RoundedUp = false
			return Num{Neg: neg}
		}
	case x > f.emax && !e.X87 && e.Masks&FlagOverflow == 0:
		e.Flags |= FlagOverflow
	case x > f.emax:
		if e.Masks&FlagOverflow != 0 || !e.X87 || f != F80 {
			return e.huge(neg, f, prec)
		}
		e.Flags |= FlagOverflow
		if x -= x87Wrap; x > f.emax {
			e.Flags |= FlagInexact
			e.RoundedUp = true
			return Num{Class: Inf, Neg: neg}
		}
	}
	if inexact {
		e.Flags |= FlagInexact
	}
	return Num{Sig: sig, Exp: x, Class: Finite, Neg: neg}
}

// tiny rounds a result below the normal range.
func (e *Env) tiny(neg bool, exp int32, hi, lo uint64, f *Format, prec uint) Num {
	if e.FTZ && e.Masks&FlagUnderflow != 0 {
		e.Flags |= FlagUnderflow | FlagInexact
		return Num{Neg: neg}
	}
	hi, lo = shiftRight(hi, lo, uint(f.emin-exp))
	sig, up, inexact, _ := e.Rounding.cut(neg, hi, lo, prec)
	e.RoundedUp = up
	if inexact {
		e.Flags |= FlagUnderflow | FlagInexact
	} else if e.Masks&FlagUnderflow == 0 {
		e.Flags |= FlagUnderflow
	}
	if sig == 0 {
		return Num{Neg: neg}
	}
	return Num{Sig: sig, Exp: f.emin, Class: Finite, Neg: neg, Denorm: sig&intBit == 0}
}

// huge gives the masked result of an overflow (SDM 1 table 4-10).
func (e *Env) huge(neg bool, f *Format, prec uint) Num {
	e.Flags |= FlagOverflow | FlagInexact
	if e.Rounding == Nearest || e.Rounding == Up && !neg || e.Rounding == Down && neg {
		e.RoundedUp = true
		return Num{Class: Inf, Neg: neg}
	}
	e.RoundedUp = false
	return Num{Sig: ^uint64(0) << (64 - prec), Exp: f.emax, Class: Finite, Neg: neg}
}
