package monitor

import (
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// The hypercalls that the monitor finishes: writes to level-1 page tables, and flushes of this vCPU's TLB. All registers but rax, rcx and r11 stay. A list
// may change while it is read; what comes of that is the guest's own affair.

// maxFast is the longest list that is worked off with interrupts off.
const maxFast = 32

// kept are the registers that a call uses, by their scratch words.
var kept = []asm.Reg{asm.RBX, asm.RSI, asm.RDI, asm.RDX, asm.R8, asm.R9}

func (s *stub) keep() {
	for i, r := range kept {
		s.store(blockScratch0+8*(i+1), r)
	}
}

func (s *stub) restore() {
	for i, r := range kept {
		s.load(blockScratch0+8*(i+1), r)
	}
}

// list checks count and domain of a list: rsi entries, for the caller itself. restart gives rax back, and leaves.
func (s *stub) list(most int32, restart string) {
	s.OpI(asm.CMP, 8, asm.R10, int32(xen.DOMID_SELF))
	s.Jcc(asm.NE, "slow")
	s.Raw(0x8d, 0x46, 0xff) // lea eax, [rsi-1]
	s.OpI(asm.CMP, 4, asm.RAX, most)
	s.Jcc(asm.AE, restart)
}

// mmuUpdate writes entries of level-1 tables: first all are looked at, then all are written.
func (s *stub) mmuUpdate() {
	s.Label("mmu_update")
	s.list(maxFast, "restart")
	s.keep()
	s.MovI(asm.R8, Levels)
	s.load(BlockFrames, asm.R9)
	s.Label("check")
	s.Load(8, asm.RAX, asm.At(asm.RDI, 0))
	s.Mov(4, asm.RBX, asm.RAX)
	s.OpI(asm.AND, 4, asm.RBX, 7)
	s.OpI(asm.CMP, 4, asm.RBX, xen.MMU_MACHPHYS_UPDATE)
	s.Jcc(asm.E, "refuse")
	s.OpI(asm.CMP, 4, asm.RBX, 4)
	s.Jcc(asm.AE, "refuse")
	s.Shr(8, asm.RAX, 12)
	s.Op(asm.CMP, 8, asm.RAX, asm.R9)
	s.Jcc(asm.AE, "refuse")
	s.OpMI(asm.CMP, 1, asm.Idx(asm.R8, asm.RAX, 1, 0), 1)
	s.Jcc(asm.NE, "refuse")
	s.Load(8, asm.RAX, asm.At(asm.RDI, 8))
	s.RR(1, []byte{0xf6}, 0, asm.RAX) // test al, present
	s.Raw(1)
	s.Jcc(asm.E, "checked")
	s.Shl(8, asm.RAX, 12) // leaves bits 12 to 51, the frame
	s.Shr(8, asm.RAX, 24)
	s.Op(asm.CMP, 8, asm.RAX, asm.R9)
	s.Jcc(asm.AE, "refuse")
	s.Label("checked")
	s.OpI(asm.ADD, 8, asm.RDI, xen.MMU_REQUEST_SIZE)
	s.Dec(4, asm.RSI)
	s.Jcc(asm.NE, "check")
	s.load(blockScratch0+16, asm.RSI)
	s.load(blockScratch0+24, asm.RDI)
	s.MovI(asm.R9, Direct)
	s.Label("write")
	s.Load(8, asm.RAX, asm.At(asm.RDI, 0))
	s.Load(8, asm.RBX, asm.At(asm.RDI, 8))
	s.RR(1, []byte{0xf6}, 0, asm.RBX) // test bl, present
	s.Raw(1)
	s.Jcc(asm.E, "entry")
	s.OpI(asm.OR, 8, asm.RBX, 4)       // user
	s.OpI(asm.AND, 8, asm.RBX, ^0x100) // global
	s.Label("entry")
	s.Mov(8, asm.R8, asm.RAX)
	s.OpI(asm.AND, 8, asm.R8, -8)
	s.Op(asm.ADD, 8, asm.R8, asm.R9)
	s.OpI(asm.AND, 4, asm.RAX, 3)
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMU_PT_UPDATE_PRESERVE_AD)
	s.Jcc(asm.E, "preserve")
	s.Store(8, asm.At(asm.R8, 0), asm.RBX)
	s.Jmp("next")
	s.Label("preserve")
	s.Load(8, asm.RAX, asm.At(asm.R8, 0))
	s.Label("again")
	s.Mov(8, asm.RDX, asm.RAX)
	s.OpI(asm.AND, 4, asm.RDX, 0x60) // accessed, dirty
	s.Op(asm.OR, 8, asm.RDX, asm.RBX)
	s.RM(8, []byte{0xf0, 0x0f, 0xb1}, asm.RDX, asm.At(asm.R8, 0)) // lock cmpxchg
	s.Jcc(asm.NE, "again")
	s.Label("next")
	s.OpI(asm.ADD, 8, asm.RDI, xen.MMU_REQUEST_SIZE)
	s.Dec(4, asm.RSI)
	s.Jcc(asm.NE, "write")
	s.restore()
	s.Jmp("done")
	s.Label("refuse")
	s.restore()
	s.Label("restart")
	s.MovI(asm.RAX, xen.HYPERVISOR_mmu_update)
	s.Jmp("slow")
}

