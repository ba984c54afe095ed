package gauge

import (
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// ahead is how far ahead timers are set, in nanoseconds.
const ahead = 50_000

func timers() []Workload {
	return []Workload{
		{Name: "clock/read", Area: AreaEvents, Meaning: "the system time is read from Xen's time info and the counter", Ops: 256, xen: true,
			op: systemTime},
		{Name: "timer/set", Area: AreaEvents, Meaning: "the one-shot timer is set, far ahead", Ops: 128, xen: true,
			setup: func(p *prog) { timerSetup(p); p.set(p.words.timerCall, 1<<62) }, op: setTimer, end: timerEnd},
		{Name: "timer/fire", Area: AreaEvents, Meaning: "the timer is set to a time that is past, until its upcall handler has returned", Ops: 64, xen: true,
			setup: func(p *prog) { timerSetup(p); p.set(p.words.timerCall, 1); p.mode.allow(p) },
			op:    func(p *prog) { eventOnce(p, func() { setTimer(p) }, nil) },
			end:   func(p *prog) { p.mode.forbid(p); timerEnd(p) }},
		{Name: "timer/late", Area: AreaEvents, Meaning: "how late a processor that halted for 50 µs has come back from the upcall", Ops: 8, Unit: Nanos, xen: true,
			setup: timerSetup, op: lateTimer, end: timerEnd},
	}
}

func timerSetup(p *prog) {
	upcalls(p)
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_stop_periodic_timer, 0, 0)
	at := p.arg(0, &xen.EvtchnBindVIRQ{VIRQ: xen.VIRQ_TIMER})
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_virq, at)
	p.keepPort(at + 8)
	p.set(p.words.timerCall+8, 0)
}

func timerEnd(p *prog) {
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_stop_singleshot_timer, 0, 0)
	closePort(p)
}

// setTimer sets the timer to the time in timerCall.
func setTimer(p *prog) {
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_set_singleshot_timer, 0, p.words.timerCall)
}

func lateTimer(p *prog) {
	systemTime(p)
	p.OpI(asm.ADD, 8, asm.RAX, ahead)
	p.Store(8, mem(p.words.timerCall), asm.RAX)
	eventOnce(p, func() { setTimer(p) }, p.mode.halt)
	systemTime(p)
	p.OpLoad(asm.SUB, 8, asm.RAX, mem(p.words.timerCall))
	p.OpStore(asm.ADD, 8, mem(p.words.sum), asm.RAX)
}

// systemTime leaves Xen's system time in rax (public/xen.h, struct vcpu_time_info).
func systemTime(p *prog) {
	again, right, scale := p.label(), p.label(), p.label()
	at := func(off uint64) asm.Mem { return mem(p.words.shared + sharedTime + off) }
	p.Label(again)
	p.Load(4, asm.R8, at(0)) // version
	p.Raw(0x0f, 0xae, 0xe8)  // lfence
	p.Raw(0x0f, 0x31)        // rdtsc
	p.Shl(8, asm.RDX, 32)
	p.Op(asm.OR, 8, asm.RAX, asm.RDX)
	p.OpLoad(asm.SUB, 8, asm.RAX, at(8)) // tsc_timestamp
	p.RM(4, []byte{0x0f, 0xbe}, asm.RCX, at(28))
	p.Test(4, asm.RCX, asm.RCX)
	p.Jcc(asm.S, right)
	p.Raw(0x48, 0xd3, 0xe0) // shl rax, cl
	p.Jmp(scale)
	p.Label(right)
	p.Raw(0xf7, 0xd9)       // neg ecx
	p.Raw(0x48, 0xd3, 0xe8) // shr rax, cl
	p.Label(scale)
	p.Load(4, asm.RCX, at(24))            // tsc_to_system_mul
	p.Raw(0x48, 0xf7, 0xe1)               // mul rcx
	p.Raw(0x48, 0x0f, 0xac, 0xd0, 32)     // shrd rax, rdx, 32
	p.OpLoad(asm.ADD, 8, asm.RAX, at(16)) // system_time
	p.Raw(0x0f, 0xae, 0xe8)
	p.OpLoad(asm.CMP, 4, asm.R8, at(0))
	p.Jcc(asm.NE, again)
	p.OpI(asm.AND, 4, asm.R8, 1) // being written
	p.Jcc(asm.NE, again)
}
