sched:sched_switch (372)
	  0: MovReg dst: r6 src: r1
	  1: LdXMemW dst: r7 src: r6 off: 56 imm: 0
	  2: LShImm dst: r7 imm: 32
	  3: ArShImm dst: r7 imm: 32
	  4: StXMemW dst: rfp src: r7 off: -8 imm: 0
	  5: LoadMapPtr dst: r1 fd: 0 <threads>
	  7: MovReg dst: r2 src: rfp
	  8: AddImm dst: r2 imm: -8
	  9: Call FnMapLookupElem
	 10: JEqImm dst: r0 off: -1 imm: 0 <out>
	 11: Call FnKtimeGetNs
	 12: MovReg dst: r8 src: r0
	 13: StXMemW dst: rfp src: r7 off: -8 imm: 0
	 14: LoadMapPtr dst: r1 fd: 0 <s_sched_delay>
	 16: MovReg dst: r2 src: rfp
	 17: AddImm dst: r2 imm: -8
	 18: Call FnMapLookupElem
	 19: JEqImm dst: r0 off: -1 imm: 0 <out>
	 20: LdXMemDW dst: r1 src: r0 off: 0 imm: 0
	 21: JEqImm dst: r1 off: -1 imm: 0 <out>
	 22: MovImm dst: r2 imm: 0
	 23: StXMemDW dst: r0 src: r2 off: 0 imm: 0
	 24: JGTReg dst: r1 off: -1 src: r8 <out>
	 25: SubReg dst: r8 src: r1
	 26: StXMemW dst: rfp src: r7 off: -16 imm: 0
	 27: MovImm dst: r1 imm: 0
	 28: StXMemW dst: rfp src: r1 off: -12 imm: 0
	 29: MovReg dst: r2 src: r8
	 30: JLTImm dst: r8 off: -1 imm: 8 <small>
	 31: MovReg dst: r1 src: r8
	 32: MovImm dst: r2 imm: 0
	 33: MovReg dst: r3 src: r1
	 34: RShImm dst: r3 imm: 32
	 35: JEqImm dst: r3 off: -1 imm: 0 <below32>
	 36: MovReg dst: r1 src: r3
	 37: AddImm dst: r2 imm: 32
below32:
	 38: MovReg dst: r3 src: r1
	 39: RShImm dst: r3 imm: 16
	 40: JEqImm dst: r3 off: -1 imm: 0 <below16>
	 41: MovReg dst: r1 src: r3
	 42: AddImm dst: r2 imm: 16
below16:
	 43: MovReg dst: r3 src: r1
	 44: RShImm dst: r3 imm: 8
	 45: JEqImm dst: r3 off: -1 imm: 0 <below8>
	 46: MovReg dst: r1 src: r3
	 47: AddImm dst: r2 imm: 8
below8:
	 48: MovReg dst: r3 src: r1
	 49: RShImm dst: r3 imm: 4
	 50: JEqImm dst: r3 off: -1 imm: 0 <below4>
	 51: MovReg dst: r1 src: r3
	 52: AddImm dst: r2 imm: 4
below4:
	 53: MovReg dst: r3 src: r1
	 54: RShImm dst: r3 imm: 2
	 55: JEqImm dst: r3 off: -1 imm: 0 <below2>
	 56: MovReg dst: r1 src: r3
	 57: AddImm dst: r2 imm: 2
below2:
	 58: MovReg dst: r3 src: r1
	 59: RShImm dst: r3 imm: 1
	 60: JEqImm dst: r3 off: -1 imm: 0 <below1>
	 61: MovReg dst: r1 src: r3
	 62: AddImm dst: r2 imm: 1
below1:
	 63: MovReg dst: r1 src: r2
	 64: SubImm dst: r1 imm: 3
	 65: MovReg dst: r3 src: r8
	 66: RShReg dst: r3 src: r1
	 67: AndImm dst: r3 imm: 7
	 68: SubImm dst: r2 imm: 2
	 69: LShImm dst: r2 imm: 3
	 70: OrReg dst: r2 src: r3
small:
	 71: StXMemDW dst: rfp src: r2 off: -8 imm: 0
	 72: LoadMapPtr dst: r1 fd: 0 <f_sched_delay>
	 74: MovReg dst: r2 src: rfp
	 75: AddImm dst: r2 imm: -16
	 76: Call FnMapLookupElem
	 77: JNEImm dst: r0 off: -1 imm: 0 <found>
	 78: MovImm dst: r1 imm: 0
	 79: StXMemDW dst: rfp src: r1 off: -40 imm: 0
	 80: StXMemDW dst: rfp src: r1 off: -32 imm: 0
	 81: StXMemDW dst: rfp src: r1 off: -24 imm: 0
	 82: LoadMapPtr dst: r1 fd: 0 <f_sched_delay>
	 84: MovReg dst: r2 src: rfp
	 85: AddImm dst: r2 imm: -16
	 86: MovReg dst: r3 src: rfp
	 87: AddImm dst: r3 imm: -40
	 88: MovImm dst: r4 imm: 1
	 89: Call FnMapUpdateElem
	 90: LoadMapPtr dst: r1 fd: 0 <f_sched_delay>
	 92: MovReg dst: r2 src: rfp
	 93: AddImm dst: r2 imm: -16
	 94: Call FnMapLookupElem
	 95: JEqImm dst: r0 off: -1 imm: 0 <lost>
