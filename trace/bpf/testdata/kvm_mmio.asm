kvm:kvm_mmio (38)
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
	16: LdXMemDW dst: r1 src: r6 off: 16 imm: 0
	17: StXMemDW dst: rfp src: r1 off: -8 imm: 0
	18: LoadMapPtr dst: r1 fd: 0 <f_kvm_mmio>
	20: MovReg dst: r2 src: rfp
	21: AddImm dst: r2 imm: -24
	22: Call FnMapLookupElem
	23: JNEImm dst: r0 off: -1 imm: 0 <found>
	24: MovImm dst: r1 imm: 0
	25: StXMemDW dst: rfp src: r1 off: -32 imm: 0
	26: LoadMapPtr dst: r1 fd: 0 <f_kvm_mmio>
	28: MovReg dst: r2 src: rfp
	29: AddImm dst: r2 imm: -24
	30: MovReg dst: r3 src: rfp
	31: AddImm dst: r3 imm: -32
	32: MovImm dst: r4 imm: 1
	33: Call FnMapUpdateElem
	34: LoadMapPtr dst: r1 fd: 0 <f_kvm_mmio>
	36: MovReg dst: r2 src: rfp
	37: AddImm dst: r2 imm: -24
	38: Call FnMapLookupElem
	39: JEqImm dst: r0 off: -1 imm: 0 <lost>
found:
	40: MovImm dst: r1 imm: 1
	41: StXAtomicAddDW dst: r0 src: r1 off: 0
	42: Ja off: -1 <out>
lost:
	43: MovImm dst: r1 imm: 0
	44: StXMemW dst: rfp src: r1 off: -8 imm: 0
	45: LoadMapPtr dst: r1 fd: 0 <l_kvm_mmio>
	47: MovReg dst: r2 src: rfp
	48: AddImm dst: r2 imm: -8
	49: Call FnMapLookupElem
	50: JEqImm dst: r0 off: -1 imm: 0 <out>
	51: MovImm dst: r1 imm: 1
	52: StXAtomicAddDW dst: r0 src: r1 off: 0
out:
	53: MovImm dst: r0 imm: 0
	54: Exit

