package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// regRIPFar marks a RIP-relative operand whose displacement could not be folded (see prepare).
const regRIPFar = 18

// gp, ss, ud and the like record a fault and give false, for handlers to return.
func (c *CPU) gp(code uint32) bool { return c.except(x86.VectorGP, code) }
func (c *CPU) ud() bool {
	c.stop, c.fault = stopFault, x86.Fault{Vector: x86.VectorUD}
	return false
}

func (c *CPU) except(vector uint8, code uint32) bool {
	c.stop, c.fault = stopFault, x86.Fault{Vector: vector, HasError: true, Error: code}
	return false
}

// raise records a fault without error code.
func (c *CPU) raise(vector uint8) bool {
	c.stop, c.fault = stopFault, x86.Fault{Vector: vector}
	return false
}

// ea computes the effective address, without the segment.
func (c *CPU) ea(in *decode.Inst) uint64 {
	if in.Base == regRIPFar {
		return c.curRIP + uint64(in.Off) + uint64(in.Len) + uint64(int64(in.Disp))
	}
	a := c.regs[in.Base] + c.regs[in.Index]<<in.Scale + uint64(int64(in.Disp))
	switch in.ASize {
	case 4:
		a &= 0xffffffff
	case 2:
		a &= 0xffff
	}
	return a
}

// lin gives the linear address of the memory operand, checked against the segment outside 64-bit mode.
func (c *CPU) lin(in *decode.Inst, size uint8, write bool) (uint64, bool) {
	return c.linear(in.Seg, c.ea(in), size, write)
}

// linear adds the segment base, checking limit and rights outside 64-bit mode (SDM 3A 5.3, 5.4).
func (c *CPU) linear(seg uint8, off uint64, size uint8, write bool) (uint64, bool) {
	if c.long {
		return off + c.segBase[seg], true
	}
	s := &c.seg[seg]
	if !c.segOK(s, off, uint64(size), write) {
		if seg == x86.SS {
			return 0, c.except(x86.VectorSS, 0)
		}
		return 0, c.gp(0)
	}
	return (off + s.Base) & 0xffffffff, true
}

func (c *CPU) segOK(s *x86.Segment, off, size uint64, write bool) bool {
	if s.Attr&x86.AttrUnusable != 0 {
		return false
	}
	if c.cr0&x86.CR0PE != 0 {
		code, rw := s.Attr&8 != 0, s.Attr&2 != 0
		if write && (code || !rw) || !write && code && !rw {
			return false
		}
	}
	off &= 0xffffffff
	last := off + size - 1
	if s.Attr&0xc == 4 { // expand-down data
		top := uint64(0xffff)
		if s.Attr&x86.AttrDB != 0 {
			top = 0xffffffff
		}
		return off > uint64(s.Limit) && last <= top
	}
	return last <= uint64(s.Limit)
}

// reg reads a general register operand of size bytes.
func (c *CPU) reg(n, size uint8) uint64 {
	switch size {
	case 8:
		return c.regs[n]
	case 4:
		return uint64(uint32(c.regs[n]))
	case 2:
		return uint64(uint16(c.regs[n]))
	}
	if n >= decode.High8 {
		return c.regs[n-decode.High8] >> 8 & 0xff
	}
	return uint64(uint8(c.regs[n]))
}

// setReg writes one: 32-bit writes clear the upper half, narrower ones leave it.
func (c *CPU) setReg(n, size uint8, v uint64) {
	switch size {
	case 8:
		c.regs[n] = v
	case 4:
		c.regs[n] = uint64(uint32(v))
	case 2:
		c.regs[n] = c.regs[n]&^0xffff | v&0xffff
	default:
		if n >= decode.High8 {
			n -= decode.High8
			c.regs[n] = c.regs[n]&^0xff00 | v&0xff<<8
			return
		}
		c.regs[n] = c.regs[n]&^0xff | v&0xff
	}
}

// rm reads the r/m operand.
func (c *CPU) rm(in *decode.Inst, size uint8) (uint64, bool) {
	if in.Flags&decode.FlagMem == 0 {
		return c.reg(in.RM, size), true
	}
	lin, ok := c.lin(in, size, false)
	if !ok {
		return 0, false
	}
	return c.load(lin, size)
}

// setRM writes the r/m operand.
func (c *CPU) setRM(in *decode.Inst, size uint8, v uint64) bool {
	if in.Flags&decode.FlagMem == 0 {
		c.setReg(in.RM, size, v)
		return true
	}
	lin, ok := c.lin(in, size, true)
	if !ok {
		return false
	}
	return c.store(lin, v, size)
}

// src reads the second operand of a two-operand form.
func (c *CPU) src(in *decode.Inst) (uint64, bool) {
	switch in.Form {
	case decode.FormRM_R:
		return c.reg(in.Reg, in.Size), true
	case decode.FormR_RM:
		return c.rm(in, in.Size)
	}
	return uint64(in.Imm), true
}

// loadForWrite reads an operand that will be written back: it faults as a write, before anything changes.
func (c *CPU) loadForWrite(lin uint64, size uint8) (uint64, bool) {
	if c.entry(lin).w == (lin+uint64(size)-1)&^pageMask {
		return c.load(lin, size)
	}
	if !c.probe(lin, size, accWrite) {
		return 0, false
	}
	return c.load(lin, size)
}

// modify applies f to the r/m operand: atomically if LOCKed. f must be a plain function of its arguments and may be called more than once.
// It gives the operand's old value.
func (c *CPU) modify(in *decode.Inst, size uint8, lock bool, f func(c *CPU, old, src uint64) uint64, src uint64) (uint64, bool) {
	if in.Flags&decode.FlagMem == 0 {
		old := c.reg(in.RM, size)
		c.setReg(in.RM, size, f(c, old, src))
		return old, true
	}
	lin, ok := c.lin(in, size, true)
	if !ok {
		return 0, false
	}
	if lock {
		p, code, ok := c.atomicPtr(lin, size)
		if !ok {
			return 0, false
		}
		if p != nil {
			return c.modifyAtomic(p, code, size, f, src), true
		}
	}
	old, ok := c.loadForWrite(lin, size)
	if !ok {
		return 0, false
	}
	return old, c.store(lin, f(c, old, src), size)
}

// trunc cuts v to size bytes.
func trunc(v uint64, size uint8) uint64 {
	return v << (64 - 8*size) >> (64 - 8*size)
}

// sext sign-extends v from size bytes.
func sext(v uint64, size uint8) uint64 {
	sh := 64 - 8*size
	return uint64(int64(v<<sh) >> sh)
}
