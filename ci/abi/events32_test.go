package abi

import (
	"gozen/benches/guest/abi32"
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

var layout32 = xen.Shared(xen.ABI32)

// timer32 is a kernel in small: it prints, waits for its timer by upcall, prints again, and powers off by hypercall.
func timer32(p *abi32.Prog) func(*guest32) {
	const text = "a 32-bit guest on gozen\r\n"
	shared, up, port, r := p.Timer(upcallVector)
	p.Print(text)
	for i := range int32(3) {
		r = append(r, p.Tick(shared, up, 3*ms, i+1))
	}
	wall := p.Words(3)
	for i, off := range []uint32{layout32.WCSec, layout32.WCNsec, layout32.WCSecHi} {
		p.Copy(wall+4*abi32.Addr(i), shared+off)
	}
	p.PowerOff()
	return func(g *guest32) {
		g.ok("calls", r...)
		if n := g.word(port); n == 0 || g.word(up.Seen)>>n&1 == 0 {
			g.t.Errorf("port %d, ports seen %#x", n, g.word(up.Seen))
		}
		if n := g.word(up.Count); n < 3 {
			g.t.Errorf("%d upcalls, want 3", n)
		}
		if s := g.console(); s != text {
			g.t.Errorf("console %q", s)
		}
		if sec := uint64(g.word(wall)) | uint64(g.word(wall+8))<<32; sec < 946684800 || sec > 1<<34 || g.word(wall+4) >= 1e9 {
			g.t.Errorf("wall clock %d s %d ns", sec, g.word(wall+4))
		}
	}
}

// timerOp32: the timeout is in two arguments.
func timerOp32(p *abi32.Prog) func(*guest32) {
	shared, up, _, r := p.Timer(upcallVector)
	until := p.Words(2)
	p.Ahead(shared, until, 3*ms)
	p.Load(4, asm.RBX, p.Mem(until))
	p.Load(4, asm.RCX, p.Mem(until+4))
	p.Enter(xen.HYPERVISOR_set_timer_op)
	r = append(r, p.Keep(asm.RAX))
	p.AwaitInterrupts(up.Count, 1)
	first := p.Words(1)
	p.Copy(first, up.Count)
	// A timeout of 4 s more is the high word's: were it lost, the timer would fire at once.
	p.OpMI(asm.ADD, 4, p.Mem(until+4), 1)
	p.Load(4, asm.RBX, p.Mem(until))
	p.Load(4, asm.RCX, p.Mem(until+4))
	p.Enter(xen.HYPERVISOR_set_timer_op)
	poll := p.Struct(&xen.SchedPoll{})
	p.Ahead(shared, poll+8, 10*ms)
	r = append(r, p.Call(schedOp, xen.SCHEDOP_poll, poll))
	second := p.Words(1)
	p.Sti()
	p.Raw(0x90)
	p.Cli()
	p.Copy(second, up.Count)
	return func(g *guest32) {
		g.ok("calls", r...)
		if a, b := g.word(first), g.word(second); a == 0 || a != b {
			g.t.Errorf("%d upcalls, then %d", a, b)
		}
	}
}

// words32: the arrays have words of 32 bits, and the selector a bit for each.
func words32(p *abi32.Prog) func(*guest32) {
	callback := p.Callback(upcallVector)
	shared := p.Shared()
	results := []abi32.Addr{callback}
	port := p.Words(1)
	bind := p.Struct(&xen.EvtchnBindIPI{})
	top := p.NewLabel()
	p.Label(top) // until port 35
	p.Call(eventOp, xen.EVTCHNOP_bind_ipi, bind)
	p.OpMI(asm.CMP, 4, p.Mem(bind+4), 35)
	p.Jcc(asm.B, top)
	p.Copy(port, bind+4)
	clear := func() {
		p.Set(shared+layout32.PendingSel, 0)
		p.Set(shared+layout32.EvtchnPending+4, 0)
		p.Set8(shared, 0)
	}
	clear()
	send := p.Call(eventOp, xen.EVTCHNOP_send, port)
	pending, sel, upcall := p.Words(1), p.Words(1), p.Words(1)
	p.Copy(pending, shared+layout32.EvtchnPending+4)
	p.Copy(sel, shared+layout32.PendingSel)
	p.Copy(upcall, shared)
	clear()
	p.Set(shared+layout32.EvtchnMask+4, 1<<3)
	masked := p.Call(eventOp, xen.EVTCHNOP_send, port)
	selMasked := p.Words(1)
	p.Copy(selMasked, shared+layout32.PendingSel)
	unmask := p.Call(eventOp, xen.EVTCHNOP_unmask, port)
	selUnmasked := p.Words(1)
	p.Copy(selUnmasked, shared+layout32.PendingSel)
	return func(g *guest32) {
		g.ok("calls", append(results, send, masked, unmask)...)
		g.is("port", port, 35)
		g.is("pending word 1", pending, 1<<3)
		g.is("selector", sel, 1<<1)
		if g.word(upcall)&0xff != 1 {
			g.t.Errorf("upcall pending %#x", g.word(upcall))
		}
		g.is("selector of a masked port", selMasked, 0)
		g.is("selector after unmask", selUnmasked, 1<<1)
	}
}

// fifo32: FIFO channels are the same on both ABIs.
func fifo32(p *abi32.Prog) func(*guest32) {
	control, array := p.NewPage(), p.NewPage()
	r1, init := p.Event(xen.EVTCHNOP_init_control, &xen.EvtchnInitControl{ControlGFN: uint64(control >> 12)})
	r2, _ := p.Event(xen.EVTCHNOP_expand_array, &xen.EvtchnExpandArray{ArrayGFN: uint64(array >> 12)})
	r3, bind := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
	r4 := p.Call(eventOp, xen.EVTCHNOP_send, bind+4)
	return func(g *guest32) {
		g.ok("calls", r1, r2, r3, r4)
		port := g.word(bind + 4)
		if w := g.word(array + 4*port); w>>xen.EVTCHN_FIFO_PENDING&1 == 0 || g.word(control)&(1<<7) == 0 || g.word(init+16)&0xff != 17 {
			g.t.Errorf("event word %#x, ready %#x, link bits %d", w, g.word(control), g.word(init+16)&0xff)
		}
	}
}

// poll32: the timeout stands at offset 8 of a struct of 16 bytes.
func poll32(p *abi32.Prog) func(*guest32) {
	p.Callback(upcallVector)
	shared := p.Shared()
	r1, bind := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
	ports := p.Words(1)
	p.Copy(ports, bind+4)
	op := p.Struct(&xen.SchedPoll{Ports: uint64(ports), NrPorts: 1})
	p.Ahead(shared, op+8, 5*ms)
	timeout := p.Call(schedOp, xen.SCHEDOP_poll, op)
	send := p.Call(eventOp, xen.EVTCHNOP_send, ports)
	p.Set(op+8, 0xffffffff)
	p.Set(op+12, 0x7fffffff)
	ready := p.Call(schedOp, xen.SCHEDOP_poll, op)
	return func(g *guest32) {
		g.ok("calls", r1, timeout, send, ready)
	}
}

// runstates32: the account is 44 bytes long, with its 64-bit words at 4 and 12.
func runstates32(p *abi32.Prog) func(*guest32) {
	p.Callback(upcallVector)
	shared, poll := p.Shared(), p.Struct(&xen.SchedPoll{})
	p.Ahead(shared, poll+8, 5*ms)
	p.Call(schedOp, xen.SCHEDOP_poll, poll)
	area, got := p.Bytes([]byte("................................................")), p.Bytes([]byte("................................................"))
	r := []abi32.Addr{p.Call(vcpuOp, xen.VCPUOP_register_runstate_memory_area, 0, p.Struct(&xen.VCPURegisterArea{Addr: uint64(area)})),
		p.Call(vcpuOp, xen.VCPUOP_get_runstate_info, 0, got)}
	return func(g *guest32) {
		g.ok("calls", r...)
		for _, at := range []abi32.Addr{area, got} {
			var i xen.VCPURunstateInfo
			g.read(at, &i)
			sum := i.Time[0] + i.Time[1] + i.Time[2] + i.Time[3]
			if i.State != xen.RUNSTATE_running || i.StateEntryTime>>40 != 0 || sum == 0 || sum>>40 != 0 || g.word(at+44) != 0x2e2e2e2e {
				g.t.Errorf("%+v, then %#x", i, g.word(at+44))
			}
		}
	}
}

// registerInfo32: a place that a 64-bit guest could not have.
func registerInfo32(p *abi32.Prog) func(*guest32) {
	p.Callback(upcallVector)
	shared, page := p.Shared(), p.NewPage()
	r := p.Call(vcpuOp, xen.VCPUOP_register_vcpu_info, 0, p.Struct(&xen.VCPURegisterVCPUInfo{MFN: uint64(page >> 12), Offset: 0x44}))
	sel := p.Words(1)
	p.Copy(sel, page+0x44+layout32.PendingSel)
	p.Set(page+0x44+layout32.PendingSel, 0)
	r2, bind := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
	p.Set(shared+layout32.EvtchnPending, 0)
	r3 := p.Call(eventOp, xen.EVTCHNOP_send, bind+4)
	return func(g *guest32) {
		g.ok("calls", r, r2, r3)
		g.is("selector at first", sel, 0xffffffff)
		g.is("selector", page+0x44+layout32.PendingSel, 1)
		if time := g.word(page + 0x44 + layout32.InfoTime + 24); time == 0 {
			g.t.Error("there is no time in the new place")
		}
	}
}

// second32 starts vCPU 1 with paging on, at an address of the upper mapping.
func second32(p *abi32.Prog) func(*guest32) {
	p.Callback(upcallVector)
	mark := p.Words(3)
	over, at := p.NewLabel(), p.NewLabel()
	p.Jmp(over)
	p.Label(at)
	p.Store(4, p.Mem(mark+4), asm.RCX)
	p.Raw(0xe8, 0, 0, 0, 0) // call behind: push eip
	p.Pop(asm.RAX)
	p.Store(4, p.Mem(mark+8), asm.RAX)
	p.Set(mark, 1)
	p.Cli()
	p.Hlt()
	p.Label(over)
	const flat = 0xfffff
	c := xen.VCPUHVMx86_32{ECX: 0xabcd, EIP: tiny.High + uint32(p.Addr(at)), ESP: 0x177000, EFLAGS: 2, CR0: 0x80010033, CR3: 0x180000,
		CSLimit: flat, DSLimit: flat, SSLimit: flat, ESLimit: flat, TRLimit: 0x67, CSAR: 0xc9b, DSAR: 0xc93, SSAR: 0xc93, ESAR: 0xc93, TRAR: 0x8b}
	ctx := p.Words(2)
	p.Set(ctx, xen.VCPU_HVM_MODE_32B)
	body := p.Struct(&c)
	p.FromCR(asm.RAX, 4)
	p.Store(4, p.Mem(body+48), asm.RAX) // CR4 as it is
	r := []abi32.Addr{p.Call(vcpuOp, xen.VCPUOP_initialise, 1, ctx), p.Call(vcpuOp, xen.VCPUOP_up, 1)}
	top := p.NewLabel()
	p.Label(top)
	p.Raw(0xf3, 0x90)
	p.OpMI(asm.CMP, 4, p.Mem(mark), 1)
	p.Jcc(asm.NE, top)
	return func(g *guest32) {
		g.ok("start", r...)
		g.is("ecx", mark+4, 0xabcd)
		if eip := g.word(mark + 8); eip < tiny.High {
			g.t.Errorf("eip %#x", eip)
		}
	}
}
