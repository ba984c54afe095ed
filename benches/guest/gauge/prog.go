package gauge

import (
	"fmt"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// prog is a guest under construction. Its methods emit code that destroys the scratch registers (rax, rcx, rdx, rsi, rdi, r8 to r11) and keeps
// the others, of which r15 is the run's own (operations that are left) and r12 to r14 a workload's.
type prog struct {
	*asm.Asm
	mode *mode

	next, pages uint64 // free memory
	labels      int
	texts       []text

	words words
}

type text struct{ label, value string }

// words are the variables of the guest, by address.
type words struct {
	xen        uint64 // not 0: this is Xen
	conPage    uint64 // address of the console ring
	conPort    uint64 // a struct evtchn_send
	ticks      uint64 // what reading the counter twice costs
	sample     uint64 // MaxBatches results
	batch      uint64 // number of the batch
	began      uint64 // counter at its start
	sum        uint64 // what a workload adds up in nanoseconds
	events     uint64 // upcalls for port
	port       uint64 // a struct evtchn_send: the port that is measured
	returnTo   uint64 // stack pointer while user mode runs
	shared     uint64 // address of the shared info page
	timerCall  uint64 // a struct vcpu_set_singleshot_timer
	peer       uint64 // how the other vCPU waits (smp.go)
	peerUp     uint64 // not 0: it runs
	ask        uint64 // a struct evtchn_send: the other vCPU's port
	answer     uint64 // one: this vCPU's
	pollAnswer uint64 // a struct sched_poll for it
	pteA       uint64 // entries that the changed page may have (walks.go)
	pteB       uint64 //
	startInfo  uint64 // PV: address of struct start_info
	windows    uint64 // PV: not 0 when the windows are there
	updates    uint64 // PV: manyPTEs structs mmu_update
	flushOp    uint64 // PV: a struct mmuext_op that flushes the TLB
}

// Memory of the guest: words from Data on, then whole pages, all zeros at the start.
const (
	wordsAt = tiny.Data
	pagesAt = tiny.Data + 0x10000
	pagesTo = tiny.Data + 0x100000
)

func newProg(a *asm.Asm, m *mode) *prog {
	p := &prog{Asm: a, mode: m, next: m.base + wordsAt, pages: m.base + pagesAt}
	w := &p.words
	for _, at := range []*uint64{&w.xen, &w.conPage, &w.conPort, &w.ticks, &w.batch, &w.began, &w.sum, &w.events, &w.port, &w.returnTo,
		&w.peer, &w.peerUp, &w.ask, &w.answer, &w.pteA, &w.pteB, &w.startInfo, &w.windows} {
		*at = p.alloc(1)
	}
	w.timerCall, w.flushOp, w.pollAnswer = p.alloc(2), p.alloc(3), p.alloc(3)
	w.updates = p.alloc(2 * manyPTEs)
	w.sample = p.alloc(MaxBatches)
	w.shared = p.page()
	return p
}

func mem(a uint64) asm.Mem { return asm.Abs(int32(a)) }

// alloc gives the address of n 64-bit words.
func (p *prog) alloc(n int) uint64 {
	a := p.next
	p.next += 8 * uint64(n)
	if p.next > p.mode.base+pagesAt {
		p.fail("out of words")
	}
	return a
}

// page gives the address of a page of zeros.
func (p *prog) page() uint64 {
	a := p.pages
	p.pages += 0x1000
	if p.pages > p.mode.base+pagesTo {
		p.fail("out of pages")
	}
	return a
}

// fail stops the construction: the workload's code is wrong. Image's tests run all of it.
func (p *prog) fail(what string) { panic("gauge: " + what) }

func (p *prog) label() string {
	p.labels++
	return fmt.Sprintf("gauge %d", p.labels)
}

// addr loads a label's address, which is below 2 GiB or in the last 2 GiB of the address space.
func (p *prog) addr(to asm.Reg, label string) {
	p.MovLabel(to, label)
	p.RR(8, []byte{0x63}, to, to) // movsxd
}

// set stores a 64-bit constant, set32 a smaller one.
func (p *prog) set(at, v uint64)          { p.MovI(asm.RAX, v); p.Store(8, mem(at), asm.RAX) }
func (p *prog) set32(at uint64, v uint32) { p.MovI(asm.RAX, uint64(v)); p.Store(4, mem(at), asm.RAX) }

// call makes a hypercall with constant arguments.
func (p *prog) call(nr uint64, args ...uint64) {
	for i, v := range args {
		p.MovI([]asm.Reg{asm.RDI, asm.RSI, asm.RDX, asm.R10}[i], v)
	}
	p.mode.hypercall(p, nr)
}

// arg stores a wire struct at an address, or in memory of its own if that is 0, and gives the address.
func (p *prog) arg(at uint64, s xen.Struct) uint64 {
	b := xen.Encode(xen.ABI64, s)
	b = append(b, make([]byte, -len(b)&7)...)
	if at == 0 {
		at = p.alloc(len(b) / 8)
	}
	for i := 0; i < len(b); i += 4 {
		p.set32(at+uint64(i), uint32(b[i])|uint32(b[i+1])<<8|uint32(b[i+2])<<16|uint32(b[i+3])<<24)
	}
	return at
}

// stamp leaves the time-stamp counter in rax, read when what stands before has been done and before what stands behind begins.
func (p *prog) stamp() {
	p.Raw(0x0f, 0xae, 0xe8) // lfence
	p.Raw(0x0f, 0x31)       // rdtsc
	p.Raw(0x0f, 0xae, 0xe8)
	p.Shl(8, asm.RDX, 32)
	p.Op(asm.OR, 8, asm.RAX, asm.RDX)
}

// outOfLine emits code that is only reached by its label.
func (p *prog) outOfLine(body func()) (label string) {
	over := p.label()
	label = p.label()
	p.Jmp(over)
	p.Align(16)
	p.Label(label)
	body()
	p.Label(over)
	return label
}

// unlessZero runs body unless the word is 0.
func (p *prog) unlessZero(word uint64, body func()) {
	over := p.label()
	p.OpMI(asm.CMP, 4, mem(word), 0)
	p.Jcc(asm.E, over)
	body()
	p.Label(over)
}
