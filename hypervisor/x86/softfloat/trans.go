package softfloat

// negligible is the number of bits by which a term of a series may be smaller than the sum before the series ends.
const negligible = 90

// expm1 gives e^x - 1 for |x| < 1.
func expm1(x wide) wide {
	x = x.scaled(-2)
	sum, term := x, x
	for k := int64(2); ; k++ {
		term = term.mul(x).div(wideInt(k))
		if term.hi == 0 || term.exp < sum.exp-negligible {
			break
		}
		sum = sum.add(term)
	}
	for range 2 { // e^2y - 1 = (e^y - 1)(e^y + 1)
		sum = sum.mul(sum.add(wideOne.scaled(1)))
	}
	return sum
}

// atanh2 gives 2*artanh(s), which is ln((1+s)/(1-s)), for |s| < 0.3.
func atanh2(s wide) wide {
	sq := s.mul(s)
	sum, power := s, s
	for k := int64(3); ; k += 2 {
		power = power.mul(sq)
		if power.hi == 0 || power.exp < sum.exp-negligible {
			return sum.scaled(1)
		}
		sum = sum.add(power.div(wideInt(k)))
	}
}

// log2 gives the binary logarithm of a positive number.
func log2(x wide) wide {
	k := x.exp
	x.exp = 0
	if x.hi > 0xb504f333f9de6484 { // sqrt 2
		x.exp, k = -1, k+1
	}
	ln := atanh2(x.sub(wideOne).div(x.add(wideOne)))
	return wideInt(int64(k)).add(ln.mul(wideLog2e))
}

// log2p1 gives log2(1+x).
func log2p1(x wide) wide {
	if x.exp >= -2 {
		return log2(wideOne.add(x))
	}
	return atanh2(x.div(x.add(wideOne.scaled(1)))).mul(wideLog2e)
}

// F2XM1 gives 2^a - 1. Beyond |a| = 1, where the instruction is not defined, it gives a.
func (e *Env) F2XM1(a Num) Num {
	if n, ok := e.nan(a, a); ok {
		return n
	}
	e.denormal(a, a)
	switch {
	case a.Class == Inf && a.Neg:
		return Num{Sig: intBit, Class: Finite, Neg: true}
	case a.Class != Finite:
		return a
	case a.Exp >= 0 && a.Sig == intBit && a.Exp == 0:
		if a.Neg {
			a.Exp = -1
		}
		return a
	case a.Exp >= 0:
		return a
	}
	return e.result(expm1(wideOf(a).mul(wideLn2)))
}

// YL2X gives y * log2(x).
func (e *Env) YL2X(x, y Num) Num {
	if n, ok := e.nan(x, y); ok {
		return n
	}
	if x.Neg && x.Class != Zero {
		return e.invalid()
	}
	if x.Class == Zero && y.Class == Finite {
		e.Flags |= FlagDivZero
		return Num{Class: Inf, Neg: !y.Neg}
	}
	if x.Class == Zero {
		return e.timesLog(y, Num{Class: Inf, Neg: true}, x)
	}
	if x.Class == Inf {
		return e.timesLog(y, Num{Class: Inf}, x)
	}
	if x.Sig == intBit { // a power of two: the result is exact, but processors do not say so
		r := e.timesLog(y, e.FromInt(F80, int64(x.Exp)), x)
		if r.Class == Finite {
			e.Flags |= FlagInexact
		}
		if r.Denorm {
			e.Flags |= FlagUnderflow
		}
		return r
	}
	if y.Class != Finite {
		return e.timesLog(y, Num{Sig: intBit, Class: Finite, Neg: x.Exp < 0}, x)
	}
	e.denormal(x, y)
	return e.result(log2(wideOf(x)).mul(wideOf(y)))
}

// timesLog multiplies y by a logarithm that is exact; x is for its denormal flag.
func (e *Env) timesLog(y, log, x Num) Num {
	r := e.Mul(F80, y, log)
	if e.Flags&FlagInvalid == 0 {
		e.denormal(x, y)
	}
	return r
}

// YL2XP1 gives y * log2(x+1).
func (e *Env) YL2XP1(x, y Num) Num {
	if n, ok := e.nan(x, y); ok {
		return n
	}
	switch {
	case x.Class == Inf && x.Neg:
		return e.invalid()
	case x.Class != Finite:
		return e.timesLog(y, x, x)
	case y.Class != Finite:
		return e.timesLog(y, Num{Sig: intBit, Class: Finite, Neg: x.Neg}, x)
	case x.Neg && x.Exp >= 0:
		return e.invalid()
	}
	e.denormal(x, y)
	return e.result(log2p1(wideOf(x)).mul(wideOf(y)))
}

// atan gives the arc tangent of z in [0, 1].
func atan(z wide) wide {
	base := wide{}
	if z.exp >= -1 && z.hi > 0xd413cccfe7799211 || z.exp >= 0 { // above tan(pi/8)
		base = widePi2.scaled(-1)
		z = z.sub(wideOne).div(z.add(wideOne))
	}
	sq := z.mul(z).negate()
	sum, power := z, z
	for k := int64(3); ; k += 2 {
		power = power.mul(sq)
		if power.hi == 0 || power.exp < sum.exp-negligible {
			return base.add(sum.below(z))
		}
		sum = sum.add(power.div(wideInt(k)))
	}
}

// PATan gives the angle of the point (x, y).
func (e *Env) PATan(x, y Num) Num {
	if n, ok := e.nan(x, y); ok {
		return n
	}
	e.denormal(x, y)
	var r wide
	switch {
	case y.Class == Zero || x.Class == Inf && y.Class != Inf:
		if !x.Neg {
			return Num{Neg: y.Neg}
		}
		r = widePi2.scaled(1)
	case x.Class == Inf: // both
		r = widePi2.scaled(-1)
		if x.Neg {
			r = r.add(widePi2)
		}
	case x.Class == Zero || y.Class == Inf:
		r = widePi2
	default:
		r = angle(wideOf(x), wideOf(y))
	}
	r.neg = y.Neg
	return e.result(r)
}

// angle gives the angle of (x, |y|), both finite and not zero.
func angle(x, y wide) wide {
	left := x.neg
	x.neg, y.neg = false, false
	var r wide
	if x.less(y) {
		r = widePi2.sub(atan(x.div(y)))
	} else {
		r = atan(y.div(x))
	}
	if left {
		r = widePi2.scaled(1).sub(r)
	}
	return r
}
