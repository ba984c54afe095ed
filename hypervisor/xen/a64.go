// Facts of Xen public/arch-arm.h and public/hvm/params.h: what only arm64 guests have.

package xen

// XEN_HYPERCALL_TAG is the immediate of HVC that makes it a hypercall: number in x16, arguments from x0 on, result in x0.
const XEN_HYPERCALL_TAG = 0xea1

// Where things lie in a guest's physical address space. A guest learns it from its device tree.
const (
	GUEST_GICV3_GICD_BASE  = 0x03001000
	GUEST_GICV3_GICD_SIZE  = 0x00010000
	GUEST_GICV3_GICR0_BASE = 0x03020000
	GUEST_GICV3_GICR0_SIZE = 0x01000000
	GUEST_GNTTAB_BASE      = 0x38000000
	GUEST_GNTTAB_SIZE      = 0x01000000
	GUEST_MAGIC_BASE       = 0x39000000
	GUEST_MAGIC_SIZE       = 0x01000000
	GUEST_RAM0_BASE        = 0x40000000
	GUEST_RAM0_SIZE        = 0xc0000000
	GUEST_RAM1_BASE        = 0x0200000000
	GUEST_RAM1_SIZE        = 0xfe00000000
	GUEST_MAX_VCPUS        = 128
)

// Interrupt numbers of private peripheral interrupts (PPIs), as GIC interrupt ids.
const (
	GUEST_TIMER_VIRT_PPI    = 27
	GUEST_TIMER_PHYS_S_PPI  = 29
	GUEST_TIMER_PHYS_NS_PPI = 30
	GUEST_EVTCHN_PPI        = 31
)

// The type of HVM_PARAM_CALLBACK_IRQ on arm64, and its flags.
const (
	HVM_PARAM_CALLBACK_TYPE_PPI           = 2
	HVM_PARAM_CALLBACK_TYPE_PPI_FLAG_MASK = 0xff00
)

// Start values of SCTLR_EL1 and PSTATE.
const (
	SCTLR_GUEST_INIT = 0x00c50078
	PSR_GUEST64_INIT = 0x1c5
)

// VCPUGuestCoreRegs is the core registers of a vCPU (C: vcpu_guest_core_regs); the toolstack's view, for saving and dumping.
type VCPUGuestCoreRegs struct {
	X       [31]uint64
	PC64    uint64
	CPSR    uint64
	SPSREL1 uint64
	SPSR32  [4]uint32 // fiq, irq, und, abt: AArch32 only
	SPEL0   uint64
	SPEL1   uint64
	ELREL1  uint64
}

// Layout visits the fields of VCPUGuestCoreRegs in the order of the C struct.
func (s *VCPUGuestCoreRegs) Layout(c *Codec) {
	for i := range s.X {
		c.U64(&s.X[i])
	}
	c.U64(&s.PC64)
	c.U64(&s.CPSR)
	c.U64(&s.SPSREL1)
	for i := range s.SPSR32 {
		c.U32(&s.SPSR32[i])
	}
	c.U64(&s.SPEL0)
	c.U64(&s.SPEL1)
	c.U64(&s.ELREL1)
}

// VCPUGuestContext is a vCPU's context (C: vcpu_guest_context of arm).
type VCPUGuestContext struct {
	Flags    uint32
	UserRegs VCPUGuestCoreRegs
	SCTLR    uint64
	TTBCR    uint64
	TTBR0    uint64
	TTBR1    uint64
}

// Layout visits the fields of VCPUGuestContext in the order of the C struct.
func (s *VCPUGuestContext) Layout(c *Codec) {
	c.U32(&s.Flags)
	s.UserRegs.Layout(c)
	c.U64(&s.SCTLR)
	c.U64(&s.TTBCR)
	c.U64(&s.TTBR0)
	c.U64(&s.TTBR1)
}
