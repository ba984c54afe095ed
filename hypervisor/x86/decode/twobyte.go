package decode

// twoByte is the 0F map without SSE (SDM 2D table A-3): a cell here wins over the SSE map.
var twoByte = buildTwoByte()

func buildTwoByte() (t [256]entry) {
	t[0x00] = group(6, FormRM, szW, imNone)
	t[0x01] = group(7, FormRM, szNone, imNone)
	t[0x02] = entry{op: LAR, form: FormR_RM, size: szV}
	t[0x03] = entry{op: LSL, form: FormR_RM, size: szV}
	t[0x05] = entry{op: SYSCALL} // AMD has both outside 64-bit mode, too
	t[0x06] = entry{op: CLTS}
	t[0x07] = entry{op: SYSRET, size: szY}
	t[0x08] = entry{op: INVD}
	t[0x09] = entry{op: WBINVD}
	t[0x0b] = entry{op: UD}
	t[0x0d] = entry{op: PREFETCH, form: FormRM, size: szV}
	for i := 0x18; i < 0x20; i++ {
		t[i] = entry{op: NOP, form: FormRM, size: szV}
	}
	t[0x18] = entry{op: PREFETCH, form: FormRM, size: szV}
	t[0x20] = entry{op: MOVR_CR, form: FormC, size: szN, attr: aRegOnly}
	t[0x21] = entry{op: MOVR_DR, form: FormC, size: szN, attr: aRegOnly}
	t[0x22] = entry{op: MOVCR_R, form: FormC, size: szN, attr: aRegOnly}
	t[0x23] = entry{op: MOVDR_R, form: FormC, size: szN, attr: aRegOnly}
	t[0x30] = entry{op: WRMSR}
	t[0x31] = entry{op: RDTSC}
	t[0x32] = entry{op: RDMSR}
	t[0x33] = entry{op: RDPMC}
	t[0x34] = entry{op: SYSENTER}
	t[0x35] = entry{op: SYSEXIT, size: szY}
	for i := 0; i < 16; i++ {
		t[0x40+i] = entry{op: CMOV, form: FormR_RM, size: szV}
		t[0x80+i] = entry{op: JCC, form: FormJ, size: szF64, imm: imZ}
		t[0x90+i] = entry{op: SETCC, form: FormRM, size: szB}
	}
	t[0xa0] = entry{op: PUSHS, form: FormS, size: szV64, group: 4}
	t[0xa1] = entry{op: POPS, form: FormS, size: szV64, group: 4}
	t[0xa8] = entry{op: PUSHS, form: FormS, size: szV64, group: 5}
	t[0xa9] = entry{op: POPS, form: FormS, size: szV64, group: 5}
	t[0xa2] = entry{op: CPUID}
	t[0xaa] = entry{op: RSM}
	for i, op := range []Op{BT, BTS, BTR, BTC} {
		lock := aLock
		if op == BT {
			lock = 0
		}
		t[0xa3+8*i] = entry{op: op, form: FormRM_R, size: szV, attr: lock}
	}
	t[0xa4] = entry{op: SHLD, form: FormRM_R_I, size: szV, imm: imB}
	t[0xa5] = entry{op: SHLD, form: FormRM_RCL, size: szV}
	t[0xac] = entry{op: SHRD, form: FormRM_R_I, size: szV, imm: imB}
	t[0xad] = entry{op: SHRD, form: FormRM_RCL, size: szV}
	t[0xae] = group(15, FormRM, szNone, imNone)
	t[0xaf] = entry{op: IMUL, form: FormR_RM, size: szV}
	t[0xb0] = entry{op: CMPXCHG, form: FormRM_R, size: szB, attr: aLock}
	t[0xb1] = entry{op: CMPXCHG, form: FormRM_R, size: szV, attr: aLock}
	t[0xb2] = entry{op: LSS, form: FormR_RM, size: szFar, attr: aMemOnly}
	t[0xb4] = entry{op: LFS, form: FormR_RM, size: szFar, attr: aMemOnly}
	t[0xb5] = entry{op: LGS, form: FormR_RM, size: szFar, attr: aMemOnly}
	t[0xb6] = entry{op: MOVZX8, form: FormR_RM, size: szV, attr: aByteReg}
	t[0xb7] = entry{op: MOVZX16, form: FormR_RM, size: szV}
	t[0xb9] = entry{op: UD, form: FormRM, size: szV}
	t[0xba] = group(8, FormRM_I, szV, imB)
	t[0xbc] = entry{op: BSF, form: FormR_RM, size: szV}
	t[0xbd] = entry{op: BSR, form: FormR_RM, size: szV}
	t[0xbe] = entry{op: MOVSX8, form: FormR_RM, size: szV, attr: aByteReg}
	t[0xbf] = entry{op: MOVSX16, form: FormR_RM, size: szV}
	t[0xc0] = entry{op: XADD, form: FormRM_R, size: szB, attr: aLock}
	t[0xc1] = entry{op: XADD, form: FormRM_R, size: szV, attr: aLock}
	t[0xc3] = entry{op: MOVNTI, form: FormRM_R, size: szY, attr: aMemOnly}
	t[0xc7] = group(9, FormRM, szNone, imNone)
	for i := 0; i < 8; i++ {
		t[0xc8+i] = entry{op: BSWAP, form: FormO, size: szV}
	}
	t[0xff] = entry{op: UD, form: FormRM, size: szV}
	return t
}
