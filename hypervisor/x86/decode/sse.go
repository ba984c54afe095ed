package decode

// Indices of the mandatory prefixes, as mandatory gives them.
const (
	preN = iota
	pre66
	preF3
	preF2
)

// Kind says what an operand of an MMX or SSE instruction is if it is a register.
type Kind uint8

// The kinds of register operands.
const (
	KindNone Kind = iota
	KindX         // XMM
	KindP         // MMX
	KindG         // general, of 4 bytes or with REX.W 8
)

// sseRow is one instruction form of an MMX or SSE opcode map.
type sseRow struct {
	opcode, prefix uint8
	op             Op
	form           Form
	size           sizeRule // of the memory operand; szNone with an operand means one byte
	reg, rm        Kind
	attr           attr
}

// sseMap is an opcode map by mandatory prefix and opcode.
type sseMap [4][256]entry

var (
	sse0F = buildSSE(rows0F[:])
	sse38 = buildSSE(rows38[:])
	sse3A = buildSSE(rows3A[:])
)

func buildSSE(rows []sseRow) *sseMap {
	t := new(sseMap)
	for _, r := range rows {
		e := entry{op: r.op, form: r.form, size: r.size, attr: r.attr}
		if r.form == FormX_XM_I || r.form == FormXM_X_I {
			e.imm = imB
		}
		t[r.prefix][r.opcode] = e
	}
	return t
}

// Numbers of the groups that shift by an immediate (SDM 2D table A-6, groups 12 to 14).
const (
	groupShiftW = 12 + iota
	groupShiftD
	groupShiftQ
)

// sseTwoByte, sseMap38 and sseMap3A give the entry of an SSE or MMX opcode for a mandatory
// prefix: 0 none, 1 66, 2 F3, 3 F2.
func sseTwoByte(b uint8, prefix int) entry {
	if b >= 0x71 && b <= 0x73 && prefix <= pre66 {
		e := group(groupShiftW+b-0x71, FormX_I, szQ, imB)
		if prefix == pre66 {
			e.size = szX
		}
		return e
	}
	return sse0F[prefix][b]
}

func sseMap38(b uint8, prefix int) entry { return sse38[prefix][b] }
func sseMap3A(b uint8, prefix int) entry { return sse3A[prefix][b] }

// sseGroup resolves groups 12 to 14: shifts of the register in ModRM.rm by an immediate.
func sseGroup(e entry, reg uint8, d *decoder) entry {
	e.attr |= aRegOnly
	xmm := d.mandatory() == pre66
	switch {
	case e.group == groupShiftW:
		e.op = [8]Op{2: PSRLW, 4: PSRAW, 6: PSLLW}[reg]
	case e.group == groupShiftD:
		e.op = [8]Op{2: PSRLD, 4: PSRAD, 6: PSLLD}[reg]
	case xmm:
		e.op = [8]Op{2: PSRLQ, 3: PSRLDQ, 6: PSLLQ, 7: PSLLDQ}[reg]
	default:
		e.op = [8]Op{2: PSRLQ, 6: PSLLQ}[reg]
	}
	return e
}
