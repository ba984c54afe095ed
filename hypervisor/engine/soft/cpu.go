package soft

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// Register slots beyond the sixteen: one that always reads zero, and the base for RIP-relative addresses.
const (
	regZero = decode.NoReg
	regRIP  = decode.RIPReg
	reg4G   = 24 // always 1<<32: see lift
	numRegs = 32
)

// stop says why an instruction or a block did not go on.
type stop uint8

const (
	stopNone    stop = iota
	stopFault        // c.fault is to be delivered at the instruction
	stopExit         // c.exit is filled; the instruction is to be executed again with the answer
	stopDone         // c.exit is filled; the instruction is finished
	stopRestart      // execute the same instruction again (REP broken off)
	stopChecked      // to be executed by its handler, which checks the segment
)

// CPU is one software vCPU. It implements engine.VCPU.
type CPU struct {
	regs [numRegs]uint64
	// Lazy flags: see flags.go.
	ccA, ccB uint64
	ccOp     uint32
	sh       uint32 // 64 minus the operand size in bits, for alu functions
	stop     stop
	long     bool  // 64-bit mode: CS.L and EFER.LMA
	cpl      uint8 // current privilege level
	mode     decode.Mode
	segBase  [8]uint64 // bases as the hot instructions use them: see updateMode
	ripMask  uint64    // all ones in 64-bit mode, else 32 of them
	wide     bool      // the code segment has no end: 64-bit mode, or a limit of 4 GiB
	chains   bool      // instruction pointers are linear addresses, and blocks may be chained
	dtlb     *dataTLB  // of the current privilege and AC
	jc       *jumpCache
	gen      uint64 // of jump cache entries; bumped to empty them
	icount   uint64 // instructions finished, up to the start of the block under way
	limit    uint64 // leave the loop when icount reaches it
	attn     atomic.Uint32

	rip    uint64 // valid between blocks
	flags  uint64 // RFLAGS; the arithmetic bits only if ccOp is ccFlags
	fault  x86.Fault
	exit   *engine.Exit
	cur    *block // the block under way
	curRIP uint64 // its first instruction's address

	seg        [6]x86.Segment
	tr, ldtr   x86.Segment
	gdtr, idtr x86.Table

	cr0, cr2, cr3, cr4, cr8, efer uint64
	dr                            [8]uint64
	pdpte                         [4]uint64 // under PAE paging: see walk32.go
	msr                           msrs
	fx                            FPU

	shadow, movss, nmiBlocked, halted bool
	inject                            injection
	window                            bool
	watching                          bool   // DR7 has an enabled breakpoint
	dbHits                            uint64 // DR6 bits to report after this instruction
	nmi                               atomic.Bool
	single                            bool // next block: one instruction only

	answer       answers
	awaiting     bool // the exit under way is to be answered
	nonCanonical bool // the #GP recorded last came from a non-canonical address

	vm      *VM
	id      int
	mem     *guestmem.Memory
	blocks  blockTable
	tlbs    [3]dataTLB
	itlbs   [2]instTLB
	jcs     [2]jumpCache
	handler *[decode.NumOps]handler
	large   bool // a large page's fragment is in a TLB

	inGuest atomic.Bool
	rng     uint64
}

type handler func(c *CPU, in *decode.Inst) bool

type msrs struct {
	star, lstar, cstar, sfmask, kernelGS uint64
	sysCS, sysESP, sysEIP                uint64
	pat, tscAux, apicBase, spec          uint64
	tscOffset                            uint64
}

// injection is an event to deliver before the next instruction.
type injection struct {
	valid, hasError, soft, external bool
	vector                          uint8
	err                             uint32
	addr                            uint64
}

// Config of a VM of this engine.
type Config struct {
	Memory *guestmem.Memory
	// TSC gives the time-stamp counter; nil means one tick per nanosecond of host time.
	// It is called with the vCPU's instruction count.
	TSC func(instructions uint64) uint64
	// Seed, if not 0, makes RDRAND repeatable.
	Seed uint64
	// DestinationFirst has CMPS read its second operand, at ES:RDI, first: where both cannot be read, that is the one whose fault is told. Processors differ
	// (AMD: Zen 4 does so, but for REPE CMPSB, older ones do not), and manuals are silent. The other is for REPE CMPSB, which has ways of its own.
	DestinationFirst, DestinationFirstREPE bool
}

// New makes a VM on the software CPU.
func New(cfg Config) (*VM, error) {
	vm := &VM{mem: cfg.Memory, tsc: cfg.TSC, start: time.Now(), seed: cfg.Seed, dstFirst: [2]bool{cfg.DestinationFirst, cfg.DestinationFirstREPE}}
	vm.code.init(cfg.Memory)
	cfg.Memory.OnChange(vm.memoryChanged)
	cfg.Memory.OnWrite(vm.hostWrote)
	return vm, nil
}

// NewVCPU implements engine.VM.
func (vm *VM) NewVCPU(id int) (engine.VCPU, error) {
	c := &CPU{vm: vm, id: id, mem: vm.mem, handler: &handlers}
	c.blocks.init()
	c.emptyTLBs()
	c.Reset()
	vm.mu.Lock()
	cpus := append(slices.Clone(vm.snapshot()), c)
	vm.cpus.Store(&cpus)
	vm.mu.Unlock()
	return c, nil
}

