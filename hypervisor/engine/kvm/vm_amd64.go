package kvm

import (
	"fmt"
	"math/bits"
	"slices"
	"sync/atomic"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Config says how a VM is made. Nothing in it changes afterwards.
type Config struct {
	Memory *guestmem.Memory
	// CPUID gives the leaves that vCPU id shows to the guest.
	CPUID func(id int) []x86.CPUIDLeaf
	// HypercallPort, if not 0, is the port whose OUT imm8 by the guest's kernel is a hypercall.
	HypercallPort uint8
	// Intercept makes the host hand over VMCALL and VMMCALL (Abilities.Xen.Intercept).
	Intercept bool
	Chip      ChipMode
}

// ChipMode says whose the local APICs are.
type ChipMode uint8

// The modes.
const (
	ChipNone ChipMode = iota // ours
	ChipHost                 // the host's
	ChipXen                  // the host's, which delivers events and timers to Xen guests (Abilities.Xen.Send); needs Intercept
)

// VM implements engine.VM.
type VM struct {
	machine
	cfg      Config
	callback atomic.Uint32
	cpus     []*VCPU // as they were made, guarded by mu
	offset   uint64  // guest TSC - host TSC, of every vCPU
	hz       uint64
}

// New makes a VM that follows the memory's map from now on.
func (s *System) New(cfg Config) (*VM, error) {
	vm := &VM{cfg: cfg}
	if err := vm.open(s, cfg.Memory); err != nil {
		return nil, err
	}
	if err := vm.setUp(); err != nil {
		_ = vm.Close()
		return nil, err
	}
	return vm, nil
}

func (vm *VM) setUp() error {
	addr := uint64(identityMapAddr)
	if err := request(vm.fd, kvmSetIdentityMap, &addr); err != nil {
		return fail("set the identity map", err)
	}
	if _, err := ioctl(vm.fd, kvmSetTSSAddr, tssAddr); err != nil {
		return fail("set the TSS", err)
	}
	quirks := uint64(quirkLINT0|quirkOut7E|quirkFixHypercall) & uint64(vm.sys.extension(capDisableQuirks2))
	if err := vm.enable(capDisableQuirks2, "switch quirks off", quirks); err != nil {
		return err
	}
	if err := vm.enable(capUserSpaceMSR, "MSR exits", msrExitInval|msrExitUnknown|msrExitFilter); err != nil {
		return err
	}
	if vm.sys.InsnBytes {
		if err := vm.enable(capEmulationFailure, "exits for failed emulation", 1); err != nil {
			return err
		}
	}
	if err := vm.filterMSRs(); err != nil {
		return err
	}
	if vm.cfg.Intercept {
		if err := vm.configureXen(); err != nil {
			return err
		}
	}
	if err := vm.makeChip(); err != nil {
		return err
	}
	vm.offset = -rdtsc()
	khz, err := ioctl(vm.fd, kvmGetTSCKHz, 0)
	if err != nil {
		khz = vm.sys.TSCKHz
	}
	vm.hz = uint64(khz) * 1000
	return vm.follow()
}

// MSRs that the host must not answer itself: those of Xen and KVM, and the APIC's base and deadline where the APIC is ours.
var (
	hiddenMSRs = []struct{ base, n uint32 }{{0x40000000, 256}, {0x4b564d00, 16}, {0x11, 2}}
	apicMSRs   = []struct{ base, n uint32 }{{x86.MSRAPICBase, 1}, {x86.MSRTSCDeadline, 1}}
)

func (vm *VM) filterMSRs() error {
	var none [4]uint64 // a bit that is 0 denies
	f := &msrFilter{}
	hide := hiddenMSRs
	if vm.cfg.Chip == ChipNone {
		hide = slices.Concat(hide, apicMSRs)
	}
	for i, h := range hide {
		f.ranges[i] = msrRange{flags: msrFilterRead | msrFilterWrite, n: h.n, base: h.base, bitmap: address(&none[0])}
	}
	err := request(vm.fd, kvmSetMSRFilter, f)
	keep(&none)
	if err != nil {
		return fail("filter MSRs", err)
	}
	return nil
}

// NewVCPU implements engine.VM.
func (vm *VM) NewVCPU(id int) (engine.VCPU, error) {
	t, err := vm.newThread(2 * id) // Xen's APIC ids
	if err != nil {
		return nil, err
	}
	c := &VCPU{thread: t, vm: vm, id: id, callPort: uint16(vm.cfg.HypercallPort)}
	if err := c.setUp(); err != nil {
		return nil, fmt.Errorf("vCPU %d: %w", id, err)
	}
	vm.mu.Lock()
	vm.cpus = append(vm.cpus, c)
	vm.mu.Unlock()
	return c, nil
}

// TSC gives the guest's time-stamp counter now. Any goroutine.
func (vm *VM) TSC() uint64 { return rdtsc() + vm.offset }

// TSCHz gives its frequency.
func (vm *VM) TSCHz() uint64 { return vm.hz }

// Now gives the guest's system time in nanoseconds: the host's, where it writes the guest's clock records.
func (vm *VM) Now() uint64 {
	if vm.cfg.Chip == ChipXen {
		if ns, ok := vm.hostClock(); ok {
			return ns
		}
	}
	return vm.nanoseconds(vm.TSC())
}

// nanoseconds gives how long ticks of the time-stamp counter take.
func (vm *VM) nanoseconds(ticks uint64) uint64 {
	hi, lo := bits.Mul64(ticks, 1e9)
	n, _ := bits.Div64(hi%vm.hz, lo, vm.hz)
	return n
}
