package soft

import (
	"math"

	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/softfloat"
)

// computed makes the handler of a packed operation that computes with an environment.
func computed(f func(e *softfloat.Env, a, b vec, imm uint8) vec) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.loadX(in)
		if !ok {
			return false
		}
		e := c.sseEnv()
		d := &c.fx.XMM[in.Reg&15]
		r := f(e, *d, b, uint8(in.Imm))
		if !c.sseRaise(e) {
			return false
		}
		*d = r
		return true
	}
}

func op32(f laneFunc, e *softfloat.Env, a, b uint64) uint64 { return f(e, softfloat.F32, a, b) }
func op64(f laneFunc, e *softfloat.Env, a, b uint64) uint64 { return f(e, softfloat.F64, a, b) }

// horizontal32 and horizontal64 make HADDx and HSUBx.
func horizontal32(f laneFunc) handler {
	return computed(func(e *softfloat.Env, a, b vec, _ uint8) vec {
		h := func(v uint64) uint64 { return op32(f, e, v&0xffffffff, v>>32) }
		return vec{h(a[0]) | h(a[1])<<32, h(b[0]) | h(b[1])<<32}
	})
}

func horizontal64(f laneFunc) handler {
	return computed(func(e *softfloat.Env, a, b vec, _ uint8) vec {
		return vec{op64(f, e, a[0], a[1]), op64(f, e, b[0], b[1])}
	})
}

func addsubps(e *softfloat.Env, a, b vec, _ uint8) vec {
	h := func(x, y uint64) uint64 {
		return op32(laneSub, e, x&0xffffffff, y&0xffffffff) | op32(laneAdd, e, x>>32, y>>32)<<32
	}
	return vec{h(a[0], b[0]), h(a[1], b[1])}
}

func addsubpd(e *softfloat.Env, a, b vec, _ uint8) vec {
	return vec{op64(laneSub, e, a[0], b[0]), op64(laneAdd, e, a[1], b[1])}
}

// dpps adds the products that bits 4-7 select in pairs, and stores the sum where bits 0-3 say.
func dpps(e *softfloat.Env, a, b vec, imm uint8) (r vec) {
	var p [4]uint64
	for i := range uint8(4) {
		if imm>>(4+i)&1 != 0 {
			p[i] = op32(laneMul, e, lane32(a, i), lane32(b, i))
		}
	}
	if unmasked(e) {
		return r
	}
	lo, hi := op32(laneAdd, e, p[0], p[1]), op32(laneAdd, e, p[2], p[3])
	if unmasked(e) {
		return r
	}
	sum := op32(laneAdd, e, lo, hi)
	return blend(vec{}, vec{sum | sum<<32, sum | sum<<32}, 32, uint(imm&15))
}

// unmasked ends a stage of a dot product: it reports an exception that keeps the next stage from being computed.
func unmasked(e *softfloat.Env) bool {
	if e.Flags&^e.Masks != 0 {
		return true
	}
	e.Done, e.Flags = e.Done|e.Flags, 0
	return false
}

func dppd(e *softfloat.Env, a, b vec, imm uint8) (r vec) {
	var p [2]uint64
	for i := range p {
		if imm>>(4+i)&1 != 0 {
			p[i] = op64(laneMul, e, a[i], b[i])
		}
	}
	if unmasked(e) {
		return r
	}
	sum := op64(laneAdd, e, p[0], p[1])
	return blend(vec{}, vec{sum, sum}, 64, uint(imm&3))
}

// roundTo makes ROUNDx: the immediate has the mode, or bit 2 for MXCSR's, and bit 3 to suppress Inexact.
func roundTo(width uint8, packed bool) handler {
	f := formatOf(width)
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.floatSource(in, width, packed)
		if !ok {
			return false
		}
		e := c.sseEnv()
		mode := softfloat.Rounding(in.Imm & 3)
		if in.Imm&4 != 0 {
			mode = e.Rounding
		}
		lane := func(v uint64) uint64 { return f.Pack(e.RoundInt(f, f.Unpack(v), mode, in.Imm&8 != 0)) }
		r := c.fx.XMM[in.Reg&15]
		if packed {
			r = mapLanes(b, width, lane)
		} else {
			merge(&r, lane(b[0]), width)
		}
		if !c.sseRaise(e) {
			return false
		}
		c.fx.XMM[in.Reg&15] = r
		return true
	}
}

func mapLanes(v vec, width uint8, f func(uint64) uint64) (r vec) {
	for h := range r {
		for sh := uint8(0); sh < 64; sh += 8 * width {
			r[h] |= f(trunc(v[h]>>sh, width)) << sh
		}
	}
	return r
}

// estimate makes RCPx and RSQRTx, which processors compute to 12 bits or a little better, without exceptions: here the correctly
// rounded 12 bits. Denormals count as zeros, and results that would be denormal become zeros.
func estimate(f func(float64) float64, packed bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.floatSource(in, 4, packed)
		if !ok {
			return false
		}
		lane := func(v uint64) uint64 { return estimateLane(v, f) }
		d := &c.fx.XMM[in.Reg&15]
		if packed {
			*d = mapLanes(b, 4, lane)
		} else {
			merge(d, lane(b[0]), 4)
		}
		return true
	}
}

func estimateLane(v uint64, f func(float64) float64) uint64 {
	const sign, inf, quiet = 1 << 31, 0x7f800000, 1 << 22
	switch e := v & inf; {
	case e == 0:
		return v&sign | inf
	case e == inf && v&0x7fffff != 0:
		return v | quiet
	}
	r := f(float64(f32(v)))
	if r != r {
		return sign | inf | quiet
	}
	bits := uint64(math.Float32bits(float32(r)))
	if bits&inf == 0 {
		return bits & sign
	}
	if bits&inf == inf {
		return bits
	}
	return (bits + 1<<10) &^ (1<<11 - 1)
}

func reciprocal(x float64) float64     { return 1 / x }
func reciprocalRoot(x float64) float64 { return 1 / math.Sqrt(x) }
