package decode

// FormInfo describes one encoding of an MMX or SSE instruction, for tests that try them all.
type FormInfo struct {
	Op     Op
	Map    uint8 // the byte behind 0F: 0x38, 0x3a, or 0 for none
	Prefix uint8 // mandatory prefix: 0, 0x66, 0xf3 or 0xf2
	Opcode uint8
	Ext    int8 // opcode extension in ModRM.reg, or -1
	ModRM  bool // has operands
	// Reg and RM are the kinds of the register operands; Store says that the r/m operand is the destination.
	Reg, RM Kind
	Store   bool
	// Mem and MemW are the sizes in bytes of the memory operand without and with REX.W, 0 if there is none. MemOnly: there is no register form.
	Mem, MemW uint8
	MemOnly   bool
	Imm       bool
}

// Forms lists the MMX and SSE encodings that Decode knows.
func Forms() (out []FormInfo) {
	for i, rows := range [][]sseRow{rows0F[:], rows38[:], rows3A[:]} {
		for _, r := range rows {
			out = append(out, r.info([]uint8{0, 0x38, 0x3a}[i]))
		}
	}
	for g := uint8(groupShiftW); g <= groupShiftQ; g++ {
		for _, opsize := range []bool{false, true} {
			for reg := uint8(0); reg < 8; reg++ {
				e := sseGroup(entry{group: g}, reg, &decoder{opsize: opsize})
				if e.op == INVALID {
					continue
				}
				f := FormInfo{Op: e.op, Opcode: 0x71 + g - groupShiftW, Ext: int8(reg), ModRM: true, RM: KindP, Imm: true}
				if opsize {
					f.Prefix, f.RM = 0x66, KindX
				}
				out = append(out, f)
			}
		}
	}
	return out
}

func (r *sseRow) info(m uint8) FormInfo {
	f := FormInfo{
		Op: r.op, Map: m, Prefix: [4]uint8{0, 0x66, 0xf3, 0xf2}[r.prefix], Opcode: r.opcode, Ext: -1,
		ModRM: r.form != FormNone, Reg: r.reg, RM: r.rm,
		Store:   r.form == FormXM_X || r.form == FormXM_X_I,
		MemOnly: r.attr&aMemOnly != 0,
		Imm:     r.form == FormX_XM_I || r.form == FormXM_X_I,
	}
	if r.attr&aRegOnly == 0 && f.ModRM {
		d := decoder{mode: Mode64}
		f.Mem = max(d.size(r.size), 1)
		d.rex = 0x48
		f.MemW = max(d.size(r.size), 1)
	}
	return f
}
