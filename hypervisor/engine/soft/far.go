package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// codeTarget checks a code segment for a far jump, call or return to it. need is the privilege level that a
// return goes to; jumps and calls pass the CPL.
func (c *CPU) codeTarget(sel uint16, need uint8, ret bool) (*x86.Segment, bool) {
	if sel&^3 == 0 {
		return nil, c.gp(0)
	}
	desc, addr, ok := c.descriptor(sel, x86.VectorGP)
	if !ok {
		return nil, false
	}
	s := unpack(sel, desc)
	bad := s.Attr&x86.AttrS == 0 || s.Attr&typeCode == 0
	conforming := s.Attr&typeConforming != 0
	rpl := uint8(sel & 3)
	switch {
	case ret:
		bad = bad || rpl < c.cpl || conforming && s.DPL() > rpl || !conforming && s.DPL() != rpl
	case conforming:
		bad = bad || s.DPL() > need
	default:
		bad = bad || rpl > need || s.DPL() != need
	}
	if c.efer&x86.EFERLMA != 0 && s.Attr&x86.AttrL != 0 && s.Attr&x86.AttrDB != 0 {
		bad = true
	}
	if bad {
		return nil, c.gp(uint32(sel &^ 3))
	}
	if s.Attr&x86.AttrP == 0 {
		return nil, c.except(x86.VectorNP, uint32(sel&^3))
	}
	if !c.setAccessed(&s, desc, addr) {
		return nil, false
	}
	s.Selector = sel&^3 | uint16(need)
	return &s, true
}

// targetOK checks a far target's offset against the new code segment.
func (c *CPU) targetOK(s *x86.Segment, off uint64) bool {
	if c.efer&x86.EFERLMA != 0 && s.Attr&x86.AttrL != 0 {
		return canonical(off) || c.gp(0)
	}
	return off <= uint64(s.Limit) || c.gp(0)
}

// farJump transfers to sel:off without a change of privilege. Call gates and task switches are not supported: #GP(selector).
func (c *CPU) farJump(sel uint16, off uint64, call bool, size uint8, ret uint64) bool {
	if size == 2 {
		off &= 0xffff
	}
	old := c.save()
	oldCS := c.seg[x86.CS].Selector
	var s *x86.Segment
	if !c.protected() {
		n := c.seg[x86.CS]
		n.Selector, n.Base = sel, uint64(sel)<<4
		s = &n
	} else {
		var ok bool
		if s, ok = c.codeTarget(sel, c.cpl, false); !ok {
			return false
		}
	}
	if !c.targetOK(s, off) {
		return false
	}
	if call && (!c.push(uint64(oldCS), size) || !c.push(ret, size)) {
		c.restore(&old)
		return false
	}
	c.seg[x86.CS] = *s
	c.rip = off
	c.updateMode()
	return true
}

func opJmpf(c *CPU, in *decode.Inst) bool {
	return c.farJump(uint16(in.Disp), uint64(in.Imm), false, in.Size, 0)
}

func opCallf(c *CPU, in *decode.Inst) bool {
	return c.farJump(uint16(in.Disp), uint64(in.Imm), true, in.Size, c.nextRIP(in))
}

func (c *CPU) farPointer(in *decode.Inst) (sel uint16, off uint64, ok bool) {
	lin, ok := c.lin(in, in.Size+2, false)
	if !ok {
		return 0, 0, false
	}
	if off, ok = c.load(lin, in.Size); !ok {
		return 0, 0, false
	}
	s, ok := c.load16(c.wrap(lin + uint64(in.Size)))
	return uint16(s), off, ok
}

func opJmpfi(c *CPU, in *decode.Inst) bool {
	sel, off, ok := c.farPointer(in)
	return ok && c.farJump(sel, off, false, in.Size, 0)
}

func opCallfi(c *CPU, in *decode.Inst) bool {
	sel, off, ok := c.farPointer(in)
	return ok && c.farJump(sel, off, true, in.Size, c.nextRIP(in))
}

func opRetf(c *CPU, in *decode.Inst) bool {
	off, ok := c.peekStack(0, in.Size)
	if !ok {
		return false
	}
	sel, ok := c.peekStack(uint64(in.Size), in.Size)
	if !ok {
		return false
	}
	drop := 2*uint64(in.Size) + uint64(in.Imm)
	if !c.protected() {
		c.seg[x86.CS].Selector, c.seg[x86.CS].Base = uint16(sel), sel&0xffff<<4
		c.rip = off
		c.setSP(c.regs[x86.RSP] + drop)
		c.updateMode()
		return true
	}
	rpl := uint8(sel & 3)
	s, ok := c.codeTarget(uint16(sel), rpl, true)
	if !ok || !c.targetOK(s, off) {
		return false
	}
	if rpl == c.cpl {
		c.setSP(c.regs[x86.RSP] + drop)
		c.seg[x86.CS], c.rip = *s, off
		c.updateMode()
		return true
	}
	rsp, ok := c.peekStack(drop, in.Size)
	if !ok {
		return false
	}
	ss, ok := c.peekStack(drop+uint64(in.Size), in.Size)
	if !ok {
		return false
	}
	if !c.outer(s, rpl, uint16(ss), rsp, off) {
		return false
	}
	c.setSP(c.regs[x86.RSP] + uint64(in.Imm))
	return true
}

