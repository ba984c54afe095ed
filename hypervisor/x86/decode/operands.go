package decode

// operands reads ModRM, SIB, displacement and immediate as e says, and fills sizes and registers.
func (d *decoder) operands(in *Inst, e entry) entry {
	in.ASize = d.addressSize()
	in.Base, in.Index = NoReg, NoReg
	in.Seg = 3 // DS
	if d.seg != noSeg {
		in.Seg = d.seg
	}
	if e.attr&aGroup != 0 || hasModRM(e) {
		in.ModRM = d.byte()
		if d.short {
			return e
		}
		if e.attr&aGroup != 0 {
			e = groupEntry(e, in.ModRM, d)
			if e.op == INVALID {
				return e
			}
		}
		d.modrm(in, e)
	}
	in.Size = d.size(e.size)
	d.registers(in, &e)
	d.immediate(in, e)
	return e
}

func hasModRM(e entry) bool {
	switch e.form {
	case FormNone, FormO, FormO_I, FormI, FormJ, FormA_M, FormM_A, FormFar, FormI_I, FormS, FormDX, FormStr:
		return false
	case FormRM_I:
		return e.group != accumulator
	}
	return true
}

func (d *decoder) addressSize() uint8 {
	switch d.mode {
	case Mode64:
		if d.adsize {
			return 4
		}
		return 8
	case Mode32:
		if d.adsize {
			return 2
		}
		return 4
	}
	if d.adsize {
		return 4
	}
	return 2
}

func (d *decoder) size(r sizeRule) uint8 {
	v := uint8(4)
	if d.opsize != (d.mode == Mode16) {
		v = 2
	}
	w := d.rex&8 != 0
	switch r {
	case szB:
		return 1
	case szW:
		return 2
	case szD:
		return 4
	case szQ:
		return 8
	case szX:
		return 16
	case szV, szFar:
		if w {
			return 8
		}
		return v
	case szY:
		if w {
			return 8
		}
		return 4
	case szV64:
		if d.mode == Mode64 && v == 4 || w {
			return 8
		}
		return v
	case szF64:
		if d.mode == Mode64 {
			return 8
		}
		return v
	case szN:
		if d.mode == Mode64 {
			return 8
		}
		return 4
	}
	return 0
}

// modrm reads the addressing bytes (SDM 2A tables 2-1 to 2-3).
func (d *decoder) modrm(in *Inst, e entry) {
	mod, rm := in.ModRM>>6, in.ModRM&7
	in.Reg = in.ModRM>>3&7 | d.rex&4<<1
	if e.form == FormS_RM || e.form == FormRM_S {
		in.Reg &= 7 // REX.R is ignored
	}
	if mod == 3 || e.form == FormC {
		in.RM = rm | d.rex&1<<3
		return
	}
	in.Flags |= FlagMem
	if in.ASize == 2 {
		d.modrm16(in, mod, rm)
		return
	}
	if rm == 4 {
		d.sib(in, mod)
	} else if mod == 0 && rm == 5 {
		in.Disp = int32(d.take(4))
		if d.mode == Mode64 {
			in.Base = RIPReg
		}
		return
	} else {
		in.Base = rm | d.rex&1<<3
	}
	switch mod {
	case 1:
		in.Disp = int32(int8(d.byte()))
	case 2:
		in.Disp = int32(d.take(4))
	}
	if d.seg == noSeg && (in.Base == 4 || in.Base == 5) {
		in.Seg = 2 // SS
	}
}

func (d *decoder) sib(in *Inst, mod uint8) {
	sib := d.byte()
	in.Scale = sib >> 6
	if idx := sib>>3&7 | d.rex&2<<2; idx != 4 {
		in.Index = idx
	}
	base := sib&7 | d.rex&1<<3
	if sib&7 == 5 && mod == 0 {
		in.Disp = int32(d.take(4))
		return
	}
	in.Base = base
}

func (d *decoder) modrm16(in *Inst, mod, rm uint8) {
	// BX+SI BX+DI BP+SI BP+DI SI DI BP BX
	in.Base = [8]uint8{3, 3, 5, 5, 6, 7, 5, 3}[rm]
	in.Index = [8]uint8{6, 7, 6, 7, NoReg, NoReg, NoReg, NoReg}[rm]
	switch {
	case mod == 0 && rm == 6:
		in.Base = NoReg
		in.Disp = int32(d.take(2))
	case mod == 1:
		in.Disp = int32(int8(d.byte()))
	case mod == 2:
		in.Disp = int32(int16(d.take(2)))
	}
	if d.seg == noSeg && in.Base == 5 {
		in.Seg = 2
	}
}

// registers applies opcode registers and the 8-bit register rules.
func (d *decoder) registers(in *Inst, e *entry) {
	switch e.form {
	case FormO, FormO_I:
		in.RM = in.Opcode&7 | d.rex&1<<3
	case FormS:
		in.Reg = e.group
	}
	if e.size == szB || e.attr&aByteReg != 0 {
		if d.rex == 0 && e.form != FormS {
			if in.RM >= 4 && in.RM < 8 && in.Flags&FlagMem == 0 {
				in.RM += High8 - 4
			}
			regIsByte := e.size == szB && e.op != CRC32 && (e.form == FormRM_R || e.form == FormR_RM)
			if regIsByte && in.Reg >= 4 && in.Reg < 8 {
				in.Reg += High8 - 4
			}
		}
	}
}

func (d *decoder) immediate(in *Inst, e entry) {
	switch e.form {
	case FormA_M, FormM_A:
		in.Imm = int64(d.take(int(in.ASize)))
		return
	case FormFar:
		if in.Size == 2 {
			in.Imm = int64(d.take(2))
		} else {
			in.Imm = int64(d.take(4))
		}
		in.Disp = int32(d.take(2))
		return
	case FormI_I:
		in.Imm = int64(d.take(2))
		in.Disp = int32(d.byte())
		return
	}
	switch e.imm {
	case imB:
		in.Imm = int64(int8(d.byte()))
	case imW:
		in.Imm = int64(d.take(2))
	case imZ:
		if in.Size == 2 {
			in.Imm = int64(int16(d.take(2)))
		} else {
			in.Imm = int64(int32(d.take(4)))
		}
	case imV:
		switch in.Size {
		case 2:
			in.Imm = int64(int16(d.take(2)))
		case 4:
			in.Imm = int64(int32(d.take(4)))
		case 8:
			in.Imm = int64(d.take(8))
		}
	}
}
