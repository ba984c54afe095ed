package enginetest

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// faultRow is an instruction that raises an exception.
type faultRow struct {
	name   string
	user   bool
	code   []byte
	vector int
	err    uint64
	next   int // offset of the saved RIP
	setup  func(m *machine)
}

func cr4(bits uint64) func(m *machine) { return func(m *machine) { m.st.CR4 |= bits } }
func cr0(bits uint64) func(m *machine) { return func(m *machine) { m.st.CR0 |= bits } }

// faultRows: SDM 3A 6.15 gives vector, error code and saved RIP of each; 6.13 the form of the error code.
var faultRows = []faultRow{
	{name: "de div by zero", code: []byte{0x31, 0xc9, 0xf7, 0xf1}, vector: x86.VectorDE, next: 2},
	{name: "de overflow", code: []byte{0xb2, 0x7f, 0xb1, 0x01, 0xb8, 0, 0x7f, 0, 0, 0xf6, 0xf1}, vector: x86.VectorDE, next: 9},
	{name: "ud2", code: []byte{0x0f, 0x0b}, vector: x86.VectorUD},
	{name: "ud2 in ring 3", user: true, code: []byte{0x0f, 0x0b}, vector: x86.VectorUD},
	{name: "ud mov cs", code: []byte{0x8e, 0xc8}, vector: x86.VectorUD},
	{name: "ud lock on a register", code: []byte{0xf0, 0x01, 0xc0}, vector: x86.VectorUD},
	{name: "ud push es in 64-bit mode", code: []byte{0x06}, vector: x86.VectorUD},
	{name: "bp int3", code: []byte{0xcc}, vector: x86.VectorBP, next: 1},
	{name: "bp int3 from ring 3", user: true, code: []byte{0xcc}, vector: x86.VectorBP, next: 1},
	{name: "of int 4", user: true, code: []byte{0xcd, 0x04}, vector: x86.VectorOF, next: 2},
	{name: "int 0x80 from ring 3", user: true, code: []byte{0xcd, 0x80}, vector: 0x80, next: 2},
	{name: "db icebp", code: []byte{0xf1}, vector: x86.VectorDB, next: 1},
	{name: "gp int 0x20 from ring 3", user: true, code: []byte{0xcd, 0x20}, vector: x86.VectorGP, err: 0x20*8 + 2},
	{name: "gp int 0x21 from ring 3", user: true, code: []byte{0xcd, 0x21}, vector: x86.VectorGP, err: 0x21*8 + 2},
	{name: "gp int 1 from ring 3", user: true, code: []byte{0xcd, 0x01}, vector: x86.VectorGP, err: 1*8 + 2},
	{name: "gp hlt in ring 3", user: true, code: []byte{0xf4}, vector: x86.VectorGP},
	{name: "gp cli in ring 3", user: true, code: []byte{0xfa}, vector: x86.VectorGP},
	{name: "gp in from ring 3", user: true, code: []byte{0xec}, vector: x86.VectorGP},
	{name: "gp rdmsr in ring 3", user: true, code: []byte{0x0f, 0x32}, vector: x86.VectorGP},
	{name: "gp mov cr in ring 3", user: true, code: []byte{0x0f, 0x20, 0xc0}, vector: x86.VectorGP},
	{name: "gp sgdt under umip", user: true, code: []byte{0x0f, 0x01, 0x04, 0x24}, vector: x86.VectorGP, setup: cr4(x86.CR4UMIP)},
	{name: "gp rdtsc under tsd", user: true, code: []byte{0x0f, 0x31}, vector: x86.VectorGP, setup: cr4(x86.CR4TSD)},
	{name: "gp null ss in ring 3", user: true, code: []byte{0x31, 0xc0, 0x8e, 0xd0}, vector: x86.VectorGP, next: 2},
	{name: "gp selector beyond the gdt", code: []byte{0x66, 0xb8, 0x00, 0x01, 0x8e, 0xd8}, vector: x86.VectorGP, err: 0x100, next: 4},
	{name: "gp ss of another ring", code: []byte{0x66, 0xb8, data3Sel, 0, 0x8e, 0xd0}, vector: x86.VectorGP, err: data3Sel &^ 3, next: 4},
	{name: "gp code segment in ss", code: []byte{0x66, 0xb8, code64Sel, 0, 0x8e, 0xd0}, vector: x86.VectorGP, err: code64Sel, next: 4},
	{name: "np absent data segment", code: []byte{0x66, 0xb8, absentSel, 0, 0x8e, 0xd8}, vector: x86.VectorNP, err: absentSel, next: 4},
	{name: "ss absent stack segment", code: []byte{0x66, 0xb8, absentSel, 0, 0x8e, 0xd0}, vector: x86.VectorSS, err: absentSel, next: 4},
	{name: "gp cr4 reserved bit", code: []byte{0xb8, 0, 0, 0, 0x80, 0x0f, 0x22, 0xe0}, vector: x86.VectorGP, next: 5},
	{name: "gp cr0 paging without protection", code: []byte{0xb8, 0, 0, 0, 0x80, 0x0f, 0x22, 0xc0}, vector: x86.VectorGP, next: 5},
	{name: "gp cr3 reserved bit", code: []byte{0x48, 0xb8, 0, 0x40, 0, 0, 0, 0, 0xf0, 0x7f, 0x0f, 0x22, 0xd8}, vector: x86.VectorGP, next: 10},
	{name: "gp cr4 pae off in long mode", code: []byte{0x31, 0xc0, 0x0f, 0x22, 0xe0}, vector: x86.VectorGP, next: 2},
	{name: "gp efer reserved bit", code: []byte{0xb9, 0x80, 0, 0, 0xc0, 0xb8, 2, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x30}, vector: x86.VectorGP, next: 12},
	{name: "gp wrmsr not canonical", code: []byte{0xb9, 0x82, 0, 0, 0xc0, 0xba, 0, 0x80, 0, 0, 0x0f, 0x30}, vector: x86.VectorGP, next: 10},
	{name: "gp too long", code: []byte{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}, vector: x86.VectorGP},
	{name: "gp data not canonical", code: []byte{0x48, 0xb8, 0, 0, 0, 0, 0, 0x80, 0, 0, 0x48, 0x8b, 0x00}, vector: x86.VectorGP, next: 10},
	{name: "ss stack not canonical", code: []byte{0x48, 0xbd, 0, 0, 0, 0, 0, 0x80, 0, 0, 0x48, 0x8b, 0x45, 0x00}, vector: x86.VectorSS, next: 10},
	{name: "gp movaps misaligned", code: []byte{0x0f, 0x28, 0x44, 0x24, 0x04}, vector: x86.VectorGP},
	{name: "gp jump not canonical", code: []byte{0x48, 0xb8, 0, 0, 0, 0, 0, 0x80, 0, 0, 0xff, 0xe0}, vector: x86.VectorGP, next: 10},
	{name: "gp wrfsbase not canonical", code: []byte{0x48, 0xb8, 0, 0, 0, 0, 0, 0x80, 0, 0, 0xf3, 0x48, 0x0f, 0xae, 0xd0}, vector: x86.VectorGP, next: 10, setup: cr4(x86.CR4FSGSBASE)},
	{name: "gp iretq to a null ss in ring 3", code: []byte{0x6a, 0, 0x6a, 0, 0x6a, 2, 0x6a, code3Sel, 0x6a, 0, 0x48, 0xcf}, vector: x86.VectorGP, next: 10},
	{name: "nm x87 under ts", code: []byte{0xd9, 0xe8}, vector: x86.VectorNM, setup: cr0(x86.CR0TS)},
	{name: "nm sse under ts", code: []byte{0x0f, 0x57, 0xc0}, vector: x86.VectorNM, setup: cr0(x86.CR0TS)},
	{name: "nm wait under ts and mp", code: []byte{0x9b}, vector: x86.VectorNM, setup: cr0(x86.CR0TS)},
	{name: "nm x87 under em", code: []byte{0xd9, 0xe8}, vector: x86.VectorNM, setup: cr0(x86.CR0EM)},
	{name: "ud sse under em", code: []byte{0x0f, 0x57, 0xc0}, vector: x86.VectorUD, setup: cr0(x86.CR0EM)},
	{name: "ud sse without osfxsr", code: []byte{0x0f, 0x57, 0xc0}, vector: x86.VectorUD, setup: func(m *machine) { m.st.CR4 &^= x86.CR4OSFXSR }},
	// fld1; fldz; fdivp; fwait with ZE unmasked: at the next waiting instruction.
	{name: "mf division by zero", code: []byte{0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x9b}, vector: x86.VectorMF, next: 6, setup: func(m *machine) { m.st.FX.FCW = 0x37b }},
	// mov eax,1; cvtsi2sd xmm0,eax; xorpd xmm1,xmm1; divsd xmm0,xmm1 with ZE unmasked.
	{name: "xm division by zero", code: []byte{0xb8, 1, 0, 0, 0, 0xf2, 0x0f, 0x2a, 0xc0, 0x66, 0x0f, 0x57, 0xc9, 0xf2, 0x0f, 0x5e, 0xc1}, vector: x86.VectorXM, next: 13,
		setup: func(m *machine) { m.st.FX.MXCSR = 0x1d80 }},
	{name: "ac misaligned in ring 3", user: true, code: []byte{0x48, 0x8b, 0x44, 0x24, 0xf1}, vector: x86.VectorAC, setup: func(m *machine) {
		m.st.CR0 |= x86.CR0AM
		m.st.RFLAGS |= x86.FlagAC
	}},
}

