package x86

// RFLAGS bits (SDM 1 3.4.3).
const (
	FlagCF   = 1 << 0
	FlagOne  = 1 << 1
	FlagPF   = 1 << 2
	FlagAF   = 1 << 4
	FlagZF   = 1 << 6
	FlagSF   = 1 << 7
	FlagTF   = 1 << 8
	FlagIF   = 1 << 9
	FlagDF   = 1 << 10
	FlagOF   = 1 << 11
	FlagIOPL = 3 << 12
	FlagNT   = 1 << 14
	FlagRF   = 1 << 16
	FlagVM   = 1 << 17
	FlagAC   = 1 << 18
	FlagVIF  = 1 << 19
	FlagVIP  = 1 << 20
	FlagID   = 1 << 21

	FlagsArith = FlagCF | FlagPF | FlagAF | FlagZF | FlagSF | FlagOF
)

// CR0 bits (SDM 3A 2.5).
const (
	CR0PE = 1 << 0
	CR0MP = 1 << 1
	CR0EM = 1 << 2
	CR0TS = 1 << 3
	CR0ET = 1 << 4
	CR0NE = 1 << 5
	CR0WP = 1 << 16
	CR0AM = 1 << 18
	CR0NW = 1 << 29
	CR0CD = 1 << 30
	CR0PG = 1 << 31
)

// CR4 bits (SDM 3A 2.5).
const (
	CR4VME        = 1 << 0
	CR4PVI        = 1 << 1
	CR4TSD        = 1 << 2
	CR4DE         = 1 << 3
	CR4PSE        = 1 << 4
	CR4PAE        = 1 << 5
	CR4MCE        = 1 << 6
	CR4PGE        = 1 << 7
	CR4PCE        = 1 << 8
	CR4OSFXSR     = 1 << 9
	CR4OSXMMEXCPT = 1 << 10
	CR4UMIP       = 1 << 11
	CR4LA57       = 1 << 12
	CR4VMXE       = 1 << 13
	CR4FSGSBASE   = 1 << 16
	CR4PCIDE      = 1 << 17
	CR4OSXSAVE    = 1 << 18
	CR4SMEP       = 1 << 20
	CR4SMAP       = 1 << 21
)

// EFER bits (SDM 3A 2.2.1; APM 2 3.1.7).
const (
	EFERSCE = 1 << 0
	EFERLME = 1 << 8
	EFERLMA = 1 << 10
	EFERNXE = 1 << 11
)

// MSR numbers (SDM 4; APM 2 appendix A).
const (
	MSRTSC          = 0x10
	MSRPlatformID   = 0x17
	MSRAPICBase     = 0x1b
	MSRTSCAdjust    = 0x3b
	MSRSpecCtrl     = 0x48
	MSRPredCmd      = 0x49
	MSRBiosSignID   = 0x8b
	MSRMTRRCap      = 0xfe
	MSRSysenterCS   = 0x174
	MSRSysenterESP  = 0x175
	MSRSysenterEIP  = 0x176
	MSRMCGCap       = 0x179
	MSRMCGStatus    = 0x17a
	MSRMiscEnable   = 0x1a0
	MSRMTRRPhysBase = 0x200
	MSRMTRRFix64K   = 0x250
	MSRPAT          = 0x277
	MSRMTRRDefType  = 0x2ff
	MSRTSCDeadline  = 0x6e0
	MSRX2APIC       = 0x800
	MSREFER         = 0xc0000080
	MSRSTAR         = 0xc0000081
	MSRLSTAR        = 0xc0000082
	MSRCSTAR        = 0xc0000083
	MSRSFMASK       = 0xc0000084
	MSRFSBase       = 0xc0000100
	MSRGSBase       = 0xc0000101
	MSRKernelGSBase = 0xc0000102
	MSRTSCAux       = 0xc0000103
)

// Canonical says whether an address may be used in 64-bit mode with 4 levels of tables: bits 63 to 47 are alike (SDM 1 3.3.7.1).
func Canonical(a uint64) bool { return uint64(int64(a<<16)>>16) == a }

// PATReset is IA32_PAT after reset (SDM 3A 11.12.4).
const PATReset = 0x0007040600070406

// MXCSRReset is MXCSR after reset, MXCSRMask its writable bits (SDM 1 10.2.3; with DAZ).
const (
	MXCSRReset = 0x1f80
	MXCSRMask  = 0xffff
)
