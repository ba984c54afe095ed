kvm:kvm_userspace_exit (42)
	  0: MovReg dst: r6 src: r1
	  1: Call FnGetCurrentPidTgid
	  2: MovReg dst: r7 src: r0
	  3: RShImm dst: r0 imm: 32
	  4: StXMemW dst: rfp src: r0 off: -8 imm: 0
	  5: LoadMapPtr dst: r1 fd: 0 <processes>
	  7: MovReg dst: r2 src: rfp
	  8: AddImm dst: r2 imm: -8
	  9: Call FnMapLookupElem
	 10: JEqImm dst: r0 off: -1 imm: 0 <out>
	 11: Call FnKtimeGetNs
	 12: MovReg dst: r8 src: r0
	 13: StXMemW dst: rfp src: r7 off: -8 imm: 0
	 14: LoadMapPtr dst: r1 fd: 0 <s_kvm_run>
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
	 26: StXMemW dst: rfp src: r7 off: -32 imm: 0
	 27: MovImm dst: r1 imm: 0
	 28: StXMemW dst: rfp src: r1 off: -28 imm: 0
	 29: LdXMemW dst: r1 src: r6 off: 8 imm: 0
	 30: StXMemDW dst: rfp src: r1 off: -24 imm: 0
	 31: LdXMemW dst: r1 src: r6 off: 12 imm: 0
	 32: LShImm dst: r1 imm: 32
	 33: ArShImm dst: r1 imm: 32
	 34: StXMemDW dst: rfp src: r1 off: -16 imm: 0
	 35: MovReg dst: r2 src: r8
	 36: JLTImm dst: r8 off: -1 imm: 8 <small>
	 37: MovReg dst: r1 src: r8
	 38: MovImm dst: r2 imm: 0
	 39: MovReg dst: r3 src: r1
	 40: RShImm dst: r3 imm: 32
	 41: JEqImm dst: r3 off: -1 imm: 0 <below32>
	 42: MovReg dst: r1 src: r3
	 43: AddImm dst: r2 imm: 32
below32:
	 44: MovReg dst: r3 src: r1
	 45: RShImm dst: r3 imm: 16
	 46: JEqImm dst: r3 off: -1 imm: 0 <below16>
	 47: MovReg dst: r1 src: r3
	 48: AddImm dst: r2 imm: 16
below16:
	 49: MovReg dst: r3 src: r1
	 50: RShImm dst: r3 imm: 8
	 51: JEqImm dst: r3 off: -1 imm: 0 <below8>
	 52: MovReg dst: r1 src: r3
	 53: AddImm dst: r2 imm: 8
below8:
	 54: MovReg dst: r3 src: r1
	 55: RShImm dst: r3 imm: 4
	 56: JEqImm dst: r3 off: -1 imm: 0 <below4>
	 57: MovReg dst: r1 src: r3
	 58: AddImm dst: r2 imm: 4
below4:
	 59: MovReg dst: r3 src: r1
	 60: RShImm dst: r3 imm: 2
	 61: JEqImm dst: r3 off: -1 imm: 0 <below2>
	 62: MovReg dst: r1 src: r3
	 63: AddImm dst: r2 imm: 2
below2:
	 64: MovReg dst: r3 src: r1
	 65: RShImm dst: r3 imm: 1
	 66: JEqImm dst: r3 off: -1 imm: 0 <below1>
	 67: MovReg dst: r1 src: r3
	 68: AddImm dst: r2 imm: 1
below1:
	 69: MovReg dst: r1 src: r2
	 70: SubImm dst: r1 imm: 3
	 71: MovReg dst: r3 src: r8
	 72: RShReg dst: r3 src: r1
	 73: AndImm dst: r3 imm: 7
	 74: SubImm dst: r2 imm: 2
	 75: LShImm dst: r2 imm: 3
	 76: OrReg dst: r2 src: r3
