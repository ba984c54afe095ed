package abi

import (
	"gozen/benches/guest/abi"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

const vcpuOp = xen.HYPERVISOR_vcpu_op

func vcpuRows() []row {
	two := []option{vcpus(2)}
	return []row{
		{name: "timers", covers: []string{"vcpu_op/set_periodic_timer", "vcpu_op/stop_periodic_timer", "vcpu_op/set_singleshot_timer",
			"vcpu_op/stop_singleshot_timer"}, opts: two, guest: timers},
		{name: "vCPU life", covers: []string{"vcpu_op/initialise", "vcpu_op/up", "vcpu_op/down", "vcpu_op/is_up"}, opts: two, guest: vcpuLife},
		{name: "32-bit start", covers: []string{"vcpu_op/initialise", "vcpu_op/up"}, opts: two, guest: start32},
		{name: "run states", covers: []string{"vcpu_op/get_runstate_info", "vcpu_op/register_runstate_memory_area", "vm_assist/enable", "vm_assist/disable"},
			opts: two, guest: runstates},
		{name: "time", covers: []string{"vcpu_op/register_vcpu_time_memory_area"}, opts: two, guest: clocks},
		{name: "vcpu_info", covers: []string{"vcpu_op/register_vcpu_info"}, opts: two, guest: registerInfo},
		{name: "NMI", covers: []string{"vcpu_op/send_nmi"}, guest: nmi},
	}
}

func timers(p *abi.Prog) func(*guest) {
	p.IDT()
	shared := p.Shared()
	up := p.Upcall2L(upcallVector, shared, shared, false)
	p.Callback(upcallVector)
	timer(p)
	period := func(ns uint64) abi.Addr {
		return p.Call(vcpuOp, xen.VCPUOP_set_periodic_timer, 0, p.Struct(&xen.VCPUSetPeriodicTimer{PeriodNS: ns}))
	}
	t0 := now(p)
	r1 := period(2 * ms)
	p.AwaitInterrupts(up.Count, 5)
	t1 := now(p)
	r2 := p.Call(vcpuOp, xen.VCPUOP_stop_periodic_timer, 0, 0)
	short := period(ms - 1)
	past := p.Struct(&xen.VCPUSetSingleshotTimer{TimeoutAbsNS: 1})
	p.Set(up.Count, 0)
	r3 := p.Call(vcpuOp, xen.VCPUOP_set_singleshot_timer, 0, past)
	p.AwaitInterrupts(up.Count, 1)
	one := p.Words(2)
	ahead(p, one, 1000*ms)
	r4 := p.Call(vcpuOp, xen.VCPUOP_set_singleshot_timer, 0, one)
	r5 := p.Call(vcpuOp, xen.VCPUOP_stop_singleshot_timer, 0, 0)
	other := p.Call(vcpuOp, xen.VCPUOP_set_singleshot_timer, 1, one)
	otherStop := p.Call(vcpuOp, xen.VCPUOP_stop_singleshot_timer, 1, 0)
	none := p.Call(vcpuOp, xen.VCPUOP_stop_singleshot_timer, 2, 0)
	physid := p.Call(vcpuOp, xen.VCPUOP_get_physid, 0, one)
	unknown := p.Call(vcpuOp, 88, 0, one)
	return func(g *guest) {
		g.ok("vcpu_op", r1, r2, r3, r4, r5)
		g.is("ticks of the single shots", up.Count, 1)
		if d := g.u64(t1) - g.u64(t0); d < 9*ms {
			g.t.Errorf("five periods of 2 ms took %d ns", d)
		}
		g.fails("a period under 1 ms", short, xen.EINVAL)
		g.fails("another vCPU's timer", other, xen.EINVAL)
		g.fails("another vCPU's timer to stop", otherStop, xen.EINVAL)
		g.fails("a missing vCPU", none, xen.ENOENT)
		g.fails("physical id", physid, xen.EINVAL)
		g.fails("operation 88", unknown, xen.ENOSYS)
	}
}

// vcpuLife starts vCPU 1, which takes itself down, and brings it up again: it goes on behind the call.
func vcpuLife(p *abi.Prog) func(*guest) {
	isUp := func() abi.Addr { return p.Call(vcpuOp, xen.VCPUOP_is_up, 1, 0) }
	untilDown := func() {
		top := p.NewLabel()
		p.Label(top)
		p.Call(schedOp, xen.SCHEDOP_yield, 0)
		isUp()
		p.Test(4, asm.RAX, asm.RAX)
		p.Jcc(asm.NE, top)
	}
	steps, mine := p.Words(1), p.Call(vcpuOp, xen.VCPUOP_is_up, 0, 0)
	ap := p.OnAP(func() {
		p.Set(steps, 1)
		p.Call(vcpuOp, xen.VCPUOP_down, 1, 0)
		p.Set(steps, 2)
	})
	early := p.Call(vcpuOp, xen.VCPUOP_up, 1, 0)
	before := isUp()
	bad := p.Words(16)
	p.Set(bad, 7)
	badMode := p.Call(vcpuOp, xen.VCPUOP_initialise, 1, bad)
	p.Set(bad, xen.VCPU_HVM_MODE_64B) // no paging in it
	badState := p.Call(vcpuOp, xen.VCPUOP_initialise, 1, bad)
	init, up := p.Initialise(ap)
	untilDown()
	first := p.KeepBytes(steps, 8)
	again := p.Call(vcpuOp, xen.VCPUOP_initialise, 1, p.Context(ap))
	up2 := p.Call(vcpuOp, xen.VCPUOP_up, 1, 0)
	p.AwaitSpinning(steps, 2)
	untilDown()
	return func(g *guest) {
		g.is("vCPU 0 is up", mine, 1)
		g.ok("vCPU 1 is up before", before)
		g.fails("up before initialise", early, xen.EINVAL)
		g.fails("an unknown mode", badMode, xen.EINVAL)
		g.fails("a state without paging", badState, xen.EINVAL)
		g.ok("start", init, up, up2)
		g.is("steps at the first stop", first, 1)
		g.is("steps at the second", steps, 2)
		g.fails("a second initialise", again, xen.EEXIST)
	}
}

// start32 starts vCPU 1 in protected mode without paging; it stores its registers and halts.
func start32(p *abi.Prog) func(*guest) {
	mark := p.Words(4)
	over, at := p.NewLabel(), p.NewLabel()
	p.Jmp(over)
	p.Label(at)
	p.Bits = 32
	p.Store(4, asm.Abs(int32(mark+8)), asm.RCX)
	p.FromCR(asm.RAX, 0)
	p.Store(4, asm.Abs(int32(mark+16)), asm.RAX)
	p.Store(4, asm.Abs(int32(mark)), asm.RDX)
	p.Cli()
	p.Hlt()
	p.Bits = 64
	p.Label(over)
	c := xen.VCPUHVMx86_32{ECX: 0xabcd, EDX: 1, EIP: uint32(p.Addr(at)), EFLAGS: 2, CR0: 1, CSLimit: 0xfffff, DSLimit: 0xfffff, SSLimit: 0xfffff, ESLimit: 0xfffff,
		TRLimit: 0x67, CSAR: 0xc9b, DSAR: 0xc93, SSAR: 0xc93, ESAR: 0xc93, TRAR: 0x8b}
	ctx := p.Words(1)
	p.Set(ctx, xen.VCPU_HVM_MODE_32B)
	p.Struct(&c)
	p.Words(16)
	init := p.Call(vcpuOp, xen.VCPUOP_initialise, 1, ctx)
	up := p.Call(vcpuOp, xen.VCPUOP_up, 1, 0)
	p.AwaitSpinning(mark, 1)
	return func(g *guest) {
		g.ok("start", init, up)
		g.is("ecx", mark+8, 0xabcd)
		g.is("cr0", mark+16, 0x11)
	}
}

func runstates(p *abi.Prog) func(*guest) {
	area, got, offline := p.Words(8), p.Words(8), p.Words(8)
	r := []abi.Addr{p.Call(vcpuOp, xen.VCPUOP_get_runstate_info, 0, got), p.Call(vcpuOp, xen.VCPUOP_get_runstate_info, 1, offline)}
	r = append(r, p.Call(vcpuOp, xen.VCPUOP_register_runstate_memory_area, 0, p.Struct(&xen.VCPURegisterArea{Addr: area})))
	first := p.KeepBytes(area, 48)
	a := p.Struct(&xen.SchedPoll{})
	sleep := func(ns uint64) { ahead(p, a+16, ns); p.Call(schedOp, xen.SCHEDOP_poll, a) }
	sleep(5 * ms)
	second := p.KeepBytes(area, 48)
	assist := func(cmd, typ uint64) abi.Addr { return p.Call(xen.HYPERVISOR_vm_assist, cmd, typ) }
	r = append(r, assist(xen.VMASST_CMD_enable, xen.VMASST_TYPE_runstate_update_flag))
	sleep(5 * ms)
	third := p.KeepBytes(area, 48)
	r = append(r, assist(xen.VMASST_CMD_disable, xen.VMASST_TYPE_runstate_update_flag))
	badType, badCmd := assist(0, xen.VMASST_TYPE_writable_pagetables), assist(9, xen.VMASST_TYPE_runstate_update_flag)
	fault := p.Call(vcpuOp, xen.VCPUOP_get_runstate_info, 0, 1<<40)
	return func(g *guest) {
		g.ok("calls", r...)
		read := func(at abi.Addr) (s xen.VCPURunstateInfo) { g.decode(at, &s); return }
		if s := read(got); s.State != xen.RUNSTATE_running {
			g.t.Errorf("asked for: %+v", s)
		}
		if s := read(offline); s.State != xen.RUNSTATE_offline {
			g.t.Errorf("vCPU 1: %+v", s)
		}
		s1, s2, s3 := read(first), read(second), read(third)
		if s1.State != xen.RUNSTATE_running || s2.State != xen.RUNSTATE_running {
			g.t.Errorf("states %d and %d, want running", s1.State, s2.State)
		}
		if d := s2.Time[xen.RUNSTATE_blocked] - s1.Time[xen.RUNSTATE_blocked]; int64(d) < 4*ms {
			g.t.Errorf("blocked for %d ns in a poll of 5 ms", d)
		}
		if s2.StateEntryTime < s1.StateEntryTime || s3.StateEntryTime <= s2.StateEntryTime || s3.StateEntryTime&xen.XEN_RUNSTATE_UPDATE != 0 {
			g.t.Errorf("entered at %d, %d and %d", s1.StateEntryTime, s2.StateEntryTime, s3.StateEntryTime)
		}
		g.fails("another assist", badType, xen.EINVAL)
		g.fails("another command", badCmd, xen.ENOSYS)
		g.fails("an unwritable place", fault, xen.EFAULT)
	}
}

// pvclock leaves system time by a time record in rax, as a guest computes it: shift, then the high part of the product.
func pvclock(p *abi.Prog, rec abi.Addr) {
	right, mul := p.NewLabel(), p.NewLabel()
	p.ReadTSC()
	p.OpLoad(asm.SUB, 8, asm.RAX, p.Mem(rec+8))
	p.RM(4, []byte{0x0f, 0xbe}, asm.RCX, p.Mem(rec+28)) // movsx
	p.Test(4, asm.RCX, asm.RCX)
	p.Jcc(asm.S, right)
	p.Raw(0x48, 0xd3, 0xe0) // shl rax, cl
	p.Jmp(mul)
	p.Label(right)
	p.Raw(0xf7, 0xd9, 0x48, 0xd3, 0xe8) // neg ecx; shr rax, cl
	p.Label(mul)
	p.Load(4, asm.RCX, p.Mem(rec+24))
	p.Raw(0x48, 0xf7, 0xe1)             // mul rcx
	p.Raw(0x48, 0x0f, 0xac, 0xd0, 0x20) // shrd rax, rdx, 32
	p.OpLoad(asm.ADD, 8, asm.RAX, p.Mem(rec+16))
}

// clocks compares pvclock on two vCPUs, which read it in turns, and in the second time area, with the hypervisor's time.
func clocks(p *abi.Prog) func(*guest) {
	const rounds = 200
	shared := p.Shared()
	record := shared + xen.VCPUInfoTime
	area := p.Words(4)
	r := p.Call(vcpuOp, xen.VCPUOP_register_vcpu_time_memory_area, 0, p.Struct(&xen.VCPURegisterArea{Addr: area}))
	version := p.KeepBytes(area, 4)
	t0 := now(p)
	pvclock(p, record)
	t1 := p.Keep(asm.RAX)
	pvclock(p, area)
	t2 := p.Keep(asm.RAX)
	t3 := now(p)
	turn, last, back := p.Words(1), p.Words(1), p.Words(1)
	play := func(me, other uint32, rec abi.Addr) {
		top, ok, spin := p.NewLabel(), p.NewLabel(), p.NewLabel()
		p.MovI(asm.R14, 0)
		p.Label(top)
		p.Label(spin)
		p.Raw(0xf3, 0x90)
		p.OpMI(asm.CMP, 4, p.Mem(turn), int32(me))
		p.Jcc(asm.NE, spin)
		pvclock(p, rec)
		p.OpLoad(asm.CMP, 8, asm.RAX, p.Mem(last))
		p.Jcc(asm.AE, ok)
		p.OpMI(asm.ADD, 8, p.Mem(back), 1)
		p.Label(ok)
		p.Store(8, p.Mem(last), asm.RAX)
		p.Set32(turn, other)
		p.Inc(4, asm.R14)
		p.OpI(asm.CMP, 4, asm.R14, rounds)
		p.Jcc(asm.NE, top)
	}
	ap := p.OnAP(func() { play(1, 0, record+64) })
	p.Initialise(ap)
	play(0, 1, record)
	return func(g *guest) {
		g.ok("register", r)
		if v := g.u32(version); v == 0 || v&1 != 0 {
			g.t.Errorf("version %d in the second record", v)
		}
		order := []uint64{g.u64(t0), g.u64(t1), g.u64(t2), g.u64(t3)}
		for i := 1; i < 4; i++ {
			if order[i]+1000 < order[i-1] { // clocks of different make may differ by a rounding
				g.t.Errorf("times %d are not in order", order)
			}
		}
		var rec [2]xen.VCPUTimeInfo
		for i := range rec {
			g.decode(record+uint64(64*i), &rec[i])
			if rec[i].Flags&xen.XEN_PVCLOCK_TSC_STABLE_BIT == 0 || rec[i].Version&1 != 0 {
				g.t.Errorf("record of vCPU %d: %+v", i, rec[i])
			}
		}
		g.is("steps back in time", back, 0)
		g.within("last time", last, g.u64(t2), 1<<60)
	}
}

// registerInfo moves vcpu_info of vCPU 0 to a page of its own, where events arrive then.
func registerInfo(p *abi.Prog) func(*guest) {
	p.IDT()
	shared, page := p.Shared(), p.NewPage()
	info := page + 0x80
	register := func(vcpu uint64, gfn uint64, off uint32) abi.Addr {
		return p.Call(vcpuOp, xen.VCPUOP_register_vcpu_info, vcpu, p.Struct(&xen.VCPURegisterVCPUInfo{MFN: gfn, Offset: off}))
	}
	across, nowhere := register(0, page>>12, 4090), register(0, 0x80000, 0)
	r := register(0, page>>12, 0x80)
	twice := register(0, page>>12, 0x100)
	time := p.KeepBytes(info+xen.VCPUInfoTime, 8)
	up := p.Upcall2L(upcallVector, shared, info, false)
	p.Callback(upcallVector)
	p.Set(up.Count, 0)
	_, local, made := pair(p)
	p.Sti()
	p.Raw(0x90)
	p.Cli()
	p.Set(up.Count, 0) // registering may have raised one
	send(p, local)
	p.AwaitInterrupts(up.Count, 1)
	old := p.KeepBytes(shared, 8)
	return func(g *guest) {
		g.ok("calls", append(made, r)...)
		g.fails("across pages", across, xen.ENXIO)
		g.fails("no page", nowhere, xen.EINVAL)
		g.fails("a second time", twice, xen.EINVAL)
		g.is("upcalls", up.Count, 1)
		if g.u32(time) == 0 {
			g.t.Error("there is no time in the new place")
		}
		if g.u64(old)&0xff != 0 {
			g.t.Error("the old place says that events are pending")
		}
	}
}

func nmi(p *abi.Prog) func(*guest) {
	p.IDT()
	count := p.CountInterrupts(2, false)
	r := p.Call(vcpuOp, xen.VCPUOP_send_nmi, 0, 0)
	p.Raw(0x90)
	first := p.KeepBytes(count, 8)
	bad := p.Call(vcpuOp, xen.VCPUOP_send_nmi, 0, 1)
	r2 := p.Call(vcpuOp, xen.VCPUOP_send_nmi, 0, 0)
	p.AwaitSpinning(count, 2)
	return func(g *guest) {
		g.ok("send_nmi", r, r2)
		g.is("NMIs after the first", first, 1)
		g.is("NMIs", count, 2)
		g.fails("with an argument", bad, xen.EINVAL)
	}
}
