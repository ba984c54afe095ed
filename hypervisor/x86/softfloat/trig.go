package softfloat

import "math/bits"

// Reduction of arguments uses a pi of 66 bits (SDM 1 8.3.8); these are the 128 bits of pi/2 so cut.
const (
	trigHi = 0xc90fdaa22168c234
	trigLo = 0xc000000000000000
)

// quadrant reduces |x| < 2^63 to r in [-pi/4, pi/4] with |x| = q*pi/2 + r.
func quadrant(x Num) (r wide, q uint64) {
	r = wideOf(x)
	r.neg = false
	if x.Exp < -1 {
		return r, 0
	}
	hi, lo := x.Sig, uint64(0)
	if x.Exp < 0 {
		hi, lo = hi>>1, hi<<63
	}
	carry := uint64(0)
	for n := max(x.Exp, 0); ; n-- {
		if carry != 0 || hi > trigHi || hi == trigHi && lo >= trigLo {
			var b uint64
			lo, b = bits.Sub64(lo, trigLo, 0)
			hi, _ = bits.Sub64(hi, trigHi, b)
			q |= 1
		}
		if n == 0 {
			break
		}
		carry, hi, lo, q = hi>>63, hi<<1|lo>>63, lo<<1, q<<1
	}
	if hi > trigHi/2 {
		l, b := bits.Sub64(trigLo, lo, 0)
		h, _ := bits.Sub64(trigHi, hi, b)
		return wide{true, 0, h, l}.normal(), q + 1
	}
	return wide{false, 0, hi, lo}.normal(), q
}

// series adds term, -term*x^2/(k(k+1)), ... with k going up by 2.
func series(term, x wide, k int64) wide {
	sq := x.mul(x).negate()
	first, sum := term, term
	for ; ; k += 2 {
		term = term.mul(sq).div(wideInt(k * (k + 1)))
		if term.hi == 0 || term.exp < sum.exp-negligible {
			return sum.below(first)
		}
		sum = sum.add(term)
	}
}

// sinOf and cosOf give the sine and cosine of q*pi/2 + r.
func sinOf(r wide, q uint64) wide {
	var v wide
	if q&1 == 0 {
		v = series(r, r, 2)
	} else {
		v = series(wideOne, r, 1)
	}
	if q&2 != 0 {
		v = v.negate()
	}
	return v
}

func cosOf(r wide, q uint64) wide { return sinOf(r, q+1) }

// trigArg deals with arguments that need no computation. done: n is the result for them, or they are out of range (ok false).
func (e *Env) trigArg(a, atZero Num) (n Num, done, ok bool) {
	if n, is := e.nan(a, a); is {
		return n, true, true
	}
	switch {
	case a.Class == Inf:
		return e.invalid(), true, true
	case a.Class == Zero:
		return atZero, true, true
	case a.Exp >= 63:
		return a, true, false
	}
	e.denormal(a, a)
	return a, false, true
}

var numOne = Num{Sig: intBit, Class: Finite}

// Sin gives the sine of a. ok is false if |a| >= 2^63.
func (e *Env) Sin(a Num) (r Num, ok bool) {
	if n, done, ok := e.trigArg(a, a); done {
		return n, ok
	}
	x, q := quadrant(a)
	v := sinOf(x, q)
	v.neg = v.neg != a.Neg
	return e.result(v), true
}

// Cos gives the cosine of a.
func (e *Env) Cos(a Num) (r Num, ok bool) {
	if n, done, ok := e.trigArg(a, numOne); done {
		return n, ok
	}
	x, q := quadrant(a)
	return e.result(cosOf(x, q)), true
}

// SinCos gives both.
func (e *Env) SinCos(a Num) (sin, cos Num, ok bool) {
	cos, _ = e.Cos(a)
	sin, ok = e.Sin(a)
	return sin, cos, ok
}

// Tan gives the tangent of a.
func (e *Env) Tan(a Num) (r Num, ok bool) {
	if n, done, ok := e.trigArg(a, a); done {
		return n, ok
	}
	x, q := quadrant(a)
	s, c := sinOf(x, q), cosOf(x, q)
	if c.hi == 0 {
		return Num{Class: Inf, Neg: s.neg != a.Neg}, true
	}
	t := s.div(c)
	t.neg = t.neg != a.Neg
	return e.result(t), true
}
