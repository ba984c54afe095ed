package monitor

import (
	"encoding/binary"
	"fmt"

	"gozen/hypervisor/x86/asm"
)

// Image is the monitor's code.
type Image struct {
	Text []byte
	// Resume is where a vCPU enters whose frame is filled in: rsp points to it.
	Resume uint64
	// Iret is the address of the instruction that goes back to the guest: a fault there is the fault of the guest's frame.
	Iret uint64
	// Reload is the range of instructions that load selectors for the guest.
	Reload, ReloadEnd uint64
	entries           [256]uint64
	common            uint64
	exit              []byte
}

// hasError are the exceptions that push an error code (SDM 3A table 6-1).
var hasError = map[int]bool{8: true, 10: true, 11: true, 12: true, 13: true, 14: true, 17: true, 21: true, 29: true, 30: true}

// Build emits the monitor. exit is the instruction that leaves for the hypervisor.
func Build(exit []byte) (*Image, error) {
	im := &Image{exit: exit}
	a := asm.New(Text)
	for v := range 256 {
		im.entries[v] = Text + uint64(a.Len())
		switch v {
		case 14:
			a.Jmp("page fault")
			continue
		case vectorDB, vectorNMI:
			onOwnStack(a, v)
			continue
		}
		if !hasError[v] {
			a.Raw(0x6a, 0) // push 0
		}
		a.Raw(0x68) // push vector
		a.Raw(byte(v), byte(v>>8), 0, 0)
		a.Jmp("common")
	}
	a.Label("page fault")
	pageFault(a)
	a.Label("fault")
	a.Raw(0x6a, 14) // push 14
	a.Push(asm.RAX)
	a.Push(asm.RBX)
	a.FromCR(asm.RAX, 2)
	a.Mov(8, asm.RBX, asm.RSP)
	a.OpI(asm.AND, 8, asm.RBX, -4096)
	a.Store(8, asm.At(asm.RBX, BlockCR2), asm.RAX)
	a.Pop(asm.RBX)
	a.Pop(asm.RAX)
	a.Label("common")
	a.Raw(0xfc) // cld
	for _, r := range saved {
		a.Push(r)
	}
	a.Mov(8, asm.RBX, asm.RSP)
	a.OpI(asm.AND, 8, asm.RBX, -4096)
	a.Store(8, asm.At(asm.RBX, BlockFrame), asm.RSP)
	a.Raw(exit...)
	a.Lea(8, asm.RSP, asm.At(asm.RBX, Frame))
	a.Label("resume")
	a.Mov(8, asm.RBX, asm.RSP)
	a.OpI(asm.AND, 8, asm.RBX, -4096)
	a.Load(8, asm.RDI, asm.At(asm.RBX, BlockFlags))
	a.Test(8, asm.RDI, asm.RDI)
	a.Jcc(asm.E, "out")
	a.Op(asm.XOR, 4, asm.RAX, asm.RAX)
	a.Store(8, asm.At(asm.RBX, BlockFlags), asm.RAX)
	im.orders(a)
	a.Label("out")
	for i := len(saved) - 1; i >= 0; i-- {
		a.Pop(saved[i])
	}
	a.OpI(asm.ADD, 8, asm.RSP, 16) // vector and error code
	a.Label("iret")
	a.Iretq()
	im.Resume, im.Iret, im.common = a.Addr("resume"), a.Addr("iret"), a.Addr("common")
	im.Reload, im.ReloadEnd = a.Addr("reload"), a.Addr("reloaded")
	var err error
	if im.Text, err = a.Bytes(); err != nil {
		return nil, err
	}
	if len(im.Text) > TextPages*4096 {
		return nil, fmt.Errorf("the monitor has %d bytes, more than its %d pages", len(im.Text), TextPages)
	}
	return im, nil
}

const (
	vectorDB  = 1
	vectorNMI = 2
)

