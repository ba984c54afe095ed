package gauge

import (
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Offsets in the 64-bit shared info page; vcpu_info of vCPU 0 is at its start.
const (
	sharedUpcall  = 0
	sharedBlocked = 1 // evtchn_upcall_mask
	sharedSel     = 8
	sharedTime    = 32
	sharedPending = 2048
	sharedMask    = 2560
)

// calls8 is how many calls a multicall makes.
const calls8 = 8

func events() []Workload {
	multi := uint64(0)
	return []Workload{
		{Name: "hypercall/null", Area: AreaEvents, Meaning: "xen_version, the hypercall that does nothing", Ops: 256, xen: true,
			op: func(p *prog) { p.call(xen.HYPERVISOR_xen_version, xen.XENVER_version, 0) }},
		{Name: "hypercall/multicall8", Area: AreaEvents, Meaning: "eight of them in one multicall", Ops: 64, xen: true,
			setup: func(p *prog) { multi = multicall(p) },
			op:    func(p *prog) { p.call(xen.HYPERVISOR_multicall, multi, calls8) }},
		{Name: "sched/yield", Area: AreaEvents, Meaning: "SCHEDOP_yield with nobody to yield to", Ops: 128, xen: true,
			op: func(p *prog) { p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_yield, 0) }},
		{Name: "evtchn/mask", Area: AreaEvents, Meaning: "an event on a masked port: sent, seen pending and cleared, no upcall", Ops: 128, xen: true,
			setup: func(p *prog) { bindIPI(p); maskPort(p) }, op: func(p *prog) { sendEvent(p); p.set(p.words.shared+sharedPending, 0) }, end: closePort},
		{Name: "evtchn/self", Area: AreaEvents, Meaning: "an event to the own vCPU: from the send until the upcall handler has returned", Ops: 128, xen: true,
			setup: func(p *prog) { upcalls(p); bindIPI(p); p.mode.allow(p) },
			op:    func(p *prog) { eventOnce(p, func() { sendEvent(p) }, nil) },
			end:   func(p *prog) { p.mode.forbid(p); closePort(p) }},
		{Name: "sched/halt", Area: AreaEvents, Meaning: "the processor halts with an event on its way, and takes it", Ops: 64, xen: true,
			setup: func(p *prog) { upcalls(p); bindIPI(p) },
			op:    func(p *prog) { eventOnce(p, func() { sendEvent(p) }, p.mode.halt) }, end: closePort},
	}
}

// multicall makes a list of eight entries that call xen_version.
func multicall(p *prog) uint64 {
	at := p.page()
	for i := range uint64(calls8) {
		p.set(at+64*i, xen.HYPERVISOR_xen_version)
		p.set(at+64*i+16, xen.XENVER_version)
		p.set(at+64*i+24, 0)
	}
	return at
}

// bindIPI gives the guest a port whose events are its own.
func bindIPI(p *prog) {
	at := p.arg(0, &xen.EvtchnBindIPI{VCPU: 0})
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, at)
	p.keepPort(at + 4)
}

// keepPort makes the port at an address the one that is measured.
func (p *prog) keepPort(at uint64) {
	p.Load(4, asm.RAX, mem(at))
	p.Store(4, mem(p.words.port), asm.RAX)
	p.set(p.words.events, 0)
	p.MovI(asm.R14, 0)
}

// maskPort masks it.
func maskPort(p *prog) {
	p.Load(4, asm.RAX, mem(p.words.port))
	p.RM(8, []byte{0x0f, 0xab}, asm.RAX, mem(p.words.shared+sharedMask)) // bts
}

// closePort closes the port that is measured.
func closePort(p *prog) {
	p.Load(4, asm.RAX, mem(p.words.port))
	p.RM(8, []byte{0x0f, 0xb3}, asm.RAX, mem(p.words.shared+sharedMask)) // btr
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_close, p.words.port)
}

func sendEvent(p *prog) {
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, p.words.port)
}

// upcalls makes the handler of upcalls: it clears what is pending and counts events on the measured port.
func upcalls(p *prog) {
	p.mode.upcalls(p, p.outOfLine(func() {
		p.Push(asm.RAX)
		p.Push(asm.RCX)
		p.OpMI(asm.AND, 1, mem(p.words.shared+sharedUpcall), 0)
		for _, at := range []uint64{sharedSel, sharedPending} {
			p.MovI(asm.RAX, 0)
			p.RM(8, []byte{0x87}, asm.RAX, mem(p.words.shared+at)) // xchg
		}
		p.Load(4, asm.RCX, mem(p.words.port))
		p.Raw(0x48, 0x0f, 0xa3, 0xc8) // bt rax, rcx
		p.OpMI(asm.ADC, 8, mem(p.words.events), 0)
		p.Pop(asm.RCX)
		p.Pop(asm.RAX)
		p.mode.trapReturn(p)
	}))
}

// eventOnce does what causes an event and waits until the upcall handler has counted it, r14 being the count that is due. wait is done between looks.
func eventOnce(p *prog, cause func(), wait func(*prog)) {
	top, seen := p.label(), p.label()
	p.Inc(8, asm.R14)
	cause()
	p.Label(top)
	p.OpLoad(asm.CMP, 8, asm.R14, mem(p.words.events))
	p.Jcc(asm.E, seen)
	if wait != nil {
		wait(p)
	} else {
		p.Raw(0xf3, 0x90) // pause
	}
	p.Jmp(top)
	p.Label(seen)
}
