package bpf

import (
	"os"
	"runtime"
	"strings"
)

// Backend says what is behind /dev/kvm.
type Backend struct {
	Name string `json:"name"` // kvm-intel, kvm-amd, kvm-pvm, kvm-arm64, kvm-unknown; none without /dev/kvm
	// Hardware: the processor's own virtualization. Without it KVM is an interpreter, whose vCPUs never leave the guest as a processor does: kvm_exit
	// and kvm_entry do not fire.
	Hardware bool `json:"hardware"`
}

// ThisBackend looks at the host.
func ThisBackend() Backend {
	info, _ := os.ReadFile("/proc/cpuinfo")
	return backend(runtime.GOARCH, string(info), func(p string) bool { _, err := os.Stat(p); return err == nil })
}

// backend tells it by the processor's flags and the modules that are loaded or built in.
func backend(arch, cpuinfo string, exists func(string) bool) Backend {
	flag := func(name string) bool {
		for l := range strings.Lines(cpuinfo) {
			if k, v, _ := strings.Cut(l, ":"); strings.TrimSpace(k) == "flags" {
				return strings.Contains(" "+strings.TrimSpace(v)+" ", " "+name+" ")
			}
		}
		return false
	}
	switch {
	case !exists("/dev/kvm"):
		return Backend{Name: "none"}
	case arch == "arm64":
		return Backend{Name: "kvm-arm64", Hardware: true}
	case flag("svm") && exists("/sys/module/kvm_amd"):
		return Backend{Name: "kvm-amd", Hardware: true}
	case flag("vmx") && exists("/sys/module/kvm_intel"):
		return Backend{Name: "kvm-intel", Hardware: true}
	case exists("/sys/module/kvm_pvm"):
		return Backend{Name: "kvm-pvm"}
	}
	return Backend{Name: "kvm-unknown"}
}

// InitialPIDs says whether this process sees the host's process numbers, by which eBPF knows processes: it is in no PID namespace of a container.
func InitialPIDs() bool {
	const initial = "pid:[4026531836]" // PROC_PID_INIT_INO
	l, err := os.Readlink("/proc/self/ns/pid")
	return err != nil || l == initial
}