// mmuextOp flushes one page, or all, and changes page tables: up to two operations, as for a switch of processes. A table has to be one of level 4
// already; the hypervisor takes its reference when the vCPU next leaves for it.
func (s *stub) mmuextOp() {
	const direct = DirectSlot * 8
	s.Label("mmuext_op")
	s.list(2, "ext restart")
	s.keep()
	s.MovI(asm.R8, Levels)
	s.Label("ext check")
	s.Load(4, asm.RAX, asm.At(asm.RDI, 0))
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMUEXT_TLB_FLUSH_LOCAL)
	s.Jcc(asm.E, "ext next")
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMUEXT_INVLPG_LOCAL)
	s.Jcc(asm.E, "ext next")
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMUEXT_NEW_BASEPTR)
	s.Jcc(asm.E, "ext table")
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMUEXT_NEW_USER_BASEPTR)
	s.Jcc(asm.NE, "ext refuse")
	s.OpMI(asm.CMP, 8, asm.At(asm.RDI, 8), 0) // no tables for processes
	s.Jcc(asm.E, "ext next")
	s.Label("ext table")
	s.Load(8, asm.RAX, asm.At(asm.RDI, 8))
	s.block(BlockFrames, nil, 0x48, 0x3b, 0x05) // cmp rax, [frames]
	s.Jcc(asm.AE, "ext refuse")
	s.OpMI(asm.CMP, 1, asm.Idx(asm.R8, asm.RAX, 1, 0), 4)
	s.Jcc(asm.NE, "ext refuse")
	s.Label("ext next")
	s.OpI(asm.ADD, 8, asm.RDI, extSize)
	s.Dec(4, asm.RSI)
	s.Jcc(asm.NE, "ext check")
	s.load(blockScratch0+16, asm.RSI)
	s.load(blockScratch0+24, asm.RDI)
	s.MovI(asm.R9, Direct)
	s.Label("ext do")
	s.Load(4, asm.RAX, asm.At(asm.RDI, 0))
	s.Load(8, asm.RBX, asm.At(asm.RDI, 8))
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMUEXT_INVLPG_LOCAL)
	s.Jcc(asm.E, "ext page")
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMUEXT_TLB_FLUSH_LOCAL)
	s.Jcc(asm.E, "ext flush")
	s.Shl(8, asm.RBX, 12)
	s.OpI(asm.CMP, 4, asm.RAX, xen.MMUEXT_NEW_BASEPTR)
	s.Jcc(asm.NE, "ext user")
	s.load(BlockDirect, asm.RDX)
	s.Store(8, asm.Idx(asm.R9, asm.RBX, 1, direct), asm.RDX)
	s.store(BlockKernCR3, asm.RBX)
	s.ToCR(3, asm.RBX)
	s.Jmp("ext done")
	s.Label("ext user")
	s.store(BlockUserCR3, asm.RBX)
	s.Test(8, asm.RBX, asm.RBX)
	s.Jcc(asm.E, "ext done")
	s.block(BlockKernCR3, nil, 0x48, 0x3b, 0x1d) // cmp rbx, [kernel's]
	s.Jcc(asm.E, "ext done")
	s.Op(asm.XOR, 4, asm.RDX, asm.RDX)
	s.Store(8, asm.Idx(asm.R9, asm.RBX, 1, direct), asm.RDX)
	s.Jmp("ext done")
	s.Label("ext page")
	s.RM(0, []byte{0x0f, 0x01}, 7, asm.At(asm.RBX, 0)) // invlpg
	s.Jmp("ext done")
	s.Label("ext flush")
	s.FromCR(asm.RAX, 3)
	s.ToCR(3, asm.RAX)
	s.Label("ext done")
	s.OpI(asm.ADD, 8, asm.RDI, extSize)
	s.Dec(4, asm.RSI)
	s.Jcc(asm.NE, "ext do")
	s.restore()
	s.Jmp("done")
	s.Label("ext refuse")
	s.restore()
	s.Label("ext restart")
	s.MovI(asm.RAX, xen.HYPERVISOR_mmuext_op)
	s.Jmp("slow")
}

// extSize is the size of an entry of mmuext_op (C: mmuext_op).
const extSize = 24

