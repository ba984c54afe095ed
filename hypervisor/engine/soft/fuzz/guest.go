package fuzz

import (
	"encoding/binary"
	"fmt"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Physical layout of the guest.
const (
	physPML4   = 0x1000
	physLow    = 0x2000 // PDPT and page directory of the arena, page tables of it and of the exit page
	physLowPD  = 0x3000
	physArena  = 0x4000
	physExitPT = 0x5000
	physHigh   = 0x6000 // the same for the kernel
	physHighPD = 0x7000
	physKernPT = 0x8000
	physKernel = 0x10000 // tables, stubs, stack, FX image
	physCode   = 0x20000
	physData   = 0x30000
	physStack  = 0x40000
	physExit   = 0x50000
	memSize    = 1 << 20
)

// Offsets in the kernel's pages, at kernelBase.
const (
	kernelBase  = 0xffff800000000000
	kGDT        = 0
	kTSS        = 0x100
	kGS         = 0x200
	kRAX        = 0x208
	kFX         = 0x400
	kIDT        = 0x1000
	kStubs      = 0x2000 // 16 bytes a vector
	kResume     = 0x3000
	kStack      = 0x4000
	kFrame      = kStack + 0x100
	kStackTop   = kStack + 0x1000
	kernelPages = 5
)

// vectorExit is the software interrupt at the exit page.
const vectorExit = 0x80

// Guest is a machine with one vCPU whose user address space is that of the native arena. A small kernel starts user code from a frame and
// reports every exception by an OUT to the port of its vector.
type Guest struct {
	cpu   engine.VCPU
	mem   *guestmem.Memory
	exit  engine.Exit
	state x86.State
	// Steps counts the user instructions that finished in the last Run.
	Steps uint64
	fresh bool
}

// NewGuest makes the machine on the software CPU; cfg lacks the memory.
func NewGuest(cfg soft.Config) (*Guest, error) {
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: memSize}})
	if err != nil {
		return nil, err
	}
	cfg.Memory = mem
	vm, err := soft.New(cfg)
	if err != nil {
		return nil, err
	}
	cpu, err := vm.NewVCPU(0)
	if err != nil {
		return nil, err
	}
	g := &Guest{cpu: cpu, mem: mem}
	g.tables()
	g.kernel()
	return g, g.Reset()
}

// Close frees the guest's memory.
func (g *Guest) Close() { g.mem.Close() }

func (g *Guest) put(a uint64, v uint64) {
	if err := g.mem.Write64(guestmem.GPA(a), v); err != nil {
		panic(err) // the layout is ours
	}
}

func (g *Guest) write(a uint64, p []byte) {
	if err := g.mem.Write(guestmem.GPA(a), p); err != nil {
		panic(err)
	}
}

// tables maps the arena as native.OpenArena does, for the user, and the kernel's pages for itself.
func (g *Guest) tables() {
	const user, write, nx = 4, 2, 1 << 63
	g.put(physPML4, physLow|7)
	g.put(physLow, physLowPD|7)
	g.put(physLowPD+native.ArenaBase>>21*8, physArena|7)
	g.put(physLowPD+native.ArenaExit>>21*8, physExitPT|7)
	area := func(lin, phys, size, bits uint64) {
		for o := uint64(0); o < size; o += 0x1000 {
			g.put(physArena+(lin+o)>>12&511*8, phys+o|bits|1)
		}
	}
	area(native.ArenaCode, physCode, native.ArenaCodeSize, user)
	area(native.ArenaData, physData, native.ArenaDataSize, user|write|nx)
	area(native.ArenaReadOnly, physData+native.ArenaReadOnly-native.ArenaData, 0x1000, user|nx)
	area(native.ArenaStack, physStack, native.ArenaStackSize, user|write|nx)
	g.put(physExitPT+native.ArenaExit>>12&511*8, physExit|user|1)
	g.put(physPML4+256*8, physHigh|3)
	g.put(physHigh, physHighPD|3)
	g.put(physHighPD, physKernPT|3)
	for i := uint64(0); i < kernelPages; i++ {
		g.put(physKernPT+8*i, physKernel+i<<12|3)
	}
}

