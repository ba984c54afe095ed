package soft

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// Run implements engine.VCPU.
func (c *CPU) Run(e *engine.Exit) error {
	c.exit = e
	switch e.Kind {
	case engine.ExitIO, engine.ExitMMIO, engine.ExitRDMSR, engine.ExitWRMSR:
		if c.answer.wait || c.awaiting {
			if !c.inject.valid {
				c.answer.take(e.Data)
				c.single = true
			}
			c.awaiting = false
		}
	}
	*e = engine.Exit{}
	c.inGuest.Store(true)
	defer c.inGuest.Store(false) // after a panic too: other vCPUs wait for it in syncOthers
	c.execute()
	e.Interruptible = c.interruptible()
	e.RIP = c.rip
	return nil
}

// slow reports that events has something to do besides attn.
func (c *CPU) slow() bool {
	return c.inject.valid || c.window || c.single || c.shadow || c.movss || c.watching || c.flags&x86.FlagTF != 0
}

// due is what events found.
type due uint8

const (
	dueLeave due = iota // c.exit says why
	dueRun              // execute the next block
	dueAgain            // an instruction was executed or an event delivered: look again
)

// events handles what is due between two instructions.
func (c *CPU) events() due {
	if !c.attention() {
		return dueLeave
	}
	if c.inject.valid {
		ev := c.inject
		c.inject.valid = false
		c.answer.reset()
		c.single, c.shadow, c.movss = false, false, false
		if !c.deliver(ev, !ev.external) {
			c.shutdown()
			return dueLeave
		}
	}
	if c.halted {
		c.exit.Kind = engine.ExitHLT
		return dueLeave
	}
	if c.window && c.interruptible() {
		c.window = false
		c.exit.Kind = engine.ExitWindow
		return dueLeave
	}
	if c.icount >= c.limit {
		c.exit.Kind = engine.ExitKick
		return dueLeave
	}
	if c.watching && c.codeBreakpoint(c.rip) && !c.movss {
		if !c.deliver(injection{vector: x86.VectorDB}, true) {
			c.shutdown()
			return dueLeave
		}
		return dueAgain
	}
	// An instruction behind STI or MOV SS is executed alone, and so is one under TF, breakpoints, an answer, or near the limit.
	c.single = c.answer.n > 0 || c.answer.reg || c.shadow || c.movss || c.watching || c.flags&x86.FlagTF != 0 ||
		c.icount+maxBlock > c.limit
	switch {
	case !c.single:
		return dueRun
	case c.step():
		return dueAgain
	}
	return dueLeave
}

// attention handles the requests of other threads.
func (c *CPU) attention() bool {
	at := c.attn.Load()
	if at == 0 {
		return true
	}
	if at&attnSync != 0 {
		c.dropAllWrites()
	}
	if at&attnFlush != 0 {
		c.attn.And(^uint32(attnFlush))
		c.flushTLB(true)
	}
	if at&attnNMI != 0 && !c.nmiBlocked && !c.movss {
		c.attn.And(^uint32(attnNMI))
		c.nmiBlocked = true
		c.answer.reset()
		if !c.deliver(injection{vector: x86.VectorNMI, external: true}, false) {
			return c.shutdown()
		}
	}
	if at&attnKick != 0 {
		c.attn.And(^uint32(attnKick))
		c.exit.Kind = engine.ExitKick
		return false
	}
	return true
}

func (c *CPU) shutdown() bool {
	c.exit.Kind = engine.ExitShutdown
	return false
}

