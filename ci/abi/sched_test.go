package abi

import (
	"gozen/benches/guest/abi"
	"gozen/hypervisor/control"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

const schedOp = xen.HYPERVISOR_sched_op

func schedRows() []row {
	ends := func(code string) func(*guest) {
		return func(g *guest) {
			if r := g.wait(); r.Code != code {
				g.t.Errorf("the domain ended with %s: %s, want %s", r.Code, r.Text, code)
			}
		}
	}
	shutdown := func(op uint64, reason uint32) func(p *abi.Prog) func(*guest) {
		return func(p *abi.Prog) func(*guest) {
			fault := p.Call(schedOp, op, 1<<40)
			p.Call(schedOp, op, p.Struct(&xen.SchedShutdown{Reason: reason}))
			if op == xen.SCHEDOP_shutdown {
				p.Forever(func() { p.Raw(0x90) })
			} // else the guest powers off, for that reason
			return func(g *guest) { g.fails("an unreadable reason", fault, xen.EFAULT) }
		}
	}
	return []row{
		{name: "yield, block and poll", covers: []string{"sched_op/yield", "sched_op/block", "sched_op/poll"}, guest: blockPoll},
		{name: "shutdown", covers: []string{"sched_op/shutdown"}, guest: shutdown(xen.SCHEDOP_shutdown, xen.SHUTDOWN_reboot), end: ends(control.ReasonReboot)},
		{name: "shutdown for a crash", covers: []string{"sched_op/shutdown"}, guest: shutdown(xen.SCHEDOP_shutdown, xen.SHUTDOWN_crash), end: ends(control.ReasonCrash)},
		{name: "shutdown code", covers: []string{"sched_op/shutdown_code"}, guest: shutdown(xen.SCHEDOP_shutdown_code, xen.SHUTDOWN_suspend), end: ends(control.ReasonSuspend)},
		{name: "watchdog", covers: []string{"sched_op/watchdog"}, end: ends(control.ReasonWatchdog), guest: watchdog},
		{name: "set_timer_op", covers: []string{"set_timer_op"}, guest: setTimer},
	}
}

// timer binds VIRQ_TIMER of vCPU 0 and gives its port.
func timer(p *abi.Prog) abi.Addr {
	_, v := p.Event(xen.EVTCHNOP_bind_virq, &xen.EvtchnBindVIRQ{VIRQ: xen.VIRQ_TIMER})
	return keep4(p, v+8)
}

// now keeps the system time.
func now(p *abi.Prog) abi.Addr {
	at := p.Words(1)
	p.Call(hvmOp, xen.HVMOP_get_time, at)
	return at
}

// ahead fills a word with a time in ns from now.
func ahead(p *abi.Prog, at abi.Addr, ns uint64) {
	t := now(p)
	p.Load(8, asm.RAX, p.Mem(t))
	p.MovI(asm.RCX, ns)
	p.Op(asm.ADD, 8, asm.RAX, asm.RCX)
	p.Store(8, p.Mem(at), asm.RAX)
}

const ms = 1e6

func blockPoll(p *abi.Prog) func(*guest) {
	p.IDT()
	shared := p.Shared()
	up := p.Upcall2L(upcallVector, shared, shared, false)
	p.Callback(upcallVector)
	tick := timer(p)
	one := p.Words(2)
	single := func(ns uint64) abi.Addr {
		ahead(p, one, ns)
		return p.Call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_set_singleshot_timer, 0, one)
	}
	yield := p.Call(schedOp, xen.SCHEDOP_yield, 0)
	armed := single(5 * ms)
	before := now(p)
	p.Sti()
	block := p.Call(schedOp, xen.SCHEDOP_block, 0)
	p.Cli()
	blocked := keep4(p, up.Count)
	after := now(p)
	// A poll that times out: nothing is pending on the port.
	poll := func(n uint32, ports abi.Addr, ns uint64) abi.Addr {
		a := p.Struct(&xen.SchedPoll{Ports: ports, NrPorts: n})
		if ns != 0 {
			ahead(p, a+16, ns)
		}
		return p.Call(schedOp, xen.SCHEDOP_poll, a)
	}
	out := poll(1, tick, 7*ms)
	late := now(p)
	// A poll that an event ends, with interrupts off and the port masked.
	setMask(p, shared, tick, true)
	armed2 := single(3 * ms)
	event := poll(1, tick, 0)
	seen := p.KeepBytes(shared+abi.SharedPending, 8)
	at := poll(1, tick, 0) // it is pending still: answers at once
	many := poll(129, tick, 0)
	bad := poll(1, p.Bytes([]byte{0xff, 0xff, 0xff, 0x7f}), ms)
	fault := p.Call(schedOp, xen.SCHEDOP_poll, 1<<40)
	return func(g *guest) {
		g.ok("sched_op", yield, armed, block, out, armed2, event, at)
		g.is("upcalls after the block", blocked, 1)
		if d := g.u64(after) - g.u64(before); int64(d) < 4*ms {
			g.t.Errorf("the block lasted %d ns", d)
		}
		if d := g.u64(late) - g.u64(after); int64(d) < 7*ms {
			g.t.Errorf("the poll lasted %d ns", d)
		}
		if g.u64(seen)&(1<<g.u64(tick)) == 0 {
			g.t.Error("the poll ended without an event")
		}
		g.fails("129 ports", many, xen.EINVAL)
		g.fails("a bad port", bad, xen.EINVAL)
		g.fails("an unreadable argument", fault, xen.EFAULT)
	}
}

