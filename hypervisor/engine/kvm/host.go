package kvm

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
)

// Path is where the kernel offers KVM.
const Path = "/dev/kvm"

// Abilities is what a host's KVM can do, as it was found by Open. It is plain data, printed by xl info -o json.
type Abilities struct {
	// Name is the engine's name in figures: kvm-amd, kvm-intel, kvm-pvm, kvm-arm64 vhe, kvm-arm64 nvhe, or kvm-unknown.
	Name string `json:"name"`
	// Hardware says that the processor's own virtualization is behind it.
	Hardware bool `json:"hardware"`
	// Nested says that this host is itself a guest.
	Nested   bool `json:"nested"`
	MaxVCPUs int  `json:"max_vcpus"`
	MaxSlots int  `json:"max_memory_slots"`

	Host // what only one architecture has
}

// System is an open /dev/kvm. It may be used from any goroutine.
type System struct {
	Abilities
	fd       int
	mmapSize int
	ahead    chan madeVM // a VM that is being made, or nil
}

// Open opens path (Path if empty) and probes it once. The error, a *config.Error, says what to do.
func Open(path string) (*System, error) {
	if path == "" {
		path = Path
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	s := &System{fd: fd}
	if err := s.probe(path); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return s, nil
}

// Close gives the file back. VMs made from it stay.
func (s *System) Close() error {
	s.forget()
	return unix.Close(s.fd)
}

func openError(path string, err error) error {
	e := &config.Error{Field: "engine", What: "KVM cannot be used: " + path, Why: err.Error()}
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		e.Fix = noDevice
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		e.Fix = "add yourself to the group that owns " + path + " (usermod -aG kvm USER), or use engine=\"soft\""
	case errors.Is(err, unix.ENOTTY):
		e.Why = "it is not KVM's device file"
		e.Fix = "make it again (character device 10, 232), or use engine=\"soft\""
	default:
		e.Fix = "use engine=\"soft\""
	}
	return e
}

func lacks(what, fix string) error {
	return &config.Error{Field: "engine", What: "this host's KVM cannot be used", Why: what, Fix: fix}
}

func (s *System) probe(path string) error {
	v, err := ioctl(s.fd, kvmGetAPIVersion, 0)
	if err != nil {
		return openError(path, err)
	}
	if v != apiVersion {
		return lacks(fmt.Sprintf("it has API version %d, not %d", v, apiVersion), `use engine="soft"`)
	}
	if err := checkNeeded(s.extension); err != nil {
		return err
	}
	if s.mmapSize, err = ioctl(s.fd, kvmGetVCPUMmapSize, 0); err != nil {
		return fail("size of a vCPU's shared page", err)
	}
	s.MaxVCPUs = s.extension(capMaxVCPUs)
	if s.MaxVCPUs <= 0 {
		s.MaxVCPUs = maxVCPUsUnspecified
	}
	s.MaxSlots = s.extension(capNrMemslots)
	if s.MaxSlots <= 0 {
		s.MaxSlots = 32
	}
	return s.probeHost()
}

// capability is one that the engine cannot do without.
type capability struct {
	number int
	name   string
}

// checkNeeded refuses a host that lacks a capability.
func checkNeeded(extension func(int) int) error {
	for _, c := range needed {
		if extension(c.number) <= 0 {
			return lacks("it has no "+c.name, "use a newer host kernel (Linux 5.19 or later; arm64: 6.4), or engine=\"soft\"")
		}
	}
	return nil
}

// extension gives KVM_CHECK_EXTENSION's answer: 0 for what is absent.
func (s *System) extension(n int) int {
	v, err := ioctl(s.fd, kvmCheckExtension, uintptr(n))
	if err != nil {
		return 0
	}
	return v
}

// field gives the value of the first line of /proc/cpuinfo that has the key.
func field(cpuinfo, key string) string {
	for line := range strings.Lines(cpuinfo) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
