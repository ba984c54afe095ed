package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/softfloat"
)

func fldMem(load loader) handler {
	return func(c *CPU, in *decode.Inst) bool {
		n, ok := load(c, in)
		if !ok {
			return false
		}
		e := c.fx.fullEnv()
		c.fx.pushNum(e, e.Convert(softfloat.F80, n))
		return true
	}
}

// load80 and store80 move 10 bytes.
func (c *CPU) load80(in *decode.Inst) (v x86.F80, ok bool) {
	lin, ok := c.lin(in, 10, false)
	if !ok || !c.probe(lin, 10, accRead) {
		return v, false
	}
	if v.Frac, ok = c.load64(lin); !ok {
		return v, false
	}
	se, ok := c.load16(c.wrap(lin + 8))
	v.SE = uint16(se)
	return v, ok
}

func (c *CPU) store80(in *decode.Inst, v x86.F80) bool {
	lin, ok := c.lin(in, 10, true)
	return ok && c.probe(lin, 10, accWrite) && c.store64(lin, v.Frac) && c.store16(c.wrap(lin+8), uint64(v.SE))
}

func fld80(c *CPU, in *decode.Inst) bool {
	v, ok := c.load80(in)
	if ok {
		c.fx.FSW &^= fswC1
		c.fx.push(v)
	}
	return ok
}

// emptyStore does what a store of an empty ST(0) does: the indefinite goes to memory if that is masked.
func (c *CPU) emptyStore(pop bool, store func() bool) bool {
	f := &c.fx
	if f.FCW&fswIE != 0 && !store() {
		return false
	}
	if f.underflow() && pop {
		f.pop()
	}
	return true
}

func fstp80(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	if f.empty(0) {
		return c.emptyStore(true, func() bool { return c.store80(in, indefinite80) })
	}
	if !c.store80(in, f.raw(0)) {
		return false
	}
	f.FSW &^= fswC1
	f.pop()
	return true
}

// stores reports whether a result goes to memory: not if an exception other than Inexact is unmasked.
func stores(e *softfloat.Env) bool {
	return e.Flags&^e.Masks&^softfloat.FlagInexact == 0
}

// finishStore is finish behind a store that was made, or was not.
func (f *FPU) finishStore(e *softfloat.Env, pop bool) bool {
	if !stores(e) {
		e.Flags &^= softfloat.FlagInexact
	}
	f.finish(e)
	if pop && stores(e) {
		f.pop()
	}
	return true
}

func fstMem(size uint8, pop bool) handler {
	format := formatOf(size)
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		if f.empty(0) {
			return c.emptyStore(pop, func() bool { return c.storeM(in, format.Pack(softfloat.Indefinite), size) })
		}
		e := f.x87Env()
		n := e.Store(format, f.st(0))
		if stores(e) && !c.storeM(in, format.Pack(n), size) {
			return false
		}
		return f.finishStore(e, pop)
	}
}

// fist is FIST, FISTP and FISTTP.
func fist(size uint8, pop, truncate bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		f := &c.fx
		if f.empty(0) {
			return c.emptyStore(pop, func() bool { return c.storeM(in, 1<<(8*size-1), size) })
		}
		e := f.x87Env()
		v := e.ToInt(f.st(0), uint(size)*8, roundingFor(e, truncate))
		if stores(e) && !c.storeM(in, uint64(v), size) {
			return false
		}
		return f.finishStore(e, pop)
	}
}

// indefiniteBCD is the packed decimal indefinite.
var indefiniteBCD = x86.F80{Frac: 0xc000000000000000, SE: 0xffff}

func fbld(c *CPU, in *decode.Inst) bool {
	v, ok := c.load80(in)
	if !ok {
		return false
	}
	e := c.fx.fullEnv()
	c.fx.pushNum(e, e.FromBCD(v.Frac, v.SE))
	return true
}

func fbstp(c *CPU, in *decode.Inst) bool {
	f := &c.fx
	if f.empty(0) {
		return c.emptyStore(true, func() bool { return c.store80(in, indefiniteBCD) })
	}
	e := f.x87Env()
	var v x86.F80
	v.Frac, v.SE = e.ToBCD(f.st(0))
	if stores(e) && !c.store80(in, v) {
		return false
	}
	return f.finishStore(e, true)
}
