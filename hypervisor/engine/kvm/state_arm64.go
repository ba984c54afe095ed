package kvm

import (
	"fmt"

	"gozen/hypervisor/a64"
)

// get reads a register by KVM's id.
func (c *VCPU) get(id uint64) uint64 {
	c.one.id, c.one.addr = id, address(&c.value)
	if err := request(c.fd, kvmGetOneReg, &c.one); err != nil {
		c.note(fail(fmt.Sprintf("read register %#x", id), err))
		return 0
	}
	return c.value
}

func (c *VCPU) put(id, v uint64) {
	c.value = v
	c.one.id, c.one.addr = id, address(&c.value)
	if err := request(c.fd, kvmSetOneReg, &c.one); err != nil {
		c.note(fail(fmt.Sprintf("write register %#x", id), err))
	}
}

// X implements engine.A64VCPU.
func (c *VCPU) X(n int) uint64 { return c.get(regX0 + 2*uint64(n)) }

// SetX implements engine.A64VCPU.
func (c *VCPU) SetX(n int, v uint64) { c.put(regX0+2*uint64(n), v) }

// Translation implements engine.A64VCPU.
func (c *VCPU) Translation() *a64.Translation {
	c.tr = a64.Translation{SCTLR: c.get(regSCTLR), TCR: c.get(regTCR), TTBR0: c.get(regTTBR0), TTBR1: c.get(regTTBR1)}
	return &c.tr
}

// named visits the registers of a State in the order of KVM's ids.
func named(s *a64.State, visit func(id uint64, v *uint64)) {
	for i := range s.X {
		visit(regX0+2*uint64(i), &s.X[i])
	}
	for _, r := range []struct {
		id uint64
		v  *uint64
	}{{regSPEL0, &s.SPEL0}, {regSPEL1, &s.SPEL1}, {regPC, &s.PC}, {regPSTATE, &s.PSTATE}, {regELR, &s.ELR}, {regSPSR, &s.SPSR},
		{regESR, &s.ESR}, {regFAR, &s.FAR}, {regVBAR, &s.VBAR}, {regTPIDREL0, &s.TPIDR[a64.TPIDREL0]},
		{regTPIDRROEL0, &s.TPIDR[a64.TPIDRROEL0]}, {regTPIDREL1, &s.TPIDR[a64.TPIDREL1]}, {regSCTLR, &s.SCTLR}, {regTCR, &s.TCR},
		{regTTBR0, &s.TTBR0}, {regTTBR1, &s.TTBR1}, {regMAIR, &s.MAIR}} {
		visit(r.id, r.v)
	}
}

// Get implements engine.A64VCPU.
func (c *VCPU) Get(s *a64.State) error {
	named(s, func(id uint64, v *uint64) { *v = c.get(id) })
	return c.err
}

// Set implements engine.A64VCPU.
func (c *VCPU) Set(s *a64.State) error {
	named(s, func(id uint64, v *uint64) { c.put(id, *v) })
	return c.err
}
