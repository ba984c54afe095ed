package gauge

import (
	"fmt"

	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Version is the version of the line format.
const Version = 1

// prefix and eol enclose what a guest prints.
const (
	prefix = "gauge: "
	eol    = "\r\n"
)

// run emits the whole life of the guest.
func (p *prog) run(s Spec, chosen []Workload) {
	p.mode.begin(p)
	p.say(fmt.Sprintf("%shello %d mode %s%s", prefix, Version, p.mode.name, eol))
	p.facts()
	for _, w := range chosen {
		p.measure(&w, s)
	}
	p.say(prefix + "end" + eol)
	p.unlessZero(p.words.xen, func() {
		reason := p.alloc(1)
		p.set(reason, xen.SHUTDOWN_poweroff)
		p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_shutdown, reason)
	})
	p.Ret()
	p.routines()
}

// facts prints the counter's frequency, as Xen tells it, and what reading it costs: the least of some pairs.
func (p *prog) facts() {
	khz := p.alloc(1)
	p.unlessZero(p.words.xen, func() {
		p.Push(asm.RBX)
		p.MovI(asm.RAX, xen.XEN_CPUID_FIRST_LEAF+3)
		p.MovI(asm.RCX, 0)
		p.mode.cpuid(p)
		p.Store(4, mem(khz), asm.RCX)
		p.Pop(asm.RBX)
	})
	top := p.label()
	p.MovI(asm.R15, 64)
	p.MovI(asm.R14, 1<<30)
	p.Label(top)
	p.stamp()
	p.Mov(8, asm.R13, asm.RAX)
	p.stamp()
	p.Op(asm.SUB, 8, asm.RAX, asm.R13)
	p.Op(asm.CMP, 8, asm.RAX, asm.R14)
	p.RR(8, []byte{0x0f, 0x42}, asm.R14, asm.RAX) // cmovb, not a branch: always as many instructions
	p.Dec(4, asm.R15)
	p.Jcc(asm.NE, top)
	p.Store(8, mem(p.words.ticks), asm.R14)
	for _, f := range []struct {
		name string
		word uint64
	}{{"tsc-khz", khz}, {"timer-ticks", p.words.ticks}} {
		p.say(prefix + "fact " + f.name + " ")
		p.number(f.word)
		p.say(eol)
	}
}

// measure emits a workload: its batches, the first of which is not counted, and then the lines.
func (p *prog) measure(w *Workload, s Spec) {
	if why, ok := p.mode.has(w); !ok {
		p.say(fmt.Sprintf("%sskip %s %s%s", prefix, w.Name, why, eol))
		return
	}
	done := p.label()
	if w.xen {
		p.require(w, "there is no Xen here", done, func(skip string) {
			p.OpMI(asm.CMP, 4, mem(p.words.xen), 0)
			p.Jcc(asm.E, skip)
		})
	}
	if w.unless != nil {
		p.require(w, w.lacks, done, func(skip string) { w.unless(p, skip) })
	}
	n := w.Ops * s.Repeat
	p.say(fmt.Sprintf("%sbegin %s%s", prefix, w.Name, eol))
	if w.setup != nil {
		w.setup(p)
	}
	p.batches(w, n, s.Batches)
	if w.end != nil {
		w.end(p)
	}
	p.lines(w, n, s.Batches)
	p.Label(done)
}

// require goes on unless test jumps to its label: then the workload is left out.
func (p *prog) require(w *Workload, why, done string, test func(skip string)) {
	skip := p.outOfLine(func() {
		p.say(fmt.Sprintf("%sskip %s %s%s", prefix, w.Name, why, eol))
		p.Jmp(done)
	})
	test(skip)
}

// batches runs the batches and keeps their results.
func (p *prog) batches(w *Workload, n, batches int) {
	top, first := p.label(), p.label()
	p.MovI(asm.RAX, ^uint64(0))
	p.Store(8, mem(p.words.batch), asm.RAX)
	p.Label(top)
	p.set(p.words.sum, 0)
	p.stamp()
	p.Store(8, mem(p.words.began), asm.RAX)
	if w.batch != nil {
		w.batch(p, n)
	} else {
		rounds(p, n, w.op)
	}
	p.stamp()
	p.OpLoad(asm.SUB, 8, asm.RAX, mem(p.words.began))
	if w.Unit == Nanos {
		p.Load(8, asm.RAX, mem(p.words.sum))
	}
	p.Load(8, asm.RCX, mem(p.words.batch))
	p.Test(8, asm.RCX, asm.RCX)
	p.Jcc(asm.S, first)
	p.MovI(asm.RDI, p.words.sample)
	p.Store(8, asm.Idx(asm.RDI, asm.RCX, 8, 0), asm.RAX)
	p.Label(first)
	p.Inc(8, asm.RCX)
	p.Store(8, mem(p.words.batch), asm.RCX)
	p.OpI(asm.CMP, 8, asm.RCX, int32(batches))
	p.Jcc(asm.NE, top)
}

// Executed says how many operations a guest does for batches of ops operations: one batch more than it tells of.
func Executed(ops, batches int) int { return ops * (batches + 1) }

// lines prints the results, which always takes the same number of instructions.
func (p *prog) lines(w *Workload, n, batches int) {
	top := p.label()
	p.set(p.words.batch, 0)
	p.Label(top)
	p.say(fmt.Sprintf("%sbatch %s ops %08d %s ", prefix, w.Name, n, w.Unit))
	p.Load(8, asm.RCX, mem(p.words.batch))
	p.MovI(asm.RDI, p.words.sample)
	p.Load(8, asm.RAX, asm.Idx(asm.RDI, asm.RCX, 8, 0))
	p.Call(printNumber)
	p.say(eol)
	p.OpMI(asm.ADD, 8, mem(p.words.batch), 1)
	p.OpMI(asm.CMP, 8, mem(p.words.batch), int32(batches))
	p.Jcc(asm.NE, top)
}