// Reset puts the processor into its state after power-up (SDM 3A table 9-1).
func (c *CPU) Reset() {
	var s x86.State
	s.RIP, s.RFLAGS = 0xfff0, x86.FlagOne
	s.CR0 = x86.CR0ET | x86.CR0NW | x86.CR0CD
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Limit: 0xffff, Attr: 0x93}
	}
	s.Seg[x86.CS] = x86.Segment{Selector: 0xf000, Base: 0xffff0000, Limit: 0xffff, Attr: 0x9b}
	s.TR = x86.Segment{Limit: 0xffff, Attr: 0x8b}
	s.LDTR = x86.Segment{Limit: 0xffff, Attr: 0x82}
	s.GDTR.Limit, s.IDTR.Limit = 0xffff, 0xffff
	s.DR[6], s.DR[7] = 0xffff0ff0, 0x400
	s.PAT = x86.PATReset
	s.GPR[x86.RDX] = 0x600
	s.APICBase = 0xfee00000 | 1<<11
	if c.id == 0 {
		s.APICBase |= 1 << 8
	}
	s.FX.FCW, s.FX.MXCSR = 0x37f, x86.MXCSRReset
	_ = c.Set(&s)
}

// Regs implements engine.VCPU.
func (c *CPU) Regs() *[16]uint64 {
	// regs has more slots than 16; the array of the first 16 lies at its start.
	return (*[16]uint64)(c.regs[:16])
}

// Kick implements engine.VCPU.
func (c *CPU) Kick() { c.attn.Or(attnKick) }

// Bits of attn.
const (
	attnKick  = 1 << iota
	attnFlush // memory map changed: empty all TLBs
	attnNMI
	attnSync // another vCPU waits for this one to drop write entries of code pages
)

// Mode implements engine.VCPU.
func (c *CPU) Mode() engine.Mode { return engine.Mode{Long: c.long, CPL: c.cpl} }

// Instructions implements engine.VCPU.
func (c *CPU) Instructions() uint64 { return c.icount }

// SetLimit makes Run return with ExitKick once n instructions have finished in all. 0 means no limit.
func (c *CPU) SetLimit(n uint64) {
	if n == 0 {
		n = ^uint64(0)
	}
	c.limit = n
}

// Inject implements engine.VCPU.
func (c *CPU) Inject(vector uint8) {
	c.inject = injection{valid: true, vector: vector, external: true}
}

// InjectNMI implements engine.VCPU.
func (c *CPU) InjectNMI() {
	c.nmi.Store(true)
	c.attn.Or(attnNMI)
}

// InjectFault implements engine.VCPU.
func (c *CPU) InjectFault(f x86.Fault) {
	c.inject = injection{valid: true, vector: f.Vector, hasError: f.HasError, err: f.Error, addr: f.Addr}
	c.answer.reset()
}

// WantWindow implements engine.VCPU.
func (c *CPU) WantWindow(on bool) { c.window = on }

// Interruptible implements engine.VCPU.
func (c *CPU) Interruptible() bool { return c.interruptible() }

// Paging implements engine.VCPU.
func (c *CPU) Paging() (cr0, cr3, cr4, efer uint64) { return c.cr0, c.cr3, c.cr4, c.efer }

// CR8 implements engine.VCPU.
func (c *CPU) CR8() uint8 { return uint8(c.cr8) }

// SetCR8 implements engine.VCPU.
func (c *CPU) SetCR8(v uint8) { c.cr8 = uint64(v & 15) }

// interruptible reports whether an external interrupt could be taken now. An instruction that has asked for an answer and not used it yet
// is under way: an interrupt would make it ask, and so act, a second time.
func (c *CPU) interruptible() bool {
	return !c.awaiting && !c.answer.reg && c.answer.n == 0 && c.flags&x86.FlagIF != 0 && !c.shadow && !c.movss && !c.inject.valid
}

// tsc gives the guest's time-stamp counter.
func (c *CPU) tsc() uint64 {
	if f := c.vm.tsc; f != nil {
		return f(c.icount) + c.msr.tscOffset
	}
	return uint64(time.Since(c.vm.start)) + c.msr.tscOffset
}

// random gives 64 bits for RDRAND: the host's, or of a generator seeded by the configuration (xorshift64*).
func (c *CPU) random() uint64 {
	if c.vm.seed == 0 {
		return rand.Uint64()
	}
	if c.rng == 0 {
		c.rng = c.vm.seed + uint64(c.id) + 1
	}
	c.rng ^= c.rng >> 12
	c.rng ^= c.rng << 25
	c.rng ^= c.rng >> 27
	return c.rng * 0x2545f4914f6cdd1d
}

// emptyTLBs gives every entry of a new vCPU the tag that matches nothing.
func (c *CPU) emptyTLBs() {
	for t := range c.tlbs {
		for i := range c.tlbs[t].e {
			c.tlbs[t].e[i].r, c.tlbs[t].e[i].w = noTag, noTag
		}
	}
	for t := range c.itlbs {
		for i := range c.itlbs[t].e {
			c.itlbs[t].e[i].tag = noTag
		}
	}
}
