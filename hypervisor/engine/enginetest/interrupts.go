package enginetest

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func interruptCases() []testCase {
	return []testCase{
		on("injected", injected),
		on("from ring 3", injectedUser),
		on("on an interrupt stack", injectedIST),
		on("wakes hlt", wakesHLT),
		on("window", window),
		on("window behind sti", windowSTI),
		on("window behind mov ss", windowMovSS),
		on("window at once", windowAtOnce),
		on("window not asked for", windowNot),
		on("not with interrupts off", notInterruptible),
		on("gate not present", gateAbsent),
		on("vector beyond the table", beyondIDT),
		on("handler returns", handlerReturns),
		on("all vectors", allVectors),
		on("cr8", cr8),
		on("nmi", nmi),
		on("nmi with interrupts off wakes hlt", nmiWakes),
		on("nmi blocked until iret", nmiBlocked),
	}
}

// injected: delivered before the next instruction, with interrupts off in the handler.
func injected(m *machine) {
	m.st.RFLAGS |= x86.FlagIF | x86.FlagCF
	m.code(func(a *asm.Asm) { a.Inc(8, asm.RAX); a.Hlt() })
	m.load()
	if !m.cpu.Interruptible() {
		m.Errorf("not interruptible with IF set")
	}
	m.cpu.Inject(0x41)
	var e engine.Exit
	m.cont(&e)
	g := m.want(&e, 0x41, 0)
	if g.rip != codeAt || m.st.GPR[x86.RAX] != 0 || g.flags != x86.FlagOne|x86.FlagIF|x86.FlagCF || m.st.RFLAGS&x86.FlagIF != 0 {
		m.Errorf("saved rip %#x flags %#x; rax %d, rflags in the handler %#x", g.rip, g.flags, m.st.GPR[x86.RAX], m.st.RFLAGS)
	}
	// Pushed are SS, RSP, RFLAGS, CS, RIP on a stack aligned to 16 bytes (SDM 3A 6.14.2).
	if g.rsp != stackAt || g.ss != data0Sel || g.cs != code64Sel || m.st.GPR[x86.RSP] != stackAt-40 {
		m.Errorf("saved rsp %#x ss %#x cs %#x; rsp %#x", g.rsp, g.ss, g.cs, m.st.GPR[x86.RSP])
	}
}

func injectedUser(m *machine) {
	m.user()
	m.st.RFLAGS |= x86.FlagIF
	m.code(func(a *asm.Asm) { a.Raw(0x90) })
	m.load()
	m.cpu.Inject(0xf3)
	var e engine.Exit
	m.cont(&e)
	g := m.want(&e, 0xf3, 0)
	// The new SS is null with the new privilege level (SDM 3A 6.14.4).
	if g.rip != userVA || g.rsp != userStack || g.cs != code3Sel || g.ss != data3Sel || m.st.Seg[x86.SS].Selector != 0 || m.st.GPR[x86.RSP] != stackAt-40 {
		m.Errorf("frame %+v; ss %#x rsp %#x", g, m.st.Seg[x86.SS].Selector, m.st.GPR[x86.RSP])
	}
}

func injectedIST(m *machine) {
	m.gate(0x42, stubsAt+16*0x42, 1)
	m.st.RFLAGS |= x86.FlagIF
	m.st.GPR[x86.RSP] -= 7
	m.code(func(a *asm.Asm) { a.Hlt() })
	m.load()
	m.cpu.Inject(0x42)
	var e engine.Exit
	m.cont(&e)
	if g := m.want(&e, 0x42, 0); g.rsp != stackAt-7 || m.st.GPR[x86.RSP] != ist1At-40 {
		m.Errorf("saved rsp %#x, rsp %#x", g.rsp, m.st.GPR[x86.RSP])
	}
}

