package kvm

import (
	"os"
	"strings"

	"gozen/hypervisor/x86"
)

// Host is what only x86 hosts have.
type Host struct {
	// Hypercalls says how a guest's VMCALL and VMMCALL reach us: "intercept" (KVM_CAP_XEN_HVM), or "port" where the host keeps them for
	// itself, and hypercall page and kernel thunks use OUT.
	Hypercalls string `json:"hypercalls"`
	// Xen lists the host's helpers for Xen guests (CONFIG_KVM_XEN).
	Xen XenAbilities `json:"xen"`
	// TSCKHz is the frequency of the time-stamp counter as guests see it; TSCStable says that the host itself keeps time by it.
	TSCKHz    int  `json:"tsc_khz,omitempty"`
	TSCStable bool `json:"tsc_stable"`
	// TSCOffset: the guest's offset can be read exactly (KVM_VCPU_TSC_OFFSET).
	TSCOffset bool `json:"tsc_offset"`
	SplitChip bool `json:"split_irqchip"`
	// AutoEOI: interrupts of the host's local APICs can end by themselves (KVM_CAP_HYPERV_SYNIC2), as the callback vector must.
	AutoEOI   bool `json:"auto_eoi"`
	SignalMSI bool `json:"signal_msi"`
	// PrefaultMemory: guest memory can be mapped ahead (KVM_PRE_FAULT_MEMORY).
	PrefaultMemory bool `json:"prefault_memory"`
	// XSave: the state beyond x87 and SSE is reached by KVM_GET_XSAVE.
	XSave bool `json:"xsave"`
	// InsnBytes: the host tells the bytes of an instruction that it cannot emulate.
	InsnBytes bool `json:"instruction_bytes"`
}

// XenAbilities are the flags of KVM_CAP_XEN_HVM.
type XenAbilities struct {
	HypercallMSR bool `json:"hypercall_msr"`
	Intercept    bool `json:"intercept"`
	SharedInfo   bool `json:"shared_info"`
	Runstate     bool `json:"runstate"`
	TwoLevel     bool `json:"evtchn_2level"`
	Send         bool `json:"evtchn_send"` // and the in-kernel timer
}

const (
	xenHypercallMSR = 1 << iota
	xenIntercept
	xenSharedInfo
	xenRunstate
	xenTwoLevel
	xenSend
)

const capPreFault = 236

// noDevice is what to do where there is no KVM.
const noDevice = "load the module (modprobe kvm_amd or kvm_intel; switch virtualization on in the firmware), or use engine=\"soft\""

// vmType gives the argument of KVM_CREATE_VM.
func (*System) vmType() uintptr { return 0 }

// needed are the capabilities without which a guest cannot be run as a Xen guest.
var needed = []capability{
	{capUserMemory, "KVM_CAP_USER_MEMORY"},
	{capImmediateExit, "KVM_CAP_IMMEDIATE_EXIT (Linux 4.13)"},
	{capSyncRegs, "KVM_CAP_SYNC_REGS (Linux 4.17)"},
	{capVCPUEvents, "KVM_CAP_VCPU_EVENTS"},
	{capUserSpaceMSR, "KVM_CAP_X86_USER_SPACE_MSR (Linux 5.10)"},
	{capMSRFilter, "KVM_CAP_X86_MSR_FILTER (Linux 5.10)"},
	{capEnforcePVCPUID, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID (Linux 5.10)"},
	{capDisableQuirks2, "KVM_CAP_DISABLE_QUIRKS2 (Linux 5.17)"},
}

func (s *System) probeHost() error {
	info, _ := os.ReadFile("/proc/cpuinfo")
	s.Name, s.Hardware = hostName(string(info), exists)
	s.Nested = strings.Contains(" "+field(string(info), "flags")+" ", " hypervisor ")
	x := s.extension(capXenHVM)
	has := func(bit int) bool { return x&bit != 0 }
	s.Xen = XenAbilities{has(xenHypercallMSR), has(xenIntercept), has(xenSharedInfo), has(xenRunstate), has(xenTwoLevel), has(xenSend)}
	s.Hypercalls = "port"
	if s.Xen.Intercept {
		s.Hypercalls = "intercept"
	}
	s.SplitChip = s.extension(capSplitIRQChip) > 0
	s.AutoEOI = s.extension(capSynIC2) > 0
	s.SignalMSI = s.extension(capSignalMSI) > 0
	s.XSave = s.extension(capXSave) > 0
	s.InsnBytes = s.extension(capEmulationFailure) > 0
	s.PrefaultMemory = s.extension(capPreFault) > 0
	s.TSCOffset = s.extension(capVCPUAttributes) > 0
	src, _ := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	s.TSCStable = strings.TrimSpace(string(src)) == "tsc"
	return nil
}

// hostName tells what is behind /dev/kvm, by the processor's flags and the modules that are loaded or built in.
func hostName(cpuinfo string, exists func(string) bool) (name string, hardware bool) {
	flags := " " + field(cpuinfo, "flags") + " "
	switch {
	case strings.Contains(flags, " svm ") && exists("/sys/module/kvm_amd"):
		return "kvm-amd", true
	case strings.Contains(flags, " vmx ") && exists("/sys/module/kvm_intel"):
		return "kvm-intel", true
	case exists("/sys/module/kvm_pvm"):
		return "kvm-pvm", false
	}
	return "kvm-unknown", false
}

// SupportedCPUID gives the CPUID leaves that this host's KVM can show to a guest.
func (s *System) SupportedCPUID() ([]x86.CPUIDLeaf, error) {
	t := &cpuidTable{n: cpuidTableSize}
	if err := request(s.fd, kvmGetSupportedCPUID, t); err != nil {
		return nil, fail("get the CPUID leaves that it supports", err)
	}
	out := make([]x86.CPUIDLeaf, 0, t.n)
	for _, e := range t.list[:min(t.n, cpuidTableSize)] {
		out = append(out, x86.CPUIDLeaf{Leaf: e.function, Sub: e.index, Indexed: e.flags&cpuidIndexed != 0,
			A: e.eax, B: e.ebx, C: e.ecx, D: e.edx})
	}
	return out, nil
}
