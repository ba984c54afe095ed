kvm:kvm_vcpu_wakeup (41)
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
	 11: LdXMemDW dst: r8 src: r6 off: 8 imm: 0
	 12: StXMemW dst: rfp src: r7 off: -24 imm: 0
	 13: MovImm dst: r1 imm: 0
	 14: StXMemW dst: rfp src: r1 off: -20 imm: 0
	 15: LdXMemB dst: r1 src: r6 off: 16 imm: 0
	 16: StXMemDW dst: rfp src: r1 off: -16 imm: 0
	 17: MovReg dst: r2 src: r8
	 18: JLTImm dst: r8 off: -1 imm: 8 <small>
	 19: MovReg dst: r1 src: r8
	 20: MovImm dst: r2 imm: 0
	 21: MovReg dst: r3 src: r1
	 22: RShImm dst: r3 imm: 32
	 23: JEqImm dst: r3 off: -1 imm: 0 <below32>
	 24: MovReg dst: r1 src: r3
	 25: AddImm dst: r2 imm: 32
below32:
	 26: MovReg dst: r3 src: r1
	 27: RShImm dst: r3 imm: 16
	 28: JEqImm dst: r3 off: -1 imm: 0 <below16>
	 29: MovReg dst: r1 src: r3
	 30: AddImm dst: r2 imm: 16
below16:
	 31: MovReg dst: r3 src: r1
	 32: RShImm dst: r3 imm: 8
	 33: JEqImm dst: r3 off: -1 imm: 0 <below8>
	 34: MovReg dst: r1 src: r3
	 35: AddImm dst: r2 imm: 8
below8:
	 36: MovReg dst: r3 src: r1
	 37: RShImm dst: r3 imm: 4
	 38: JEqImm dst: r3 off: -1 imm: 0 <below4>
	 39: MovReg dst: r1 src: r3
	 40: AddImm dst: r2 imm: 4
below4:
	 41: MovReg dst: r3 src: r1
	 42: RShImm dst: r3 imm: 2
	 43: JEqImm dst: r3 off: -1 imm: 0 <below2>
	 44: MovReg dst: r1 src: r3
	 45: AddImm dst: r2 imm: 2
below2:
	 46: MovReg dst: r3 src: r1
	 47: RShImm dst: r3 imm: 1
	 48: JEqImm dst: r3 off: -1 imm: 0 <below1>
	 49: MovReg dst: r1 src: r3
	 50: AddImm dst: r2 imm: 1
below1:
	 51: MovReg dst: r1 src: r2
	 52: SubImm dst: r1 imm: 3
	 53: MovReg dst: r3 src: r8
	 54: RShReg dst: r3 src: r1
	 55: AndImm dst: r3 imm: 7
	 56: SubImm dst: r2 imm: 2
	 57: LShImm dst: r2 imm: 3
	 58: OrReg dst: r2 src: r3
small:
	 59: StXMemDW dst: rfp src: r2 off: -8 imm: 0
	 60: LoadMapPtr dst: r1 fd: 0 <f_kvm_vcpu_wakeup>
	 62: MovReg dst: r2 src: rfp
	 63: AddImm dst: r2 imm: -24
	 64: Call FnMapLookupElem
	 65: JNEImm dst: r0 off: -1 imm: 0 <found>
	 66: MovImm dst: r1 imm: 0
	 67: StXMemDW dst: rfp src: r1 off: -48 imm: 0
	 68: StXMemDW dst: rfp src: r1 off: -40 imm: 0
	 69: StXMemDW dst: rfp src: r1 off: -32 imm: 0
	 70: LoadMapPtr dst: r1 fd: 0 <f_kvm_vcpu_wakeup>
	 72: MovReg dst: r2 src: rfp
	 73: AddImm dst: r2 imm: -24
	 74: MovReg dst: r3 src: rfp
	 75: AddImm dst: r3 imm: -48
	 76: MovImm dst: r4 imm: 1
	 77: Call FnMapUpdateElem
	 78: LoadMapPtr dst: r1 fd: 0 <f_kvm_vcpu_wakeup>
	 80: MovReg dst: r2 src: rfp
	 81: AddImm dst: r2 imm: -24
	 82: Call FnMapLookupElem
	 83: JEqImm dst: r0 off: -1 imm: 0 <lost>
found:
	 84: MovImm dst: r1 imm: 1
	 85: StXAtomicAddDW dst: r0 src: r1 off: 0
	 86: StXAtomicAddDW dst: r0 src: r8 off: 8
	 87: LdXMemDW dst: r1 src: r0 off: 16 imm: 0
	 88: JGEReg dst: r1 off: -1 src: r8 <out>
	 89: StXMemDW dst: r0 src: r8 off: 16 imm: 0
	 90: Ja off: -1 <out>
lost:
	 91: MovImm dst: r1 imm: 0
	 92: StXMemW dst: rfp src: r1 off: -8 imm: 0
	 93: LoadMapPtr dst: r1 fd: 0 <l_kvm_vcpu_wakeup>
	 95: MovReg dst: r2 src: rfp
	 96: AddImm dst: r2 imm: -8
	 97: Call FnMapLookupElem
	 98: JEqImm dst: r0 off: -1 imm: 0 <out>
	 99: MovImm dst: r1 imm: 1
	100: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	101: MovImm dst: r0 imm: 0
	102: Exit

