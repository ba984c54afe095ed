package a64

// HVC gives the encoding of HVC #imm (C6.2).
func HVC(imm uint16) uint32 { return 0xd4000002 | uint32(imm)<<5 }

// HVCImmediate takes an HVC instruction apart; ok is false for any other instruction.
func HVCImmediate(insn uint32) (imm uint16, ok bool) {
	return uint16(insn >> 5), insn&0xffe0001f == 0xd4000002
}

// MPIDR gives the affinity fields of vCPU n: sixteen to a cluster, as both Xen and KVM number them.
func MPIDR(n int) uint64 { return uint64(n&0xf) | uint64(n>>4&0xff)<<8 | uint64(n>>12&0xff)<<16 }