func faultCases() []testCase {
	var list []testCase
	for _, r := range faultRows {
		list = append(list, on(r.name, func(m *machine) { oneFault(m, r) }))
	}
	return append(list,
		on("ts tss too short", tssTooShort),
		on("df and shutdown", doubleFault),
		on("benign then gp", benignThenGP),
		on("db single step", singleStep),
		on("db single step over rep", singleStepRep),
		on("db breakpoint on code", func(m *machine) { breakpoint(m, 0, codeAt+3, codeAt+3) }),
		on("db breakpoint on write", func(m *machine) { breakpoint(m, 1, dataAt, codeAt+6) }),
		on("db breakpoint on access", func(m *machine) { breakpoint(m, 3, dataAt+8, codeAt+10) }),
		on("rf ends a code breakpoint", resumeFlag),
		on("gp int with a bad gate", badGate),
		on("string keeps progress", stringProgress),
		on("push leaves rsp", pushLeavesRSP),
	)
}

func oneFault(m *machine, r faultRow) {
	if r.user {
		m.user()
	}
	if r.setup != nil {
		r.setup(m)
	}
	at := m.st.RIP
	m.code(func(a *asm.Asm) { a.Raw(r.code...) })
	e := m.run()
	g := m.want(&e, r.vector, r.err)
	if g.rip != at+uint64(r.next) {
		m.Errorf("saved rip %#x, want %#x", g.rip, at+uint64(r.next))
	}
	cs, ss := uint64(code64Sel), uint64(data0Sel)
	if r.user {
		cs, ss = code3Sel, data3Sel
	}
	if g.cs != cs || g.ss != ss {
		m.Errorf("saved cs %#x ss %#x, want %#x %#x", g.cs, g.ss, cs, ss)
	}
}

