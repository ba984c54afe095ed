package xen

// PVUserRegs are a PV vCPU's registers (C: cpu_user_regs of x86-64), in the order of the C struct.
type PVUserRegs struct {
	// R15 to RDI: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi.
	General                [15]uint64
	ErrorCode, EntryVector uint32
	RIP                    uint64
	CS                     uint16
	SavedUpcallMask        uint8
	RFLAGS, RSP            uint64
	SS, ES, DS, FS, GS     uint16
}

// Layout visits the fields of PVUserRegs in the order of the C struct.
func (s *PVUserRegs) Layout(c *Codec) {
	for i := range s.General {
		c.U64(&s.General[i])
	}
	c.U32(&s.ErrorCode)
	c.U32(&s.EntryVector)
	c.U64(&s.RIP)
	c.U16(&s.CS)
	c.Skip(2)
	c.U8(&s.SavedUpcallMask)
	c.Skip(3)
	c.U64(&s.RFLAGS)
	c.U64(&s.RSP)
	for _, p := range []*uint16{&s.SS, &s.ES, &s.DS, &s.FS, &s.GS} {
		c.U16(p)
		c.Skip(6)
	}
}

// Parts of a PV vCPU's context (C: vcpu_guest_context of x86-64), which is larger than a page: the registers, the trap table, and what follows it.
const (
	PVContextRegs  = 520
	PVContextTraps = 720
	PVContextRest  = 4816
	PVContextSize  = 5168
)

// PVContext is the part of a PV vCPU's context from PVContextRest on.
type PVContext struct {
	LDTBase, LDTEnts                           uint64
	GDTFrames                                  [16]uint64
	GDTEnts                                    uint64
	KernelSS, KernelSP                         uint64
	CtrlReg, DebugReg                          [8]uint64
	EventCallback, FailsafeCallback, Syscall   uint64
	VMAssist, FSBase, GSBaseKernel, GSBaseUser uint64
}

// Layout visits the fields of PVContext in the order of the C struct.
func (s *PVContext) Layout(c *Codec) {
	c.U64(&s.LDTBase)
	c.U64(&s.LDTEnts)
	for i := range s.GDTFrames {
		c.U64(&s.GDTFrames[i])
	}
	c.U64(&s.GDTEnts)
	c.U64(&s.KernelSS)
	c.U64(&s.KernelSP)
	for i := range s.CtrlReg {
		c.U64(&s.CtrlReg[i])
	}
	for i := range s.DebugReg {
		c.U64(&s.DebugReg[i])
	}
	for _, p := range []*uint64{&s.EventCallback, &s.FailsafeCallback, &s.Syscall, &s.VMAssist, &s.FSBase, &s.GSBaseKernel, &s.GSBaseUser} {
		c.U64(p)
	}
}
