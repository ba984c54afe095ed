package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// flat gives a flat segment as SYSCALL and SYSRET load it (SDM 2B).
func flat(sel uint16, attr uint32) x86.Segment {
	return x86.Segment{Selector: sel, Limit: 0xffffffff, Attr: attr}
}

const (
	attrCode64 = 0xa09b // G, L, P, S, execute/read, accessed
	attrCode32 = 0xc09b
	attrData   = 0xc093
	attrDPL3   = 3 << x86.AttrDPLShift
)

// opSyscall follows the AMD manual: also from compatibility mode, to CSTAR, and in protected mode.
func opSyscall(c *CPU, in *decode.Inst) bool {
	switch {
	case c.efer&x86.EFERSCE == 0:
		return c.ud()
	case c.efer&x86.EFERLMA == 0:
		return c.legacySyscall(in)
	}
	target := c.msr.lstar
	if !c.long {
		target = c.msr.cstar
	}
	c.regs[x86.RCX] = c.nextRIP(in)
	c.regs[x86.R11] = c.rflags() &^ x86.FlagRF
	sel := uint16(c.msr.star>>32) &^ 3
	c.seg[x86.CS], c.seg[x86.SS] = flat(sel, attrCode64), flat(sel+8, attrData)
	c.setFlags(c.rflags() &^ c.msr.sfmask &^ x86.FlagRF)
	c.setCPL(0)
	c.updateMode()
	c.rip = target
	return true
}

// legacySyscall is SYSCALL outside IA-32e mode: the target is in STAR, and RFLAGS is not saved (APM 3, SYSCALL).
func (c *CPU) legacySyscall(in *decode.Inst) bool {
	if !c.protected() {
		return c.ud()
	}
	c.regs[x86.RCX] = c.nextRIP(in)
	sel := uint16(c.msr.star>>32) &^ 3
	c.seg[x86.CS], c.seg[x86.SS] = flat(sel, attrCode32), flat(sel+8, attrData)
	c.setFlags(c.rflags() &^ (x86.FlagIF | x86.FlagRF | x86.FlagVM))
	c.setCPL(0)
	c.updateMode()
	c.rip = c.msr.star & 0xffffffff
	return true
}

// legacySysret is the way back: RFLAGS gets IF and keeps the rest.
func (c *CPU) legacySysret() bool {
	sel := uint16(c.msr.star >> 48)
	c.seg[x86.CS], c.seg[x86.SS] = flat(sel|3, attrCode32|attrDPL3), flat((sel+8)|3, attrData|attrDPL3)
	c.setFlags(c.rflags() | x86.FlagIF)
	c.setCPL(3)
	c.updateMode()
	c.rip = c.regs[x86.RCX] & 0xffffffff
	return true
}

func opSysret(c *CPU, in *decode.Inst) bool {
	if c.efer&x86.EFERSCE == 0 {
		return c.ud()
	}
	if c.efer&x86.EFERLMA == 0 && !c.protected() {
		return c.ud()
	}
	if !c.privileged() {
		return false
	}
	if c.efer&x86.EFERLMA == 0 {
		return c.legacySysret()
	}
	sel := uint16(c.msr.star >> 48)
	rip := c.regs[x86.RCX]
	if in.Size == 8 {
		if !canonical(rip) {
			return c.gp(0)
		}
		c.seg[x86.CS] = flat((sel+16)|3, attrCode64|attrDPL3)
	} else {
		rip &= 0xffffffff
		c.seg[x86.CS] = flat(sel|3, attrCode32|attrDPL3)
	}
	c.seg[x86.SS] = flat((sel+8)|3, attrData|attrDPL3)
	c.setFlags(c.regs[x86.R11] & 0x3c7fd7)
	c.setCPL(3)
	c.updateMode()
	c.rip = rip
	return true
}

func opSysenter(c *CPU, in *decode.Inst) bool {
	if c.cr0&x86.CR0PE == 0 || c.msr.sysCS&^3 == 0 {
		return c.gp(0)
	}
	sel := uint16(c.msr.sysCS) &^ 3
	attr := uint32(attrCode32)
	c.rip, c.regs[x86.RSP] = c.msr.sysEIP&0xffffffff, c.msr.sysESP&0xffffffff
	if c.efer&x86.EFERLMA != 0 {
		attr = attrCode64
		c.rip, c.regs[x86.RSP] = c.msr.sysEIP, c.msr.sysESP
	}
	c.seg[x86.CS], c.seg[x86.SS] = flat(sel, attr), flat(sel+8, attrData)
	c.setFlags(c.rflags() &^ (x86.FlagIF | x86.FlagRF | x86.FlagVM))
	c.setCPL(0)
	c.updateMode()
	return true
}

func opSysexit(c *CPU, in *decode.Inst) bool {
	if c.cr0&x86.CR0PE == 0 || c.msr.sysCS&^3 == 0 {
		return c.gp(0)
	}
	if !c.privileged() {
		return false
	}
	sel := uint16(c.msr.sysCS) &^ 3
	rip, rsp := c.regs[x86.RDX], c.regs[x86.RCX]
	if in.Size == 8 {
		if !canonical(rip) || !canonical(rsp) {
			return c.gp(0)
		}
		c.seg[x86.CS] = flat((sel+32)|3, attrCode64|attrDPL3)
		c.seg[x86.SS] = flat((sel+40)|3, attrData|attrDPL3)
	} else {
		rip, rsp = rip&0xffffffff, rsp&0xffffffff
		c.seg[x86.CS] = flat((sel+16)|3, attrCode32|attrDPL3)
		c.seg[x86.SS] = flat((sel+24)|3, attrData|attrDPL3)
	}
	c.setCPL(3)
	c.updateMode()
	c.rip, c.regs[x86.RSP] = rip, rsp
	return true
}
