package enginetest

import (
	"fmt"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// aPort and aMSR are ones that no engine keeps for itself.
const (
	aPort = 0x510
	aMSR  = 0x40000010
)

func exitCases() []testCase {
	var list []testCase
	for _, size := range []int{1, 2, 4} {
		list = append(list,
			on(fmt.Sprintf("out %d", size), func(m *machine) { portOut(m, size) }),
			on(fmt.Sprintf("in %d", size), func(m *machine) { portIn(m, size) }),
			on(fmt.Sprintf("outs %d", size), func(m *machine) { outs(m, size, false) }),
			on(fmt.Sprintf("ins %d", size), func(m *machine) { ins(m, size, false) }))
	}
	for _, size := range []int{1, 2, 4, 8} {
		list = append(list,
			on(fmt.Sprintf("mmio write %d", size), func(m *machine) { mmioWrite(m, size) }),
			on(fmt.Sprintf("mmio read %d", size), func(m *machine) { mmioRead(m, size) }))
	}
	return append(list,
		on("outs backwards", func(m *machine) { outs(m, 2, true) }),
		on("ins backwards", func(m *machine) { ins(m, 2, true) }),
		on("out imm8", outImm8),
		on("ins to a missing page", insFaults),
		on("mmio write across pages", mmioWriteCrossing),
		on("mmio read across pages", mmioReadCrossing),
		on("mmio and memory", mmioHalf),
		on("mmio read-modify-write", mmioRMW),
		on("mmio to mmio", mmioMovs),
		on("mmio rep stos", mmioRepStos),
		on("hypercall", hypercall),
		on("hypercall in ring 3", hypercallUser),
		on("rdmsr", rdmsr),
		on("wrmsr", wrmsr),
		on("rdmsr refused", func(m *machine) { msrRefused(m, func(a *asm.Asm) { a.Rdmsr() }, engine.ExitRDMSR) }),
		on("wrmsr refused", func(m *machine) { msrRefused(m, func(a *asm.Asm) { a.Wrmsr() }, engine.ExitWRMSR) }),
		on("cpuid", cpuid),
		on("hlt with interrupts off", func(m *machine) { halt(m, 0) }),
		on("hlt with interrupts on", func(m *machine) { halt(m, x86.FlagIF) }),
		on("shutdown", shutdown),
		on("fetch from nowhere", fetchNowhere),
		on("mode", modeOfExit),
		on("no allocation", noAllocation),
	)
}

func (m *machine) needHypercall() {
	if m.opts.Hypercall == nil {
		m.Skipf("this engine has no hypercall instruction on this host")
	}
}

// hypercall: arguments in, result out, and the instruction is finished.
func hypercall(m *machine) {
	m.needHypercall()
	m.st.GPR[x86.RAX] = 29
	for i, r := range []int{x86.RDI, x86.RSI, x86.RDX, x86.R10, x86.R8} {
		m.st.GPR[r] = pattern(i)
	}
	m.code(func(a *asm.Asm) { a.Raw(m.opts.Hypercall...); a.Mov(8, asm.RBX, asm.RAX); a.Hlt() })
	m.load()
	var e engine.Exit
	m.enter(m.cpu, &e)
	m.expect(&e, engine.ExitHypercall)
	r := m.cpu.Regs()
	for i, n := range []int{x86.RDI, x86.RSI, x86.RDX, x86.R10, x86.R8} {
		if r[n] != pattern(i) {
			m.Errorf("argument %d: %#x, want %#x", i, r[n], pattern(i))
		}
	}
	if mode := m.cpu.Mode(); r[x86.RAX] != 29 || !mode.Long || mode.CPL != 0 {
		m.Errorf("number %d, mode %+v", r[x86.RAX], mode)
	}
	r[x86.RAX] = 0xfffffffffffffff2
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RBX] != 0xfffffffffffffff2 || m.st.GPR[x86.R10] != pattern(3) {
		m.Errorf("result %#x, r10 %#x", m.st.GPR[x86.RBX], m.st.GPR[x86.R10])
	}
}

// hypercallUser: the engine says that it comes from ring 3, so that it can be refused.
func hypercallUser(m *machine) {
	m.needHypercall()
	m.user()
	m.code(func(a *asm.Asm) { a.Raw(m.opts.Hypercall...); a.Raw(0xcd, 0x80) })
	m.load()
	var e engine.Exit
	m.enter(m.cpu, &e)
	if e.Kind == engine.ExitHypercall {
		if mode := m.cpu.Mode(); mode.CPL != 3 {
			m.Errorf("mode %+v", mode)
		}
		m.cpu.Regs()[x86.RAX] = 1
		m.cont(&e)
	} else {
		m.cpu.Get(&m.st)
	}
	if g := m.event(); g.vector != 0x80 && g.vector != x86.VectorUD && g.vector != x86.VectorGP {
		m.Errorf("exit %v; %s", e.Kind, m.where())
	}
}

