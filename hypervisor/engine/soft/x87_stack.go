package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/softfloat"
)

// num is an unpacked value.
type num = softfloat.Num

// indefinite80 is the default NaN.
var indefinite80 = x86.F80{Frac: 0xc000000000000000, SE: 0xffff}

func (f *FPU) x87Env() *softfloat.Env {
	f.env = softfloat.Env{
		Rounding: softfloat.Rounding(f.FCW >> 10 & 3),
		Masks:    uint8(f.FCW) & 0x3f,
		X87:      true,
		Prec:     [4]uint8{24, 64, 53, 64}[f.FCW>>8&3],
	}
	return &f.env
}

// fullEnv is x87Env for instructions that precision control does not concern.
func (f *FPU) fullEnv() *softfloat.Env {
	e := f.x87Env()
	e.Prec = 64
	return e
}

func (f *FPU) phys(i uint8) uint8  { return (f.top() + i) & 7 }
func (f *FPU) empty(i uint8) bool  { return f.Valid>>f.phys(i)&1 == 0 }
func (f *FPU) st(i uint8) num      { r := f.ST[f.phys(i)]; return softfloat.Unpack80(r.Frac, r.SE) }
func (f *FPU) setTop(top uint8)    { f.FSW = f.FSW&^fswTop | uint16(top&7)<<11 }
func (f *FPU) raw(i uint8) x86.F80 { return f.ST[f.phys(i)] }

func (f *FPU) setRaw(i uint8, v x86.F80) {
	p := f.phys(i)
	f.ST[p] = v
	f.Valid |= 1 << p
}

func (f *FPU) setST(i uint8, n num) {
	var v x86.F80
	v.Frac, v.SE = softfloat.Pack80(n)
	f.setRaw(i, v)
}

func (f *FPU) pop() {
	f.Valid &^= 1 << f.top()
	f.setTop(f.top() + 1)
}

// underflow and overflow raise a stack fault; true: it is masked, and the default result is to be written.
func (f *FPU) underflow() bool {
	f.FSW &^= fswC1
	return f.stackFault()
}

func (f *FPU) overflow() bool {
	f.FSW |= fswC1
	return f.stackFault()
}

func (f *FPU) stackFault() bool {
	f.FSW |= fswIE | fswSF
	if f.FCW&fswIE != 0 {
		return true
	}
	f.FSW |= fswES | fswB
	return false
}

// finish puts the flags of a computation into the status word. false: an unmasked exception forbids writing the result.
func (f *FPU) finish(e *softfloat.Env) bool {
	flags := e.Flags
	open := flags &^ e.Masks
	if open&softfloat.FlagsPre != 0 {
		flags &= softfloat.FlagsPre
	}
	f.FSW = f.FSW&^fswC1 | uint16(flags)
	if e.RoundedUp && flags&softfloat.FlagInexact != 0 {
		f.FSW |= fswC1
	}
	if open != 0 {
		f.FSW |= fswES | fswB
	}
	return open&softfloat.FlagsPre == 0
}

// push makes room for a value and writes it; on a full stack the indefinite, if that is masked.
func (f *FPU) push(v x86.F80) {
	if !f.empty(7) {
		if !f.overflow() {
			return
		}
		v = indefinite80
	}
	f.setTop(f.top() - 1)
	f.setRaw(0, v)
}

// pushNum is push for a converted operand; an unmasked denormal exception does not keep it from being pushed.
func (f *FPU) pushNum(e *softfloat.Env, n num) {
	if !f.empty(7) {
		f.push(indefinite80)
		return
	}
	f.finish(e)
	if e.Flags&^e.Masks&softfloat.FlagInvalid == 0 {
		f.setTop(f.top() - 1)
		f.setST(0, n)
	}
}

func fnop(c *CPU, in *decode.Inst) bool { return true }

// fnopReg is FNOP, D9 D0.
func fnopReg(c *CPU, in *decode.Inst) bool { return true }

func fldReg(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	i := in.ModRM & 7
	f.FSW &^= fswC1
	v := f.raw(i)
	if f.empty(i) {
		if f.underflow() {
			f.setTop(f.top() - 1)
			f.setRaw(0, indefinite80)
		}
		return true
	}
	f.push(v)
	return true
}

