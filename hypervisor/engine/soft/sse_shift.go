package soft

import "gozen/hypervisor/x86/decode"

// shift makes the handler of a lane shift: f shifts 64 bits of lanes by a count, which comes from an immediate or from
// the low 64 bits of the second operand.
func shift(f func(v, n uint64) uint64) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if isX(in) {
			return c.shiftX(in, f)
		}
		if !c.mmxOK() {
			return false
		}
		if in.Form == decode.FormX_I {
			c.setMM(in.RM, f(c.mm(in.RM), uint64(uint8(in.Imm))))
			return true
		}
		n, ok := c.loadP(in, 8)
		if ok {
			c.setMM(in.Reg, f(c.mm(in.Reg), n))
		}
		return ok
	}
}

func (c *CPU) shiftX(in *decode.Inst, f func(v, n uint64) uint64) bool {
	if !c.sseOK() {
		return false
	}
	d, n := &c.fx.XMM[in.Reg&15], uint64(uint8(in.Imm))
	if in.Form == decode.FormX_I {
		d = &c.fx.XMM[in.RM&15]
	} else {
		b, ok := c.loadX(in)
		if !ok {
			return false
		}
		n = b[0]
	}
	d[0], d[1] = f(d[0], n), f(d[1], n)
	return true
}

func psllq(v, n uint64) uint64 { return v << n }
func psrlq(v, n uint64) uint64 { return v >> n }

func pslld(v, n uint64) uint64 {
	return uint64(uint32(v)<<n) | uint64(uint32(v>>32)<<n)<<32
}

func psrld(v, n uint64) uint64 {
	return uint64(uint32(v)>>n) | uint64(uint32(v>>32)>>n)<<32
}

func psrad(v, n uint64) uint64 {
	return uint64(uint32(int32(v)>>n)) | uint64(uint32(int32(v>>32)>>n))<<32
}

func psllw(v, n uint64) uint64 {
	return each16(v, 0, func(x, _ uint16) uint16 { return x << n })
}

func psrlw(v, n uint64) uint64 {
	return each16(v, 0, func(x, _ uint16) uint16 { return x >> n })
}

func psraw(v, n uint64) uint64 {
	return each16(v, 0, func(x, _ uint16) uint16 { return uint16(int16(x) >> n) })
}

func opPslldq(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	d := &c.fx.XMM[in.RM&15]
	*d = shiftLeft(*d, uint(uint8(in.Imm)))
	return true
}

func opPsrldq(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	d := &c.fx.XMM[in.RM&15]
	*d = shiftRight(*d, uint(uint8(in.Imm)))
	return true
}
