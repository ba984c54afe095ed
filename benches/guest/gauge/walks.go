package gauge

import "gozen/hypervisor/x86/asm"

// Windows: linear addresses at which the same page of memory shows many times, so that an access costs a walk and no memory. Each
// has windowPages entries of its page size's table; those of the small pages are a page table apart.
const (
	windowPages = 64
	window4K    = 1 << 30
	window2M    = 2 << 30
	window1G    = 512 << 30
	stride4K    = 2 << 20
	stride2M    = 2 << 20
	stride1G    = 1 << 30
)

// windowTables are the tables of the windows, at fixed places, so that modes may treat them as they must.
const (
	tablePT    = pagesTo + 0x1000 // of the window of small pages; entry 1 is the page that pt/ and fault/ change
	tablePD4K  = pagesTo + 0x2000
	tablePD2M  = pagesTo + 0x3000
	tablePDPT  = pagesTo + 0x4000
	changed    = 0x1000 // in the window of small pages
	changedPTE = tablePT + 8
	frameA     = pagesTo + 0x6000 // what the changed page may show
	frameB     = pagesTo + 0x7000
)

const pteFlags = 3 // present, writable

// The entries that are changed together.
const (
	manyFirst = 16
	manyPTEs  = 16
)

func walks() []Workload {
	return []Workload{
		{Name: "walk/hit", Area: AreaTables, Meaning: "a load from a page that the TLB knows", Ops: 1024,
			setup: func(p *prog) { p.mode.window(p) }, batch: func(p *prog, n int) { walk(p, n, p.mode.small, 0, false) }},
		{Name: "walk/4k", Area: AreaTables, Meaning: "a load from a page of 4 KiB that the TLB has forgotten (1/64 of the flush is in it)", Ops: 1024,
			setup: func(p *prog) { p.mode.window(p) }, batch: func(p *prog, n int) { walk(p, n, p.mode.small, stride4K, true) }},
		{Name: "walk/2m", Area: AreaTables, Meaning: "the same with pages of 2 MiB", Ops: 1024,
			setup: func(p *prog) { p.mode.window(p) }, batch: func(p *prog, n int) { walk(p, n, window2M, stride2M, true) }},
		{Name: "walk/1g", Area: AreaTables, Meaning: "the same with pages of 1 GiB", Ops: 1024, lacks: "this processor has no pages of 1 GiB", unless: unlessPages1G,
			setup: func(p *prog) { p.mode.window(p) }, batch: func(p *prog, n int) { walk(p, n, window1G+wordsAt, stride1G, true) }},
		{Name: "pt/flush", Area: AreaTables, Meaning: "the whole TLB is emptied", Ops: 64, op: func(p *prog) { p.mode.flush(p) }},
		{Name: "pt/update", Area: AreaTables, Meaning: "a page-table entry is changed, its page forgotten and loaded from", Ops: 128,
			setup: twoPTEs, op: func(p *prog) {
				otherPTE(p)
				changePTE(p)
				p.MovI(asm.RSI, p.mode.small+changed)
				p.Load(4, asm.RAX, asm.At(asm.RSI, 0))
			}},
		{Name: "pt/update16", Area: AreaTables, Meaning: "16 page-table entries are changed together, and the TLB is emptied", Ops: 64,
			setup: twoPTEs, op: func(p *prog) {
				otherPTE(p)
				p.mode.setPTEs(p)
			}},
		{Name: "fault/minor", Area: AreaTables, Meaning: "a page is taken away, faults, and the kernel's handler gives it back", Ops: 128,
			setup: faultSetup, end: func(p *prog) { p.mode.forbid(p) }, op: func(p *prog) {
				p.MovI(asm.RAX, 0)
				changePTE(p)
				p.MovI(asm.RSI, p.mode.small+changed)
				p.Load(4, asm.RAX, asm.At(asm.RSI, 0))
			}},
	}
}

// twoPTEs holds two entries for the changed page in r13 and r14, otherPTE takes the other one of them than last time to rax.
func twoPTEs(p *prog) {
	p.mode.window(p)
	p.Load(8, asm.R13, mem(p.words.pteA))
	p.Load(8, asm.R14, mem(p.words.pteB))
}

func otherPTE(p *prog) {
	p.RR(8, []byte{0x87}, asm.R13, asm.R14) // xchg
	p.Mov(8, asm.RAX, asm.R14)
}

// changePTE stores rax in the changed page's entry.
func changePTE(p *prog) {
	p.MovI(asm.RDI, changedPTE)
	p.MovI(asm.RSI, p.mode.small+changed)
	p.mode.setPTE(p)
}

// walk loads n times from a window, one page after the other.
func walk(p *prog, n int, at, stride uint64, flush bool) {
	rounds(p, max(n/windowPages, 1), func(p *prog) {
		if flush {
			p.mode.flush(p)
		}
		p.MovI(asm.R14, at)
		for range windowPages {
			p.Load(4, asm.RAX, asm.At(asm.R14, 0))
			p.OpI(asm.ADD, 8, asm.R14, int32(stride))
		}
	})
}

func unlessPages1G(p *prog, skip string) {
	p.Push(asm.RBX)
	p.MovI(asm.RAX, 0x80000001)
	p.Cpuid()
	p.Pop(asm.RBX)
	p.MovI(asm.RAX, 1<<26) // Page1GB
	p.Test(4, asm.RAX, asm.RDX)
	p.Jcc(asm.E, skip)
}

// faultSetup makes a page-fault handler that gives the page back.
func faultSetup(p *prog) {
	p.mode.window(p)
	syscallSetup(p) // a kernel has system calls, or is none that hypervisors make fast
	kept := []asm.Reg{asm.RAX, asm.RDX, asm.RSI, asm.RDI}
	p.mode.trap(p, vectorPF, p.outOfLine(func() {
		for _, r := range kept {
			p.Push(r)
		}
		p.Load(8, asm.RAX, mem(p.words.pteA))
		changePTE(p)
		for i := range kept {
			p.Pop(kept[len(kept)-1-i])
		}
		p.OpI(asm.ADD, 8, asm.RSP, 8) // the error code
		p.mode.trapReturn(p)
	}), false)
	p.mode.allow(p) // as a kernel usually runs
}
