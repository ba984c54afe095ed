package kvm

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what only arm64 hosts have.
type Host struct {
	// Mode is how the host's KVM runs, as far as it can be told without rights: "vhe", "nvhe", "protected", or "unknown".
	Mode string `json:"mode"`
	// IPABits is the largest guest-physical address space, as a power of two.
	IPABits int `json:"ipa_bits"`
	// NISV: the host tells of accesses that it cannot decode.
	NISV bool `json:"nisv_to_user"`
}

// noDevice is what to do where there is no KVM.
const noDevice = "use a host whose kernel has KVM and was started at EL2 (dmesg says \"CPU: All CPU(s) started at EL2\"), with /dev/kvm"

// needed are the capabilities without which a guest cannot be run as a Xen guest.
var needed = []capability{
	{capUserMemory, "KVM_CAP_USER_MEMORY"},
	{capImmediateExit, "KVM_CAP_IMMEDIATE_EXIT (Linux 4.13)"},
	{capOneReg, "KVM_CAP_ONE_REG"},
	{capDeviceControl, "KVM_CAP_DEVICE_CTRL"},
	{capPSCI02, "KVM_CAP_ARM_PSCI_0_2"},
}

// defaultIPABits is the address space of a VM made without saying (Documentation/virt/kvm/api.rst, KVM_CREATE_VM).
const defaultIPABits = 40

func (s *System) probeHost() error {
	s.Hardware = true // there is no software KVM on arm64
	s.IPABits = s.extension(capIPASize)
	if s.IPABits <= 0 {
		s.IPABits = defaultIPABits
	}
	s.NISV = s.extension(capNISV) > 0
	s.Nested = exists("/proc/device-tree/hypervisor") || exists("/sys/hypervisor/type")
	vm, err := ioctl(s.fd, kvmCreateVM, s.vmType())
	if err != nil {
		return fail("create a VM", err)
	}
	defer func() { _ = unix.Close(vm) }()
	if request(vm, kvmHasDeviceAttr, &deviceAttr{group: vmSMCCCGroup, attr: vmSMCCCFilter}) != nil {
		return lacks("it cannot hand over a guest's Xen hypercalls: it has no SMCCC filter (KVM_ARM_VM_SMCCC_FILTER)",
			"boot the host with Linux 6.4 or later")
	}
	if request(vm, kvmCreateDevice, &createDevice{typ: devVGICv3, flags: createDeviceTest}) != nil {
		return lacks("it has no virtual GICv3", "use a host whose interrupt controller is a GICv3 or later")
	}
	cmdline, _ := os.ReadFile("/proc/cmdline")
	vh, known := hasVHE(vm)
	s.Mode = modeOf(string(cmdline), vh, known)
	s.Name = "kvm-arm64 " + s.Mode
	if s.Mode == "protected" {
		s.Name = "kvm-arm64 nvhe"
	}
	return nil
}

// createDeviceTest only asks whether the device could be made.
const createDeviceTest = 1

// vmType gives the argument of KVM_CREATE_VM: the usual address space, or the largest of a host that has less.
func (s *System) vmType() uintptr {
	if s.IPABits < defaultIPABits {
		return uintptr(s.IPABits)
	}
	return 0
}

// hasVHE reads whether the processors have the Virtualization Host Extensions, from the identification registers that a vCPU shows.
func hasVHE(vm int) (vh, known bool) {
	fd, err := ioctl(vm, kvmCreateVCPU, 0)
	if err != nil {
		return false, false
	}
	defer func() { _ = unix.Close(fd) }()
	var init vcpuInit
	if request(vm, kvmPreferredTarget, &init) != nil || request(fd, kvmVCPUInit, &init) != nil {
		return false, false
	}
	v := new(uint64)
	r := oneReg{id: regMMFR1, addr: address(v)}
	err = request(fd, kvmGetOneReg, &r)
	keep(v)
	return *v>>8&0xf != 0, err == nil
}

// modeOf tells the mode: Linux uses VHE where the processor has it, unless the command line asks for something else.
func modeOf(cmdline string, vh, known bool) string {
	for _, w := range strings.Fields(cmdline) {
		switch w {
		case "kvm-arm.mode=protected":
			return "protected"
		case "kvm-arm.mode=nvhe", "id_aa64mmfr1.vh=0":
			return "nvhe"
		}
	}
	switch {
	case !known:
		return "unknown"
	case vh:
		return "vhe"
	}
	return "nvhe"
}

// checkIPA says whether a guest-physical address can exist on this host.
func (s *System) checkIPA(end uint64) error {
	if bits := min(s.IPABits, defaultIPABits); end>>bits != 0 {
		return lacks(fmt.Sprintf("its guests have %d address bits, and this one's memory ends at %#x", bits, end), "give the domain less memory with memory=")
	}
	return nil
}