// stackSwitch sets the stack of the guest's kernel: anywhere but in the hypervisor's part of the address space.
func (s *stub) stackSwitch() {
	s.Label("stack_switch")
	s.Mov(8, asm.RAX, asm.RSI)
	s.Shl(8, asm.RAX, 16)
	s.Raw(0x48, 0xc1, 0xf8, 16) // sar rax, 16
	s.Op(asm.CMP, 8, asm.RAX, asm.RSI)
	s.MovI(asm.RAX, xen.HYPERVISOR_stack_switch)
	s.Jcc(asm.NE, "slow")
	s.Mov(8, asm.RAX, asm.RSI)
	s.Shr(8, asm.RAX, 39)
	s.OpI(asm.AND, 4, asm.RAX, 511)
	s.OpI(asm.SUB, 4, asm.RAX, FirstSlot)
	s.OpI(asm.CMP, 4, asm.RAX, LastSlot-FirstSlot+1)
	s.MovI(asm.RAX, xen.HYPERVISOR_stack_switch)
	s.Jcc(asm.B, "slow")
	s.Mov(8, asm.RAX, asm.RSI)
	s.OpI(asm.AND, 8, asm.RAX, -16)
	s.store(BlockKernSP, asm.RAX)
	s.Jmp("zero")
}

// segmentBase sets a base address, or loads one of the two selectors for the process's GS that Linux loads at each switch.
func (s *stub) segmentBase() {
	s.Label("set_segment_base")
	s.OpI(asm.CMP, 8, asm.RDI, xen.SEGBASE_GS_USER_SEL)
	s.Jcc(asm.E, "selector")
	s.Jcc(asm.A, "base restart")
	s.Mov(8, asm.RAX, asm.RSI)
	s.Shl(8, asm.RAX, 16)
	s.Raw(0x48, 0xc1, 0xf8, 16) // sar rax, 16
	s.Op(asm.CMP, 8, asm.RAX, asm.RSI)
	s.Jcc(asm.NE, "base restart")
	s.store(blockScratch0, asm.RCX)
	s.store(blockScratch0+8, asm.RDX)
	s.MovI(asm.RCX, msrFSBase)
	s.Test(4, asm.RDI, asm.RDI)
	s.Jcc(asm.E, "base")
	s.MovI(asm.RCX, msrGSBase)
	s.OpI(asm.CMP, 4, asm.RDI, xen.SEGBASE_GS_KERNEL)
	s.Jcc(asm.E, "base")
	s.MovI(asm.RCX, msrKernGS)
	s.Label("base")
	s.Mov(8, asm.RDX, asm.RSI)
	s.Shr(8, asm.RDX, 32)
	s.Wrmsr() // eax is the low half already
	s.load(blockScratch0, asm.RCX)
	s.load(blockScratch0+8, asm.RDX)
	s.Jmp("zero")
	s.Label("selector")
	s.Test(8, asm.RSI, asm.RSI)
	s.Jcc(asm.E, "load selector")
	s.OpI(asm.CMP, 8, asm.RSI, userDS)
	s.Jcc(asm.NE, "base restart")
	s.Label("load selector")
	s.Raw(0x0f, 0x01, 0xf8) // swapgs
	s.Raw(0x8e, 0xee)       // mov gs, esi
	s.Raw(0x0f, 0x01, 0xf8)
	s.Jmp("zero")
	s.Label("base restart")
	s.MovI(asm.RAX, xen.HYPERVISOR_set_segment_base)
	s.Jmp("slow")
}

// userDS is Linux's data selector for processes: loading it and then 0 clears the base on every processor.
const userDS = 0x2b

// finish goes back to the guest's kernel with the result 0, and the number of entries done where it is wanted; by way of the hypervisor if an event is
// due, or if SYSRET could not return there.
func (s *stub) finish(im *Image) {
	s.Label("done")
	s.Test(8, asm.RDX, asm.RDX)
	s.Jcc(asm.E, "zero")
	s.Store(4, asm.At(asm.RDX, 0), asm.RSI)
	s.Label("zero")
	s.load(BlockInfo, asm.RAX)
	s.Test(8, asm.RAX, asm.RAX)
	s.Jcc(asm.E, "by frame")
	s.OpMI(asm.CMP, 2, asm.At(asm.RAX, 0), 1) // pending, and not masked
	s.Jcc(asm.E, "by frame")
	s.Mov(8, asm.RAX, asm.RCX)
	s.Shl(8, asm.RAX, 16)
	s.Raw(0x48, 0xc1, 0xf8, 16) // sar rax, 16
	s.Op(asm.CMP, 8, asm.RAX, asm.RCX)
	s.Jcc(asm.NE, "by frame") // SYSRET would fault with the guest's stack (XSA-7)
	s.Op(asm.XOR, 4, asm.RAX, asm.RAX)
	s.Raw(0x48, 0x0f, 0x07) // sysretq
	s.Label("by frame")
	s.Op(asm.XOR, 4, asm.RAX, asm.RAX)
	s.leave(im, EventVector, xen.FLAT_RING3_CS64)
}
