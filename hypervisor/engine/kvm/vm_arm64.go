package kvm

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
)

// Config says how a VM is made. Nothing in it changes afterwards.
type Config struct {
	Memory *guestmem.Memory
	// GICD and GICR are where the interrupt controller's distributor and redistributors lie: multiples of 64 KiB.
	GICD, GICR guestmem.GPA
	// UpcallPPI is the interrupt id of the event channel upcall, 16 to 31.
	UpcallPPI uint32
}

// VM implements engine.A64VM.
type VM struct {
	machine
	cfg  Config
	gic  int // file descriptor
	init vcpuInit
}

// New makes a VM that follows the memory's map from now on.
func (s *System) New(cfg Config) (*VM, error) {
	for _, r := range cfg.Memory.RAM() {
		if err := s.checkIPA(uint64(r.Base) + r.Size - 1); err != nil {
			return nil, err
		}
	}
	vm := &VM{cfg: cfg, gic: -1}
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
	if err := vm.forwardCalls(); err != nil {
		return err
	}
	if vm.sys.NISV {
		if err := vm.enable(capNISV, "exits for accesses that it cannot decode"); err != nil {
			return err
		}
	}
	if err := request(vm.fd, kvmPreferredTarget, &vm.init); err != nil {
		return fail("choose a processor", err)
	}
	vm.init.want(featurePSCI02)
	if err := vm.makeGIC(); err != nil {
		return err
	}
	return vm.follow()
}

// Function ids of calls that stay with the host: those of the architecture, which cannot be had, and the standard secure
// services, PSCI among them (SMCCC, DEN 0028; each of 32 and of 64 bits).
var kept = [][2]uint32{{0x80000000, 0x8000ffff}, {0x84000000, 0x8400ffff}, {0xc0000000, 0xc000ffff}, {0xc4000000, 0xc400ffff}}

// forwardCalls makes the host hand over all other calls. It goes by w0, which for a Xen hypercall is its first argument.
func (vm *VM) forwardCalls() error {
	next := uint32(0)
	for i := 0; i <= len(kept); i++ {
		f := &smcccFilter{base: next, action: filterForward}
		if i < len(kept) {
			f.n = kept[i][0] - next
			next = kept[i][1] + 1
		} else {
			f.n = -next
		}
		if err := vm.attr(vm.fd, vmSMCCCGroup, vmSMCCCFilter, address(f)); err != nil {
			return fail(fmt.Sprintf("hand over calls from %#x on", f.base), err)
		}
		keep(f)
	}
	return nil
}

func (vm *VM) attr(fd int, group uint32, attr, addr uint64) error {
	return request(fd, kvmSetDeviceAttr, &deviceAttr{group: group, attr: attr, addr: addr})
}

// irqs is the smallest interrupt controller that the host makes: a Xen guest has no shared interrupts but an emulated UART's.
const irqs = 64

func (vm *VM) makeGIC() error {
	d := &createDevice{typ: devVGICv3}
	if err := request(vm.fd, kvmCreateDevice, d); err != nil {
		return fail("make a GICv3", err)
	}
	vm.gic = int(d.fd)
	for _, a := range []struct {
		attr uint64
		at   guestmem.GPA
	}{{vgicAddrDist, vm.cfg.GICD}, {vgicAddrRedist, vm.cfg.GICR}} {
		at := uint64(a.at)
		err := vm.attr(vm.gic, vgicAddr, a.attr, address(&at))
		keep(&at)
		if err != nil {
			return fail(fmt.Sprintf("place the GICv3 at %#x", uint64(a.at)), err)
		}
	}
	n := uint32(irqs)
	err := vm.attr(vm.gic, vgicNrIRQs, 0, address(&n))
	keep(&n)
	if err != nil {
		return fail("size the GICv3", err)
	}
	return nil
}

// NewVCPU implements engine.A64VM.
func (vm *VM) NewVCPU(id int) (engine.A64VCPU, error) {
	t, err := vm.newThread(id)
	if err != nil {
		return nil, err
	}
	c := &VCPU{thread: t, vm: vm, id: id}
	init := vm.init
	if id != 0 {
		init.want(featurePowerOff)
	}
	if err := request(c.fd, kvmVCPUInit, &init); err != nil {
		return nil, fail(fmt.Sprintf("initialise vCPU %d", id), err)
	}
	c.online.Store(id == 0)
	return c, nil
}

// Ready implements engine.A64VM.
func (vm *VM) Ready() error {
	if err := vm.attr(vm.gic, vgicCtrl, vgicCtrlInit, 0); err != nil {
		return fail("initialise the GICv3", err)
	}
	return nil
}

// Close implements engine.A64VM.
func (vm *VM) Close() error {
	if vm.gic >= 0 {
		_ = unix.Close(vm.gic)
		vm.gic = -1
	}
	return vm.machine.Close()
}

// VCPU implements engine.A64VCPU.
type VCPU struct {
	*thread
	vm      *VM
	id      int
	reading bool // the last exit waits for what was read
	online  atomic.Bool
	err     error // of a request between two runs; the next Run reports it

	one   oneReg
	value uint64
	tags  tagCache
	tr    a64.Translation
}