// kernel writes descriptor tables and stubs. The selectors are those of 64-bit Linux, since programs can read theirs.
func (g *Guest) kernel() {
	le := binary.LittleEndian
	for i, d := range []uint64{0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff} {
		g.put(physKernel+kGDT+8*uint64(i), d)
	}
	tss := uint64(kernelBase + kTSS)
	g.put(physKernel+kGDT+0x40, 0x67|tss&0xffffff<<16|0x89<<40|tss>>24&0xff<<56)
	g.put(physKernel+kGDT+0x48, tss>>32)
	top := make([]byte, 8)
	le.PutUint64(top, kernelBase+kStackTop)
	g.write(physKernel+kTSS+4, top)
	g.write(physKernel+kTSS+0x66, []byte{0x68, 0}) // no I/O permission bitmap
	for v := uint64(0); v < 256; v++ {
		stub := kernelBase + kStubs + v*16
		gate := stub&0xffff | 0x10<<16 | 0x8e<<40 | stub>>16&0xffff<<48
		if v == 3 || v == 4 || v == vectorExit {
			gate |= 3 << 45
		}
		g.put(physKernel+kIDT+v*16, gate)
		g.put(physKernel+kIDT+v*16+8, stub>>32)
		b := []byte{0xe6, byte(v), 0xe9, 0, 0, 0, 0} // out; jmp
		le.PutUint32(b[3:], uint32(kResume-(kStubs+v*16+7)))
		g.write(physKernel+kStubs+v*16, b)
	}
	var b []byte
	rel := func(to int, op ...byte) {
		b = append(b, op...)
		b = le.AppendUint32(b, uint32(to-(kResume+len(b)+4)))
	}
	rel(kGS, 0x48, 0x8b, 0x05)
	b = append(b, 0xf3, 0x48, 0x0f, 0xae, 0xd8)       // wrgsbase rax
	b = append(b, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0) // xor eax, eax; mov ds, eax; mov es, eax
	rel(kRAX, 0x48, 0x8b, 0x05)
	rel(kFX, 0x48, 0x0f, 0xae, 0x0d) // fxrstor64
	b = append(b, 0x48, 0xcf)        // iretq
	g.write(physKernel+kResume, b)
	g.write(physExit, []byte{0xcd, vectorExit})
}

// Reset puts the machine in front of a start of user code, with empty TLBs.
func (g *Guest) Reset() error {
	s := &g.state
	*s = x86.State{}
	s.CR0 = x86.CR0PE | x86.CR0PG | x86.CR0NE | x86.CR0WP | x86.CR0ET | x86.CR0MP | x86.CR0AM
	s.CR4 = x86.CR4PAE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT | x86.CR4FSGSBASE
	s.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERSCE | x86.EFERNXE
	s.CR3, s.PAT = physPML4, x86.PATReset
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Attr: x86.AttrUnusable}
	}
	s.Seg[x86.SS] = x86.Segment{Selector: 0x18, Limit: 0xffffffff, Attr: 0xc093}
	s.Seg[x86.CS] = x86.Segment{Selector: 0x10, Limit: 0xffffffff, Attr: 0xa09b}
	s.TR = x86.Segment{Selector: 0x40, Base: kernelBase + kTSS, Limit: 0x67, Attr: 0x8b}
	s.LDTR = x86.Segment{Attr: x86.AttrUnusable}
	s.GDTR = x86.Table{Base: kernelBase + kGDT, Limit: 0x7f}
	s.IDTR = x86.Table{Base: kernelBase + kIDT, Limit: 0xfff}
	s.DR[6], s.DR[7] = 0xffff0ff0, 0x400
	s.RIP, s.RFLAGS = kernelBase+kResume, x86.FlagOne
	s.FX.FCW, s.FX.MXCSR = 0x37f, x86.MXCSRReset
	g.exit = engine.Exit{}
	g.fresh = true
	return g.cpu.Set(s)
}

// page gives a page of guest memory that holds no code, for direct access.
func (g *Guest) page(phys uint64) []byte { return g.mem.HostPage(guestmem.GPA(phys).GFN())[:] }

