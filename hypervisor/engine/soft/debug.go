package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// DR6 bits (SDM 3B 17.2.3).
const (
	dr6BD    = 1 << 13
	dr6BS    = 1 << 14
	dr6Fixed = 0xffff0ff0
	dr7Fixed = 0x400
	dr7GD    = 1 << 13
)

// drIndex checks an access to a debug register and gives its number; DR4 and DR5 are DR6 and DR7 unless CR4.DE is set.
func (c *CPU) drIndex(in *decode.Inst) (uint8, bool) {
	n := in.Reg
	if n > 7 || (n == 4 || n == 5) && c.cr4&x86.CR4DE != 0 {
		return 0, c.ud()
	}
	if !c.privileged() {
		return 0, false
	}
	if c.dr[7]&dr7GD != 0 {
		c.dr[7] &^= dr7GD
		c.dr[6] |= dr6BD
		return 0, c.raise(x86.VectorDB)
	}
	if n == 4 || n == 5 {
		n += 2
	}
	return n, true
}

func opMovFromDR(c *CPU, in *decode.Inst) bool {
	n, ok := c.drIndex(in)
	if ok {
		c.setReg(in.RM, in.Size, c.dr[n])
	}
	return ok
}

func opMovToDR(c *CPU, in *decode.Inst) bool {
	n, ok := c.drIndex(in)
	if !ok {
		return false
	}
	v := c.reg(in.RM, in.Size)
	switch n {
	case 6:
		if v>>32 != 0 {
			return c.gp(0)
		}
		v = v&0xe00f | dr6Fixed
	case 7:
		if v>>32 != 0 {
			return c.gp(0)
		}
		v = v&^0xd800 | dr7Fixed
	}
	c.dr[n] = v
	if n != 6 {
		c.armBreakpoints()
	}
	return true
}

// breakpoint is one of DR0-3 as DR7 sets it up.
type breakpoint struct {
	addr uint64
	size uint64 // bytes: 1, 2, 4 or 8
	kind uint8  // 0 execute, 1 write, 2 I/O, 3 read or write
	on   bool
}

func (c *CPU) breakpoint(i int) breakpoint {
	dr7 := c.dr[7]
	return breakpoint{
		addr: c.dr[i],
		size: [4]uint64{1, 2, 8, 4}[dr7>>(18+4*i)&3],
		kind: uint8(dr7 >> (16 + 4*i) & 3),
		on:   dr7>>(2*i)&3 != 0,
	}
}

// armBreakpoints decides whether breakpoints are to be looked for. While they are, blocks have one instruction.
func (c *CPU) armBreakpoints() {
	on := false
	for i := 0; i < 4; i++ {
		on = on || c.breakpoint(i).on
	}
	if on || c.watching {
		c.flushTLB(true)
	}
	c.watching = on
}

func (c *CPU) watchedPage(lin uint64) bool {
	for i := 0; i < 4; i++ {
		if b := c.breakpoint(i); b.on && b.kind != 0 && b.addr&^pageMask == lin&^pageMask {
			return true
		}
	}
	return false
}

// watchAccess notes the data breakpoints that an access hits; #DB follows the instruction.
func (c *CPU) watchAccess(lin uint64, size uint8, acc access) {
	for i := 0; i < 4; i++ {
		b := c.breakpoint(i)
		if !b.on || b.kind != 3 && (b.kind != 1 || acc != accWrite) {
			continue
		}
		at := b.addr &^ (b.size - 1)
		if lin < at+b.size && at < lin+uint64(size) {
			c.dbHits |= 1 << i
		}
	}
}

// codeBreakpoint reports #DB for an instruction breakpoint at rip, unless RF is set.
func (c *CPU) codeBreakpoint(rip uint64) bool {
	if c.flags&x86.FlagRF != 0 {
		return false
	}
	hit := uint64(0)
	for i := 0; i < 4; i++ {
		if b := c.breakpoint(i); b.on && b.kind == 0 && b.addr == rip {
			hit |= 1 << i
		}
	}
	c.dr[6] |= hit
	return hit != 0
}
