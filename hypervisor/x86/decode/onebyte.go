package decode

// oneByte is the primary opcode map (SDM 2D table A-2). The eight ALU rows are filled in by aluRow.
var oneByte = buildOneByte()

func aluRow(t *[256]entry, base int, op Op) {
	lock := aLock
	if op == CMP {
		lock = 0
	}
	t[base+0] = entry{op: op, form: FormRM_R, size: szB, attr: lock}
	t[base+1] = entry{op: op, form: FormRM_R, size: szV, attr: lock}
	t[base+2] = entry{op: op, form: FormR_RM, size: szB}
	t[base+3] = entry{op: op, form: FormR_RM, size: szV}
	t[base+4] = entry{op: op, form: FormRM_I, size: szB, imm: imB, group: accumulator}
	t[base+5] = entry{op: op, form: FormRM_I, size: szV, imm: imZ, group: accumulator}
}

// accumulator marks an FormRM_I entry without ModRM, whose r/m operand is register 0.
const accumulator = 0xff

func buildOneByte() (t [256]entry) {
	for i := 0; i < 8; i++ {
		aluRow(&t, i*8, ADD+Op(i))
	}
	for i, s := range []int{0x06, 0x0e, 0x16, 0x1e} {
		t[s] = entry{op: PUSHS, form: FormS, size: szV, attr: aNo64, group: uint8(i)}
		if i != 1 {
			t[s+1] = entry{op: POPS, form: FormS, size: szV, attr: aNo64, group: uint8(i)}
		}
	}
	t[0x27] = entry{op: DAA, attr: aNo64}
	t[0x2f] = entry{op: DAS, attr: aNo64}
	t[0x37] = entry{op: AAA, attr: aNo64}
	t[0x3f] = entry{op: AAS, attr: aNo64}
	for i := 0; i < 8; i++ {
		t[0x40+i] = entry{op: INC, form: FormO, size: szV, attr: aNo64}
		t[0x48+i] = entry{op: DEC, form: FormO, size: szV, attr: aNo64}
		t[0x50+i] = entry{op: PUSH, form: FormO, size: szV64}
		t[0x58+i] = entry{op: POP, form: FormO, size: szV64}
		t[0x90+i] = entry{op: XCHG, form: FormO, size: szV}
		t[0xb0+i] = entry{op: MOV, form: FormO_I, size: szB, imm: imB}
		t[0xb8+i] = entry{op: MOV, form: FormO_I, size: szV, imm: imV}
		t[0xd8+i] = entry{op: X87, form: FormX87}
	}
	for i := 0; i < 16; i++ {
		t[0x70+i] = entry{op: JCC, form: FormJ, size: szF64, imm: imB}
	}
	t[0x60] = entry{op: PUSHA, size: szV, attr: aNo64}
	t[0x61] = entry{op: POPA, size: szV, attr: aNo64}
	t[0x62] = entry{op: BOUND, form: FormR_RM, size: szV, attr: aNo64 | aMemOnly}
	t[0x63] = entry{op: MOVSXD, form: FormR_RM, size: szV} // ARPL outside 64-bit mode
	t[0x68] = entry{op: PUSH, form: FormI, size: szV64, imm: imZ}
	t[0x69] = entry{op: IMUL, form: FormR_RM_I, size: szV, imm: imZ}
	t[0x6a] = entry{op: PUSH, form: FormI, size: szV64, imm: imB}
	t[0x6b] = entry{op: IMUL, form: FormR_RM_I, size: szV, imm: imB}
	t[0x6c] = entry{op: INS, form: FormStr, size: szB}
	t[0x6d] = entry{op: INS, form: FormStr, size: szV}
	t[0x6e] = entry{op: OUTS, form: FormStr, size: szB}
	t[0x6f] = entry{op: OUTS, form: FormStr, size: szV}
	t[0x80] = group(1, FormRM_I, szB, imB)
	t[0x81] = group(1, FormRM_I, szV, imZ)
	t[0x82] = group(1, FormRM_I, szB, imB)
	t[0x82].attr |= aNo64
	t[0x83] = group(1, FormRM_I, szV, imB)
	t[0x84] = entry{op: TEST, form: FormRM_R, size: szB}
	t[0x85] = entry{op: TEST, form: FormRM_R, size: szV}
	t[0x86] = entry{op: XCHG, form: FormRM_R, size: szB, attr: aLock}
	t[0x87] = entry{op: XCHG, form: FormRM_R, size: szV, attr: aLock}
	t[0x88] = entry{op: MOV, form: FormRM_R, size: szB}
	t[0x89] = entry{op: MOV, form: FormRM_R, size: szV}
	t[0x8a] = entry{op: MOV, form: FormR_RM, size: szB}
	t[0x8b] = entry{op: MOV, form: FormR_RM, size: szV}
	t[0x8c] = entry{op: MOVRM_S, form: FormRM_S, size: szV}
	t[0x8d] = entry{op: LEA, form: FormR_RM, size: szV, attr: aMemOnly}
	t[0x8e] = entry{op: MOVS_RM, form: FormS_RM, size: szW}
	t[0x8f] = group(10, FormRM, szV64, imNone)
	t[0x98] = entry{op: CBW, size: szV}
	t[0x99] = entry{op: CWD, size: szV}
	t[0x9a] = entry{op: CALLF, form: FormFar, size: szV, attr: aNo64}
	t[0x9b] = entry{op: WAIT}
	t[0x9c] = entry{op: PUSHF, size: szV64}
	t[0x9d] = entry{op: POPF, size: szV64}
	t[0x9e] = entry{op: SAHF}
	t[0x9f] = entry{op: LAHF}
	t[0xa0] = entry{op: MOV, form: FormA_M, size: szB}
	t[0xa1] = entry{op: MOV, form: FormA_M, size: szV}
	t[0xa2] = entry{op: MOV, form: FormM_A, size: szB}
	t[0xa3] = entry{op: MOV, form: FormM_A, size: szV}
	t[0xa8] = entry{op: TEST, form: FormRM_I, size: szB, imm: imB, group: accumulator}
	t[0xa9] = entry{op: TEST, form: FormRM_I, size: szV, imm: imZ, group: accumulator}
	for i, op := range []Op{MOVS, CMPS} {
		t[0xa4+2*i] = entry{op: op, form: FormStr, size: szB}
		t[0xa5+2*i] = entry{op: op, form: FormStr, size: szV}
	}
	for i, op := range []Op{STOS, LODS, SCAS} {
		t[0xaa+2*i] = entry{op: op, form: FormStr, size: szB}
		t[0xab+2*i] = entry{op: op, form: FormStr, size: szV}
	}
	t[0xc0] = group(2, FormRM_I, szB, imB)
	t[0xc1] = group(2, FormRM_I, szV, imB)
	t[0xd0] = group(2, FormRM_1, szB, imNone)
	t[0xd1] = group(2, FormRM_1, szV, imNone)
	t[0xd2] = group(2, FormRM_CL, szB, imNone)
	t[0xd3] = group(2, FormRM_CL, szV, imNone)
	t[0xc2] = entry{op: RET, form: FormI, size: szF64, imm: imW}
	t[0xc3] = entry{op: RET, size: szF64}
	t[0xc4] = entry{op: LES, form: FormR_RM, size: szV, attr: aNo64 | aMemOnly}
	t[0xc5] = entry{op: LDS, form: FormR_RM, size: szV, attr: aNo64 | aMemOnly}
	t[0xc6] = group(11, FormRM_I, szB, imB)
	t[0xc7] = group(11, FormRM_I, szV, imZ)
	t[0xc8] = entry{op: ENTER, form: FormI_I, size: szV64}
	t[0xc9] = entry{op: LEAVE, size: szV64}
	t[0xca] = entry{op: RETF, form: FormI, size: szV, imm: imW}
	t[0xcb] = entry{op: RETF, size: szV}
	t[0xcc] = entry{op: INT3}
	t[0xcd] = entry{op: INT, form: FormI, imm: imB}
	t[0xce] = entry{op: INTO, attr: aNo64}
	t[0xcf] = entry{op: IRET, size: szV}
	t[0xd4] = entry{op: AAM, form: FormI, imm: imB, attr: aNo64}
	t[0xd5] = entry{op: AAD, form: FormI, imm: imB, attr: aNo64}
	t[0xd6] = entry{op: SALC, attr: aNo64}
	t[0xd7] = entry{op: XLAT, form: FormStr, size: szB}
	for i, op := range []Op{LOOPNE, LOOPE, LOOP, JCXZ} {
		t[0xe0+i] = entry{op: op, form: FormJ, size: szF64, imm: imB}
	}
	t[0xe4] = entry{op: IN, form: FormI, size: szB, imm: imB}
	t[0xe5] = entry{op: IN, form: FormI, size: szV, imm: imB}
	t[0xe6] = entry{op: OUT, form: FormI, size: szB, imm: imB}
	t[0xe7] = entry{op: OUT, form: FormI, size: szV, imm: imB}
	t[0xe8] = entry{op: CALL, form: FormJ, size: szF64, imm: imZ}
	t[0xe9] = entry{op: JMP, form: FormJ, size: szF64, imm: imZ}
	t[0xea] = entry{op: JMPF, form: FormFar, size: szV, attr: aNo64}
	t[0xeb] = entry{op: JMP, form: FormJ, size: szF64, imm: imB}
	t[0xec] = entry{op: IN, form: FormDX, size: szB}
	t[0xed] = entry{op: IN, form: FormDX, size: szV}
	t[0xee] = entry{op: OUT, form: FormDX, size: szB}
	t[0xef] = entry{op: OUT, form: FormDX, size: szV}
	t[0xf1] = entry{op: INT1}
	t[0xf4] = entry{op: HLT}
	t[0xf5] = entry{op: CMC}
	t[0xf6] = group(3, FormRM, szB, imB)
	t[0xf7] = group(3, FormRM, szV, imZ)
	for i, op := range []Op{CLC, STC, CLI, STI, CLD, STD} {
		t[0xf8+i] = entry{op: op}
	}
	t[0xfe] = group(4, FormRM, szB, imNone)
	t[0xff] = group(5, FormRM, szV, imNone)
	return t
}