// onOwnStack emits the entry of an exception that can come at the monitor's first instruction behind SYSCALL, where rsp still is the guest's (a data
// breakpoint on what loads SS before it): it has a stack of its own, at the end of the task state segment's page. One of the guest's goes over to the usual
// stack; one of the monitor's is nothing.
func onOwnStack(a *asm.Asm, vector int) {
	const top = 0x1000
	mine := fmt.Sprint("own ", vector)
	a.Push(asm.RAX)
	a.Push(asm.RBX)
	a.RM(1, []byte{0xf6}, 0, asm.At(asm.RSP, 24)) // test byte [cs], 3
	a.Raw(3)
	a.Jcc(asm.E, mine)
	a.Mov(8, asm.RBX, asm.RSP)
	a.OpI(asm.AND, 8, asm.RBX, -4096)
	a.OpI(asm.SUB, 8, asm.RBX, TSSAt-StackAt)
	for i := range int32(5) {
		a.Load(8, asm.RAX, asm.At(asm.RSP, 16+8*i))
		a.Store(8, asm.At(asm.RBX, top-40+8*i), asm.RAX)
	}
	for i, v := range []byte{0, byte(vector)} {
		a.RM(8, []byte{0xc7}, 0, asm.At(asm.RBX, top-48-8*int32(i)))
		a.Raw(v, 0, 0, 0)
	}
	for i := range int32(2) {
		a.Load(8, asm.RAX, asm.At(asm.RSP, 8-8*i))
		a.Store(8, asm.At(asm.RBX, top-64-8*i), asm.RAX)
	}
	a.Lea(8, asm.RSP, asm.At(asm.RBX, top-72))
	a.Pop(asm.RBX)
	a.Pop(asm.RAX)
	a.Jmp("common")
	a.Label(mine)
	a.Pop(asm.RBX)
	a.Pop(asm.RAX)
	a.Iretq()
}

// saved are the registers of a frame as they are pushed.
var saved = []asm.Reg{asm.RDI, asm.RSI, asm.RDX, asm.RCX, asm.RAX, asm.R8, asm.R9, asm.R10, asm.R11, asm.RBX, asm.RBP, asm.R12, asm.R13, asm.R14, asm.R15}

const (
	msrFSBase = 0xc0000100
	msrGSBase = 0xc0000101
	msrKernGS = 0xc0000102
)

// orders emits what the block's flags, in rdi, ask for. rbx is the block; all else may be used.
func (im *Image) orders(a *asm.Asm) {
	n := 0
	if_ := func(flag int, body func()) {
		n++
		done := fmt.Sprint("done", n)
		a.RR(4, []byte{0xf7}, 0, asm.RDI) // test edi, flag
		a.Raw(byte(flag), byte(flag>>8), byte(flag>>16), byte(flag>>24))
		a.Jcc(asm.E, done)
		body()
		a.Label(done)
	}
	if_(DoCR0, func() {
		a.Load(8, asm.RAX, asm.At(asm.RBX, BlockCR0))
		a.ToCR(0, asm.RAX)
	})
	if_(DoCR3, func() {
		a.Load(8, asm.RAX, asm.At(asm.RBX, BlockCR3))
		a.ToCR(3, asm.RAX)
	})
	if_(DoGlobalFlush, func() {
		a.FromCR(asm.RAX, 4)
		a.Mov(8, asm.RCX, asm.RAX)
		a.OpI(asm.XOR, 8, asm.RCX, 0x80) // PGE
		a.ToCR(4, asm.RCX)
		a.ToCR(4, asm.RAX)
	})
	if_(DoInvlpg, func() {
		a.Load(8, asm.RAX, asm.At(asm.RBX, BlockPage))
		a.RM(0, []byte{0x0f, 0x01}, 7, asm.At(asm.RAX, 0))
	})
	if_(DoLLDT, func() {
		a.RM(0, []byte{0x0f, 0x00}, 2, asm.At(asm.RBX, BlockLDT))
	})
	a.Label("reload")
	if_(DoSelectors, func() {
		for i, s := range []asm.Reg{3, 0, 4, 5} { // ds, es, fs, gs
			a.RM(0, []byte{0x8e}, s, asm.At(asm.RBX, BlockSel+2*int32(i)))
		}
	})
	a.Label("reloaded")
	if_(DoSwapGS, func() { a.Raw(0x0f, 0x01, 0xf8) })
	for _, b := range []struct {
		flag, msr int
		at        int32
	}{{DoFS, msrFSBase, BlockFS}, {DoGS, msrGSBase, BlockGS}, {DoKernGS, msrKernGS, BlockKernGS}} {
		if_(b.flag, func() {
			a.MovI(asm.RCX, uint64(b.msr))
			a.Load(4, asm.RAX, asm.At(asm.RBX, b.at))
			a.Load(4, asm.RDX, asm.At(asm.RBX, b.at+4))
			a.Wrmsr()
		})
	}
}

