package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// opWait is WAIT: unlike other x87 instructions it heeds TS only together with MP.
func opWait(c *CPU, in *decode.Inst) bool {
	const both = x86.CR0TS | x86.CR0MP
	if c.cr0&both == both {
		return c.raise(x86.VectorNM)
	}
	if c.fx.FSW&fswES != 0 {
		return c.raise(x86.VectorMF)
	}
	return true
}

// opX87 executes the escapes D8 to DF.
func opX87(c *CPU, in *decode.Inst) bool {
	if c.cr0&(x86.CR0EM|x86.CR0TS) != 0 {
		return c.raise(x86.VectorNM)
	}
	if done, ok := c.x87Control(in); done {
		return ok
	}
	if c.fx.FSW&fswES != 0 {
		return c.raise(x86.VectorMF)
	}
	if isMem(in) && in.Opcode&7<<3|in.ModRM>>3&7 == 1<<3|5 {
		v, ok := c.loadM(in, 2)
		if ok {
			c.fx.FCW = uint16(v)&fcwMask | fcwOne
			c.fx.summary()
		}
		return ok
	}
	return c.ud()
}

// x87Control executes the instructions that do not wait for pending exceptions.
func (c *CPU) x87Control(in *decode.Inst) (done, ok bool) {
	f := &c.fx
	if isMem(in) {
		switch in.Opcode&7<<3 | in.ModRM>>3&7 {
		case 1<<3 | 7:
			return true, c.storeM(in, uint64(f.FCW), 2)
		case 5<<3 | 7:
			return true, c.storeM(in, uint64(f.FSW), 2)
		}
		return false, false
	}
	switch uint16(in.Opcode)<<8 | uint16(in.ModRM) {
	case 0xdbe0, 0xdbe1, 0xdbe4: // FNENI, FNDISI, FNSETPM: nothing since the 387
	case 0xdbe2:
		f.FSW &^= 0x7f | fswES | fswB
	case 0xdbe3:
		f.init()
	case 0xdfe0:
		c.setReg(x86.RAX, 2, uint64(f.FSW))
	default:
		return false, false
	}
	return true, true
}