// tssTooShort: an interrupt stack beyond the TSS's limit is #TS with the TSS's selector (SDM 3A 6.15, interrupt 10).
func tssTooShort(m *machine) {
	m.gate(0x80, stubsAt+16*0x80, 2)
	m.st.TR.Limit = 0x2b
	m.code(func(a *asm.Asm) { a.Raw(0xcd, 0x80) })
	e := m.run()
	m.want(&e, x86.VectorTS, tssSel)
}

// doubleFault: two contributory exceptions are a #DF, a fault in delivering that is the end (SDM 3A table 6-5).
func doubleFault(m *machine) {
	m.code(func(a *asm.Asm) { a.Raw(0x31, 0xc9, 0xf7, 0xf1) })
	m.put(idtAt+16*x86.VectorDE, 0)
	e := m.run()
	m.want(&e, x86.VectorDF, 0)
	m.reset()
	m.put(idtAt+16*x86.VectorDF, 0)
	e = m.run()
	m.expect(&e, engine.ExitShutdown)
}

// benignThenGP: #UD is benign, so that the #GP of its gate comes alone.
func benignThenGP(m *machine) {
	m.put(idtAt+16*x86.VectorUD, 0)
	m.code(func(a *asm.Asm) { a.Ud2() })
	e := m.run()
	m.want(&e, x86.VectorGP, x86.VectorUD*8+3)
}

func singleStep(m *machine) {
	m.st.RFLAGS |= x86.FlagTF
	m.code(func(a *asm.Asm) { a.Inc(8, asm.RAX); a.Inc(8, asm.RAX); a.Hlt() })
	e := m.run()
	g := m.want(&e, x86.VectorDB, 0)
	if m.st.GPR[x86.RAX] != 1 || g.rip != codeAt+3 || m.st.DR[6]&x86DR6BS == 0 || g.flags&x86.FlagTF == 0 || m.st.RFLAGS&x86.FlagTF != 0 {
		m.Errorf("rax %d rip %#x dr6 %#x saved flags %#x", m.st.GPR[x86.RAX], g.rip, m.st.DR[6], g.flags)
	}
}