// outer finishes a return to an outer privilege level: CS, SS, RSP, RIP and data segments.
func (c *CPU) outer(cs *x86.Segment, rpl uint8, ss uint16, rsp, rip uint64) bool {
	old := c.save()
	to64 := c.efer&x86.EFERLMA != 0 && cs.Attr&x86.AttrL != 0
	c.seg[x86.CS] = *cs
	c.setCPL(rpl)
	c.updateMode()
	if !(to64 && ss&^3 == 0 && rpl != 3 && uint8(ss&3) == rpl) {
		if !c.loadSegment(x86.SS, ss) {
			c.restore(&old)
			return false
		}
	} else {
		c.seg[x86.SS] = x86.Segment{Selector: ss, Attr: x86.AttrUnusable | uint32(rpl)<<x86.AttrDPLShift}
	}
	c.setSP(rsp)
	c.rip = rip
	for _, n := range [4]uint8{x86.ES, x86.FS, x86.GS, x86.DS} {
		s := &c.seg[n]
		if s.Attr&x86.AttrUnusable == 0 && s.DPL() < rpl && (s.Attr&typeCode == 0 || s.Attr&typeConforming == 0) {
			*s = x86.Segment{Attr: x86.AttrUnusable, Base: s.Base}
			if n == x86.ES || n == x86.DS {
				s.Base = 0
			}
		}
	}
	c.updateMode()
	return true
}

// opIret returns from an interrupt (SDM 2A IRET). Virtual-8086 mode and task returns are not supported: #GP(0).
func opIret(c *CPU, in *decode.Inst) bool {
	if c.flags&x86.FlagVM != 0 {
		return c.gp(0)
	}
	var w [5]uint64
	long := c.efer&x86.EFERLMA != 0
	n := 3
	if c.long {
		n = 5
	}
	if c.protected() && c.rflags()&x86.FlagNT != 0 {
		return c.gp(0)
	}
	for i := 0; i < n; i++ {
		var ok bool
		if w[i], ok = c.peekStack(uint64(i)*uint64(in.Size), in.Size); !ok {
			return false
		}
	}
	if !c.protected() {
		c.seg[x86.CS].Selector, c.seg[x86.CS].Base = uint16(w[1]), w[1]&0xffff<<4
		c.rip = w[0]
		c.setSP(c.regs[x86.RSP] + 3*uint64(in.Size))
		c.iretFlags(w[2], in.Size, 0)
		c.updateMode()
		return true
	}
	if !long && w[2]&x86.FlagVM != 0 && c.cpl == 0 && in.Size == 4 {
		return c.gp(0)
	}
	sel := uint16(w[1])
	rpl := uint8(sel & 3)
	s, ok := c.codeTarget(sel, rpl, true)
	if !ok || !c.targetOK(s, w[0]) {
		return false
	}
	cpl := c.cpl
	if rpl != cpl || c.long {
		if !c.long {
			for i := 3; i < 5; i++ {
				if w[i], ok = c.peekStack(uint64(i)*uint64(in.Size), in.Size); !ok {
					return false
				}
			}
		}
		if !c.outer(s, rpl, uint16(w[4]), w[3], w[0]) {
			return false
		}
	} else {
		c.setSP(c.regs[x86.RSP] + 3*uint64(in.Size))
		c.seg[x86.CS], c.rip = *s, w[0]
		c.updateMode()
	}
	c.iretFlags(w[2], in.Size, cpl)
	c.nmiBlocked = false
	return true
}

// iretFlags loads RFLAGS with the rights of the level returned from.
func (c *CPU) iretFlags(v uint64, size uint8, cpl uint8) {
	mask := uint64(x86.FlagsArith | x86.FlagTF | x86.FlagDF | x86.FlagNT)
	if size > 2 {
		mask |= x86.FlagRF | x86.FlagAC | x86.FlagID
	}
	f := c.rflags()
	if cpl == 0 {
		mask |= x86.FlagIOPL
		if size > 2 {
			mask |= x86.FlagVIF | x86.FlagVIP
		}
	}
	if uint64(cpl) <= f>>12&3 {
		mask |= x86.FlagIF
	}
	c.setFlags(f&^mask | v&mask)
}