func rdmsr(m *machine) {
	m.st.GPR[x86.RCX], m.st.GPR[x86.RAX], m.st.GPR[x86.RDX] = aMSR, ^uint64(0), ^uint64(0)
	m.code(func(a *asm.Asm) { a.Rdmsr(); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitRDMSR)
	if e.MSR != aMSR {
		m.Errorf("exit %s", describe(&e))
	}
	e.Data = 0x1122334455667788
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 0x55667788 || m.st.GPR[x86.RDX] != 0x11223344 {
		m.Errorf("rax %#x rdx %#x", m.st.GPR[x86.RAX], m.st.GPR[x86.RDX])
	}
}

func wrmsr(m *machine) {
	m.st.GPR[x86.RCX], m.st.GPR[x86.RAX], m.st.GPR[x86.RDX] = aMSR, 0xffffffff55667788, 0xffffffff11223344
	m.code(func(a *asm.Asm) { a.Wrmsr(); a.Inc(8, asm.RBX); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitWRMSR)
	if e.MSR != aMSR || e.Data != 0x1122334455667788 {
		m.Errorf("exit %s data %#x", describe(&e), e.Data)
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RBX] != 1 {
		m.Errorf("rbx %d behind the instruction", m.st.GPR[x86.RBX])
	}
}

func msrRefused(m *machine, insn func(a *asm.Asm), kind engine.Kind) {
	m.st.GPR[x86.RCX], m.st.GPR[x86.RAX] = aMSR, 0x1234
	m.code(func(a *asm.Asm) { insn(a); a.Hlt() })
	e := m.run()
	m.expect(&e, kind)
	m.cpu.InjectFault(x86.Fault{Vector: x86.VectorGP, HasError: true})
	m.cont(&e)
	if g := m.want(&e, x86.VectorGP, 0); g.rip != codeAt || m.st.GPR[x86.RAX] != 0x1234 {
		m.Errorf("saved rip %#x, rax %#x: want those of the instruction", g.rip, m.st.GPR[x86.RAX])
	}
}

func cpuid(m *machine) {
	if !m.opts.CPUID {
		m.Skipf("this engine answers CPUID itself")
	}
	m.st.GPR[x86.RAX], m.st.GPR[x86.RCX] = 0x40000000, 3
	m.code(func(a *asm.Asm) { a.Cpuid(); a.Hlt() })
	m.load()
	var e engine.Exit
	m.enter(m.cpu, &e)
	m.expect(&e, engine.ExitCPUID)
	r := m.cpu.Regs()
	if r[x86.RAX] != 0x40000000 || r[x86.RCX] != 3 {
		m.Errorf("leaf %#x subleaf %#x", r[x86.RAX], r[x86.RCX])
	}
	r[x86.RAX], r[x86.RBX], r[x86.RCX], r[x86.RDX] = 1, 2, 3, 4
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if g := m.st.GPR; g[x86.RAX] != 1 || g[x86.RBX] != 2 || g[x86.RCX] != 3 || g[x86.RDX] != 4 {
		m.Errorf("registers %#x", g)
	}
}

func halt(m *machine, flag uint64) {
	m.st.RFLAGS |= flag
	m.code(func(a *asm.Asm) { a.Raw(0x90); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if e.Interruptible != (flag != 0) || m.cpu.Interruptible() != (flag != 0) || m.st.RIP != codeAt+2 {
		m.Errorf("interruptible %v and %v, rip %#x", e.Interruptible, m.cpu.Interruptible(), m.st.RIP)
	}
}

// shutdown: a fault without any handler (SDM 3A 6.15, interrupt 8).
func shutdown(m *machine) {
	m.st.IDTR.Limit = 0
	m.code(func(a *asm.Asm) { a.Ud2() })
	e := m.run()
	m.expect(&e, engine.ExitShutdown)
}

// fetchNowhere: code where nothing is. An engine may read all ones there, as a bus does (#UD), or say that it cannot; it must not
// hang, nor fail as a whole.
func fetchNowhere(m *machine) {
	m.device()
	m.code(func(a *asm.Asm) { a.Raw(0xff, 0xe3) }) // jmp rbx
	e := m.run()
	switch g := m.event(); {
	case e.Kind == engine.ExitInternal && e.Reason != "":
	case e.Kind == engine.ExitHLT && g.vector == x86.VectorUD && g.rip == testVA:
	default:
		m.Errorf("exit %v %s; %s", e.Kind, describe(&e), m.where())
	}
}

// modeOfExit: Mode and Paging tell how the vCPU was running.
func modeOfExit(m *machine) {
	m.user()
	m.st.RFLAGS |= x86.FlagIOPL
	m.code(func(a *asm.Asm) { a.Raw(0xe6, 0x80) })
	m.load()
	before := m.st
	var e engine.Exit
	m.cont(&e)
	m.expect(&e, engine.ExitIO)
	if mode := m.cpu.Mode(); !mode.Long || mode.CPL != 3 {
		m.Errorf("mode %+v", mode)
	}
	if cr0, cr3, cr4, efer := m.cpu.Paging(); cr0 != before.CR0 || cr3&^8 != before.CR3 || cr4 != before.CR4 || efer != before.EFER {
		m.Errorf("paging %#x %#x %#x %#x", cr0, cr3, cr4, efer)
	}
}

// noAllocation: the path of an exit allocates nothing, whatever its kind.
func noAllocation(m *machine) {
	m.device()
	m.st.GPR[x86.RCX] = aMSR
	m.code(func(a *asm.Asm) {
		a.Label("again")
		a.Raw(0xe6, 0x80)
		a.Raw(0xe5, 0x81)
		a.Load(8, asm.RAX, asm.At(asm.RBX, 0))
		a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		a.Rdmsr()
		a.Jmp("again")
	})
	m.load()
	var e engine.Exit
	var seen [engine.NumKinds]bool
	n := testing.AllocsPerRun(200, func() {
		if err := m.cpu.Run(&e); err != nil {
			panic(err)
		}
		seen[e.Kind] = true
	})
	if n != 0 {
		m.Errorf("%v allocations per exit", n)
	}
	for _, k := range []engine.Kind{engine.ExitIO, engine.ExitMMIO, engine.ExitRDMSR} {
		if !seen[k] {
			m.Errorf("no exit of kind %v", k)
		}
	}
}
