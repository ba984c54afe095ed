package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// sseOK reports whether SSE instructions may be used, or records the fault (SDM 3A table 13-1).
func (c *CPU) sseOK() bool {
	if c.cr0&(x86.CR0EM|x86.CR0TS) == 0 && c.cr4&x86.CR4OSFXSR != 0 {
		return true
	}
	if c.cr0&x86.CR0EM != 0 || c.cr4&x86.CR4OSFXSR == 0 {
		return c.ud()
	}
	return c.raise(x86.VectorNM)
}

// mmxOK does the same for MMX instructions (SDM 3A 12.1).
func (c *CPU) mmxOK() bool {
	if c.cr0&x86.CR0EM != 0 {
		return c.ud()
	}
	if c.cr0&x86.CR0TS != 0 {
		return c.raise(x86.VectorNM)
	}
	if c.fx.FSW&fswES != 0 {
		return c.raise(x86.VectorMF)
	}
	return true
}

// mmxUsed leaves the x87 state as every MMX instruction but EMMS does: TOP 0, all registers valid.
func (c *CPU) mmxUsed() {
	c.fx.FSW &^= fswTop
	c.fx.Valid = 0xff
}

func (c *CPU) mm(n uint8) uint64 { return c.fx.ST[n&7].Frac }

func (c *CPU) setMM(n uint8, v uint64) {
	c.mmxUsed()
	c.fx.ST[n&7] = x86.F80{Frac: v, SE: 0xffff}
}

func isMem(in *decode.Inst) bool { return in.Flags&decode.FlagMem != 0 }

// isX tells the XMM form of an operation from the MMX form.
func isX(in *decode.Inst) bool { return in.Flags&decode.Flag66 != 0 }

// gsize is the size of a general register operand of an SSE instruction.
func gsize(in *decode.Inst) uint8 {
	if in.Flags&decode.FlagRexW != 0 {
		return 8
	}
	return 4
}

// loadX reads the 16-byte r/m operand; memory must be aligned.
func (c *CPU) loadX(in *decode.Inst) (vec, bool) {
	if !isMem(in) {
		return c.fx.XMM[in.RM&15], true
	}
	lin, ok := c.lin(in, 16, false)
	if !ok {
		return vec{}, false
	}
	if lin&15 != 0 {
		return vec{}, c.gp(0)
	}
	return c.load128(lin)
}

// loadXU is loadX without alignment.
func (c *CPU) loadXU(in *decode.Inst) (vec, bool) {
	if !isMem(in) {
		return c.fx.XMM[in.RM&15], true
	}
	lin, ok := c.lin(in, 16, false)
	if !ok {
		return vec{}, false
	}
	return c.load128(lin)
}

// storeX writes the 16-byte r/m operand.
func (c *CPU) storeX(in *decode.Inst, v vec, aligned bool) bool {
	if !isMem(in) {
		c.fx.XMM[in.RM&15] = v
		return true
	}
	lin, ok := c.lin(in, 16, true)
	if !ok {
		return false
	}
	if aligned && lin&15 != 0 {
		return c.gp(0)
	}
	return c.store128(lin, v)
}

// loadLow reads the low size bytes of an XMM or memory operand.
func (c *CPU) loadLow(in *decode.Inst, size uint8) (uint64, bool) {
	if !isMem(in) {
		return trunc(c.fx.XMM[in.RM&15][0], size), true
	}
	return c.loadM(in, size)
}

// loadM reads a memory operand.
func (c *CPU) loadM(in *decode.Inst, size uint8) (uint64, bool) {
	lin, ok := c.lin(in, size, false)
	if !ok {
		return 0, false
	}
	return c.load(lin, size)
}

// loadP reads an MMX register or memory operand.
func (c *CPU) loadP(in *decode.Inst, size uint8) (uint64, bool) {
	if !isMem(in) {
		return c.mm(in.RM), true
	}
	return c.loadM(in, size)
}

func (c *CPU) storeM(in *decode.Inst, v uint64, size uint8) bool {
	lin, ok := c.lin(in, size, true)
	return ok && c.store(lin, v, size)
}

// lanewise makes the handler of an operation that treats each 64 bits of its operands alike.
func lanewise(f func(a, b uint64) uint64) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if isX(in) {
			if !c.sseOK() {
				return false
			}
			b, ok := c.loadX(in)
			if ok {
				d := &c.fx.XMM[in.Reg&15]
				d[0], d[1] = f(d[0], b[0]), f(d[1], b[1])
			}
			return ok
		}
		if !c.mmxOK() {
			return false
		}
		b, ok := c.loadP(in, 8)
		if ok {
			c.setMM(in.Reg, f(c.mm(in.Reg), b))
		}
		return ok
	}
}

// pairwise makes the handler of an operation whose low 64 bits come from the first operand and whose high
// ones come from the second, each half of the result from 128 bits x:y; the MMX form gives it the two operands.
func pairwise(f func(x, y uint64) uint64) handler {
	return bothForms(func(a, b vec) vec { return vec{f(a[0], a[1]), f(b[0], b[1])} }, f)
}

// bothForms makes a handler out of the XMM and the MMX function.
func bothForms(x func(a, b vec) vec, p func(a, b uint64) uint64) handler {
	xh := vector(x)
	return func(c *CPU, in *decode.Inst) bool {
		if isX(in) {
			return xh(c, in)
		}
		if !c.mmxOK() {
			return false
		}
		b, ok := c.loadP(in, in.Size)
		if ok {
			c.setMM(in.Reg, p(c.mm(in.Reg), b))
		}
		return ok
	}
}

// vector makes the handler of an operation with only an XMM form.
func vector(f func(a, b vec) vec) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.loadX(in)
		if ok {
			d := &c.fx.XMM[in.Reg&15]
			*d = f(*d, b)
		}
		return ok
	}
}

// vectorImm is vector with an immediate byte.
func vectorImm(f func(a, b vec, imm uint8) vec) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.loadX(in)
		if ok {
			d := &c.fx.XMM[in.Reg&15]
			*d = f(*d, b, uint8(in.Imm))
		}
		return ok
	}
}
