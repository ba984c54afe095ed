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

// opX87 executes the escapes D8 to DF. The instruction and data pointers and the opcode are recorded by every instruction that is not a
// control instruction, as processors before those with FDP_EXCPTN_ONLY do.
func opX87(c *CPU, in *decode.Inst) bool {
	if c.cr0&(x86.CR0EM|x86.CR0TS) != 0 {
		return c.raise(x86.VectorNM)
	}
	h, control := x87Lookup(in)
	if control == x87NoWait {
		return h(c, in)
	}
	if c.fx.FSW&fswES != 0 {
		return c.raise(x86.VectorMF)
	}
	if c.fx.FCW&0x3f != 0x3f && isMem(in) && !c.x87Probe(in) || !h(c, in) {
		return false
	}
	if control == x87Compute {
		c.fx.FIP = c.curRIP + uint64(in.Off)
		c.fx.FOP = uint16(in.Opcode&7)<<8 | uint16(in.ModRM)
		if isMem(in) {
			c.fx.FDP = c.ea(in)
		}
	}
	return true
}

// x87Stores gives the size of the operand of stores, by the low three bits of the opcode and ModRM.reg.
var x87Stores = [64]uint8{
	1<<3 | 2: 4, 1<<3 | 3: 4, 3<<3 | 1: 4, 3<<3 | 2: 4, 3<<3 | 3: 4, 3<<3 | 7: 10,
	5<<3 | 1: 8, 5<<3 | 2: 8, 5<<3 | 3: 8, 7<<3 | 1: 2, 7<<3 | 2: 2, 7<<3 | 3: 2, 7<<3 | 6: 10, 7<<3 | 7: 8,
}

// x87Probe checks the operand of a store even though an unmasked exception may keep anything from being stored.
func (c *CPU) x87Probe(in *decode.Inst) bool {
	n := x87Stores[in.Opcode&7<<3|in.ModRM>>3&7]
	if n == 0 {
		return true
	}
	lin, ok := c.lin(in, n, true)
	return ok && c.probe(lin, n, accWrite)
}

// x87Kind says what surrounds an x87 instruction.
type x87Kind uint8

const (
	x87Compute x87Kind = iota
	x87Control         // waits, but leaves the pointers alone
	x87NoWait
)

// x87Lookup finds the handler of an escape. An undefined one waits for nothing: #UD comes before #MF.
func x87Lookup(in *decode.Inst) (handler, x87Kind) {
	h, kind := x87Find(in)
	if h == nil {
		return opUndefined, x87NoWait
	}
	return h, kind
}

func x87Find(in *decode.Inst) (handler, x87Kind) {
	row := in.Opcode&7<<3 | in.ModRM>>3&7
	if isMem(in) {
		e := &x87Mem[row]
		return e.h, e.kind
	}
	switch in.Opcode {
	case 0xd9:
		if row >= 1<<3|4 {
			return x87D9[in.ModRM&31], x87Compute
		}
		if row == 1<<3|2 && in.ModRM != 0xd0 { // FNOP
			return nil, x87NoWait
		}
	case 0xda:
		if row == 2<<3|5 && in.ModRM != 0xe9 { // FUCOMPP
			return nil, x87NoWait
		}
	case 0xde:
		if row == 6<<3|3 && in.ModRM != 0xd9 { // FCOMPP
			return nil, x87NoWait
		}
	case 0xdb:
		if row == 3<<3|4 {
			e := &x87DBE[in.ModRM&7]
			return e.h, e.kind
		}
	case 0xdf:
		if in.ModRM == 0xe0 {
			return fnstswAX, x87NoWait
		}
	}
	return x87Reg[row], x87Compute
}

type x87Entry struct {
	h    handler
	kind x87Kind
}

// x87Mem is indexed by the low three bits of the opcode and ModRM.reg. In all tables nil is an undefined instruction.
var x87Mem = buildX87Mem()

