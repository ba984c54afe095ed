package a64

// State is the state of a vCPU, as far as loading, dumping and saving need it by name. Floating point and the many
// identification registers stay with the engine.
type State struct {
	X      [31]uint64 // X0 to X30
	SPEL0  uint64
	SPEL1  uint64
	PC     uint64
	PSTATE uint64
	ELR    uint64 // ELR_EL1
	SPSR   uint64 // SPSR_EL1
	ESR    uint64 // ESR_EL1
	FAR    uint64 // FAR_EL1
	VBAR   uint64 // VBAR_EL1
	TPIDR  [3]uint64
	Translation
}

// Indexes of State.TPIDR.
const (
	TPIDREL0 = iota
	TPIDRROEL0
	TPIDREL1
)

// Translation is the registers that stage 1 translation at EL1 depends on (D8.2).
type Translation struct {
	SCTLR uint64 // SCTLR_EL1
	TCR   uint64 // TCR_EL1
	TTBR0 uint64 // TTBR0_EL1
	TTBR1 uint64 // TTBR1_EL1
	MAIR  uint64 // MAIR_EL1
}

// Bits of PSTATE as SPSR holds them (C5.2.19).
const (
	PSTATEEL0t = 0x0
	PSTATEEL1t = 0x4
	PSTATEEL1h = 0x5
	PSTATEMode = 0xf
	PSTATEF    = 1 << 6
	PSTATEI    = 1 << 7
	PSTATEA    = 1 << 8
	PSTATED    = 1 << 9

	// PSTATEBoot is how a kernel is entered: EL1, its own stack pointer, all interrupts masked (Linux
	// Documentation/arch/arm64/booting.rst; Xen PSR_GUEST64_INIT).
	PSTATEBoot = PSTATEEL1h | PSTATEF | PSTATEI | PSTATEA | PSTATED
)

// Bits of SCTLR_EL1 (D19.2).
const (
	SCTLRM  = 1 << 0
	SCTLREE = 1 << 25
)

// SCTLRBoot is SCTLR_EL1 at the start: the MMU and the caches off. Xen's SCTLR_GUEST_INIT.
const SCTLRBoot = 0x00c50078
