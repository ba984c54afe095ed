package kvm

// Requests, capabilities and numbers of arm64 (arch/arm64/include/uapi/asm/kvm.h).
const (
	kvmPreferredTarget = 0x8020aeaf
	kvmVCPUInit        = 0x4020aeae
	kvmGetOneReg       = 0x4010aeab
	kvmSetOneReg       = 0x4010aeac

	capOneReg        = 70
	capDeviceControl = 89
	capPSCI02        = 102
	capIPASize       = 165
	capNISV          = 177
	capInjectDABT    = 178

	exitNISV = 28

	featurePowerOff = 0
	featurePSCI02   = 2

	devVGICv3 = 7

	vgicAddr       = 0 // groups of the device
	vgicNrIRQs     = 3
	vgicCtrl       = 4
	vgicAddrDist   = 2
	vgicAddrRedist = 3
	vgicCtrlInit   = 0

	vmSMCCCGroup  = 0 // group of the VM
	vmSMCCCFilter = 0
	filterForward = 2

	irqTypePPI = 2 << 24

	eventShutdown = 1
	eventReset    = 2
	eventCrash    = 3

	mpStateRunnable = 0
	mpStateStopped  = 5
)

// Places in struct kvm_run.
const (
	hcallNumber = runUnion
	hcallFlags  = runUnion + 64
	hcallSMC    = 1

	eventType = runUnion

	failSuberror   = runUnion
	hardwareReason = runUnion
)

// Register ids: core registers by their place in struct kvm_regs in 32-bit words, system registers by their encoding.
const (
	regCore = 0x6030000000100000
	regSys  = 0x6030000000130000

	regX0     = regCore
	regSPEL0  = regCore + 62
	regPC     = regCore + 64
	regPSTATE = regCore + 66
	regSPEL1  = regCore + 68
	regELR    = regCore + 70
	regSPSR   = regCore + 72
)

// sysReg gives the id of a system register.
func sysReg(op0, op1, crn, crm, op2 uint64) uint64 {
	return regSys | op0<<14 | op1<<11 | crn<<7 | crm<<3 | op2
}

var (
	regSCTLR      = sysReg(3, 0, 1, 0, 0)
	regTCR        = sysReg(3, 0, 2, 0, 2)
	regTTBR0      = sysReg(3, 0, 2, 0, 0)
	regTTBR1      = sysReg(3, 0, 2, 0, 1)
	regMAIR       = sysReg(3, 0, 10, 2, 0)
	regESR        = sysReg(3, 0, 5, 2, 0)
	regFAR        = sysReg(3, 0, 6, 0, 0)
	regVBAR       = sysReg(3, 0, 12, 0, 0)
	regTPIDREL0   = sysReg(3, 3, 13, 0, 2)
	regTPIDRROEL0 = sysReg(3, 3, 13, 0, 3)
	regTPIDREL1   = sysReg(3, 0, 13, 0, 4)
	regMMFR1      = sysReg(3, 0, 0, 7, 1) // ID_AA64MMFR1_EL1
)

// vcpuInit is struct kvm_vcpu_init: the target, and seven words of features.
type vcpuInit [8]uint32

// want sets a feature.
func (v *vcpuInit) want(feature uint) { v[1+feature/32] |= 1 << (feature % 32) }

// oneReg is struct kvm_one_reg.
type oneReg struct{ id, addr uint64 }

// createDevice is struct kvm_create_device.
type createDevice struct{ typ, fd, flags uint32 }

// smcccFilter is struct kvm_smccc_filter.
type smcccFilter struct {
	base, n uint32
	action  uint8
	_       [15]uint8
}

// irqLevel is struct kvm_irq_level.
type irqLevel struct{ irq, level uint32 }

// vcpuEvents is struct kvm_vcpu_events.
type vcpuEvents struct {
	_           [2]uint8 // of a system error
	dabtPending uint8
	_           [5]uint8
	_           [14]uint32
}
