package soft

import (
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/softfloat"
)

// The operations in ModRM.reg of D8, DA, DC and DE.
const (
	x87Add = iota
	x87Mul
	x87Com
	x87Comp
	x87Sub
	x87Subr
	x87Div
	x87Divr
)

func compute(e *softfloat.Env, op uint8, a, b num) num {
	switch op {
	case x87Add:
		return e.Add(softfloat.F80, a, b)
	case x87Mul:
		return e.Mul(softfloat.F80, a, b)
	case x87Sub:
		return e.Sub(softfloat.F80, a, b)
	case x87Subr:
		return e.Sub(softfloat.F80, b, a)
	case x87Div:
		return e.Div(softfloat.F80, a, b)
	}
	return e.Div(softfloat.F80, b, a)
}

// loader reads a memory operand as a number.
type loader func(c *CPU, in *decode.Inst) (num, bool)

func loadF32(c *CPU, in *decode.Inst) (num, bool) {
	v, ok := c.loadM(in, 4)
	return softfloat.F32.Unpack(v), ok
}

func loadF64(c *CPU, in *decode.Inst) (num, bool) {
	v, ok := c.loadM(in, 8)
	return softfloat.F64.Unpack(v), ok
}

func loadI16(c *CPU, in *decode.Inst) (num, bool) { return loadInt(c, in, 2) }
func loadI32(c *CPU, in *decode.Inst) (num, bool) { return loadInt(c, in, 4) }
func loadI64(c *CPU, in *decode.Inst) (num, bool) { return loadInt(c, in, 8) }

func loadInt(c *CPU, in *decode.Inst, size uint8) (num, bool) {
	v, ok := c.loadM(in, size)
	var e softfloat.Env
	return e.FromInt(softfloat.F80, int64(sext(v, size))), ok
}

func arithMem(op uint8, load loader) handler {
	return func(c *CPU, in *decode.Inst) bool {
		b, ok := load(c, in)
		if !ok {
			return false
		}
		f := &c.fx
		if op == x87Com || op == x87Comp {
			f.compare(b, f.empty(0), false, uint8(b2u(op == x87Comp)))
			return true
		}
		if f.empty(0) {
			if f.underflow() {
				f.setRaw(0, indefinite80)
			}
			return true
		}
		e := f.x87Env()
		if r := compute(e, op, f.st(0), b); f.finish(e) {
			f.setST(0, r)
		}
		return true
	}
}

// arithReg computes with ST(0) and ST(i). toI: the result goes to ST(i), and the operands change places.
func arithReg(op uint8, toI, pop bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		i := in.ModRM & 7
		if op == x87Com || op == x87Comp {
			f.compare(f.st(i), f.empty(0) || f.empty(i), false, uint8(b2u(op == x87Comp)))
			return true
		}
		to := uint8(0)
		a, b := f.st(0), f.st(i)
		if toI {
			to, a, b = i, b, a
		}
		if f.empty(0) || f.empty(i) {
			if !f.underflow() {
				return true
			}
			f.setRaw(to, indefinite80)
		} else {
			e := f.x87Env()
			r := compute(e, op, a, b)
			if !f.finish(e) {
				return true
			}
			f.setST(to, r)
		}
		if pop {
			f.pop()
		}
		return true
	}
}

// The condition bits of a comparison.
var x87Order = [4]uint16{
	softfloat.Less:      fswC0,
	softfloat.Equal:     fswC3,
	softfloat.Unordered: fswC0 | fswC2 | fswC3,
}

// compare compares ST(0) with b, sets C0, C2 and C3, and pops if no exception is unmasked.
func (f *FPU) compare(b num, empty, quiet bool, pops uint8) {
	o, ok := f.relate(b, empty, quiet)
	f.FSW = f.FSW&^(fswC0|fswC2|fswC3) | x87Order[o]
	for ; ok && pops > 0; pops-- {
		f.pop()
	}
}

// relate compares ST(0) with b and raises exceptions. ok: none is unmasked.
func (f *FPU) relate(b num, empty, quiet bool) (o softfloat.Order, ok bool) {
	if empty {
		return softfloat.Unordered, f.underflow()
	}
	e := f.x87Env()
	o = e.Compare(f.st(0), b, quiet)
	return o, f.finish(e)
}

func fcompp(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	f.compare(f.st(1), f.empty(0) || f.empty(1), false, 2)
	return true
}

func fucompp(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	f.compare(f.st(1), f.empty(0) || f.empty(1), true, 2)
	return true
}

func fucom(pop bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		i := in.ModRM & 7
		f.compare(f.st(i), f.empty(0) || f.empty(i), true, uint8(b2u(pop)))
		return true
	}
}

func ftst(c *CPU, in *decode.Inst) bool {
	c.fx.compare(num{}, c.fx.empty(0), false, 0)
	return true
}

// fcomi is FCOMI, FUCOMI and the popping ones. C1 stays but for a stack fault.
func fcomi(quiet, pop bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		i := in.ModRM & 7
		c1, empty := f.FSW&fswC1, f.empty(0) || f.empty(i)
		o, ok := f.relate(f.st(i), empty, quiet)
		if !empty {
			f.FSW |= c1
		}
		c.setArith(orderFlags[o])
		if ok && pop {
			f.pop()
		}
		return true
	}
}

// fxam classifies ST(0) in C3, C2 and C0, with its sign in C1 (SDM 2A, FXAM).
func fxam(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	r, n := f.raw(0), f.st(0)
	var cc uint16
	switch {
	case f.empty(0):
		cc = fswC3 | fswC0
	case n.Class == softfloat.Zero:
		cc = fswC3
	case n.Class == softfloat.Inf:
		cc = fswC2 | fswC0
	case n.IsNaN():
		cc = fswC0
	case n.Denorm:
		cc = fswC3 | fswC2
	case n.Class == softfloat.Finite:
		cc = fswC2
	}
	if r.SE>>15 != 0 {
		cc |= fswC1
	}
	f.FSW = f.FSW&^(fswC0|fswC1|fswC2|fswC3) | cc
	return true
}

