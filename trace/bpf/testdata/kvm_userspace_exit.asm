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
	 11: StXMemW dst: rfp src: r7 off: -24 imm: 0
	 12: MovImm dst: r1 imm: 0
	 13: StXMemW dst: rfp src: r1 off: -20 imm: 0
	 14: LdXMemW dst: r1 src: r6 off: 8 imm: 0
	 15: StXMemDW dst: rfp src: r1 off: -16 imm: 0
	 16: LdXMemW dst: r1 src: r6 off: 12 imm: 0
	 17: LShImm dst: r1 imm: 32
	 18: ArShImm dst: r1 imm: 32
	 19: StXMemDW dst: rfp src: r1 off: -8 imm: 0
	 20: LoadMapPtr dst: r1 fd: 0 <f_kvm_userspace_exit>
	 22: MovReg dst: r2 src: rfp
	 23: AddImm dst: r2 imm: -24
	 24: Call FnMapLookupElem
	 25: JNEImm dst: r0 off: -1 imm: 0 <found>
	 26: MovImm dst: r1 imm: 0
	 27: StXMemDW dst: rfp src: r1 off: -32 imm: 0
	 28: LoadMapPtr dst: r1 fd: 0 <f_kvm_userspace_exit>
	 30: MovReg dst: r2 src: rfp
	 31: AddImm dst: r2 imm: -24
	 32: MovReg dst: r3 src: rfp
	 33: AddImm dst: r3 imm: -32
	 34: MovImm dst: r4 imm: 1
	 35: Call FnMapUpdateElem
	 36: LoadMapPtr dst: r1 fd: 0 <f_kvm_userspace_exit>
	 38: MovReg dst: r2 src: rfp
	 39: AddImm dst: r2 imm: -24
	 40: Call FnMapLookupElem
	 41: JEqImm dst: r0 off: -1 imm: 0 <lost>
found:
	 42: MovImm dst: r1 imm: 1
	 43: StXAtomicAddDW dst: r0 src: r1 off: 0
	 44: Ja off: -1 <out>
lost:
	 45: MovImm dst: r1 imm: 0
	 46: StXMemW dst: rfp src: r1 off: -8 imm: 0
	 47: LoadMapPtr dst: r1 fd: 0 <l_kvm_userspace_exit>
	 49: MovReg dst: r2 src: rfp
	 50: AddImm dst: r2 imm: -8
	 51: Call FnMapLookupElem
	 52: JEqImm dst: r0 off: -1 imm: 0 <out>
	 53: MovImm dst: r1 imm: 1
	 54: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	 55: MovImm dst: r0 imm: 0
	 56: Exit