// Gates gives the interrupt descriptor table. INT3, INTO and, since it is frequent, INT 0x80 come in by their own gates; any other software interrupt is a general-protection fault whose error
// code names it, as on Xen, so that the guest's own table decides who may call what.
func (im *Image) Gates() []byte {
	b := make([]byte, 256*16)
	for v, e := range im.entries {
		dpl := byte(0)
		if v == 3 || v == 4 || v == 0x80 {
			dpl = 3
		}
		g := b[v*16:]
		binary.LittleEndian.PutUint16(g, uint16(e))
		binary.LittleEndian.PutUint16(g[2:], MonitorCS)
		switch v { // stacks of their own
		case vectorDB:
			g[4] = 1
		case vectorNMI:
			g[4] = 2
		}
		g[5] = 0x8e | dpl<<5 // interrupt gate
		binary.LittleEndian.PutUint16(g[6:], uint16(e>>16))
		binary.LittleEndian.PutUint32(g[8:], uint32(e>>32))
	}
	return b
}

// Descriptors gives the reserved page of a vCPU's descriptor table.
func Descriptors(id int) []byte {
	b := make([]byte, 4096)
	put := func(sel uint16, d uint64) { binary.LittleEndian.PutUint64(b[sel&^7-0xe000:], d) }
	put(MonitorCS, 0x00af9b000000ffff)
	put(MonitorDS, 0x00cf93000000ffff)
	put(0xe023, 0x00cffb000000ffff) // ring 3, 32-bit code
	put(0xe02b, 0x00cff3000000ffff) // ring 3, data
	put(0xe033, 0x00affb000000ffff) // ring 3, 64-bit code
	put(0xe038, 0x00cf9b000000ffff) // ring 0, 32-bit code
	system(b[TSSSel-0xe000:], VCPU(id)+TSSAt, 0x67, 0x89)
	system(b[LDTSel-0xe000:], VCPU(id)+LDTAt, 0, 0)
	return b
}

// system puts a 16-byte descriptor of a task state segment or local table.
func system(b []byte, base uint64, limit uint32, typ byte) {
	binary.LittleEndian.PutUint64(b, uint64(limit&0xffff)|base&0xffffff<<16|uint64(typ)<<40|uint64(limit>>16&0xf)<<48|base>>24&0xff<<56)
	binary.LittleEndian.PutUint64(b[8:], base>>32)
}

// LocalTable gives the descriptor that selector LDTSel names: a table of n entries in the vCPU's window, or none.
func LocalTable(id, n int) (d [16]byte) {
	if n > 0 {
		system(d[:], VCPU(id)+LDTAt, uint32(n*8-1), 0x82)
	}
	return d
}

// TSS gives the task state segment of a vCPU: all entries use one stack.
func TSS(id int) []byte {
	b := make([]byte, 0x68)
	binary.LittleEndian.PutUint64(b[4:], VCPU(id)+StackAt+0x1000)
	binary.LittleEndian.PutUint64(b[0x24:], VCPU(id)+TSSAt+0x1000)
	binary.LittleEndian.PutUint64(b[0x2c:], VCPU(id)+TSSAt+0xc00)
	b[0x66] = 0x68 // no I/O bitmap
	return b
}