// oneOperand makes an instruction that replaces ST(0) by a function of it.
func oneOperand(g func(e *softfloat.Env, a num) num, full bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		f.FSW &^= fswC1
		if f.empty(0) {
			if f.underflow() {
				f.setRaw(0, indefinite80)
			}
			return true
		}
		e := f.x87Env()
		if full {
			e.Prec = 64
		}
		if r := g(e, f.st(0)); f.finish(e) {
			f.setST(0, r)
		}
		return true
	}
}

var (
	fsqrt   = oneOperand(func(e *softfloat.Env, a num) num { return e.Sqrt(softfloat.F80, a) }, false)
	frndint = oneOperand(func(e *softfloat.Env, a num) num { return e.RoundInt(softfloat.F80, a, e.Rounding, false) }, true)
	f2xm1   = oneOperand((*softfloat.Env).F2XM1, true)
)

// twoOperand makes an instruction of ST(0) and ST(1); popped, the result replaces ST(1) and ST(0) goes.
func twoOperand(g func(e *softfloat.Env, a, b num) num, pop bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		to := uint8(b2u(pop))
		f.FSW &^= fswC1
		if f.empty(0) || f.empty(1) {
			if !f.underflow() {
				return true
			}
			f.setRaw(to, indefinite80)
		} else {
			e := f.fullEnv()
			r := g(e, f.st(0), f.st(1))
			if !f.finish(e) {
				return true
			}
			f.setST(to, r)
		}
		if pop {
			f.pop()
		}
		return true
	}
}

var (
	fscale  = twoOperand((*softfloat.Env).Scale, false)
	fyl2x   = twoOperand((*softfloat.Env).YL2X, true)
	fyl2xp1 = twoOperand((*softfloat.Env).YL2XP1, true)
	fpatan  = twoOperand((*softfloat.Env).PATan, true)
)

// fprem is FPREM1 if nearest, else FPREM. C0, C3, C1 get the low bits of the quotient; C2 tells that the reduction is incomplete. Without a
// quotient C0 and C3 stay.
func fprem(nearest bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		f.FSW &^= fswC1 | fswC2
		if f.empty(0) || f.empty(1) {
			if f.underflow() {
				f.setRaw(0, indefinite80)
			}
			return true
		}
		e := f.fullEnv()
		r, q, partial := e.Rem(f.st(0), f.st(1), nearest)
		if !f.finish(e) {
			return true
		}
		f.setST(0, r)
		if r.IsNaN() {
			return true
		}
		f.FSW &^= fswC0 | fswC1 | fswC3
		if partial {
			f.FSW |= fswC2
			return true
		}
		f.FSW |= uint16(q>>2&1)<<8 | uint16(q>>1&1)<<14 | uint16(q&1)<<9
		return true
	}
}

// fxtract splits ST(0) into its exponent and, above it, its significand.
func fxtract(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	f.FSW &^= fswC1
	if f.empty(0) {
		if f.underflow() {
			f.setRaw(0, indefinite80)
			f.setTop(f.top() - 1)
			f.setRaw(0, indefinite80)
		}
		return true
	}
	if !f.empty(7) {
		if f.overflow() {
			f.setRaw(0, indefinite80)
			f.setTop(f.top() - 1)
			f.setRaw(0, indefinite80)
		}
		return true
	}
	e := f.fullEnv()
	sig, exp := e.Extract(f.st(0))
	if f.finish(e) {
		f.setST(0, exp)
		f.setTop(f.top() - 1)
		f.setST(0, sig)
	}
	return true
}

// trig makes FSIN, FCOS: an operand out of range stays, with C2 set.
func trig(g func(e *softfloat.Env, a num) (num, bool)) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		f.FSW &^= fswC1 | fswC2
		if f.empty(0) {
			if f.underflow() {
				f.setRaw(0, indefinite80)
			}
			return true
		}
		e := f.fullEnv()
		r, ok := g(e, f.st(0))
		if !ok {
			f.FSW |= fswC2
			return true
		}
		if f.finish(e) {
			f.setST(0, r)
		}
		return true
	}
}

var (
	fsin = trig((*softfloat.Env).Sin)
	fcos = trig((*softfloat.Env).Cos)
)

// trig2 makes FSINCOS and FPTAN, which replace ST(0) by one result and push another.
func trig2(g func(e *softfloat.Env, a num) (first, second num, ok bool)) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		f.FSW &^= fswC1 | fswC2
		if f.empty(0) || !f.empty(7) {
			masked := false
			if f.empty(0) {
				masked = f.underflow()
			} else {
				masked = f.overflow()
			}
			if masked {
				f.setRaw(0, indefinite80)
				f.setTop(f.top() - 1)
				f.setRaw(0, indefinite80)
			}
			return true
		}
		e := f.fullEnv()
		first, second, ok := g(e, f.st(0))
		if !ok {
			f.FSW |= fswC2
			return true
		}
		if f.finish(e) {
			f.setST(0, first)
			f.setTop(f.top() - 1)
			f.setST(0, second)
		}
		return true
	}
}

var (
	fsincos = trig2((*softfloat.Env).SinCos)
	fptan   = trig2(func(e *softfloat.Env, a num) (num, num, bool) {
		t, ok := e.Tan(a)
		if t.IsNaN() {
			return t, t, ok
		}
		return t, softfloat.Unpack80(1<<63, 0x3fff), ok
	})
)
