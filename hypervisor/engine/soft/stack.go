package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// spMask gives the bits of RSP that address the stack.
func (c *CPU) spMask() uint64 {
	switch {
	case c.long:
		return ^uint64(0)
	case c.seg[x86.SS].Attr&x86.AttrDB != 0:
		return 0xffffffff
	}
	return 0xffff
}

func (c *CPU) setSP(v uint64) {
	m := c.spMask()
	if m == 0xffffffff {
		c.regs[x86.RSP] = v & m
		return
	}
	c.regs[x86.RSP] = c.regs[x86.RSP]&^m | v&m
}

// push stores v below the stack pointer and moves it only when that succeeded.
func (c *CPU) push(v uint64, size uint8) bool {
	sp := (c.regs[x86.RSP] - uint64(size)) & c.spMask()
	lin, ok := c.linear(x86.SS, sp, size, true)
	if !ok || !c.store(lin, v, size) {
		return false
	}
	c.setSP(sp)
	return true
}

// peekStack reads the word off bytes above the stack pointer.
func (c *CPU) peekStack(off uint64, size uint8) (uint64, bool) {
	lin, ok := c.linear(x86.SS, (c.regs[x86.RSP]+off)&c.spMask(), size, false)
	if !ok {
		return 0, false
	}
	return c.load(lin, size)
}

func opPush(c *CPU, in *decode.Inst) bool {
	switch in.Form {
	case decode.FormO:
		return c.push(c.regs[in.RM], in.Size)
	case decode.FormI:
		return c.push(uint64(in.Imm), in.Size)
	}
	v, ok := c.rm(in, in.Size)
	return ok && c.push(v, in.Size)
}

func opPop(c *CPU, in *decode.Inst) bool {
	v, ok := c.peekStack(0, in.Size)
	if !ok {
		return false
	}
	if in.Form == decode.FormO || in.Flags&decode.FlagMem == 0 {
		c.setSP(c.regs[x86.RSP] + uint64(in.Size))
		c.setReg(in.RM, in.Size, v)
		return true
	}
	// An address made with RSP uses its value after the increment (SDM 2B POP).
	sp := c.regs[x86.RSP]
	c.setSP(sp + uint64(in.Size))
	if !c.setRM(in, in.Size, v) {
		c.regs[x86.RSP] = sp
		return false
	}
	return true
}

func opPusha(c *CPU, in *decode.Inst) bool {
	sp := c.regs[x86.RSP]
	for r := uint8(0); r < 8; r++ {
		v := c.reg(r, in.Size)
		if r == x86.RSP {
			v = sp
		}
		if !c.push(v, in.Size) {
			c.regs[x86.RSP] = sp
			return false
		}
	}
	return true
}

func opPopa(c *CPU, in *decode.Inst) bool {
	var v [8]uint64
	for i := range v {
		var ok bool
		if v[i], ok = c.peekStack(uint64(i)*uint64(in.Size), in.Size); !ok {
			return false
		}
	}
	for i, x := range v {
		if r := uint8(7 - i); r != x86.RSP {
			c.setReg(r, in.Size, x)
		}
	}
	c.setSP(c.regs[x86.RSP] + 8*uint64(in.Size))
	return true
}

func opPushf(c *CPU, in *decode.Inst) bool {
	if !c.ioplOKv86() {
		return c.gp(0)
	}
	return c.push(c.rflags()&^(x86.FlagVM|x86.FlagRF), in.Size)
}

func opPopf(c *CPU, in *decode.Inst) bool {
	if !c.ioplOKv86() {
		return c.gp(0)
	}
	v, ok := c.peekStack(0, in.Size)
	if !ok {
		return false
	}
	c.setSP(c.regs[x86.RSP] + uint64(in.Size))
	mask := uint64(x86.FlagsArith | x86.FlagTF | x86.FlagDF | x86.FlagNT)
	if in.Size > 2 {
		mask |= x86.FlagAC | x86.FlagID
	}
	iopl := c.flags >> 12 & 3
	if c.cpl == 0 {
		mask |= x86.FlagIOPL
	}
	if uint64(c.cpl) <= iopl {
		mask |= x86.FlagIF
	}
	c.setFlags(c.rflags()&^mask&^x86.FlagRF | v&mask)
	return true
}

// ioplOKv86 is false in virtual-8086 mode with IOPL below 3.
func (c *CPU) ioplOKv86() bool {
	return c.flags&x86.FlagVM == 0 || c.flags&x86.FlagIOPL == x86.FlagIOPL
}

// setFlags replaces RFLAGS, with what depends on them.
func (c *CPU) setFlags(f uint64) {
	f = f&^(1<<3|1<<5|1<<15|0xffffffffffc00000) | x86.FlagOne
	ac := (c.flags ^ f) & x86.FlagAC
	c.flags, c.ccOp = f, ccFlags
	if ac != 0 {
		c.selectTLB()
	}
}

