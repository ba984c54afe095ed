package monitor

import (
	"encoding/binary"

	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// stub emits a vCPU's own page. What lies in the vCPU's block is addressed relative to RIP: SYSCALL leaves no register to spare.
type stub struct {
	*asm.Asm
	at uint64
	id int
}

// block emits an instruction with an operand in the block at off: op ends with ModRM (mod 0, r/m 5), imm follows the displacement.
func (s *stub) block(off int, imm []byte, op ...byte) {
	s.Raw(op...)
	end := s.at + uint64(s.Len()+4+len(imm))
	var d [4]byte
	binary.LittleEndian.PutUint32(d[:], uint32(VCPU(s.id)+StackAt+uint64(off)-end))
	s.Raw(d[:]...)
	s.Raw(imm...)
}

func (s *stub) load(off int, r asm.Reg)  { s.block(off, nil, 0x48|byte(r>>3)<<2, 0x8b, 5|byte(r&7)<<3) }
func (s *stub) store(off int, r asm.Reg) { s.block(off, nil, 0x48|byte(r>>3)<<2, 0x89, 5|byte(r&7)<<3) }

// top makes rsp the top of the monitor's stack.
func (s *stub) top() { s.block(0x1000, nil, 0x48, 0x8d, 0x25) }

// flags that a guest never runs with, whatever it says: TF is kept where it is the guest's wish.
const (
	flagTF   = 1 << 8
	flagIF   = 1 << 9
	flagDF   = 1 << 10
	flagIOPL = 3 << 12
	flagNT   = 1 << 14
	flagRF   = 1 << 16
	flagVM   = 1 << 17
	flagAC   = 1 << 18
)

// Stub emits a vCPU's own page: the entries by SYSCALL from 64-bit code and in compatibility mode. System calls of processes and the kernel's iret are finished
// here; all else leaves for the hypervisor.
func (im *Image) Stub(id int) (code []byte, syscall, syscall32 uint64, err error) {
	at := VCPU(id) + StubAt
	s := &stub{asm.New(at), at, id}
	s.store(BlockRSP, asm.RSP)
	s.block(BlockMode, []byte{1}, 0x80, 0x3d) // cmp byte [mode], 1
	s.Jcc(asm.NE, "kernel")
	s.systemCall()
	s.Label("kernel")
	s.OpI(asm.CMP, 8, asm.RAX, xen.HYPERVISOR_mmu_update)
	s.Jcc(asm.E, "mmu_update")
	s.OpI(asm.CMP, 8, asm.RAX, xen.HYPERVISOR_mmuext_op)
	s.Jcc(asm.E, "mmuext_op")
	s.OpI(asm.CMP, 8, asm.RAX, xen.HYPERVISOR_stack_switch)
	s.Jcc(asm.E, "stack_switch")
	s.OpI(asm.CMP, 8, asm.RAX, xen.HYPERVISOR_set_segment_base)
	s.Jcc(asm.E, "set_segment_base")
	s.OpI(asm.CMP, 8, asm.RAX, xen.HYPERVISOR_iret)
	s.Jcc(asm.NE, "slow")
	s.iret()
	s.Label("slow")
	s.leave(im, Syscall, xen.FLAT_RING3_CS64)
	s.mmuUpdate()
	s.stackSwitch()
	s.segmentBase()
	s.mmuextOp()
	s.finish(im)
	s.Align(16)
	second := at + uint64(s.Len())
	s.store(BlockRSP, asm.RSP)
	s.leave(im, Syscall32, xen.FLAT_RING3_CS32)
	code, err = s.Bytes()
	return code, at, second, err
}

// leave builds the frame of a SYSCALL and goes to the hypervisor.
func (s *stub) leave(im *Image, vector, cs uint32) {
	s.top()
	s.Raw(0x68, 0x2b, 0xe0, 0, 0)      // push 0xe02b
	s.block(BlockRSP, nil, 0xff, 0x35) // push [rsp]
	s.Push(asm.R11)
	s.Raw(0x68, byte(cs), byte(cs>>8), 0, 0)
	s.Push(asm.RCX)
	s.Raw(0x6a, 0)
	s.Raw(0x68, byte(vector), byte(vector>>8), 0, 0)
	s.MovI(asm.RCX, im.common) // rcx is lost to SYSCALL anyway; the frame has it as rip
	s.Raw(0xff, 0xe1)          // jmp rcx
}

// systemCall enters the guest's kernel at its callback, by a frame as Bounce of package pv makes it.
func (s *stub) systemCall() {
	s.block(BlockSyscall, []byte{0}, 0x48, 0x83, 0x3d) // cmp qword [syscall], 0
	s.Jcc(asm.E, "slow")
	s.store(blockScratch0, asm.RAX)
	s.store(blockScratch0+8, asm.RBX)
	s.load(BlockInfo, asm.RBX)
	s.OpMI(asm.CMP, 1, asm.At(asm.RBX, 1), 0)
	s.Jcc(asm.NE, "masked process")
	s.load(BlockKernCR3, asm.RAX)
	s.ToCR(3, asm.RAX)
	s.Raw(0x0f, 0x01, 0xf8) // swapgs
	s.block(BlockMode, []byte{0}, 0xc6, 0x05)
	s.load(BlockKernSP, asm.RAX)
	s.storeI(asm.At(asm.RAX, -8), xen.FLAT_RING3_SS64)
	s.load(BlockRSP, asm.RSP)
	s.Store(8, asm.At(asm.RAX, -16), asm.RSP)
	s.Store(8, asm.At(asm.RAX, -24), asm.R11)
	s.storeI(asm.At(asm.RAX, -32), xen.FLAT_RING3_CS64)
	s.Store(8, asm.At(asm.RAX, -40), asm.RCX)
	s.Store(8, asm.At(asm.RAX, -48), asm.R11)
	s.Store(8, asm.At(asm.RAX, -56), asm.RCX)
	s.Lea(8, asm.RSP, asm.At(asm.RAX, -56))
	s.block(BlockMask, nil, 0x8a, 0x05) // mov al, [mask]
	s.Store(1, asm.At(asm.RBX, 1), asm.RAX)
	s.load(BlockSyscall, asm.RCX)
	s.OpI(asm.AND, 4, asm.R11, ^(flagTF | flagDF | flagIOPL | flagNT | flagRF | flagVM | flagAC)) // kernels rely on DF
	s.load(blockScratch0, asm.RAX)
	s.load(blockScratch0+8, asm.RBX)
	s.Raw(0x48, 0x0f, 0x07) // sysretq
	s.Label("masked process")
	s.load(blockScratch0, asm.RAX)
	s.load(blockScratch0+8, asm.RBX)
	s.Jmp("slow")
}

// storeI emits mov qword [m], v.
func (s *stub) storeI(m asm.Mem, v uint32) {
	s.RM(8, []byte{0xc7}, 0, m)
	s.Raw(byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}

// Offsets in the frame that HYPERVISOR_iret finds at the guest's stack pointer (C: iret_context).
const (
	iretRAX   = 0
	iretR11   = 8
	iretRCX   = 16
	iretRIP   = 32
	iretCS    = 40
	iretFlags = 48
	iretRSP   = 56
	iretSS    = 64
)

// iret goes back to what the kernel's frame says, unless an event is due then. rsp still is the guest's.
func (s *stub) iret() {
	s.store(blockScratch0+8, asm.RBX)
	s.load(BlockInfo, asm.RBX)
	s.Test(8, asm.RBX, asm.RBX)
	s.Jcc(asm.E, "slow iret")
	s.Load(8, asm.RCX, asm.At(asm.RSP, iretFlags))
	s.RR(4, []byte{0xf7}, 0, asm.RCX) // test ecx, IF
	s.Raw(0, byte(flagIF>>8), 0, 0)
	s.Jcc(asm.E, "iret masks")
	s.OpMI(asm.CMP, 1, asm.At(asm.RBX, 0), 0)
	s.Jcc(asm.NE, "slow iret")
	s.RM(1, []byte{0xc6}, 0, asm.At(asm.RBX, 1))
	s.Raw(0)
	s.Jmp("iret where")
	s.Label("iret masks")
	s.RM(1, []byte{0xc6}, 0, asm.At(asm.RBX, 1))
	s.Raw(1)
	s.Label("iret where")
	s.Mov(8, asm.RBX, asm.RSP)
	s.OpI(asm.AND, 4, asm.RCX, ^(flagIOPL | flagNT | flagVM))
	s.OpI(asm.OR, 4, asm.RCX, flagIF|2)
	s.RM(1, []byte{0xf6}, 0, asm.At(asm.RBX, iretCS)) // test byte [cs], 3
	s.Raw(3)
	s.Jcc(asm.E, "iret frame")
	s.load(BlockUserCR3, asm.RAX)
	s.Test(8, asm.RAX, asm.RAX)
	s.Jcc(asm.E, "slow iret")
	s.block(BlockMode, []byte{1}, 0xc6, 0x05)
	s.Label("iret frame")
	s.top()
	for _, off := range []int32{iretSS, iretRSP} {
		s.RM(0, []byte{0xff}, 6, asm.At(asm.RBX, off))
	}
	s.OpMI(asm.OR, 1, asm.At(asm.RSP, 8), 3)
	s.Push(asm.RCX)
	s.RM(0, []byte{0xff}, 6, asm.At(asm.RBX, iretCS))
	s.OpMI(asm.OR, 1, asm.At(asm.RSP, 0), 3)
	s.RM(0, []byte{0xff}, 6, asm.At(asm.RBX, iretRIP))
	s.Load(8, asm.R11, asm.At(asm.RBX, iretR11))
	s.Load(8, asm.RCX, asm.At(asm.RBX, iretRCX))
	s.RM(0, []byte{0xff}, 6, asm.At(asm.RBX, iretRAX))
	s.block(BlockMode, []byte{1}, 0x80, 0x3d)
	s.Jcc(asm.NE, "iret go")
	s.load(BlockUserCR3, asm.RAX)
	s.Raw(0x0f, 0x01, 0xf8) // swapgs
	s.ToCR(3, asm.RAX)
	s.Label("iret go")
	s.Pop(asm.RAX)
	s.load(blockScratch0+8, asm.RBX)
	s.Iretq()
	s.Label("slow iret")
	s.load(BlockRSP, asm.RSP)
	s.load(blockScratch0+8, asm.RBX)
	s.MovI(asm.RAX, xen.HYPERVISOR_iret)
}
