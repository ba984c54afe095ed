package soft

import (
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/softfloat"
)

// cvtFromG is CVTSI2SS and CVTSI2SD.
func cvtFromG(width uint8) handler {
	f := formatOf(width)
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		v, ok := c.rm(in, in.Size)
		if !ok {
			return false
		}
		e := c.sseEnv()
		r := f.Pack(e.FromInt(f, int64(sext(v, in.Size))))
		if !c.sseRaise(e) {
			return false
		}
		merge(&c.fx.XMM[in.Reg&15], r, width)
		return true
	}
}

// cvtToG is CVTSS2SI, CVTSD2SI and the truncating ones.
func cvtToG(width uint8, truncate bool) handler {
	f := formatOf(width)
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		v, ok := c.loadLow(in, width)
		if !ok {
			return false
		}
		e := c.sseEnv()
		size := gsize(in)
		r := e.ToInt(f.Unpack(v), uint(size)*8, roundingFor(e, truncate))
		if !c.sseRaise(e) {
			return false
		}
		c.setReg(in.Reg, size, uint64(r))
		return true
	}
}

func roundingFor(e *softfloat.Env, truncate bool) softfloat.Rounding {
	if truncate {
		return softfloat.Truncate
	}
	return e.Rounding
}

// cvtScalar is CVTSS2SD and CVTSD2SS; to and from are lane widths.
func cvtScalar(from, to uint8) handler {
	ff, tf := formatOf(from), formatOf(to)
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		v, ok := c.loadLow(in, from)
		if !ok {
			return false
		}
		e := c.sseEnv()
		r := tf.Pack(e.Convert(tf, ff.Unpack(v)))
		if !c.sseRaise(e) {
			return false
		}
		merge(&c.fx.XMM[in.Reg&15], r, to)
		return true
	}
}

// The lanes of packed conversions.

func psToPd(e *softfloat.Env, v uint64) uint64 {
	return softfloat.F64.Pack(e.Convert(softfloat.F64, softfloat.F32.Unpack(v)))
}

func pdToPs(e *softfloat.Env, v uint64) uint64 {
	return softfloat.F32.Pack(e.Convert(softfloat.F32, softfloat.F64.Unpack(v)))
}

func dqToPs(e *softfloat.Env, v uint64) uint64 {
	return softfloat.F32.Pack(e.FromInt(softfloat.F32, int64(int32(v))))
}

func dqToPd(e *softfloat.Env, v uint64) uint64 {
	return softfloat.F64.Pack(e.FromInt(softfloat.F64, int64(int32(v))))
}

func psToDq(e *softfloat.Env, v uint64) uint64 {
	return uint64(uint32(e.ToInt(softfloat.F32.Unpack(v), 32, e.Rounding)))
}

func psToDqT(e *softfloat.Env, v uint64) uint64 {
	return uint64(uint32(e.ToInt(softfloat.F32.Unpack(v), 32, softfloat.Truncate)))
}

func pdToDq(e *softfloat.Env, v uint64) uint64 {
	return uint64(uint32(e.ToInt(softfloat.F64.Unpack(v), 32, e.Rounding)))
}

func pdToDqT(e *softfloat.Env, v uint64) uint64 {
	return uint64(uint32(e.ToInt(softfloat.F64.Unpack(v), 32, softfloat.Truncate)))
}

type cvtLane func(e *softfloat.Env, v uint64) uint64

// cvtSame converts four lanes of 4 bytes.
func cvtSame(f cvtLane) handler {
	return computed(func(e *softfloat.Env, _, b vec, _ uint8) vec {
		return vec{f(e, b[0]&0xffffffff) | f(e, b[0]>>32)<<32, f(e, b[1]&0xffffffff) | f(e, b[1]>>32)<<32}
	})
}

// cvtNarrow converts two lanes of 8 bytes to two of 4 and clears the rest.
func cvtNarrow(f cvtLane) handler {
	return computed(func(e *softfloat.Env, _, b vec, _ uint8) vec {
		return vec{f(e, b[0]) | f(e, b[1])<<32, 0}
	})
}

// cvtWiden converts the two low lanes of 4 bytes to two of 8.
func cvtWiden(f cvtLane) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		v, ok := c.loadLow(in, 8)
		if !ok {
			return false
		}
		e := c.sseEnv()
		r := vec{f(e, v&0xffffffff), f(e, v>>32)}
		if !c.sseRaise(e) {
			return false
		}
		c.fx.XMM[in.Reg&15] = r
		return true
	}
}

// cvtFromP is CVTPI2PS (to 4 bytes a lane, keeping the high half) and CVTPI2PD.
func cvtFromP(f cvtLane, wide bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		mmx := !isMem(in) // a memory operand leaves the MMX state alone
		if !c.sseOK() || mmx && !c.mmxOK() {
			return false
		}
		v, ok := c.loadP(in, 8)
		if !ok {
			return false
		}
		e := c.sseEnv()
		lo, hi := f(e, v&0xffffffff), f(e, v>>32)
		if mmx {
			c.mmxUsed() // in front of #XM, as in silicon (AMD)
		}
		if !c.sseRaise(e) {
			return false
		}
		if d := &c.fx.XMM[in.Reg&15]; wide {
			*d = vec{lo, hi}
		} else {
			d[0] = lo | hi<<32
		}
		return true
	}
}

// cvtToP is CVTPS2PI (from 4 bytes a lane) and CVTPD2PI with the truncating ones.
func cvtToP(f cvtLane, wide bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() || !c.mmxOK() {
			return false
		}
		var b vec
		var ok bool
		if wide {
			b, ok = c.loadX(in)
		} else {
			b[0], ok = c.loadLow(in, 8)
			b[0], b[1] = b[0]&0xffffffff, b[0]>>32
		}
		if !ok {
			return false
		}
		e := c.sseEnv()
		r := f(e, b[0]) | f(e, b[1])<<32
		c.mmxUsed() // in front of #XM, as in silicon (AMD)
		if !c.sseRaise(e) {
			return false
		}
		c.setMM(in.Reg, r)
		return true
	}
}