func opLeave(c *CPU, in *decode.Inst) bool {
	m := c.spMask()
	sp := c.regs[x86.RBP] & m
	lin, ok := c.linear(x86.SS, sp, in.Size, false)
	if !ok {
		return false
	}
	v, ok := c.load(lin, in.Size)
	if !ok {
		return false
	}
	c.setSP(sp + uint64(in.Size))
	c.setReg(x86.RBP, in.Size, v)
	return true
}

func opEnter(c *CPU, in *decode.Inst) bool {
	level := uint8(in.Disp) & 31
	saved := c.regs
	m := c.spMask()
	fail := func() bool { c.regs = saved; return false }
	if !c.push(c.regs[x86.RBP], in.Size) {
		return fail()
	}
	frame := c.regs[x86.RSP]
	for i := uint8(1); i < level; i++ {
		bp := c.regs[x86.RBP] - uint64(i)*uint64(in.Size)
		lin, ok := c.linear(x86.SS, bp&m, in.Size, false)
		if !ok {
			return fail()
		}
		v, ok := c.load(lin, in.Size)
		if !ok || !c.push(v, in.Size) {
			return fail()
		}
	}
	if level > 0 && !c.push(frame, in.Size) {
		return fail()
	}
	sp := c.regs[x86.RSP] - uint64(uint16(in.Imm))
	// The new stack top must be writable (SDM 2A ENTER).
	lin, ok := c.linear(x86.SS, sp&m, in.Size, true)
	if !ok || !c.probe(lin, in.Size, accWrite) {
		return fail()
	}
	c.setSP(sp)
	c.setReg(x86.RBP, in.Size, frame)
	return true
}

// nextRIP gives the address behind the instruction.
func (c *CPU) nextRIP(in *decode.Inst) uint64 { return c.curRIP + uint64(in.Off) + uint64(in.Len) }

// jump sets RIP, cut to the operand size; a target that is not canonical or beyond the limit faults at the branch.
func (c *CPU) jump(to uint64, size uint8) bool {
	switch size {
	case 2:
		to &= 0xffff
	case 4:
		to &= 0xffffffff
	}
	if c.long {
		if !canonical(to) {
			return c.gp(0)
		}
	} else if to > uint64(c.seg[x86.CS].Limit) {
		return c.gp(0)
	}
	c.rip = to
	return true
}

func opJcc(c *CPU, in *decode.Inst) bool {
	to := c.nextRIP(in)
	if c.cond(in.Opcode) {
		return c.jump(to+uint64(in.Imm), in.Size)
	}
	c.rip = to
	return true
}

func opJmp(c *CPU, in *decode.Inst) bool { return c.jump(c.nextRIP(in)+uint64(in.Imm), in.Size) }

func opJmpi(c *CPU, in *decode.Inst) bool {
	to, ok := c.rm(in, in.Size)
	return ok && c.jump(to, in.Size)
}

// call checks the target, pushes the return address and goes.
func (c *CPU) call(to, ret uint64, size uint8) bool {
	old := c.rip
	if !c.jump(to, size) {
		return false
	}
	if !c.push(ret, size) {
		c.rip = old
		return false
	}
	return true
}

func opCall(c *CPU, in *decode.Inst) bool {
	ret := c.nextRIP(in)
	return c.call(ret+uint64(in.Imm), ret, in.Size)
}

func opCalli(c *CPU, in *decode.Inst) bool {
	to, ok := c.rm(in, in.Size)
	return ok && c.call(to, c.nextRIP(in), in.Size)
}

func opRet(c *CPU, in *decode.Inst) bool {
	to, ok := c.peekStack(0, in.Size)
	if !ok || !c.jump(to, in.Size) {
		return false
	}
	c.setSP(c.regs[x86.RSP] + uint64(in.Size) + uint64(in.Imm))
	return true
}

// countReg gives and sets CX, ECX or RCX by address size.
func (c *CPU) countReg(asize uint8) uint64 { return c.cut(c.regs[x86.RCX], asize) }

func opLoop(c *CPU, in *decode.Inst) bool {
	n := c.cut(c.regs[x86.RCX]-1, in.ASize)
	taken := n != 0
	switch in.Op {
	case decode.LOOPE:
		taken = taken && c.cond(4)
	case decode.LOOPNE:
		taken = taken && c.cond(5)
	}
	to := c.nextRIP(in)
	if taken {
		if !c.jump(to+uint64(in.Imm), in.Size) {
			return false
		}
	} else {
		c.rip = to
	}
	c.setReg(x86.RCX, in.ASize, n)
	return true
}

func opJcxz(c *CPU, in *decode.Inst) bool {
	to := c.nextRIP(in)
	if c.countReg(in.ASize) == 0 {
		return c.jump(to+uint64(in.Imm), in.Size)
	}
	c.rip = to
	return true
}
