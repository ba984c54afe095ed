package soft

import (
	"runtime"
	"sync/atomic"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86/decode"
)

// codePages knows which guest frames hold decoded code, shared by all vCPUs of a VM. A frame has a version, which
// goes up when code in it changes, and a bit for each 64 bytes that were decoded. Frames far
// apart may share a record: they then lose code together, which costs time and nothing else.
type codePages struct {
	chunks []atomic.Pointer[codeChunk]
}

type codeChunk struct {
	ver  [512]uint32
	busy [512]int32 // vCPUs inside markCode for the frame
	bits [512]uint64
}

const codeChunks = 1 << 13 // 16 GiB of frames before records are shared

func (p *codePages) init(*guestmem.Memory) { p.chunks = make([]atomic.Pointer[codeChunk], codeChunks) }

func (p *codePages) chunk(g guestmem.GFN) *codeChunk {
	slot := &p.chunks[g>>9&(codeChunks-1)]
	if c := slot.Load(); c != nil {
		return c
	}
	slot.CompareAndSwap(nil, &codeChunk{})
	return slot.Load()
}

func (p *codePages) version(g guestmem.GFN) *uint32 { return &p.chunk(g).ver[g&511] }

// has reports whether frame g holds decoded code.
func (p *codePages) has(g guestmem.GFN) bool {
	c := p.chunks[g>>9&(codeChunks-1)].Load()
	return c != nil && atomic.LoadUint64(&c.bits[g&511]) != 0
}

// bump makes all code of frame g stale.
func (p *codePages) bump(g guestmem.GFN) {
	c := p.chunks[g>>9&(codeChunks-1)].Load()
	if c == nil || atomic.LoadUint64(&c.bits[g&511]) == 0 {
		return
	}
	atomic.StoreUint64(&c.bits[g&511], 0)
	atomic.AddUint32(&c.ver[g&511], 1)
}

// lineBits gives the bits of the 64-byte lines that [off, off+n) touches.
func lineBits(off, n uint64) uint64 {
	first, last := off>>6, (off+n-1)>>6
	if last > 63 {
		last = 63
	}
	return ^uint64(0) << first & (^uint64(0) >> (63 - last))
}

// markCode notes that bytes of frame g are decoded, and gives the version to remember. If the frame held no code before, no
// vCPU may keep a write entry for it: the others are asked, and waited for. So does one that comes to the same frame
// while another is still waiting.
func (c *CPU) markCode(g guestmem.GFN, off, n uint64) uint32 {
	ch := c.vm.code.chunk(g)
	ver := atomic.LoadUint32(&ch.ver[g&511])
	atomic.AddInt32(&ch.busy[g&511], 1)
	old := atomic.OrUint64(&ch.bits[g&511], lineBits(off, n))
	if waiting := atomic.LoadInt32(&ch.busy[g&511]) > 1; old == 0 || waiting {
		c.dropWrites(g)
		c.syncOthers()
		ver = atomic.LoadUint32(&ch.ver[g&511])
	}
	atomic.AddInt32(&ch.busy[g&511], -1)
	return ver
}

// syncOthers makes every other vCPU drop its write entries before it executes another block.
func (c *CPU) syncOthers() {
	cpus := c.vm.snapshot()
	if len(cpus) < 2 {
		return
	}
	for _, o := range cpus {
		if o != c {
			o.attn.Or(attnSync)
		}
	}
	for _, o := range cpus {
		for o != c && o.inGuest.Load() && o.attn.Load()&attnSync != 0 {
			if c.attn.Load()&attnSync != 0 {
				c.dropAllWrites()
			}
			runtime.Gosched()
		}
	}
}

// dropAllWrites answers attnSync.
func (c *CPU) dropAllWrites() {
	for t := range c.tlbs {
		es := &c.tlbs[t].e
		for i := range es {
			es[i].w = noTag
		}
	}
	c.attn.And(^uint32(attnSync))
}

// wroteCode is called after a write to a frame that holds code. If decoded bytes were hit, the frame's blocks become stale,
// and what is left of the block under way is not executed.
func (c *CPU) wroteCode(gpa guestmem.GPA, n uint64) {
	g := gpa.GFN()
	ch := c.vm.code.chunk(g)
	// A locked read: the store before it must be visible before the bits are looked at (see decodeBlock, which marks and then compares).
	if atomic.OrUint64(&ch.bits[g&511], 0)&lineBits(uint64(gpa)&pageMask, n) == 0 {
		return
	}
	c.vm.code.bump(g)
	if b := c.cur; b != nil && (b.gfn == g || b.verp2 == &ch.ver[g&511]) { // a block that stays valid must keep its codes
		for i := range b.insts {
			b.insts[i].Code = codeResync
		}
	}
}

// ending says whether in ends its block.
func ending(in *decode.Inst) endKind {
	switch in.Op {
	case decode.JCC, decode.JMP, decode.CALL, decode.JMPI, decode.CALLI, decode.RET, decode.JCXZ, decode.LOOP, decode.LOOPE,
		decode.LOOPNE, decode.JMPF, decode.JMPFI, decode.CALLF, decode.CALLFI, decode.RETF, decode.IRET,
		decode.SYSCALL, decode.SYSRET, decode.SYSENTER, decode.SYSEXIT, decode.INT, decode.INT3, decode.INTO, decode.INT1,
		decode.INVALID, decode.UD:
		return endBranch
	case decode.STI, decode.CLI, decode.POPF, decode.MOVS_RM, decode.POPS, decode.MOVCR_R, decode.MOVDR_R, decode.MOVR_DR, decode.INVLPG, decode.INVPCID,
		decode.WRMSR, decode.RDMSR, decode.HLT, decode.CPUID, decode.IN, decode.OUT, decode.INS, decode.OUTS, decode.VMCALL,
		decode.VMMCALL, decode.LGDT, decode.LIDT, decode.LLDT, decode.LTR, decode.LMSW, decode.CLTS, decode.RDTSC, decode.RDTSCP,
		decode.WBINVD, decode.PAUSE, decode.LSS, decode.LDS, decode.LES, decode.LFS, decode.LGS, decode.MWAIT, decode.SWAPGS,
		decode.WRFSBASE, decode.WRGSBASE, decode.STAC, decode.CLAC, decode.XSETBV, decode.FXRSTOR:
		return endBreak
	}
	return endSeq
}
