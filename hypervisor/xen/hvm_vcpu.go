// Facts of Xen public/hvm/hvm_vcpu.h.

package xen

// Modes of a vcpu_hvm_context.
const (
	VCPU_HVM_MODE_32B = 0
	VCPU_HVM_MODE_64B = 1
)

// VCPUHVMx86_32 is the 32-bit start state of a vCPU (C: vcpu_hvm_x86_32).
type VCPUHVMx86_32 struct {
	EAX     uint32
	ECX     uint32
	EDX     uint32
	EBX     uint32
	ESP     uint32
	EBP     uint32
	ESI     uint32
	EDI     uint32
	EIP     uint32
	EFLAGS  uint32
	CR0     uint32
	CR3     uint32
	CR4     uint32
	Pad1    uint32
	EFER    uint64
	CSBase  uint32
	DSBase  uint32
	SSBase  uint32
	ESBase  uint32
	TRBase  uint32
	CSLimit uint32
	DSLimit uint32
	SSLimit uint32
	ESLimit uint32
	TRLimit uint32
	CSAR    uint16
	DSAR    uint16
	SSAR    uint16
	ESAR    uint16
	TRAR    uint16
	Pad2    [3]uint16
}

// Layout visits the fields of VCPUHVMx86_32 in the order of the C struct.
func (s *VCPUHVMx86_32) Layout(c *Codec) {
	c.U32(&s.EAX)
	c.U32(&s.ECX)
	c.U32(&s.EDX)
	c.U32(&s.EBX)
	c.U32(&s.ESP)
	c.U32(&s.EBP)
	c.U32(&s.ESI)
	c.U32(&s.EDI)
	c.U32(&s.EIP)
	c.U32(&s.EFLAGS)
	c.U32(&s.CR0)
	c.U32(&s.CR3)
	c.U32(&s.CR4)
	c.U32(&s.Pad1)
	c.U64(&s.EFER)
	c.U32(&s.CSBase)
	c.U32(&s.DSBase)
	c.U32(&s.SSBase)
	c.U32(&s.ESBase)
	c.U32(&s.TRBase)
	c.U32(&s.CSLimit)
	c.U32(&s.DSLimit)
	c.U32(&s.SSLimit)
	c.U32(&s.ESLimit)
	c.U32(&s.TRLimit)
	c.U16(&s.CSAR)
	c.U16(&s.DSAR)
	c.U16(&s.SSAR)
	c.U16(&s.ESAR)
	c.U16(&s.TRAR)
	for i := range s.Pad2 {
		c.U16(&s.Pad2[i])
	}
}

// VCPUHVMx86_64 is the 64-bit start state of a vCPU (C: vcpu_hvm_x86_64).
type VCPUHVMx86_64 struct {
	RAX    uint64
	RCX    uint64
	RDX    uint64
	RBX    uint64
	RSP    uint64
	RBP    uint64
	RSI    uint64
	RDI    uint64
	RIP    uint64
	RFLAGS uint64
	CR0    uint64
	CR3    uint64
	CR4    uint64
	EFER   uint64
}

// Layout visits the fields of VCPUHVMx86_64 in the order of the C struct.
func (s *VCPUHVMx86_64) Layout(c *Codec) {
	c.U64(&s.RAX)
	c.U64(&s.RCX)
	c.U64(&s.RDX)
	c.U64(&s.RBX)
	c.U64(&s.RSP)
	c.U64(&s.RBP)
	c.U64(&s.RSI)
	c.U64(&s.RDI)
	c.U64(&s.RIP)
	c.U64(&s.RFLAGS)
	c.U64(&s.CR0)
	c.U64(&s.CR3)
	c.U64(&s.CR4)
	c.U64(&s.EFER)
}