// step executes one instruction, with what must follow it: the end of a shadow, #DB. false: leave.
func (c *CPU) step() bool {
	tf := c.flags&x86.FlagTF != 0
	shadow := c.shadow || c.movss
	rip := c.rip
	blk := c.lookup(rip)
	if blk == nil {
		c.cur = nil
		ok := c.trap(nil, 0)
		c.single = false
		return ok
	}
	c.cur, c.curRIP, c.regs[regRIP] = blk, rip, rip
	in := &blk.insts[0]
	c.shadow, c.movss = false, false
	c.rip = rip + uint64(in.Len)
	if c.mode != decode.Mode64 {
		c.rip = c.cutRIP(c.rip)
	}
	next := c.rip
	if !c.handler[in.Op](c, in) {
		c.rip = rip
		if shadow && (c.stop == stopExit || c.stop == stopRestart) {
			c.shadow = true // the instruction is not over
		}
		st := c.stop
		ok := c.trap(in, 0)
		switch {
		case st == stopDone:
			c.answer.reset()
			hlt := c.halted
			ok = c.singleStepTrap(tf) && ok
			if hlt && !c.halted { // #DB has ended the HLT before anybody saw it
				c.exit.Kind, ok = engine.ExitNone, true
			}
		case st == stopRestart && tf && in.Form == decode.FormStr: // an element of a repeated string instruction is done
			ok = c.singleStepTrap(tf) && ok
		}
		c.single = false
		return ok
	}
	if blk.end != endBranch {
		c.rip = next
	}
	c.icount++
	c.flags &^= x86.FlagRF & -b2u(in.Op != decode.IRET)
	c.answer.reset()
	c.single = false
	switch in.Op {
	case decode.INT, decode.INT3, decode.INT1, decode.INTO:
		tf = tf && c.flags&x86.FlagTF != 0 // delivery has cleared it: no #DB (SDM 3B 17.3.1.4)
	}
	if c.movss {
		return true // #DB waits for the instruction behind (SDM 3A 6.8.3)
	}
	return c.singleStepTrap(tf)
}

// singleStepTrap raises #DB behind an instruction: TF was set when it began, or it hit a data breakpoint.
func (c *CPU) singleStepTrap(tf bool) bool {
	if !tf && c.dbHits == 0 {
		return true
	}
	c.dr[6] = c.dr[6]&^0xf | c.dbHits
	if tf {
		c.dr[6] |= dr6BS
	}
	c.dbHits = 0
	if c.inject.valid || !c.deliver(injection{vector: x86.VectorDB}, false) {
		return c.inject.valid || c.shutdown()
	}
	return true
}

// trap deals with an instruction that did not finish: instruction i of the block under way, at c.rip. true: go on at c.rip.
func (c *CPU) trap(in *decode.Inst, i int) bool {
	c.icount += uint64(i)
	st := c.stop
	c.stop = stopNone
	switch st {
	case stopFault:
		f := c.fault
		if f.Vector == x86.VectorGP && c.long && in != nil && c.stackAccess(in, f) {
			f.Vector = x86.VectorSS
		}
		c.answer.reset()
		c.single = false
		if !c.deliver(fromFault(f), true) {
			return c.shutdown()
		}
		return true
	case stopExit:
		c.awaiting = true
		return false
	case stopDone:
		c.icount++
		c.rip += uint64(in.Len)
		if c.mode != decode.Mode64 {
			c.rip = c.cutRIP(c.rip)
		}
		return false
	}
	return true // stopRestart
}

// stackAccess reports whether a non-canonical access by in was one to the stack, which is #SS and not #GP.
func (c *CPU) stackAccess(in *decode.Inst, f x86.Fault) bool {
	if !c.nonCanonical {
		return false
	}
	c.nonCanonical = false
	switch in.Op {
	case decode.PUSH, decode.POP, decode.CALL, decode.CALLI, decode.RET, decode.PUSHF, decode.POPF, decode.LEAVE, decode.ENTER,
		decode.IRET, decode.RETF, decode.PUSHS, decode.POPS:
		if in.Flags&decode.FlagMem == 0 || f.Addr-c.ea(in)-c.segBase[in.Seg] >= 8 {
			return true // not the memory operand
		}
		return in.Seg == x86.SS
	}
	return in.Flags&decode.FlagMem != 0 && in.Seg == x86.SS
}

// cutRIP wraps an instruction pointer outside 64-bit mode.
func (c *CPU) cutRIP(rip uint64) uint64 {
	if c.mode == decode.Mode16 {
		return rip & 0xffff
	}
	return rip & 0xffffffff
}

// undoCall takes back the push of a direct CALL whose target turned out not to be canonical.
func (c *CPU) undoCall(in *decode.Inst) {
	if in.Op == decode.CALL {
		c.regs[x86.RSP] += 8
	}
}
