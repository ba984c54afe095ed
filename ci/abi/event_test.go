package abi

import (
	"gozen/benches/guest/abi"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

const (
	eventOp      = xen.HYPERVISOR_event_channel_op
	upcallVector = 0xf3
)

func eventRows() []row {
	return []row{
		{name: "2-level events", covers: []string{"event_channel_op/alloc_unbound", "event_channel_op/bind_interdomain", "event_channel_op/send",
			"event_channel_op/status", "event_channel_op/close", "event_channel_op/unmask", "event_channel_op/bind_ipi", "hvm_op/set_param"}, guest: twoLevel},
		{name: "port life", covers: []string{"event_channel_op/bind_virq", "event_channel_op/bind_vcpu", "event_channel_op/status",
			"event_channel_op/close", "event_channel_op/reset"}, opts: []option{vcpus(2)}, guest: portLife},
		{name: "FIFO events", covers: []string{"event_channel_op/init_control", "event_channel_op/expand_array", "event_channel_op/set_priority"}, guest: fifo},
		{name: "own vector", covers: []string{"hvm_op/set_evtchn_upcall_vector"}, guest: ownVector},
		{name: "own vector with FIFO", covers: []string{"hvm_op/set_evtchn_upcall_vector", "event_channel_op/init_control"}, guest: ownVectorFIFO},
		{name: "IPI between vCPUs", covers: []string{"event_channel_op/bind_ipi", "event_channel_op/send", "vcpu_op/initialise", "vcpu_op/up", "vcpu_op/down"},
			opts: []option{vcpus(2)}, guest: ipi},
		{name: "startup IPI", opts: []option{vcpus(2)}, guest: startup},
	}
}

// pair binds a loopback channel: what is sent on local arrives at remote. Words with both ports.
func pair(p *abi.Prog) (remote, local abi.Addr, results []abi.Addr) {
	r1, a := p.Event(xen.EVTCHNOP_alloc_unbound, &xen.EvtchnAllocUnbound{Dom: self, RemoteDom: self})
	b := p.Struct(&xen.EvtchnBindInterdomain{RemoteDom: self})
	p.Copy(4, b+4, a+4)
	r2 := p.Call(eventOp, xen.EVTCHNOP_bind_interdomain, b)
	return keep4(p, a+4), keep4(p, b+8), []abi.Addr{r1, r2}
}

func keep4(p *abi.Prog, at abi.Addr) abi.Addr {
	p.Load(4, asm.RAX, p.Mem(at))
	return p.Keep(asm.RAX)
}

// drain takes the events that wait, among them the one that Xen raises on the near end of a channel when it is bound, and
// forgets that they were counted.
func drain(p *abi.Prog, counts ...abi.Addr) {
	p.Sti()
	p.Raw(0x90, 0x90)
	p.Cli()
	for _, c := range counts {
		p.Set(c, 0)
	}
}

// onPort makes an operation whose struct begins with the port that a word holds.
func onPort(p *abi.Prog, op uint64, port abi.Addr) abi.Addr {
	arg := p.Words(2)
	p.Copy(4, arg, port)
	return p.Call(eventOp, op, arg)
}

func send(p *abi.Prog, port abi.Addr) abi.Addr { return onPort(p, xen.EVTCHNOP_send, port) }

// statusOf keeps an evtchn_status.
func statusOf(p *abi.Prog, port abi.Addr) (result, arg abi.Addr) {
	arg = p.Struct(&xen.EvtchnStatus{Dom: self})
	p.Copy(4, arg+4, port)
	return p.Call(eventOp, xen.EVTCHNOP_status, arg), arg
}

// setMask sets or clears the 2-level mask bit of the port that a word holds.
func setMask(p *abi.Prog, shared, port abi.Addr, on bool) {
	op := byte(0xb3) // btr
	if on {
		op = 0xab // bts
	}
	p.Load(4, asm.RAX, p.Mem(port))
	p.RM(8, []byte{0xf0, 0x0f, op}, asm.RAX, p.Mem(shared+abi.SharedMask))
}

func twoLevel(p *abi.Prog) func(*guest) {
	p.IDT()
	shared := p.Shared()
	up := p.Upcall2L(upcallVector, shared, shared, false)
	set := p.Callback(upcallVector)
	remote, local, made := pair(p)
	p.AwaitInterrupts(up.Count, 1)
	near := p.KeepBytes(up.Seen, 8)
	drain(p, up.Count, up.Seen)
	sent := send(p, local)
	p.AwaitInterrupts(up.Count, 1)
	first := keep4(p, up.Count)
	// While masked the bit is set and no upcall comes; unmasking brings it.
	setMask(p, shared, remote, true)
	masked := send(p, local)
	p.Sti()
	p.Raw(0x90, 0x90)
	p.Cli()
	quiet, bits := keep4(p, up.Count), p.KeepBytes(shared+abi.SharedPending, 8)
	unmask := onPort(p, xen.EVTCHNOP_unmask, remote)
	p.AwaitInterrupts(up.Count, 2)
	// An IPI to itself.
	r, b := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
	self1 := keep4(p, b+4)
	s := send(p, self1)
	p.AwaitInterrupts(up.Count, 3)
	st, arg := statusOf(p, remote)
	closed := onPort(p, xen.EVTCHNOP_close, remote)
	peer, arg2 := statusOf(p, local)
	bad := []abi.Addr{onPort(p, xen.EVTCHNOP_close, remote), p.Call(eventOp, xen.EVTCHNOP_send, p.Struct(&xen.EvtchnSend{Port: 999})),
		p.Call(eventOp, xen.EVTCHNOP_unmask, p.Struct(&xen.EvtchnUnmask{Port: 1 << 30}))}
	fault := p.Call(eventOp, xen.EVTCHNOP_send, 1<<40)
	return func(g *guest) {
		g.ok("event_channel_op", append(made, set, sent, masked, unmask, r, s, st, closed, peer)...)
		g.is("ports seen after binding", near, 1<<g.u64(local))
		g.is("upcalls after one event", first, 1)
		g.is("upcalls while masked", quiet, 1)
		if g.u64(bits)&(1<<g.u64(remote)) == 0 {
			g.t.Error("a masked event is not pending")
		}
		g.is("ports seen", up.Seen, 1<<g.u64(remote)|1<<g.u64(self1))
		var es xen.EvtchnStatus
		if g.decode(arg, &es); es.Status != xen.EVTCHNSTAT_interdomain || uint64(es.RemotePort) != g.u64(local) {
			g.t.Errorf("status %+v", es)
		}
		if g.decode(arg2, &es); es.Status != xen.EVTCHNSTAT_unbound {
			g.t.Errorf("status of the peer of a closed port %+v", es)
		}
		for _, a := range bad {
			g.fails("a bad port", a, xen.EINVAL)
		}
		g.fails("an unreadable argument", fault, xen.EFAULT)
	}
}

func portLife(p *abi.Prog) func(*guest) {
	r1, v := p.Event(xen.EVTCHNOP_bind_virq, &xen.EvtchnBindVIRQ{VIRQ: xen.VIRQ_TIMER, VCPU: 1})
	twice, _ := p.Event(xen.EVTCHNOP_bind_virq, &xen.EvtchnBindVIRQ{VIRQ: xen.VIRQ_TIMER, VCPU: 1})
	noVIRQ, _ := p.Event(xen.EVTCHNOP_bind_virq, &xen.EvtchnBindVIRQ{VIRQ: 24})
	noVCPU, _ := p.Event(xen.EVTCHNOP_bind_virq, &xen.EvtchnBindVIRQ{VCPU: 2})
	port := keep4(p, v+8)
	r2, arg := statusOf(p, port)
	remote, _, made := pair(p)
	b := p.Struct(&xen.EvtchnBindVCPU{VCPU: 1})
	p.Copy(4, b, remote)
	r3 := p.Call(eventOp, xen.EVTCHNOP_bind_vcpu, b)
	_, moved := statusOf(p, remote)
	p.Copy(4, b, port)
	fixed := p.Call(eventOp, xen.EVTCHNOP_bind_vcpu, b)
	p.Set(b, 2<<32)
	p.Copy(4, b, remote)
	far := p.Call(eventOp, xen.EVTCHNOP_bind_vcpu, b)
	r4 := onPort(p, xen.EVTCHNOP_close, port)
	_, closed := statusOf(p, port)
	reset, _ := p.Event(xen.EVTCHNOP_reset, &xen.EvtchnReset{Dom: self})
	_, after := statusOf(p, remote)
	pirq, _ := p.Event(xen.EVTCHNOP_bind_pirq, &xen.EvtchnBindPIRQ{})
	other, _ := p.Event(xen.EVTCHNOP_reset, &xen.EvtchnReset{Dom: 88})
	return func(g *guest) {
		g.ok("event_channel_op", append(made, r1, r2, r3, r4, reset)...)
		g.fails("a VIRQ bound twice", twice, xen.EEXIST)
		g.fails("an unknown VIRQ", noVIRQ, xen.EINVAL)
		g.fails("a missing vCPU", noVCPU, xen.ENOENT)
		g.fails("a timer's vCPU", fixed, xen.EINVAL)
		g.fails("a port to a missing vCPU", far, xen.ENOENT)
		g.fails("a physical interrupt", pirq, xen.EINVAL)
		g.fails("reset of another domain", other, xen.ESRCH)
		var es xen.EvtchnStatus
		if g.decode(arg, &es); es.Status != xen.EVTCHNSTAT_virq || es.VCPU != 1 || es.U != xen.VIRQ_TIMER {
			g.t.Errorf("status of the timer %+v", es)
		}
		if g.decode(moved, &es); es.VCPU != 1 {
			g.t.Errorf("status of a moved port %+v", es)
		}
		if g.decode(closed, &es); es.Status != xen.EVTCHNSTAT_closed {
			g.t.Errorf("status of a closed port %+v", es)
		}
		if g.decode(after, &es); es.Status != xen.EVTCHNSTAT_closed {
			g.t.Errorf("status after the reset %+v", es)
		}
	}
}

// fifoGuest gives the domain a control block and one page of event words.
type fifoGuest struct {
	control, array abi.Addr
	results        []abi.Addr
	bits           abi.Addr
	count          abi.Addr
	ports          abi.Addr // eight words: the ports in the order of their delivery
	ready          abi.Addr // eight words: what was ready then
}

// fifoEvents makes the set-up and a handler that takes all queues in order of priority.
func fifoEvents(p *abi.Prog, vector uint8, info abi.Addr, eoi bool) fifoGuest {
	f := fifoGuest{control: p.NewPage(), array: p.NewPage(), count: p.Words(1), ports: p.Words(8), ready: p.Words(8)}
	r, arg := p.Event(xen.EVTCHNOP_init_control, &xen.EvtchnInitControl{ControlGFN: f.control >> 12, Offset: 0})
	f.bits = arg + 16
	e, _ := p.Event(xen.EVTCHNOP_expand_array, &xen.EvtchnExpandArray{ArrayGFN: f.array >> 12})
	f.results = []abi.Addr{r, e}
	p.Handler(vector, func() {
		p.Set8(info, 0)
		queue, next, done, more := p.NewLabel(), p.NewLabel(), p.NewLabel(), p.NewLabel()
		p.MovI(asm.RBX, 0)
		p.RM(4, []byte{0x87}, asm.RBX, p.Mem(f.control+xen.FIFOControlReady)) // xchg
		p.Label(queue)
		p.RR(4, []byte{0x0f, 0xbc}, asm.RCX, asm.RBX) // bsf: the best priority
		p.Jcc(asm.E, done)
		p.MovI(asm.RDI, f.control+xen.FIFOControlHead)
		p.Load(4, asm.RDX, asm.Idx(asm.RDI, asm.RCX, 4, 0)) // head
		p.Label(more)
		p.Test(4, asm.RDX, asm.RDX)
		p.Jcc(asm.E, next)
		p.Load(4, asm.RAX, p.Mem(f.count))
		p.OpI(asm.AND, 4, asm.RAX, 7)
		p.MovI(asm.R8, f.ports)
		p.Store(8, asm.Idx(asm.R8, asm.RAX, 8, 0), asm.RDX)
		p.MovI(asm.R8, f.ready)
		p.Store(8, asm.Idx(asm.R8, asm.RAX, 8, 0), asm.RBX)
		p.MovI(asm.R8, f.array)
		p.MovI(asm.R9, 0)
		p.RM(4, []byte{0x87}, asm.R9, asm.Idx(asm.R8, asm.RDX, 4, 0)) // take link and bits together
		p.OpMI(asm.ADD, 4, p.Mem(f.count), 1)
		p.Mov(4, asm.RDX, asm.R9)
		p.OpI(asm.AND, 4, asm.RDX, xen.EVTCHN_FIFO_LINK_MASK)
		p.Jmp(more)
		p.Label(next)
		p.RR(4, []byte{0x0f, 0xb3}, asm.RCX, asm.RBX) // btr
		p.Jmp(queue)
		p.Label(done)
		if eoi {
			p.WriteMSR(0x80b, 0)
		}
	})
	return f
}

func fifo(p *abi.Prog) func(*guest) {
	p.IDT()
	shared := p.Shared()
	f := fifoEvents(p, upcallVector, shared, false)
	set := p.Callback(upcallVector)
	low, sendLow, r1 := pair(p)
	high, sendHigh, r2 := pair(p)
	third, sendThird, r3 := pair(p)
	prio := func(port abi.Addr, n uint32) abi.Addr {
		a := p.Struct(&xen.EvtchnSetPriority{Priority: n})
		p.Copy(4, a, port)
		return p.Call(eventOp, xen.EVTCHNOP_set_priority, a)
	}
	s := []abi.Addr{prio(low, xen.EVTCHN_FIFO_PRIORITY_MIN), prio(high, xen.EVTCHN_FIFO_PRIORITY_MAX), prio(third, xen.EVTCHN_FIFO_PRIORITY_MIN)}
	bad := prio(low, 16)
	drain(p, f.count)
	s = append(s, send(p, sendLow), send(p, sendThird), send(p, sendHigh))
	p.AwaitInterrupts(f.count, 3)
	again, _ := p.Event(xen.EVTCHNOP_init_control, &xen.EvtchnInitControl{ControlGFN: f.control >> 12, Offset: 4097})
	return func(g *guest) {
		s = append(append(append(append(s, r1...), r2...), r3...), append(f.results, set)...)
		g.ok("event_channel_op", s...)
		g.is("link bits", f.bits, xen.EVTCHN_FIFO_LINK_BITS)
		g.is("first event", f.ports, g.u64(high))
		g.is("second event", f.ports+8, g.u64(low))
		g.is("third event", f.ports+16, g.u64(third))
		g.fails("priority 16", bad, xen.EINVAL)
		if g.u64(again) == 0 {
			g.t.Error("a control block across pages was taken")
		}
		if abi := g.m.Info().EventABI; abi != "fifo" {
			g.t.Errorf("event ABI %q", abi)
		}
	}
}

func setVector(p *abi.Prog, vcpu uint32, vector uint8) abi.Addr {
	return p.Call(xen.HYPERVISOR_hvm_op, xen.HVMOP_set_evtchn_upcall_vector, p.Struct(&xen.HVMEvtchnUpcallVector{VCPU: vcpu, Vector: vector}))
}

func ownVector(p *abi.Prog) func(*guest) {
	p.IDT()
	p.X2APIC()
	shared := p.Shared()
	up := p.Upcall2L(0x55, shared, shared, true)
	other := p.CountInterrupts(upcallVector, false)
	set := p.Callback(upcallVector) // must not be used
	vec := setVector(p, 0, 0x55)
	low := setVector(p, 0, 15)
	far := setVector(p, 9, 0x55)
	p.AwaitInterrupts(up.Count, 1) // Xen raises it once when it is set
	remote, local, made := pair(p)
	p.AwaitInterrupts(up.Count, 2)
	drain(p, up.Seen)
	for i := uint32(0); i < 3; i++ {
		send(p, local)
		p.AwaitInterrupts(up.Count, 3+i)
	}
	isr := p.ReadMSR(0x812)
	return func(g *guest) {
		g.ok("calls", append(made, set, vec)...)
		g.is("upcalls", up.Count, 5)
		g.is("upcalls by the callback vector", other, 0)
		g.is("ports seen", up.Seen, 1<<g.u64(remote))
		g.is("interrupts in service", isr, 0)
		g.fails("vector 15", low, xen.EINVAL)
		g.fails("a missing vCPU", far, xen.ENOENT)
	}
}

func ownVectorFIFO(p *abi.Prog) func(*guest) {
	p.IDT()
	p.X2APIC()
	shared := p.Shared()
	f := fifoEvents(p, 0x56, shared, true)
	vec := setVector(p, 0, 0x56)
	remote, local, made := pair(p)
	drain(p, f.count)
	send(p, local)
	p.AwaitInterrupts(f.count, 1)
	send(p, local)
	p.AwaitInterrupts(f.count, 2)
	return func(g *guest) {
		g.ok("calls", append(append(made, vec), f.results...)...)
		g.is("first event", f.ports, g.u64(remote))
		g.is("second event", f.ports+8, g.u64(remote))
		g.is("events", f.count, 2)
	}
}

// ipi starts vCPU 1 by hypercall and plays ping-pong with it over two IPI channels.
func ipi(p *abi.Prog) func(*guest) {
	const rounds = 20
	p.IDT()
	shared := p.Shared()
	info1 := shared + 64
	up := p.Upcall2L(upcallVector, shared, shared, false)
	set := p.Callback(upcallVector)
	r0, b0 := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
	r1, b1 := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{VCPU: 1})
	noVCPU, _ := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{VCPU: 2})
	pings, ready, apic := p.Words(1), p.Words(1), p.Words(1)
	ap := p.OnAP(func() {
		// The handler is the domain's: vCPU 1 polls its vcpu_info instead, with interrupts off.
		top := p.NewLabel()
		p.MovI(asm.RAX, 1)
		p.Push(asm.RBX)
		p.Cpuid()
		p.Store(8, p.Mem(apic), asm.RBX)
		p.Pop(asm.RBX)
		p.Set32(ready, 1)
		p.Label(top)
		p.AwaitSpinning(info1, 1)
		p.Set8(info1, 0)
		p.Load(4, asm.RCX, p.Mem(b1+4))
		p.RM(8, []byte{0xf0, 0x0f, 0xb3}, asm.RCX, p.Mem(shared+abi.SharedPending)) // lock btr
		p.MovI(asm.RAX, 0)
		p.RM(8, []byte{0x87}, asm.RAX, p.Mem(info1+abi.PendingSel))
		p.OpMI(asm.ADD, 8, p.Mem(pings), 1)
		send(p, b0+4)
		p.OpMI(asm.CMP, 8, p.Mem(pings), rounds)
		p.Jcc(asm.NE, top)
	})
	initialise, upRes := p.Initialise(ap)
	p.AwaitSpinning(ready, 1)
	for i := uint32(1); i <= rounds; i++ {
		send(p, b1+4)
		p.AwaitInterrupts(up.Count, i)
	}
	down, yield := p.NewLabel(), p.Words(1)
	p.Label(down) // until vCPU 1 is down
	p.Call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_yield, 0)
	p.MovI(asm.RDI, xen.VCPUOP_is_up)
	p.MovI(asm.RSI, 1)
	p.Enter(xen.HYPERVISOR_vcpu_op)
	p.Store(8, p.Mem(yield), asm.RAX)
	p.Test(4, asm.RAX, asm.RAX)
	p.Jcc(asm.NE, down)
	return func(g *guest) {
		g.ok("calls", set, r0, r1, initialise, upRes)
		g.fails("an IPI to a missing vCPU", noVCPU, xen.ENOENT)
		g.is("pings", pings, rounds)
		g.is("pongs", up.Count, rounds)
		if id := g.u64(apic) >> 24; id != 2 {
			g.t.Errorf("APIC id of vCPU 1 is %d, want 2", id)
		}
	}
}

// startup starts vCPU 1 by INIT and startup IPI through the x2APIC; it sends a fixed IPI back.
func startup(p *abi.Prog) func(*guest) {
	p.IDT()
	p.X2APIC()
	got := p.CountInterrupts(0x60, true)
	id := p.Words(1)
	ap := p.OnAP(func() {
		p.X2APIC()
		a := p.ReadMSR(0x802)
		p.Copy(8, id, a)
		p.WriteMSR(0x830, 0<<32|0x4000|0x60)
	})
	p.StartIPI(p.Trampoline(ap))
	p.AwaitInterrupts(got, 1)
	mine := p.ReadMSR(0x802)
	return func(g *guest) {
		g.is("interrupts", got, 1)
		g.is("x2APIC id of vCPU 1", id, 2)
		g.is("x2APIC id of vCPU 0", mine, 0)
	}
}
