package kvm

// Requests and capabilities of x86.
const (
	kvmGetSupportedCPUID = 0xc008ae05
	kvmSetTSSAddr        = 0xae47
	kvmSetIdentityMap    = 0x4008ae48
	kvmGetRegs           = 0x8090ae81
	kvmSetRegs           = 0x4090ae82
	kvmGetSregs          = 0x8138ae83
	kvmSetSregs          = 0x4138ae84
	kvmInterrupt         = 0x4004ae86
	kvmGetMSRs           = 0xc008ae88
	kvmSetMSRs           = 0x4008ae89
	kvmSetCPUID2         = 0x4008ae90
	kvmGetLAPIC          = 0x8400ae8e
	kvmSetLAPIC          = 0x4400ae8f
	kvmNMI               = 0xae9a
	kvmGetDebugRegs      = 0x8080aea1
	kvmSetDebugRegs      = 0x4080aea2
	kvmGetTSCKHz         = 0xaea3
	kvmGetXSave          = 0x9000aea4
	kvmSetXSave          = 0x5000aea5
	kvmGetXCRs           = 0x8188aea6
	kvmSetXCRs           = 0x4188aea7
	kvmSetMSRFilter      = 0x4188aec6
	kvmGetClock          = 0x8030ae7c
	kvmSetClock          = 0x4030ae7b

	capAdjustClock      = 39
	capVCPUEvents       = 41
	capXSave            = 55
	capSplitIRQChip     = 121
	capVCPUAttributes   = 127
	capUserSpaceMSR     = 188
	capMSRFilter        = 189
	capEnforcePVCPUID   = 190
	capEmulationFailure = 204
	capDisableQuirks2   = 213

	clockHostTSC = 8

	quirkLINT0        = 1 << 0
	quirkOut7E        = 1 << 3
	quirkFixHypercall = 1 << 5

	msrExitInval   = 1 << 0
	msrExitUnknown = 1 << 1
	msrExitFilter  = 1 << 2

	msrFilterRead  = 1
	msrFilterWrite = 2

	vcpuTSCGroup  = 0
	vcpuTSCOffset = 0

	syncRegs = 1

	mpRunnable = 0
	mpHalted   = 3

	eventNMIPending = 1
	eventShadow     = 4
	shadowMovSS     = 1
	shadowSTI       = 2
	internalEmulate = 1
	flagInsnBytes   = 1
	cpuidIndexed    = 1
	cpuidTableSize  = 256
	identityMapAddr = 0xfffbc000
	tssAddr         = identityMapAddr + 0x1000
	ioDirection     = runUnion
	ioSize          = runUnion + 1
	ioPort          = runUnion + 2
	ioCount         = runUnion + 4
	ioOffset        = runUnion + 8
	msrError        = runUnion
	msrReason       = runUnion + 8
	msrIndex        = runUnion + 12
	msrData         = runUnion + 16
	failSuberror    = runUnion
	failNData       = runUnion + 4
	failData        = runUnion + 8
	failInsnSize    = runUnion + 16
	failInsnBytes   = runUnion + 17
	hcallLongMode   = runUnion + 8
	hcallCPL        = runUnion + 12
	hcallInput      = runUnion + 16
	hcallResult     = runUnion + 24
	hcallParams     = runUnion + 32
	hardwareReason  = runUnion
)

// regs is struct kvm_regs.
type regs struct {
	rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp uint64
	r                                      [8]uint64
	rip, rflags                            uint64
}

// segment is struct kvm_segment.
type segment struct {
	base                                       uint64
	limit                                      uint32
	selector                                   uint16
	typ, present, dpl, db, s, l, g, avl, unuse uint8
	_                                          uint8
}

// dtable is struct kvm_dtable.
type dtable struct {
	base  uint64
	limit uint16
	_     [3]uint16
}

// sregs is struct kvm_sregs.
type sregs struct {
	cs, ds, es, fs, gs, ss  segment
	tr, ldt                 segment
	gdt, idt                dtable
	cr0, cr2, cr3, cr4, cr8 uint64
	efer, apicBase          uint64
	bitmap                  [4]uint64
}

// vcpuEvents is struct kvm_vcpu_events.
type vcpuEvents struct {
	exception struct {
		injected, nr, hasError, pending uint8
		errorCode                       uint32
	}
	interrupt struct{ injected, nr, soft, shadow uint8 }
	nmi       struct{ injected, pending, masked, _ uint8 }
	_         uint32 // SIPI vector
	flags     uint32
	_         [32]uint8 // SMM, triple fault, whether there is a payload
	_         uint64    // the payload
}

// debugRegs is struct kvm_debugregs.
type debugRegs struct {
	db       [4]uint64
	dr6, dr7 uint64
	_        [10]uint64
}

// xcrs is struct kvm_xcrs.
type xcrs struct {
	n, _ uint32
	list [16]struct {
		xcr, _ uint32
		value  uint64
	}
	_ [16]uint64
}

// msrEntry is struct kvm_msr_entry; msrs has room for all that a vCPU's state holds.
type msrEntry struct {
	index, _ uint32
	data     uint64
}

type msrs struct {
	n, _ uint32
	list [16]msrEntry
}

// cpuidEntry is struct kvm_cpuid_entry2.
type cpuidEntry struct {
	function, index, flags, eax, ebx, ecx, edx uint32
	_                                          [3]uint32
}

type cpuidTable struct {
	n, _ uint32
	list [cpuidTableSize]cpuidEntry
}

// msrRange is struct kvm_msr_filter_range, msrFilter struct kvm_msr_filter.
type msrRange struct {
	flags, n, base uint32
	_              uint32
	bitmap         uint64
}

type msrFilter struct {
	_, _   uint32
	ranges [16]msrRange
}

// clockData is struct kvm_clock_data.
type clockData struct {
	clock      uint64
	flags, _   uint32
	_, hostTSC uint64
	_          [4]uint32
}