func buildX87Mem() (t [64]x87Entry) {
	for op := uint8(0); op < 8; op++ {
		t[0<<3|op].h = arithMem(op, loadF32)
		t[2<<3|op].h = arithMem(op, loadI32)
		t[4<<3|op].h = arithMem(op, loadF64)
		t[6<<3|op].h = arithMem(op, loadI16)
	}
	t[1<<3|0].h = fldMem(loadF32)
	t[1<<3|2].h = fstMem(4, false)
	t[1<<3|3].h = fstMem(4, true)
	t[1<<3|4] = x87Entry{fldenv, x87Control}
	t[1<<3|5] = x87Entry{fldcw, x87Control}
	t[1<<3|6] = x87Entry{fnstenv, x87NoWait}
	t[1<<3|7] = x87Entry{fnstcw, x87NoWait}
	t[3<<3|0].h = fldMem(loadI32)
	t[3<<3|1].h = fist(4, true, true)
	t[3<<3|2].h = fist(4, false, false)
	t[3<<3|3].h = fist(4, true, false)
	t[3<<3|5].h = fld80
	t[3<<3|7].h = fstp80
	t[5<<3|0].h = fldMem(loadF64)
	t[5<<3|1].h = fist(8, true, true)
	t[5<<3|2].h = fstMem(8, false)
	t[5<<3|3].h = fstMem(8, true)
	t[5<<3|4] = x87Entry{frstor, x87Control}
	t[5<<3|6] = x87Entry{fnsave, x87NoWait}
	t[5<<3|7] = x87Entry{fnstsw, x87NoWait}
	t[7<<3|0].h = fldMem(loadI16)
	t[7<<3|1].h = fist(2, true, true)
	t[7<<3|2].h = fist(2, false, false)
	t[7<<3|3].h = fist(2, true, false)
	t[7<<3|4].h = fbld
	t[7<<3|5].h = fldMem(loadI64)
	t[7<<3|6].h = fbstp
	t[7<<3|7].h = fist(8, true, false)
	return t
}

// x87Reg is the same for register operands; undocumented twins of instructions are included.
var x87Reg = buildX87Reg()

func buildX87Reg() (t [64]handler) {
	for op := uint8(0); op < 8; op++ {
		t[0<<3|op] = arithReg(op, false, false)
		if op == 2 || op == 3 {
			t[4<<3|op] = arithReg(op, false, false)
			continue
		}
		// With ST(i) as the destination the codes of SUB and SUBR, DIV and DIVR are exchanged.
		to := op
		if op >= 4 {
			to ^= 1
		}
		t[4<<3|op] = arithReg(to, true, false)
		t[6<<3|op] = arithReg(to, true, true)
	}
	t[6<<3|2], t[6<<3|3] = arithReg(3, false, false), fcompp
	t[1<<3|0], t[1<<3|1], t[1<<3|2], t[1<<3|3] = fldReg, fxch, fnopReg, fstp1
	for cc := uint8(0); cc < 4; cc++ {
		t[2<<3|cc], t[3<<3|cc] = fcmov(cc, true), fcmov(cc, false)
	}
	t[2<<3|5] = fucompp
	t[3<<3|5], t[3<<3|6] = fcomi(true, false), fcomi(false, false)
	t[5<<3|0], t[5<<3|1], t[5<<3|2], t[5<<3|3] = ffree(false), fxch, fstReg(false), fstReg(true)
	t[5<<3|4], t[5<<3|5] = fucom(false), fucom(true)
	t[7<<3|0], t[7<<3|1], t[7<<3|2], t[7<<3|3] = ffree(true), fxch, fstReg(true), fstReg(true)
	t[7<<3|5], t[7<<3|6] = fcomi(true, true), fcomi(false, true)
	return t
}

// x87D9 holds D9 E0 to D9 FF, x87DBE DB E0 to DB E7.
var x87D9 = [32]handler{
	fchs, fabs, nil, nil, ftst, fxam, nil, nil,
	fldConst(0), fldConst(1), fldConst(2), fldConst(3), fldConst(4), fldConst(5), fldConst(6), nil,
	f2xm1, fyl2x, fptan, fpatan, fxtract, fprem(true), fdecstp, fincstp,
	fprem(false), fyl2xp1, fsqrt, fsincos, frndint, fscale, fsin, fcos,
}

var x87DBE = [8]x87Entry{
	{fnop, x87NoWait}, {fnop, x87NoWait}, {fnclex, x87NoWait}, {fninit, x87NoWait}, // FNENI, FNDISI, FNCLEX, FNINIT
	{fnop, x87NoWait}, {}, {}, {}, // FNSETPM
}
