package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/softfloat"
)

// Bits of MXCSR (SDM 1 10.2.3).
const (
	mxcsrFlags = 0x3f
	mxcsrDAZ   = 1 << 6
	mxcsrMasks = 7
	mxcsrRC    = 13
	mxcsrFTZ   = 1 << 15

	// With these bits in this state host arithmetic gives the guest's results, as long as operands and results are normal: rounding to
	// nearest, nothing unmasked, no FTZ or DAZ, and Inexact raised already.
	mxcsrPlainMask = 0xffe0
	mxcsrPlain     = 0x1fa0
)

// sseEnv prepares the environment of a computation. It lives in the vCPU because operations called through function values would make
// it escape to the heap.
func (c *CPU) sseEnv() *softfloat.Env {
	m := c.fx.MXCSR
	c.fx.env = softfloat.Env{
		Rounding: softfloat.Rounding(m >> mxcsrRC & 3),
		Masks:    uint8(m>>mxcsrMasks) & 0x3f,
		FTZ:      m&mxcsrFTZ != 0,
		DAZ:      m&mxcsrDAZ != 0,
	}
	return &c.fx.env
}

// sseRaise puts the flags of a computation into MXCSR and gives false if an unmasked exception keeps the result from being written. Flags of
// the result count only if no operand has an unmasked exception (SDM 1 11.5.2).
func (c *CPU) sseRaise(e *softfloat.Env) bool {
	flags := e.Flags
	open := flags &^ e.Masks
	if open&softfloat.FlagsPre != 0 {
		flags &= softfloat.FlagsPre
	}
	c.fx.MXCSR |= uint32(flags | e.Done)
	if open == 0 {
		return true
	}
	if c.cr4&x86.CR4OSXMMEXCPT == 0 {
		return c.ud()
	}
	return c.raise(x86.VectorXM)
}

// formatOf gives the format of lanes of width bytes.
func formatOf(width uint8) *softfloat.Format {
	if width == 4 {
		return softfloat.F32
	}
	return softfloat.F64
}

// laneFunc computes one lane, fastFunc too, if it may take the short way.
type (
	laneFunc func(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64
	fastFunc func(a, b uint64) (uint64, bool)
)

// arith makes the handler of a two-operand operation; scalar ones keep the rest of the destination.
func arith(slow laneFunc, fast fastFunc, width uint8, packed bool) handler {
	f := formatOf(width)
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.floatSource(in, width, packed)
		if !ok {
			return false
		}
		d := &c.fx.XMM[in.Reg&15]
		plain := fast != nil && c.fx.MXCSR&mxcsrPlainMask == mxcsrPlain
		if !packed {
			if plain {
				if v, ok := fast(d[0], b[0]); ok {
					merge(d, v, width)
					return true
				}
			}
			e := c.sseEnv()
			v := slow(e, f, trunc(d[0], width), b[0])
			if !c.sseRaise(e) {
				return false
			}
			merge(d, v, width)
			return true
		}
		e := c.sseEnv()
		r := eachLane(e, f, *d, b, slow, fast, width, plain)
		if !c.sseRaise(e) {
			return false
		}
		*d = r
		return true
	}
}

func (c *CPU) floatSource(in *decode.Inst, width uint8, packed bool) (vec, bool) {
	if packed {
		return c.loadX(in)
	}
	v, ok := c.loadLow(in, width)
	return vec{v}, ok
}

// eachLane computes all lanes.
func eachLane(e *softfloat.Env, f *softfloat.Format, a, b vec, slow laneFunc, fast fastFunc, width uint8, plain bool) (r vec) {
	for h := range r {
		for sh := uint8(0); sh < 64; sh += 8 * width {
			x, y := trunc(a[h]>>sh, width), trunc(b[h]>>sh, width)
			if plain {
				if v, ok := fast(x, y); ok {
					r[h] |= v << sh
					continue
				}
			}
			r[h] |= slow(e, f, x, y) << sh
		}
	}
	return r
}

func laneAdd(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
	return f.Pack(e.Add(f, f.Unpack(a), f.Unpack(b)))
}

func laneSub(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
	return f.Pack(e.Sub(f, f.Unpack(a), f.Unpack(b)))
}

func laneMul(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
	return f.Pack(e.Mul(f, f.Unpack(a), f.Unpack(b)))
}

func laneDiv(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
	return f.Pack(e.Div(f, f.Unpack(a), f.Unpack(b)))
}

func laneSqrt(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
	return f.Pack(e.Sqrt(f, f.Unpack(b)))
}

// laneMin and laneMax give one of the operands as it is, but a denormal under DAZ as zero.
func laneMin(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
	return pick(e, f, a, b, false)
}
func laneMax(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
	return pick(e, f, a, b, true)
}

func pick(e *softfloat.Env, f *softfloat.Format, a, b uint64, largest bool) uint64 {
	x, y := f.Unpack(a), f.Unpack(b)
	r, n := b, y
	if e.Pick(x, y, largest) {
		r, n = a, x
	}
	if e.DAZ && n.Denorm {
		return f.Pack(softfloat.Num{Neg: n.Neg})
	}
	return r
}

// laneCmp makes the predicates of CMPPS (SDM 2A table 3-1): those of order signal for quiet NaNs.
func laneCmp(imm uint8) laneFunc {
	return func(e *softfloat.Env, f *softfloat.Format, a, b uint64) uint64 {
		quiet := imm&3 == 0 || imm&3 == 3
		o := e.Compare(f.Unpack(a), f.Unpack(b), quiet)
		var r bool
		switch imm & 3 {
		case 0:
			r = o == softfloat.Equal
		case 1:
			r = o == softfloat.Less
		case 2:
			r = o == softfloat.Less || o == softfloat.Equal
		case 3:
			r = o == softfloat.Unordered
		}
		if r == (imm&4 != 0) {
			return 0
		}
		if f == softfloat.F32 {
			return 0xffffffff
		}
		return ^uint64(0)
	}
}

var cmpLanes = [8]laneFunc{laneCmp(0), laneCmp(1), laneCmp(2), laneCmp(3), laneCmp(4), laneCmp(5), laneCmp(6), laneCmp(7)}

// cmp makes CMPPS and its kind.
func cmp(width uint8, packed bool) handler {
	var t [8]handler
	for i := range t {
		t[i] = arith(cmpLanes[i], nil, width, packed)
	}
	return func(c *CPU, in *decode.Inst) bool { return t[in.Imm&7](c, in) }
}

// comis makes COMISx and UCOMISx.
func comis(width uint8, quiet bool) handler {
	f := formatOf(width)
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.loadLow(in, width)
		if !ok {
			return false
		}
		a := trunc(c.fx.XMM[in.Reg&15][0], width)
		if o, ok := fastCompare(a, b, width); ok {
			c.setArith(orderFlags[o])
			return true
		}
		e := c.sseEnv()
		o := e.Compare(f.Unpack(a), f.Unpack(b), quiet)
		if !c.sseRaise(e) {
			return false
		}
		c.setArith(orderFlags[o])
		return true
	}
}

var orderFlags = [4]uint64{
	softfloat.Less:      x86.FlagCF,
	softfloat.Equal:     x86.FlagZF,
	softfloat.Unordered: x86.FlagZF | x86.FlagPF | x86.FlagCF,
}