func fxch(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	i := in.ModRM & 7
	f.FSW &^= fswC1
	a, b := f.raw(0), f.raw(i)
	if f.empty(0) || f.empty(i) {
		if !f.underflow() {
			return true
		}
		if f.empty(0) {
			a = indefinite80
		}
		if f.empty(i) {
			b = indefinite80
		}
	}
	f.setRaw(0, b)
	f.setRaw(i, a)
	return true
}

func fstReg(pop bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		f.FSW &^= fswC1
		v := f.raw(0)
		if f.empty(0) {
			if !f.underflow() {
				return true
			}
			v = indefinite80
		}
		f.setRaw(in.ModRM&7, v)
		if pop {
			f.pop()
		}
		return true
	}
}

// fstp1 is the undocumented twin of FSTP that raises no stack fault.
func fstp1(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	f.FSW &^= fswC1
	if !f.empty(0) {
		f.setRaw(in.ModRM&7, f.raw(0))
	}
	f.pop()
	return true
}

func ffree(pop bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		f.FSW &^= fswC1
		f.Valid &^= 1 << f.phys(in.ModRM&7)
		if pop {
			f.pop()
		}
		return true
	}
}

func fincstp(c *CPU, in *decode.Inst) bool {
	c.fx.FSW &^= fswC1
	c.fx.setTop(c.fx.top() + 1)
	return true
}

func fdecstp(c *CPU, in *decode.Inst) bool {
	c.fx.FSW &^= fswC1
	c.fx.setTop(c.fx.top() - 1)
	return true
}

func fchs(c *CPU, in *decode.Inst) bool { return c.sign(func(se uint16) uint16 { return se ^ 0x8000 }) }
func fabs(c *CPU, in *decode.Inst) bool {
	return c.sign(func(se uint16) uint16 { return se &^ 0x8000 })
}

func (c *CPU) sign(g func(uint16) uint16) bool {
	f := &c.fx
	f.FSW &^= fswC1
	v := f.raw(0)
	if f.empty(0) {
		if !f.underflow() {
			return true
		}
		v = indefinite80
	} else {
		v.SE = g(v.SE)
	}
	f.setRaw(0, v)
	return true
}

// fcmov moves ST(i) to ST(0) if condition cc, numbered as the opcodes are, is want.
func fcmov(cc uint8, want bool) handler {
	mask := [4]uint64{x86.FlagCF, x86.FlagZF, x86.FlagCF | x86.FlagZF, x86.FlagPF}[cc]
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		i := in.ModRM & 7
		if f.empty(0) || f.empty(i) {
			if f.underflow() {
				f.setRaw(0, indefinite80)
			}
			return true
		}
		if (c.rflags()&mask != 0) == want {
			f.setRaw(0, f.raw(i))
		}
		return true
	}
}

// constants in the order of D9 E8: 1, log2 10, log2 e, pi, log10 2, ln 2, 0; truncated, with what rounding to nearest and rounding up add.
var x87Constants = [7]struct {
	v           x86.F80
	nearest, up uint64
}{
	{x86.F80{Frac: 1 << 63, SE: 0x3fff}, 0, 0},
	{x86.F80{Frac: 0xd49a784bcd1b8afe, SE: 0x4000}, 0, 1},
	{x86.F80{Frac: 0xb8aa3b295c17f0bb, SE: 0x3fff}, 1, 1},
	{x86.F80{Frac: 0xc90fdaa22168c234, SE: 0x4000}, 1, 1},
	{x86.F80{Frac: 0x9a209a84fbcff798, SE: 0x3ffd}, 1, 1},
	{x86.F80{Frac: 0xb17217f7d1cf79ab, SE: 0x3ffe}, 1, 1},
	{},
}

func fldConst(i int) handler {
	return func(c *CPU, in *decode.Inst) bool {
		k := x87Constants[i]
		switch softfloat.Rounding(c.fx.FCW >> 10 & 3) {
		case softfloat.Nearest:
			k.v.Frac += k.nearest
		case softfloat.Up:
			k.v.Frac += k.up
		}
		c.fx.FSW &^= fswC1
		c.fx.push(k.v)
		return true
	}
}
