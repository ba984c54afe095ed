package kvm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Local APICs of the host, and the callback vector. That vector has no EOI, and an ordinary interrupt of a local APIC stays in service until
// there is one. The host's Hyper-V emulation has what is missing: a vector that a synthetic interrupt source (SINT) names with
// AutoEOI leaves service as soon as it is delivered (Hypervisor Top Level Functional Specification, 11.8.4). So SINT0 of each vCPU names
// the callback vector; the guest never sees that there is one.
const (
	capSynIC2  = 148
	msrSINT0   = 0x40000090
	sintAuto   = 1 << 17
	sintMasked = 1 << 16

	// In struct kvm_lapic_state: the spurious vector register, and its bit that enables the APIC (SDM 3A figure 10-23).
	lapicSVR  = 0xf0
	svrEnable = 1 << 8
)

func (vm *VM) makeChip() error {
	if vm.cfg.Chip == ChipNone {
		return nil
	}
	return vm.enable(capSplitIRQChip, "use the host's local APICs", 0)
}

// setUpChip makes a new vCPU ready for callbacks.
func (c *VCPU) setUpChip() error {
	e := enableCap{cap: capSynIC2}
	if err := request(c.fd, kvmEnableCap, &e); err != nil {
		return fail("use synthetic interrupt sources", err)
	}
	return nil
}

// HasChip implements engine.Chip.
func (c *VCPU) HasChip() bool { return c.vm.cfg.Chip != ChipNone }

// Halt implements engine.Chip.
func (c *VCPU) Halt() {
	mp := uint32(mpHalted)
	if err := request(c.fd, kvmSetMPState, &mp); err != nil {
		c.note(fail("halt a vCPU", err))
	}
}

// Timers implements engine.Chip.
func (c *VCPU) Timers() bool { return c.vm.cfg.Chip == ChipXen }

// Raise implements engine.Chip.
func (c *VCPU) Raise() {
	if v := c.vm.callback.Load(); v != 0 {
		c.Fire(uint8(v))
	}
}

// Fire implements engine.Chip.
func (c *VCPU) Fire(vector uint8) {
	id := uint32(2 * c.id)
	m := msi{addrLo: 0xfee00000 | id&0xff<<12, addrHi: id &^ 0xff, data: uint32(vector)}
	if err := request(c.vm.fd, kvmSignalMSI, &m); err != nil {
		c.vm.note(fail("signal an interrupt", err))
	}
}

// Reopen implements engine.Chip: an APIC that software has disabled takes no interrupts. For Xen's callback that makes no difference.
func (c *VCPU) Reopen() {
	var page [1024]byte
	if err := request(c.fd, kvmGetLAPIC, &page); err != nil {
		c.note(fail("read the local APIC", err))
		return
	}
	v := binary.LittleEndian.Uint32(page[lapicSVR:])
	if v&svrEnable != 0 {
		return
	}
	binary.LittleEndian.PutUint32(page[lapicSVR:], v|svrEnable)
	if err := request(c.fd, kvmSetLAPIC, &page); err != nil {
		c.note(fail("enable the local APIC", err))
	}
}

// setCallback makes a vector end by itself on this vCPU, 0 none.
func (c *VCPU) setCallback(vector uint8) {
	m := &msrs{n: 1}
	m.list[0] = msrEntry{index: msrSINT0, data: sintMasked}
	if vector != 0 {
		m.list[0].data = uint64(vector) | sintAuto
	}
	n, err := ioctl(c.fd, kvmSetMSRs, addr(m))
	keep(m)
	if err != nil || n != 1 {
		c.note(fail("set the callback vector", errors.Join(err, fmt.Errorf("MSR %#x was not taken", msrSINT0))))
	}
}