small:
	 77: StXMemDW dst: rfp src: r2 off: -8 imm: 0
	 78: LoadMapPtr dst: r1 fd: 0 <f_kvm_run>
	 80: MovReg dst: r2 src: rfp
	 81: AddImm dst: r2 imm: -32
	 82: Call FnMapLookupElem
	 83: JNEImm dst: r0 off: -1 imm: 0 <found>
	 84: MovImm dst: r1 imm: 0
	 85: StXMemDW dst: rfp src: r1 off: -56 imm: 0
	 86: StXMemDW dst: rfp src: r1 off: -48 imm: 0
	 87: StXMemDW dst: rfp src: r1 off: -40 imm: 0
	 88: LoadMapPtr dst: r1 fd: 0 <f_kvm_run>
	 90: MovReg dst: r2 src: rfp
	 91: AddImm dst: r2 imm: -32
	 92: MovReg dst: r3 src: rfp
	 93: AddImm dst: r3 imm: -56
	 94: MovImm dst: r4 imm: 1
	 95: Call FnMapUpdateElem
	 96: LoadMapPtr dst: r1 fd: 0 <f_kvm_run>
	 98: MovReg dst: r2 src: rfp
	 99: AddImm dst: r2 imm: -32
	100: Call FnMapLookupElem
	101: JEqImm dst: r0 off: -1 imm: 0 <lost>
found:
	102: MovImm dst: r1 imm: 1
	103: StXAtomicAddDW dst: r0 src: r1 off: 0
	104: StXAtomicAddDW dst: r0 src: r8 off: 8
	105: LdXMemDW dst: r1 src: r0 off: 16 imm: 0
	106: JGEReg dst: r1 off: -1 src: r8 <out>
	107: StXMemDW dst: r0 src: r8 off: 16 imm: 0
	108: Ja off: -1 <out>
lost:
	109: MovImm dst: r1 imm: 0
	110: StXMemW dst: rfp src: r1 off: -8 imm: 0
	111: LoadMapPtr dst: r1 fd: 0 <l_kvm_run>
	113: MovReg dst: r2 src: rfp
	114: AddImm dst: r2 imm: -8
	115: Call FnMapLookupElem
	116: JEqImm dst: r0 off: -1 imm: 0 <out>
	117: MovImm dst: r1 imm: 1
	118: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	119: MovImm dst: r0 imm: 0
	120: Exit

syscalls:sys_enter_ioctl (898)
	 0: MovReg dst: r6 src: r1
	 1: Call FnGetCurrentPidTgid
	 2: MovReg dst: r7 src: r0
	 3: RShImm dst: r0 imm: 32
	 4: StXMemW dst: rfp src: r0 off: -8 imm: 0
	 5: LoadMapPtr dst: r1 fd: 0 <processes>
	 7: MovReg dst: r2 src: rfp
	 8: AddImm dst: r2 imm: -8
	 9: Call FnMapLookupElem
	10: JEqImm dst: r0 off: -1 imm: 0 <out>
	11: LdXMemDW dst: r1 src: r6 off: 24 imm: 0
	12: JNEImm dst: r1 off: -1 imm: 44672 <out>
	13: StXMemW dst: rfp src: r7 off: -8 imm: 0
	14: Call FnKtimeGetNs
	15: StXMemDW dst: rfp src: r0 off: -16 imm: 0
	16: LoadMapPtr dst: r1 fd: 0 <s_kvm_run>
	18: MovReg dst: r2 src: rfp
	19: AddImm dst: r2 imm: -8
	20: MovReg dst: r3 src: rfp
	21: AddImm dst: r3 imm: -16
	22: MovImm dst: r4 imm: 0
	23: Call FnMapUpdateElem
	24: JNEImm dst: r0 off: -1 imm: 0 <lost>
	25: Ja off: -1 <out>
lost:
	26: MovImm dst: r1 imm: 0
	27: StXMemW dst: rfp src: r1 off: -8 imm: 0
	28: LoadMapPtr dst: r1 fd: 0 <l_kvm_run>
	30: MovReg dst: r2 src: rfp
	31: AddImm dst: r2 imm: -8
	32: Call FnMapLookupElem
	33: JEqImm dst: r0 off: -1 imm: 0 <out>
	34: MovImm dst: r1 imm: 1
	35: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	36: MovImm dst: r0 imm: 0
	37: Exit

