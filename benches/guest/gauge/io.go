package gauge

import (
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

const (
	debugPort  = 0x80
	localAPIC  = 0xfee00000
	apicID     = 0x20
	pollMillis = 10
)

func devices() []Workload {
	poll := uint64(0)
	return []Workload{
		{Name: "io/port", Area: AreaIO, Meaning: "a byte to port 0x80, behind which is nothing", Ops: 64,
			op: func(p *prog) { p.Raw(0xe6, debugPort) }},
		{Name: "io/mmio", Area: AreaIO, Meaning: "a load of a device's register: the local APIC's id", Ops: 64,
			setup: func(p *prog) { p.MovI(asm.R14, localAPIC+apicID) },
			op:    func(p *prog) { p.Load(4, asm.RAX, asm.At(asm.R14, 0)) }},
		{Name: "io/notify", Area: AreaIO, Meaning: "a notification to a backend that has nothing to do", Ops: 64, xen: true,
			op: func(p *prog) { p.notifyConsole() }},
		{Name: "io/console", Area: AreaIO, Meaning: "a byte to the console: from the store until the backend has taken it and its event is in", Ops: 16, xen: true,
			setup: func(p *prog) { poll = consolePoll(p) }, op: func(p *prog) { consoleByte(p, poll) }},
	}
}

// consolePoll makes the argument of a poll for the console's port.
func consolePoll(p *prog) uint64 {
	at := p.alloc(3)
	p.set(at, p.words.conPort)
	p.set32(at+8, 1)
	return at
}

// consoleByte sends a line feed and waits until it is gone: it polls for the backend's event, and looks again at times, since the backend may
// have sent it before.
func consoleByte(p *prog, poll uint64) {
	top, taken := p.label(), p.label()
	p.Load(8, asm.R14, mem(p.words.conPage))
	p.Load(4, asm.RDX, asm.At(asm.R14, xen.ConsoleOutProd))
	p.Mov(4, asm.RCX, asm.RDX)
	p.OpI(asm.AND, 4, asm.RCX, xen.ConsoleOutSize-1)
	p.MovI(asm.RAX, '\n')
	p.Store(1, asm.Idx(asm.R14, asm.RCX, 1, xen.ConsoleOut), asm.RAX)
	p.Inc(4, asm.RDX)
	clearConsole(p)
	p.Store(4, asm.At(asm.R14, xen.ConsoleOutProd), asm.RDX)
	p.notifyConsole()
	p.Label(top)
	p.Load(4, asm.RAX, asm.At(asm.R14, xen.ConsoleOutProd))
	p.OpLoad(asm.CMP, 4, asm.RAX, asm.At(asm.R14, xen.ConsoleOutCons))
	p.Jcc(asm.E, taken)
	systemTime(p)
	p.OpI(asm.ADD, 8, asm.RAX, pollMillis*1_000_000)
	p.Store(8, mem(poll+16), asm.RAX)
	p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, poll)
	clearConsole(p)
	p.Jmp(top)
	p.Label(taken)
}

// clearConsole takes the console's event. Its port is masked.
func clearConsole(p *prog) {
	p.Load(4, asm.RAX, mem(p.words.conPort))
	p.RM(8, []byte{0xf0, 0x0f, 0xb3}, asm.RAX, mem(p.words.shared+sharedPending)) // lock btr
}
