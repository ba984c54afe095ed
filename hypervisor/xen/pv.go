// Facts of Xen public/xen.h, public/arch-x86/xen.h, xen-x86_64.h and callback.h that only PV guests meet.

package xen

// Requests of HYPERVISOR_mmu_update, in the low bits of a pointer.
const (
	MMU_NORMAL_PT_UPDATE       = 0
	MMU_MACHPHYS_UPDATE        = 1
	MMU_PT_UPDATE_PRESERVE_AD  = 2
	MMU_PT_UPDATE_NO_TRANSLATE = 3
)

// Commands of HYPERVISOR_mmuext_op.
const (
	MMUEXT_PIN_L1_TABLE       = 0
	MMUEXT_PIN_L2_TABLE       = 1
	MMUEXT_PIN_L3_TABLE       = 2
	MMUEXT_PIN_L4_TABLE       = 3
	MMUEXT_UNPIN_TABLE        = 4
	MMUEXT_NEW_BASEPTR        = 5
	MMUEXT_TLB_FLUSH_LOCAL    = 6
	MMUEXT_INVLPG_LOCAL       = 7
	MMUEXT_TLB_FLUSH_MULTI    = 8
	MMUEXT_INVLPG_MULTI       = 9
	MMUEXT_TLB_FLUSH_ALL      = 10
	MMUEXT_INVLPG_ALL         = 11
	MMUEXT_FLUSH_CACHE        = 12
	MMUEXT_SET_LDT            = 13
	MMUEXT_NEW_USER_BASEPTR   = 15
	MMUEXT_CLEAR_PAGE         = 16
	MMUEXT_COPY_PAGE          = 17
	MMUEXT_FLUSH_CACHE_GLOBAL = 18
	MMUEXT_MARK_SUPER         = 19
	MMUEXT_UNMARK_SUPER       = 20
)

// Flags of HYPERVISOR_update_va_mapping.
const (
	UVMF_NONE         = 0
	UVMF_TLB_FLUSH    = 1
	UVMF_INVLPG       = 2
	UVMF_FLUSHTYPE    = 3
	UVMF_LOCAL        = 0
	UVMF_MULTI        = 0
	UVMF_ALL          = 4
	MMU_REQUEST_SIZE  = 16
	MULTICALL_ENTRIES = 64
)

// Segments of HYPERVISOR_set_segment_base.
const (
	SEGBASE_FS          = 0
	SEGBASE_GS_USER     = 1
	SEGBASE_GS_KERNEL   = 2
	SEGBASE_GS_USER_SEL = 3
)

// Selectors that Xen keeps in every PV guest's descriptor table.
const (
	FLAT_RING3_CS32          = 0xe023
	FLAT_RING3_CS64          = 0xe033
	FLAT_RING3_DS32          = 0xe02b
	FLAT_RING3_SS64          = 0xe02b
	FIRST_RESERVED_GDT_PAGE  = 14
	FIRST_RESERVED_GDT_ENTRY = 14 * 512
)

// Flags of a trap table's entry: the privilege level it may be called from, and whether it masks events.
const (
	TI_DPL = 3
	TI_IF  = 4
)

// TrapInfo is an entry of a trap table (C: trap_info).
type TrapInfo struct {
	Vector  uint8
	Flags   uint8
	CS      uint16
	Address uint64
}

// Layout visits the fields of TrapInfo in the order of the C struct.
func (s *TrapInfo) Layout(c *Codec) {
	c.U8(&s.Vector)
	c.U8(&s.Flags)
	c.U16(&s.CS)
	c.Long(&s.Address)
}

// Flags of an iret frame.
const VGCF_in_syscall = 1 << 8

// IretContext is what HYPERVISOR_iret finds on the stack (C: iret_context of x86-64).
type IretContext struct {
	RAX, R11, RCX, Flags, RIP, CS, RFLAGS, RSP, SS uint64
}

// Layout visits the fields of IretContext in the order of the C struct.
func (s *IretContext) Layout(c *Codec) {
	for _, p := range []*uint64{&s.RAX, &s.R11, &s.RCX, &s.Flags, &s.RIP, &s.CS, &s.RFLAGS, &s.RSP, &s.SS} {
		c.U64(p)
	}
}

// Types of HYPERVISOR_callback_op.
const (
	CALLBACKTYPE_event     = 0
	CALLBACKTYPE_failsafe  = 1
	CALLBACKTYPE_syscall   = 2
	CALLBACKTYPE_nmi       = 4
	CALLBACKTYPE_sysenter  = 5
	CALLBACKTYPE_syscall32 = 7
	CALLBACKOP_register    = 0
	CALLBACKOP_unregister  = 1
	CALLBACKF_mask_events  = 1
)

// CallbackRegister is the argument of CALLBACKOP_register (C: callback_register).
type CallbackRegister struct {
	Type, Flags uint16
	Address     uint64
}

// Layout visits the fields of CallbackRegister in the order of the C struct.
func (s *CallbackRegister) Layout(c *Codec) {
	c.U16(&s.Type)
	c.U16(&s.Flags)
	c.Long(&s.Address)
}

// MMUExtOp is the argument of HYPERVISOR_mmuext_op (C: mmuext_op).
type MMUExtOp struct {
	Cmd        uint32
	Arg1, Arg2 uint64 // a frame or an address; a count, a handle or a frame
}

// Layout visits the fields of MMUExtOp in the order of the C struct.
func (s *MMUExtOp) Layout(c *Codec) {
	c.U32(&s.Cmd)
	c.Long(&s.Arg1)
	c.Long(&s.Arg2)
}

// StartInfo is what rSI points to at a PV kernel's entry (C: start_info).
type StartInfo struct {
	Magic                       [32]byte
	NrPages, SharedInfo         uint64
	Flags                       uint32
	StoreMFN                    uint64
	StoreEvtchn                 uint32
	ConsoleMFN                  uint64
	ConsoleEvtchn               uint32
	PTBase, NrPTFrames, MFNList uint64
	ModStart, ModLen            uint64
	CmdLine                     [1024]byte
	FirstP2MPFN, NrP2MFrames    uint64
}

// Layout visits the fields of StartInfo in the order of the C struct.
func (s *StartInfo) Layout(c *Codec) {
	for i := range s.Magic {
		c.U8(&s.Magic[i])
	}
	c.Long(&s.NrPages)
	c.Long(&s.SharedInfo)
	c.U32(&s.Flags)
	c.Long(&s.StoreMFN)
	c.U32(&s.StoreEvtchn)
	c.Long(&s.ConsoleMFN)
	c.U32(&s.ConsoleEvtchn)
	c.Long(&s.PTBase)
	c.Long(&s.NrPTFrames)
	c.Long(&s.MFNList)
	c.Long(&s.ModStart)
	c.Long(&s.ModLen)
	for i := range s.CmdLine {
		c.U8(&s.CmdLine[i])
	}
	c.Long(&s.FirstP2MPFN)
	c.Long(&s.NrP2MFrames)
}

// StartMagic is what PV kernels look for at the beginning of start_info.
const StartMagic = "xen-3.0-x86_64"
