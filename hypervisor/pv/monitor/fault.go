package monitor

import (
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Offsets on the stack in pageFault, behind four saved registers.
const (
	pfError = 32
	pfRIP   = 40
	pfCS    = 48
	pfFlags = 56
	pfRSP   = 64
	pfSS    = 72
)

// infoCR2 is where vcpu_info has the address of a page fault (C: arch.cr2).
const infoCR2 = 16

// pageFault hands a page fault of the guest's to its handler, as Bounce of package pv does, when none of it can be owed to what the hypervisor does to page
// tables: the page was not present, or a process wrote to one that is the process's but for the right to write. Others go on at "fault".
func pageFault(a *asm.Asm) {
	a.OpMI(asm.CMP, 4, asm.At(asm.RSP, 0), 7)
	a.Jcc(asm.E, "copy on write?")
	a.RM(1, []byte{0xf6}, 0, asm.At(asm.RSP, 0))
	a.Raw(1)
	a.Jcc(asm.NE, "fault")
	a.Label("may be handed over")
	a.RM(1, []byte{0xf6}, 0, asm.At(asm.RSP, 16)) // from ring 3?
	a.Raw(3)
	a.Jcc(asm.E, "fault")
	for _, r := range []asm.Reg{asm.RAX, asm.RBX, asm.RCX, asm.RDX} {
		a.Push(r)
	}
	a.Mov(8, asm.RBX, asm.RSP)
	a.OpI(asm.AND, 8, asm.RBX, -4096)
	a.OpMI(asm.CMP, 8, asm.At(asm.RBX, BlockFault), 0)
	a.Jcc(asm.E, "no handler")
	a.Load(8, asm.RCX, asm.At(asm.RBX, BlockInfo))
	a.FromCR(asm.RAX, 2)
	a.Store(8, asm.At(asm.RCX, infoCR2), asm.RAX)
	a.Store(8, asm.At(asm.RBX, BlockCR2), asm.RAX)
	a.RM(1, []byte{0xf6}, 0, asm.At(asm.RBX, BlockMode))
	a.Raw(1)
	a.Jcc(asm.E, "of the kernel")
	a.Load(8, asm.RAX, asm.At(asm.RBX, BlockKernCR3))
	a.ToCR(3, asm.RAX)
	a.Raw(0x0f, 0x01, 0xf8) // swapgs
	a.RM(1, []byte{0xc6}, 0, asm.At(asm.RBX, BlockMode))
	a.Raw(0)
	a.Load(8, asm.RAX, asm.At(asm.RBX, BlockKernSP))
	a.OpMI(asm.OR, 4, asm.At(asm.RSP, pfError), 4)
	a.Jmp("frame of a fault")
	a.Label("of the kernel")
	a.Load(8, asm.RAX, asm.At(asm.RSP, pfRSP))
	a.OpI(asm.AND, 8, asm.RAX, -16)
	a.OpMI(asm.AND, 4, asm.At(asm.RSP, pfError), ^4)
	a.OpMI(asm.AND, 8, asm.At(asm.RSP, pfCS), ^3)
	a.Label("frame of a fault")
	copyWord := func(to, from int32) {
		a.Load(8, asm.RDX, asm.At(asm.RSP, from))
		a.Store(8, asm.At(asm.RAX, to), asm.RDX)
	}
	copyWord(-8, pfSS)
	copyWord(-16, pfRSP)
	a.Load(8, asm.RDX, asm.At(asm.RSP, pfFlags))
	a.OpI(asm.AND, 4, asm.RDX, ^(flagIF | flagIOPL))
	a.OpMI(asm.CMP, 1, asm.At(asm.RCX, 1), 0)
	a.Jcc(asm.NE, "masked fault")
	a.OpI(asm.OR, 4, asm.RDX, flagIF)
	a.Label("masked fault")
	a.Store(8, asm.At(asm.RAX, -24), asm.RDX)
	copyWord(-32, pfCS)
	a.Load(1, asm.RDX, asm.At(asm.RCX, 1))
	a.Store(1, asm.At(asm.RAX, -28), asm.RDX)
	copyWord(-40, pfRIP)
	copyWord(-48, pfError)
	a.Store(8, asm.At(asm.RAX, -56), asm.R11)
	copyWord(-64, 8) // rcx
	a.Load(1, asm.RDX, asm.At(asm.RBX, BlockFaultMask))
	a.OpStore(asm.OR, 1, asm.At(asm.RCX, 1), asm.RDX)
	a.Load(8, asm.RDX, asm.At(asm.RBX, BlockFault))
	a.Store(8, asm.At(asm.RSP, pfRIP), asm.RDX)
	set := func(at int32, v uint32) {
		a.RM(8, []byte{0xc7}, 0, asm.At(asm.RSP, at))
		a.Raw(byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	set(pfCS, xen.FLAT_RING3_CS64)
	set(pfSS, xen.FLAT_RING3_SS64)
	a.OpMI(asm.AND, 4, asm.At(asm.RSP, pfFlags), ^(flagTF | flagIOPL | flagNT | flagRF | flagVM | flagAC))
	a.OpMI(asm.OR, 4, asm.At(asm.RSP, pfFlags), flagIF)
	a.Lea(8, asm.RDX, asm.At(asm.RAX, -64))
	a.Store(8, asm.At(asm.RSP, pfRSP), asm.RDX)
	for _, r := range []asm.Reg{asm.RDX, asm.RCX, asm.RBX, asm.RAX} {
		a.Pop(r)
	}
	a.OpI(asm.ADD, 8, asm.RSP, 8)
	a.Iretq()
	writtenByProcess(a)
	a.Label("no handler")
	for _, r := range []asm.Reg{asm.RDX, asm.RCX, asm.RBX, asm.RAX} {
		a.Pop(r)
	}
}

// writtenByProcess looks whether a process may use the page it wrote to, at every level of its tables. The guest's memory is mapped in the tables of its kernel only.
func writtenByProcess(a *asm.Asm) {
	a.Label("copy on write?")
	for _, r := range []asm.Reg{asm.RAX, asm.RBX, asm.RCX, asm.RDX} {
		a.Push(r)
	}
	a.Mov(8, asm.RBX, asm.RSP)
	a.OpI(asm.AND, 8, asm.RBX, -4096)
	a.RM(1, []byte{0xf6}, 0, asm.At(asm.RBX, BlockMode))
	a.Raw(1)
	a.Jcc(asm.E, "not a process")
	a.Load(8, asm.RAX, asm.At(asm.RBX, BlockKernCR3))
	a.ToCR(3, asm.RAX)
	a.Load(8, asm.RAX, asm.At(asm.RBX, BlockUserCR3))
	for level := 3; level >= 0; level-- {
		a.FromCR(asm.RCX, 2)
		a.Shr(8, asm.RCX, byte(12+9*level))
		a.OpI(asm.AND, 4, asm.RCX, 511)
		a.MovI(asm.RDX, Direct)
		a.Op(asm.ADD, 8, asm.RAX, asm.RDX)
		a.Load(8, asm.RAX, asm.Idx(asm.RAX, asm.RCX, 8, 0))
		a.Mov(4, asm.RCX, asm.RAX)
		a.OpI(asm.AND, 4, asm.RCX, 5) // present, user
		a.OpI(asm.CMP, 4, asm.RCX, 5)
		a.Jcc(asm.NE, "to the process's tables")
		a.Shl(8, asm.RAX, 12) // the frame alone
		a.Shr(8, asm.RAX, 24)
		a.Load(8, asm.RCX, asm.At(asm.RBX, BlockFrames))
		a.Op(asm.CMP, 8, asm.RAX, asm.RCX)
		a.Jcc(asm.AE, "to the process's tables")
		a.Shl(8, asm.RAX, 12)
	}
	a.Load(8, asm.RAX, asm.At(asm.RBX, BlockUserCR3))
	a.ToCR(3, asm.RAX)
	for _, r := range []asm.Reg{asm.RDX, asm.RCX, asm.RBX, asm.RAX} {
		a.Pop(r)
	}
	a.Jmp("may be handed over")
	a.Label("to the process's tables")
	a.Load(8, asm.RAX, asm.At(asm.RBX, BlockUserCR3))
	a.ToCR(3, asm.RAX)
	a.Label("not a process")
	for _, r := range []asm.Reg{asm.RDX, asm.RCX, asm.RBX, asm.RAX} {
		a.Pop(r)
	}
	a.Jmp("fault")
}