func watchdog(p *abi.Prog) func(*guest) {
	dog := func(id, seconds uint32) abi.Addr {
		return p.Call(schedOp, xen.SCHEDOP_watchdog, p.Struct(&xen.SchedWatchdog{ID: id, Timeout: seconds}))
	}
	first, second, third := dog(0, 100), dog(0, 1), dog(0, 1)
	stop, stopped, bad := dog(1, 0), dog(1, 5), dog(9, 1)
	p.Sti()
	p.Forever(func() { p.Hlt() })
	return func(g *guest) {
		g.is("first watchdog", first, 1)
		g.is("second watchdog", second, 2)
		g.ok("stop", stop)
		g.fails("a third watchdog", third, xen.ENOSPC)
		g.fails("a stopped one", stopped, xen.EINVAL)
		g.fails("watchdog 9", bad, xen.EINVAL)
	}
}

func setTimer(p *abi.Prog) func(*guest) {
	p.IDT()
	shared := p.Shared()
	up := p.Upcall2L(upcallVector, shared, shared, false)
	p.Callback(upcallVector)
	tick := timer(p)
	t := p.Words(1)
	var r []abi.Addr
	for i := uint32(1); i <= 3; i++ {
		ahead(p, t, 2*ms)
		p.Load(8, asm.RDI, p.Mem(t))
		p.Enter(xen.HYPERVISOR_set_timer_op)
		r = append(r, p.Keep(asm.RAX))
		p.AwaitInterrupts(up.Count, i)
	}
	end, last := now(p), p.KeepBytes(t, 8)
	// A stopped timer does not fire; the poll's own timeout ends it.
	ahead(p, t, 2*ms)
	p.Load(8, asm.RDI, p.Mem(t))
	p.Enter(xen.HYPERVISOR_set_timer_op)
	stop := p.Call(xen.HYPERVISOR_set_timer_op, 0)
	a := p.Struct(&xen.SchedPoll{Ports: tick, NrPorts: 1})
	ahead(p, a+16, 6*ms)
	p.Call(schedOp, xen.SCHEDOP_poll, a)
	return func(g *guest) {
		g.ok("set_timer_op", append(r, stop)...)
		g.is("ticks", up.Count, 3)
		if g.u64(end) < g.u64(last) {
			g.t.Error("a tick came before its time")
		}
	}
}