// SetCode puts code at an offset of the arena's code pages.
func (g *Guest) SetCode(off int, code []byte) { g.write(physCode+uint64(off), code) }

// SetMemory replaces the data and stack areas by m, of MemSize bytes.
func (g *Guest) SetMemory(m []byte) {
	for i := 0; i < native.ArenaDataSize; i += 0x1000 {
		copy(g.page(physData+uint64(i)), m[i:])
	}
	copy(g.page(physStack), m[native.ArenaDataSize:])
}

// Memory copies the data and stack areas to m.
func (g *Guest) Memory(m []byte) {
	for i := 0; i < native.ArenaDataSize; i += 0x1000 {
		copy(m[i:i+0x1000], g.page(physData+uint64(i)))
	}
	copy(m[native.ArenaDataSize:], g.page(physStack))
}

// hasError reports whether an exception pushes an error code.
func hasError(v int) bool { return v == 8 || v >= 10 && v <= 14 || v == 17 }

// maxSteps is more than the instructions of any case and of the kernel around it, and less than the engine's longest block, so that a
// limit of as many makes the engine go through its handlers one instruction at a time.
const maxSteps = 46

// endless is the number of instructions that no case comes to.
const endless = 1 << 20

// kernelSteps is the number of the kernel's instructions in a run: load GS, write it, clear DS and ES, load RAX, FXRSTOR,
// IRETQ, OUT. Those that end a run without
// a fault, the jump to the exit page and the INT there, do not count either.
const kernelSteps = 9

// Run starts user code from c and fills c with what it left. With single every instruction is executed alone, by its handler.
func (g *Guest) Run(c *native.Context, single bool) error {
	le := binary.LittleEndian
	k := g.page(physKernel)
	le.PutUint64(k[kGS:], c.GS)
	le.PutUint64(k[kRAX:], c.GPR[0])
	copy(k[kFX:], c.FX[:])
	st := g.page(physKernel + kStack)
	frame := st[kFrame-kStack:]
	for i, v := range [5]uint64{c.RIP, 0x33, c.RFLAGS | 0x202, c.GPR[4], 0x2b} {
		le.PutUint64(frame[8*i:], v)
	}
	r := g.cpu.Regs()
	*r = c.GPR
	r[x86.RSP] = kernelBase + kFrame
	start := g.cpu.Instructions()
	t := g.cpu.(engine.Timed)
	if t.SetLimit(start + endless); single {
		t.SetLimit(start + maxSteps)
	}
	if err := g.cpu.Run(&g.exit); err != nil {
		return err
	}
	if g.exit.Kind != engine.ExitIO || !g.exit.Write {
		kind, rip := g.exit.Kind, g.exit.RIP
		if err := g.Reset(); err != nil {
			return err
		}
		return fmt.Errorf("guest stopped: %v at %#x", kind, rip)
	}
	g.result(c, st)
	g.Steps = g.cpu.Instructions() - start - kernelSteps
	if g.Steps--; g.fresh { // the jump from a stub to the start
		g.Steps++
		g.fresh = false
	}
	if c.Vector == native.NoFault {
		g.Steps -= 2
	}
	return nil
}

// result reads the exception frame.
func (g *Guest) result(c *native.Context, st []byte) {
	le := binary.LittleEndian
	s := &g.state
	g.cpu.Get(s)
	c.Vector, c.Error, c.CR2, c.GPR, c.GS = int(g.exit.Port), 0, 0, s.GPR, s.Seg[x86.GS].Base
	f := st[len(st)-40:]
	c.RIP, c.RFLAGS, c.GPR[x86.RSP] = le.Uint64(f), le.Uint64(f[16:]), le.Uint64(f[24:])
	if hasError(c.Vector) {
		c.Error = le.Uint64(st[len(st)-48:])
	}
	switch c.Vector {
	case x86.VectorPF:
		c.CR2 = s.CR2
	case vectorExit:
		c.Vector, c.RIP = native.NoFault, native.ArenaExit
	}
	packFX(&s.FX, &c.FX)
}
