package x86

// Register numbers as instructions encode them (SDM 2A 2.1).
const (
	RAX = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

// Segment register numbers as instructions encode them (SDM 2A table 2-1).
const (
	ES = iota
	CS
	SS
	DS
	FS
	GS
)

// Segment is a segment register with its hidden part (SDM 3A 3.4.3).
type Segment struct {
	Selector uint16
	// Attr is laid out as in the VMX guest state: type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14,
	// G 15, unusable 16 (SDM 3C 24.4.1).
	Attr  uint32
	Limit uint32 // in bytes, scaled by G already
	Base  uint64
}

// Segment attribute bits.
const (
	AttrType     = 0xf
	AttrS        = 1 << 4
	AttrDPLShift = 5
	AttrP        = 1 << 7
	AttrL        = 1 << 13
	AttrDB       = 1 << 14
	AttrG        = 1 << 15
	AttrUnusable = 1 << 16
)

// DPL gives the descriptor privilege level, 0 to 3.
func (s *Segment) DPL() uint8 { return uint8(s.Attr>>AttrDPLShift) & 3 }

// Table is GDTR or IDTR.
type Table struct {
	Base  uint64
	Limit uint16
}

// FXState is the FPU, MMX and SSE state in the FXSAVE64 layout's terms (SDM 1 10.5.1).
type FXState struct {
	FCW, FSW uint16
	// FTW has a bit set for each physical register that is NOT empty (the abridged form).
	FTW      uint8
	FOP      uint16
	FIP, FDP uint64
	MXCSR    uint32
	// ST holds the stack by logical number, ST(0) first: 64-bit significand, then sign and exponent.
	ST  [8]F80
	XMM [16][2]uint64 // little-endian: [0] is bits 0-63
}

// F80 is a double extended-precision value as memory holds it (SDM 1 4.2.2).
type F80 struct {
	Frac uint64 // with the explicit integer bit
	SE   uint16 // sign in bit 15, biased exponent below
}

// State is the architectural state of one vCPU, the same for every engine: what is saved,
// migrated, shown and compared.
type State struct {
	GPR    [16]uint64
	RIP    uint64
	RFLAGS uint64
	Seg    [6]Segment
	TR     Segment
	LDTR   Segment
	GDTR   Table
	IDTR   Table

	CR0, CR2, CR3, CR4, CR8 uint64
	EFER, XCR0              uint64
	DR                      [8]uint64 // DR4 and DR5 unused

	STAR, LSTAR, CSTAR, SFMASK           uint64
	KernelGSBase                         uint64
	SysenterCS, SysenterESP, SysenterEIP uint64
	PAT, TSCAux, MiscEnable, SpecCtrl    uint64
	TSCOffset                            uint64 // guest TSC - host TSC
	APICBase                             uint64

	FX FXState

	// Interruptibility and events in flight.
	STIShadow, MovSSShadow, NMIBlocked, Halted bool
	// Pending is an event whose delivery had begun (vector valid if PendingValid).
	PendingValid, PendingHasError bool
	PendingVector                 uint8
	PendingError                  uint32
}