// singleStepRep: each element of a repeated string instruction is a step (SDM 3B 17.3.1.4).
func singleStepRep(m *machine) {
	m.st.RFLAGS |= x86.FlagTF
	m.st.GPR[x86.RSI], m.st.GPR[x86.RDI], m.st.GPR[x86.RCX] = dataAt, dataAt+0x100, 3
	m.code(func(a *asm.Asm) { a.Raw(0xf3, 0xa4); a.Hlt() })
	e := m.run()
	if g := m.want(&e, x86.VectorDB, 0); m.st.GPR[x86.RCX] != 2 || g.rip != codeAt {
		m.Errorf("rcx %d rip %#x", m.st.GPR[x86.RCX], g.rip)
	}
}

// breakpoint: kind 0 is execution, a fault; 1 a write and 3 an access, traps (SDM 3B 17.2.4).
func breakpoint(m *machine, kind, at, rip uint64) {
	m.st.GPR[x86.RBX] = dataAt
	m.code(func(a *asm.Asm) {
		a.Inc(8, asm.RAX)
		a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		a.OpLoad(asm.ADD, 8, asm.RCX, asm.At(asm.RBX, 8))
		a.Hlt()
	})
	m.st.DR[0], m.st.DR[7] = at, 0x400|1|kind<<16
	e := m.run()
	if g := m.want(&e, x86.VectorDB, 0); g.rip != rip || m.st.DR[6]&0xf != 1 {
		m.Errorf("saved rip %#x, want %#x; dr6 %#x", g.rip, rip, m.st.DR[6])
	}
}

// resumeFlag: IRET with RF set executes the instruction under a breakpoint. The #DB of such a breakpoint pushes RF clear, unlike all
// other faults, so its handler sets it (SDM 3B 17.3.1.1).
func resumeFlag(m *machine) {
	m.assemble(stubsAt+16*x86.VectorDB, stubsAt+16*x86.VectorDB, func(a *asm.Asm) {
		a.Inc(8, asm.RDX)
		a.OpMI(asm.OR, 4, asm.At(asm.RSP, 16), x86.FlagRF)
		a.Iretq()
	})
	m.code(func(a *asm.Asm) { a.Raw(0x90); a.Inc(8, asm.RAX); a.Hlt() })
	m.st.DR[0], m.st.DR[7] = codeAt+1, 0x401
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 1 || m.st.GPR[x86.RDX] != 1 {
		m.Errorf("rax %d rdx %d, want 1 1; %s", m.st.GPR[x86.RAX], m.st.GPR[x86.RDX], m.where())
	}
}

// badGate: a gate that is none is #GP with its vector, without EXT for a software interrupt.
func badGate(m *machine) {
	m.put(idtAt+16*0x81, 0)
	m.code(func(a *asm.Asm) { a.Raw(0xcd, 0x81) })
	e := m.run()
	if g := m.want(&e, x86.VectorGP, 0x81*8+2); g.rip != codeAt {
		m.Errorf("saved rip %#x", g.rip)
	}
}

// stringProgress: REP MOVSB that runs into a missing page has counted what it did.
func stringProgress(m *machine) {
	m.put(testPT, testPages|7)
	m.code(func(a *asm.Asm) { a.Raw(0xf3, 0xa4) })
	m.st.GPR[x86.RSI], m.st.GPR[x86.RDI], m.st.GPR[x86.RCX] = 0x40000, testVA+0xf00, 0x300
	e := m.run()
	g := m.want(&e, x86.VectorPF, x86.PFWrite)
	if r := m.st.GPR; r[x86.RCX] != 0x200 || r[x86.RDI] != testVA+0x1000 || r[x86.RSI] != 0x40100 || g.rip != codeAt {
		m.Errorf("rcx %#x rdi %#x rsi %#x rip %#x", r[x86.RCX], r[x86.RDI], r[x86.RSI], g.rip)
	}
}

// pushLeavesRSP: the fault of a PUSH shows the stack pointer from before.
func pushLeavesRSP(m *machine) {
	m.st.GPR[x86.RSP] = testVA + 8
	m.gate(x86.VectorPF, stubsAt+16*x86.VectorPF, 1)
	m.code(func(a *asm.Asm) { a.Push(asm.RAX) })
	e := m.run()
	if g := m.want(&e, x86.VectorPF, x86.PFWrite); g.rsp != testVA+8 || m.st.CR2 != testVA {
		m.Errorf("saved rsp %#x cr2 %#x", g.rsp, m.st.CR2)
	}
}
