package decode

// groupEntry resolves an opcode whose ModRM selects the instruction (SDM 2D table A-6). A zero op is #UD.
func groupEntry(e entry, modrm uint8, d *decoder) entry {
	reg, mem := modrm>>3&7, modrm < 0xc0
	e.attr &^= aGroup
	switch e.group {
	case 1:
		e.op = ADD + Op(reg)
		if reg != 7 {
			e.attr |= aLock
		}
	case 2:
		e.op = ROL + Op(reg)
		if reg == 6 {
			e.op = SHL
		}
	case 3:
		e = group3(e, reg)
	case 4, 5:
		e = group45(e, reg, mem)
	case 6:
		e.op = [8]Op{SLDT, STR, LLDT, LTR, VERR, VERW}[reg]
		if reg < 2 && !mem {
			e.size = szV
		}
	case 7:
		e = group7(e, modrm)
	case 8:
		if reg < 4 {
			return entry{}
		}
		e.op = BT + Op(reg-4)
		if reg > 4 {
			e.attr |= aLock
		}
	case 9:
		e = group9(e, reg, mem, d)
	case 10:
		if reg == 0 {
			e.op = POP
		}
	case 11:
		if reg == 0 {
			e.op = MOV
		}
	case groupShiftW, groupShiftD, groupShiftQ:
		e = sseGroup(e, reg, d)
	case 15:
		e = group15(e, reg, mem, d)
	}
	e.group = 0
	return e
}

func group3(e entry, reg uint8) entry {
	e.op = [8]Op{TEST, TEST, NOT, NEG, MUL, IMUL, DIV, IDIV}[reg]
	switch {
	case reg < 2:
		e.form = FormRM_I
	case reg < 4:
		e.imm, e.attr = imNone, e.attr|aLock
	default:
		e.imm = imNone
	}
	return e
}

func group45(e entry, reg uint8, mem bool) entry {
	if reg < 2 {
		e.op, e.attr = INC+Op(reg), e.attr|aLock
		return e
	}
	if e.group == 4 {
		return entry{}
	}
	switch reg {
	case 2:
		e.op, e.size = CALLI, szF64
	case 4:
		e.op, e.size = JMPI, szF64
	case 3, 5:
		e.op, e.size, e.attr = CALLFI, szFar, aMemOnly
		if reg == 5 {
			e.op = JMPFI
		}
	case 6:
		e.op, e.size = PUSH, szV64
	}
	return e
}

func group7(e entry, modrm uint8) entry {
	reg, mem := modrm>>3&7, modrm < 0xc0
	if mem {
		e.op = [8]Op{SGDT, SIDT, LGDT, LIDT, SMSW, INVALID, LMSW, INVLPG}[reg]
		if reg == 4 || reg == 6 {
			e.size = szW
		}
		return e
	}
	switch modrm {
	case 0xc1:
		e.op = VMCALL
	case 0xc8:
		e.op = MONITOR
	case 0xc9:
		e.op = MWAIT
	case 0xca:
		e.op = CLAC
	case 0xcb:
		e.op = STAC
	case 0xd0:
		e.op = XGETBV
	case 0xd1:
		e.op = XSETBV
	case 0xd9:
		e.op = VMMCALL
	case 0xf8:
		e.op, e.attr = SWAPGS, aOnly64
	case 0xf9:
		e.op = RDTSCP
	default:
		switch reg {
		case 4:
			e.op, e.size = SMSW, szV
		case 6:
			e.op, e.size = LMSW, szW
		default:
			return entry{}
		}
	}
	return e
}

func group9(e entry, reg uint8, mem bool, d *decoder) entry {
	switch {
	case mem && reg == 1:
		e.op, e.size, e.attr = CMPXCHG8B, szQ, aLock
		if d.rex&8 != 0 {
			e.op, e.size = CMPXCHG16B, szX
		}
	case !mem && reg == 7 && d.rep == 0xf3:
		e.op, e.size = RDPID, szN
	case !mem && reg == 6:
		e.op, e.size = RDRAND, szV
	case !mem && reg == 7:
		e.op, e.size = RDSEED, szV
	}
	return e
}

func group15(e entry, reg uint8, mem bool, d *decoder) entry {
	if mem {
		if d.opsize || d.rep != 0 {
			if reg != 7 {
				return entry{}
			}
			e.op = CLFLUSH // CLFLUSHOPT
			return e
		}
		e.op = [8]Op{FXSAVE, FXRSTOR, LDMXCSR, STMXCSR, INVALID, INVALID, INVALID, CLFLUSH}[reg]
		switch reg {
		case 2, 3:
			e.size = szD
		case 0, 1:
			e.size = szY
		}
		return e
	}
	if d.rep == 0xf3 && reg < 4 {
		e.op, e.size, e.attr = RDFSBASE+Op(reg), szY, aOnly64
		return e
	}
	if d.rep != 0 || d.opsize {
		return entry{}
	}
	e.op = [8]Op{INVALID, INVALID, INVALID, INVALID, INVALID, LFENCE, MFENCE, SFENCE}[reg]
	return e
}