func wakesHLT(m *machine) {
	m.code(func(a *asm.Asm) { a.Sti(); a.Hlt(); a.Inc(8, asm.RAX); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if !e.Interruptible {
		m.Errorf("not interruptible")
	}
	m.cpu.Inject(0x30)
	m.cont(&e)
	if g := m.want(&e, 0x30, 0); g.rip != codeAt+2 || m.st.GPR[x86.RAX] != 0 {
		m.Errorf("saved rip %#x rax %d, want the instruction behind HLT", g.rip, m.st.GPR[x86.RAX])
	}
}

// opens wants a window when the guest has counted RAX to n, and an interrupt to be deliverable there.
func opens(m *machine, n uint64) {
	m.load()
	m.cpu.WantWindow(true)
	var e engine.Exit
	m.cont(&e)
	m.expect(&e, engine.ExitWindow)
	m.cpu.WantWindow(false)
	if !e.Interruptible || m.st.GPR[x86.RAX] != n {
		m.Errorf("interruptible %v, rax %d, want %d", e.Interruptible, m.st.GPR[x86.RAX], n)
	}
	m.cpu.Inject(0x55)
	m.cont(&e)
	if g := m.want(&e, 0x55, 0); m.st.GPR[x86.RAX] != n || g.flags&x86.FlagIF == 0 {
		m.Errorf("in the handler: rax %d, want %d; saved flags %#x", m.st.GPR[x86.RAX], n, g.flags)
	}
}

// window opens when POPF sets IF: at once, without a shadow.
func window(m *machine) {
	m.code(func(a *asm.Asm) {
		a.Raw(0x68, 2, 2, 0, 0) // push 0x202
		a.Raw(0x9d)             // popfq
		a.Inc(8, asm.RAX)
		a.Hlt()
	})
	opens(m, 0)
}

// windowSTI opens behind the instruction that follows STI (SDM 2B STI).
func windowSTI(m *machine) {
	m.code(func(a *asm.Asm) { a.Raw(0x90); a.Sti(); a.Inc(8, asm.RAX); a.Inc(8, asm.RAX); a.Hlt() })
	opens(m, 1)
}

// windowMovSS: MOV SS holds interrupts off for one instruction more (SDM 3A 6.8.3).
func windowMovSS(m *machine) {
	m.st.GPR[x86.RCX] = data0Sel
	m.code(func(a *asm.Asm) { a.Sti(); a.Raw(0x8e, 0xd1); a.Inc(8, asm.RAX); a.Inc(8, asm.RAX); a.Hlt() })
	opens(m, 1)
}

func windowAtOnce(m *machine) {
	m.st.RFLAGS |= x86.FlagIF
	m.code(func(a *asm.Asm) { a.Inc(8, asm.RAX); a.Hlt() })
	opens(m, 0)
}

func windowNot(m *machine) {
	m.st.RFLAGS |= x86.FlagIF
	m.code(func(a *asm.Asm) { a.Inc(8, asm.RAX); a.Hlt() })
	m.load()
	m.cpu.WantWindow(true)
	m.cpu.WantWindow(false)
	var e engine.Exit
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
}

func notInterruptible(m *machine) {
	m.code(func(a *asm.Asm) { a.Raw(0xe6, 0x80); a.Hlt() })
	m.load()
	if m.cpu.Interruptible() {
		m.Errorf("interruptible with IF clear")
	}
	var e engine.Exit
	m.cont(&e)
	m.expect(&e, engine.ExitIO)
	if e.Interruptible || m.cpu.Interruptible() {
		m.Errorf("interruptible at the exit")
	}
}

// gateAbsent: the error code names the gate, with EXT set, since the event came from outside (SDM 3A 6.13).
func gateAbsent(m *machine) {
	at := guestGPA(idtAt + 16*0x44)
	m.put(at, m.get(at)&^(1<<47))
	m.st.RFLAGS |= x86.FlagIF
	m.code(func(a *asm.Asm) { a.Hlt() })
	m.load()
	m.cpu.Inject(0x44)
	var e engine.Exit
	m.cont(&e)
	m.want(&e, x86.VectorNP, 0x44*8+3)
}

func beyondIDT(m *machine) {
	m.st.IDTR.Limit = 0x3ff
	m.st.RFLAGS |= x86.FlagIF
	m.code(func(a *asm.Asm) { a.Hlt() })
	m.load()
	m.cpu.Inject(0x40)
	var e engine.Exit
	m.cont(&e)
	m.want(&e, x86.VectorGP, 0x40*8+3)
}

// handlerReturns: IRETQ goes back to where the interrupt came from, many times.
func handlerReturns(m *machine) {
	m.assemble(stubsAt+16*0x50, stubsAt+16*0x50, func(a *asm.Asm) { a.Inc(8, asm.RBX); a.Iretq() })
	m.st.RFLAGS |= x86.FlagIF
	m.code(func(a *asm.Asm) {
		a.Label("again")
		a.Inc(8, asm.RAX)
		a.Raw(0xe6, 0x80)
		a.Jmp("again")
	})
	m.load()
	var e engine.Exit
	for i := range uint64(50) {
		m.enter(m.cpu, &e)
		if e.Kind == engine.ExitWindow {
			m.enter(m.cpu, &e)
		}
		m.expect(&e, engine.ExitIO)
		// The OUT may have to be finished before anything can be injected.
		m.cpu.WantWindow(true)
		m.enter(m.cpu, &e)
		m.expect(&e, engine.ExitWindow)
		m.cpu.WantWindow(false)
		m.cpu.Get(&m.st)
		if m.st.GPR[x86.RBX] != i {
			m.Fatalf("%d interrupts handled, want %d", m.st.GPR[x86.RBX], i)
		}
		m.cpu.Inject(0x50)
	}
}

func allVectors(m *machine) {
	for v := 32; v < 256; v++ {
		m.reset()
		m.st.RFLAGS |= x86.FlagIF
		m.code(func(a *asm.Asm) { a.Hlt() })
		m.load()
		m.cpu.Inject(uint8(v))
		var e engine.Exit
		m.cont(&e)
		m.want(&e, v, 0)
	}
}

// cr8: the guest's MOV CR8 and the engine's SetCR8 are the same register.
func cr8(m *machine) {
	m.st.CR8 = 3
	m.code(func(a *asm.Asm) {
		a.Raw(0x44, 0x0f, 0x20, 0xc3) // mov rbx, cr8
		a.MovI(asm.RAX, 9)
		a.Raw(0x44, 0x0f, 0x22, 0xc0) // mov cr8, rax
		a.Raw(0xe6, 0x80)
		a.Raw(0x44, 0x0f, 0x20, 0xc1) // mov rcx, cr8
		a.Hlt()
	})
	m.load()
	var e engine.Exit
	m.enter(m.cpu, &e)
	m.expect(&e, engine.ExitIO)
	if v := m.cpu.CR8(); v != 9 {
		m.Errorf("CR8 %d at the exit, want 9", v)
	}
	m.cpu.SetCR8(5)
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RBX] != 3 || m.st.GPR[x86.RCX] != 5 || m.st.CR8 != 5 {
		m.Errorf("rbx %d rcx %d cr8 %d, want 3 5 5", m.st.GPR[x86.RBX], m.st.GPR[x86.RCX], m.st.CR8)
	}
}

func nmi(m *machine) {
	m.code(func(a *asm.Asm) { a.Inc(8, asm.RAX); a.Hlt() })
	m.load()
	m.cpu.InjectNMI()
	var e engine.Exit
	m.cont(&e)
	if g := m.want(&e, x86.VectorNMI, 0); g.rip != codeAt || !m.st.NMIBlocked {
		m.Errorf("saved rip %#x; blocked %v", g.rip, m.st.NMIBlocked)
	}
}

func nmiWakes(m *machine) {
	m.code(func(a *asm.Asm) { a.Hlt(); a.Inc(8, asm.RAX); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	m.cpu.InjectNMI()
	m.cont(&e)
	if g := m.want(&e, x86.VectorNMI, 0); g.rip != codeAt+1 {
		m.Errorf("saved rip %#x", g.rip)
	}
}

// nmiBlocked: a second NMI waits until the first one's handler executes IRET (SDM 3A 6.7.1).
func nmiBlocked(m *machine) {
	m.assemble(stubsAt+16*x86.VectorNMI, stubsAt+16*x86.VectorNMI, func(a *asm.Asm) {
		a.Inc(8, asm.RAX)
		a.Raw(0xe6, 0x80)
		a.Inc(8, asm.RBX)
		a.Iretq()
	})
	m.code(func(a *asm.Asm) { a.Raw(0x90); a.Hlt() })
	m.load()
	m.cpu.InjectNMI()
	var e engine.Exit
	m.enter(m.cpu, &e)
	m.expect(&e, engine.ExitIO)
	m.cpu.InjectNMI()
	m.cont(&e)
	m.expect(&e, engine.ExitIO)
	if m.st.GPR[x86.RAX] != 2 || m.st.GPR[x86.RBX] != 1 {
		m.Errorf("rax %d rbx %d: the second came before the first had returned", m.st.GPR[x86.RAX], m.st.GPR[x86.RBX])
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RBX] != 2 || m.st.NMIBlocked {
		m.Errorf("rbx %d, still blocked: %v", m.st.GPR[x86.RBX], m.st.NMIBlocked)
	}
}
