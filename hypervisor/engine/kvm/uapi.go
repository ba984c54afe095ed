package kvm

// Requests and capabilities that all architectures share.
const (
	kvmGetAPIVersion    = 0xae00
	kvmCreateVM         = 0xae01
	kvmCheckExtension   = 0xae03
	kvmGetVCPUMmapSize  = 0xae04
	kvmCreateVCPU       = 0xae41
	kvmGetDirtyLog      = 0x4010ae42
	kvmSetUserMemory    = 0x4020ae46
	kvmIRQLine          = 0x4008ae61
	kvmRun              = 0xae80
	kvmGetMPState       = 0x8004ae98
	kvmSetMPState       = 0x4004ae99
	kvmSetGuestDebug    = 0x4048ae9b
	kvmEnableCap        = 0x4068aea3
	kvmSignalMSI        = 0x4020aea5
	kvmGetVCPUEvents    = 0x8040ae9f
	kvmSetVCPUEvents    = 0x4040aea0
	kvmCreateDevice     = 0xc00caee0
	kvmSetDeviceAttr    = 0x4018aee1
	kvmGetDeviceAttr    = 0x4018aee2
	kvmHasDeviceAttr    = 0x4018aee3
	apiVersion          = 12
	capUserMemory       = 3
	capNrMemslots       = 10
	capXenHVM           = 38
	capMaxVCPUs         = 66
	capSyncRegs         = 74
	capSignalMSI        = 77
	capImmediateExit    = 136
	memLogDirtyPages    = 1
	maxVCPUsUnspecified = 4
)

// Exit reasons.
const (
	exitUnknown       = 0
	exitIO            = 2
	exitHypercall     = 3
	exitDebug         = 4
	exitHLT           = 5
	exitMMIO          = 6
	exitIRQWindow     = 7
	exitShutdown      = 8
	exitFailEntry     = 9
	exitIntr          = 10
	exitInternalError = 17
	exitSystemEvent   = 24
	exitRDMSR         = 29
	exitWRMSR         = 30
	exitXen           = 34
)

// Places in struct kvm_run that all architectures share. The union of exits begins at runUnion.
const (
	runIRQWindow = 0
	runImmediate = 1
	runReason    = 8
	runReady     = 12
	runIF        = 13
	runFlags     = 14
	runCR8       = 16
	runUnion     = 32
	runValid     = 288
	runDirty     = 296
	runSync      = 304

	mmioAddr  = runUnion
	mmioData  = runUnion + 8
	mmioLen   = runUnion + 16
	mmioWrite = runUnion + 20
)

// memoryRegion is struct kvm_userspace_memory_region.
type memoryRegion struct {
	slot, flags           uint32
	gpa, size, userspaceA uint64
}

// enableCap is struct kvm_enable_cap.
type enableCap struct {
	cap, _ uint32
	args   [4]uint64
	_      [64]byte
}

// dirtyLog is struct kvm_dirty_log.
type dirtyLog struct {
	slot, _ uint32
	bitmap  uint64
}

// msi is struct kvm_msi.
type msi struct {
	addrLo, addrHi, data uint32
	_                    [20]byte // flags, devid
}

// deviceAttr is struct kvm_device_attr.
type deviceAttr struct {
	_, group   uint32
	attr, addr uint64
}