found:
	 96: MovImm dst: r1 imm: 1
	 97: StXAtomicAddDW dst: r0 src: r1 off: 0
	 98: StXAtomicAddDW dst: r0 src: r8 off: 8
	 99: LdXMemDW dst: r1 src: r0 off: 16 imm: 0
	100: JGEReg dst: r1 off: -1 src: r8 <out>
	101: StXMemDW dst: r0 src: r8 off: 16 imm: 0
	102: Ja off: -1 <out>
lost:
	103: MovImm dst: r1 imm: 0
	104: StXMemW dst: rfp src: r1 off: -8 imm: 0
	105: LoadMapPtr dst: r1 fd: 0 <l_sched_delay>
	107: MovReg dst: r2 src: rfp
	108: AddImm dst: r2 imm: -8
	109: Call FnMapLookupElem
	110: JEqImm dst: r0 off: -1 imm: 0 <out>
	111: MovImm dst: r1 imm: 1
	112: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	113: MovImm dst: r0 imm: 0
	114: Exit

sched:sched_wakeup (374)
	 0: MovReg dst: r6 src: r1
	 1: LdXMemW dst: r7 src: r6 off: 24 imm: 0
	 2: LShImm dst: r7 imm: 32
	 3: ArShImm dst: r7 imm: 32
	 4: StXMemW dst: rfp src: r7 off: -8 imm: 0
	 5: LoadMapPtr dst: r1 fd: 0 <threads>
	 7: MovReg dst: r2 src: rfp
	 8: AddImm dst: r2 imm: -8
	 9: Call FnMapLookupElem
	10: JEqImm dst: r0 off: -1 imm: 0 <out>
	11: StXMemW dst: rfp src: r7 off: -8 imm: 0
	12: Call FnKtimeGetNs
	13: StXMemDW dst: rfp src: r0 off: -16 imm: 0
	14: LoadMapPtr dst: r1 fd: 0 <s_sched_delay>
	16: MovReg dst: r2 src: rfp
	17: AddImm dst: r2 imm: -8
	18: MovReg dst: r3 src: rfp
	19: AddImm dst: r3 imm: -16
	20: MovImm dst: r4 imm: 0
	21: Call FnMapUpdateElem
	22: JNEImm dst: r0 off: -1 imm: 0 <lost>
	23: Ja off: -1 <out>
lost:
	24: MovImm dst: r1 imm: 0
	25: StXMemW dst: rfp src: r1 off: -8 imm: 0
	26: LoadMapPtr dst: r1 fd: 0 <l_sched_delay>
	28: MovReg dst: r2 src: rfp
	29: AddImm dst: r2 imm: -8
	30: Call FnMapLookupElem
	31: JEqImm dst: r0 off: -1 imm: 0 <out>
	32: MovImm dst: r1 imm: 1
	33: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	34: MovImm dst: r0 imm: 0
	35: Exit

sched:sched_switch (372)
	 0: MovReg dst: r6 src: r1
	 1: LdXMemW dst: r7 src: r6 off: 24 imm: 0
	 2: LShImm dst: r7 imm: 32
	 3: ArShImm dst: r7 imm: 32
	 4: StXMemW dst: rfp src: r7 off: -8 imm: 0
	 5: LoadMapPtr dst: r1 fd: 0 <threads>
	 7: MovReg dst: r2 src: rfp
	 8: AddImm dst: r2 imm: -8
	 9: Call FnMapLookupElem
	10: JEqImm dst: r0 off: -1 imm: 0 <out>
	11: LdXMemDW dst: r1 src: r6 off: 32 imm: 0
	12: AndImm dst: r1 imm: 255
	13: JNEImm dst: r1 off: -1 imm: 0 <out>
	14: StXMemW dst: rfp src: r7 off: -8 imm: 0
	15: Call FnKtimeGetNs
	16: StXMemDW dst: rfp src: r0 off: -16 imm: 0
	17: LoadMapPtr dst: r1 fd: 0 <s_sched_delay>
	19: MovReg dst: r2 src: rfp
	20: AddImm dst: r2 imm: -8
	21: MovReg dst: r3 src: rfp
	22: AddImm dst: r3 imm: -16
	23: MovImm dst: r4 imm: 0
	24: Call FnMapUpdateElem
	25: JNEImm dst: r0 off: -1 imm: 0 <lost>
	26: Ja off: -1 <out>
lost:
	27: MovImm dst: r1 imm: 0
	28: StXMemW dst: rfp src: r1 off: -8 imm: 0
	29: LoadMapPtr dst: r1 fd: 0 <l_sched_delay>
	31: MovReg dst: r2 src: rfp
	32: AddImm dst: r2 imm: -8
	33: Call FnMapLookupElem
	34: JEqImm dst: r0 off: -1 imm: 0 <out>
	35: MovImm dst: r1 imm: 1
	36: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	37: MovImm dst: r0 imm: 0
	38: Exit

