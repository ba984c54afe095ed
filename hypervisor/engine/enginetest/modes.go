package enginetest

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func modeCases() []testCase {
	return []testCase{
		on("real mode", realMode),
		on("real mode interrupt", realInterrupt),
		on("real mode string i/o", realString),
		on("protected mode without paging", func(m *machine) { protected(m, 0) }),
		on("protected mode with 32-bit paging", func(m *machine) { protected(m, x86.CR4PSE) }),
		on("protected mode with pae", func(m *machine) { protected(m, x86.CR4PAE) }),
		on("from real to long mode", bootToLong),
		on("compatibility mode", compatibility),
		on("reset state", resetState),
		on("syscall and sysret", syscallRoundTrip),
		on("sysenter and sysexit", sysenterRoundTrip),
		on("iretq to ring 3 and back", iretqRoundTrip),
		on("far return to ring 3", lretqUser),
		on("fsgsbase", fsgsbase),
		on("swapgs", swapgs),
	}
}

// real makes the state one of 16-bit real mode at codeAt.
func (m *machine) real() {
	m.st = x86.State{RIP: 0, RFLAGS: x86.FlagOne, CR0: x86.CR0ET, PAT: x86.PATReset, XCR0: 1, MiscEnable: 1}
	for i := range m.st.Seg {
		m.st.Seg[i] = x86.Segment{Limit: 0xffff, Attr: 0x93}
	}
	m.st.Seg[x86.CS] = x86.Segment{Selector: codeAt >> 4, Base: codeAt, Limit: 0xffff, Attr: 0x9b}
	m.st.Seg[x86.DS] = x86.Segment{Selector: dataAt >> 4, Base: dataAt, Limit: 0xffff, Attr: 0x93}
	m.st.GPR[x86.RSP] = 0xff00
	m.st.TR, m.st.LDTR = x86.Segment{Attr: 0x8b, Limit: 0xffff}, x86.Segment{Attr: 0x82, Limit: 0xffff}
	m.st.IDTR.Limit = 0x3ff
	m.st.DR[6], m.st.DR[7] = 0xffff0ff0, 0x400
	m.st.FX.FCW, m.st.FX.MXCSR = 0x37f, x86.MXCSRReset
}

// run16 runs raw 16-bit code.
func (m *machine) run16(code ...byte) engine.Exit {
	m.write(codeAt, code)
	m.ok(m.cpu.Set(&m.st))
	var e engine.Exit
	m.cont(&e)
	return e
}

// realMode: 16-bit registers and addresses, segments of sixteen bytes.
func realMode(m *machine) {
	m.real()
	m.st.GPR[x86.RAX] = 0xffff0000
	e := m.run16(
		0xb8, 0x34, 0x12, // mov ax, 0x1234
		0xa3, 0x10, 0x00, // mov [0x10], ax
		0xbb, 0x00, 0x51, // mov bx, 0x5100
		0x8e, 0xc3, // mov es, bx
		0x26, 0xc6, 0x06, 0x04, 0x00, 0x99, // mov byte es:[4], 0x99
		0x50, 0x59, // push ax; pop cx
		0xe8, 0x01, 0x00, 0xf4, // call +1; hlt
		0xf7, 0xe0, // mul ax
		0xc3) // ret
	m.expect(&e, engine.ExitHLT)
	if v := m.get(dataAt + 0x10); v&0xffff != 0x1234 {
		m.Errorf("at ds:10: %#x", v)
	}
	if v := m.read(0x51004, 1); v[0] != 0x99 {
		m.Errorf("at es:4: %#x", v)
	}
	r := m.st.GPR
	if r[x86.RAX] != 0xffff0000|0x1234*0x1234&0xffff || r[x86.RDX] != 0x1234*0x1234>>16 || r[x86.RCX] != 0x1234 || r[x86.RSP] != 0xff00 {
		m.Errorf("rax %#x rdx %#x rcx %#x rsp %#x", r[x86.RAX], r[x86.RDX], r[x86.RCX], r[x86.RSP])
	}
	if s := m.st.Seg[x86.ES]; s.Selector != 0x5100 || s.Base != 0x51000 || m.st.RIP != 23 {
		m.Errorf("es %+v rip %#x", s, m.st.RIP)
	}
}

// realInterrupt: INT by the vector table at 0, and one from outside.
func realInterrupt(m *machine) {
	m.real()
	m.write(4*0x21, []byte{0x40, 0x00, codeAt >> 4 & 0xff, codeAt >> 12})
	m.write(4*0x70, []byte{0x50, 0x00, codeAt >> 4 & 0xff, codeAt >> 12})
	m.write(codeAt+0x40, []byte{0x40, 0xcf})       // inc ax; iret
	m.write(codeAt+0x50, []byte{0x43, 0x9c, 0xf4}) // inc bx; pushf; hlt
	e := m.run16(0xcd, 0x21, 0xcd, 0x21, 0xfb, 0xf4)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX]&0xffff != 2 || !e.Interruptible {
		m.Errorf("ax %d, interruptible %v", m.st.GPR[x86.RAX], e.Interruptible)
	}
	m.cpu.Inject(0x70)
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RBX]&0xffff != 1 || m.st.RFLAGS&x86.FlagIF != 0 || m.st.RIP != 0x53 {
		m.Errorf("bx %d rflags %#x rip %#x", m.st.GPR[x86.RBX], m.st.RFLAGS, m.st.RIP)
	}
}

func realString(m *machine) {
	m.real()
	m.write(dataAt, []byte("ab"))
	e := m.run16(0xba, aPort&0xff, aPort>>8, 0x31, 0xf6, 0xb9, 2, 0, 0xf3, 0x6e, 0xf4) // mov dx; xor si, si; mov cx, 2; rep outsb; hlt
	for _, want := range []uint64{'a', 'b'} {
		m.expect(&e, engine.ExitIO)
		if e.Port != aPort || e.Data&0xff != want {
			m.Errorf("exit %s", describe(&e))
		}
		m.enter(m.cpu, &e)
	}
	m.expect(&e, engine.ExitHLT)
}

// protected: flat 32-bit code, as a PVH entry has it, with the paging that a CR4 bit asks for; 0 for none.
func protected(m *machine, paging uint64) {
	m.st.EFER, m.st.CR4 = 0, paging
	m.st.CR0 = x86.CR0PE | x86.CR0ET | x86.CR0NE
	m.st.Seg[x86.CS] = flat(code32Sel, attrCode32)
	switch paging {
	case x86.CR4PSE: // one page of 4 MiB, and a table of 4 KiB pages at 4 MiB (SDM 3A 4.3)
		m.st.CR0 |= x86.CR0PG
		m.st.CR3 = 0x40000
		m.put(0x40000, 0x83|uint64(0x41000|3)<<32)
		m.put(0x41000, dataAt|3)
	case x86.CR4PAE: // SDM 3A 4.4
		m.st.CR0 |= x86.CR0PG
		m.st.CR3 = 0x40000
		m.put(0x40000, 0x41000|1)
		m.put(0x41000, 0x83)
		m.put(0x41008, 0x200083)
		m.put(0x41010, 0x42000|3)
		m.put(0x42000, dataAt|3)
	default:
		m.st.CR3 = 0
	}
	data := uint32(dataAt)
	if paging != 0 {
		data = 4 << 20
	}
	m.assemble(codeAt, codeAt, func(a *asm.Asm) {
		a.Bits = 32
		a.MovI(asm.RBX, uint64(data))
		a.MovI(asm.RAX, 0xdeadbeef)
		a.Store(4, asm.At(asm.RBX, 4), asm.RAX)
		a.Push(asm.RAX)
		a.Raw(0x59)             // pop ecx
		a.Raw(0x40)             // inc eax
		a.Raw(0x0f, 0xc8)       // bswap eax
		a.Raw(0xe6, 0x80, 0xf4) // out; hlt
	})
	m.ok(m.cpu.Set(&m.st))
	var e engine.Exit
	m.cont(&e)
	m.expect(&e, engine.ExitIO)
	if mode := m.cpu.Mode(); mode.Long || mode.CPL != 0 {
		m.Errorf("mode %+v", mode)
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if v := uint32(m.get(dataAt) >> 32); v != 0xdeadbeef || m.st.GPR[x86.RCX] != 0xdeadbeef || m.st.GPR[x86.RAX] != 0xf0beadde {
		m.Errorf("memory %#x ecx %#x eax %#x", v, m.st.GPR[x86.RCX], m.st.GPR[x86.RAX])
	}
}

// bootToLong: a guest goes from real mode to 64-bit mode by itself (SDM 3A 9.8.5).
func bootToLong(m *machine) {
	m.real()
	m.write(dataAt, []byte{lastGDT, 0, gdtAt & 0xff, gdtAt >> 8, 0, 0})
	m.write(codeAt, []byte{
		0x66, 0x0f, 0x01, 0x16, 0x00, 0x00, // lgdt [0]
		0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, // mov eax, cr0; or al, 1; mov cr0, eax
		0x66, 0xea, 0x00, 0x01, codeAt >> 16, 0, code32Sel, 0}) // jmp code32:codeAt+0x100
	m.assemble(codeAt+0x100, codeAt+0x100, func(a *asm.Asm) {
		a.Bits = 32
		a.MovI(asm.RAX, data0Sel)
		a.Raw(0x8e, 0xd8, 0x8e, 0xd0) // mov ds, eax; mov ss, eax
		a.MovI(asm.RSP, stackAt)
		a.MovI(asm.RAX, x86.CR4PAE)
		a.ToCR(4, asm.RAX)
		a.MovI(asm.RAX, pml4At)
		a.ToCR(3, asm.RAX)
		a.MovI(asm.RCX, x86.MSREFER)
		a.Rdmsr()
		a.OpI(asm.OR, 4, asm.RAX, x86.EFERLME)
		a.Wrmsr()
		a.FromCR(asm.RAX, 0)
		a.OpI(asm.OR, 4, asm.RAX, -1<<31)
		a.ToCR(0, asm.RAX)
		a.FarJmp(code64Sel, "long")
		a.Label("long")
		a.Bits = 64
		a.MovI(asm.RAX, pattern(1))
		a.Push(asm.RAX)
		a.Pop(asm.RBX)
		a.Hlt()
	})
	m.ok(m.cpu.Set(&m.st))
	var e engine.Exit
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RBX] != pattern(1) || m.st.EFER&x86.EFERLMA == 0 || m.st.Seg[x86.CS].Selector != code64Sel || m.st.Seg[x86.CS].Attr&x86.AttrL == 0 {
		m.Errorf("rbx %#x efer %#x cs %+v", m.st.GPR[x86.RBX], m.st.EFER, m.st.Seg[x86.CS])
	}
}

// compatibility: 32-bit code of ring 3 under long mode; INTO and BOUND exist there.
func compatibility(m *machine) {
	for _, c := range []struct {
		code   []byte
		vector int
		next   uint64
	}{
		{[]byte{0xb0, 0x7f, 0x04, 0x01, 0xce}, x86.VectorOF, 5},             // mov al, 127; add al, 1; into
		{[]byte{0x48, 0xcd, 0x80}, 0x80, 3},                                 // dec eax: no REX here
		{[]byte{0x06, 0x07, 0xcd, 0x80}, 0x80, 4},                           // push es; pop es
		{[]byte{0x31, 0xc0, 0x62, 0x04, 0x25, 0, 0, 0, 0}, x86.VectorPF, 2}, // bound eax, [0]: a supervisor page
	} {
		m.reset()
		m.put(testPDPT, testPD|7)
		m.put(pml4At, pdptAt|7)
		m.put(pdptAt+8, testPD|7) // at 1 GiB
		m.put(testPD, testPT|7)
		m.put(testPT, testPages|7)
		m.put(testPT+8, testPages+0x1000|7)
		m.user()
		m.st.Seg[x86.CS] = flat(user32Sel, attrCode32|attrDPL3)
		m.st.RIP, m.st.GPR[x86.RSP] = 1<<30, 1<<30+0x1800
		m.write(testPages, c.code)
		e := m.run()
		if e.Kind != engine.ExitHLT || m.event().vector != c.vector || m.event().rip != 1<<30+c.next || m.event().cs != user32Sel {
			m.Errorf("% x: exit %v; %s", c.code, e.Kind, m.where())
		}
	}
}

// resetState: a new vCPU is as the processor after reset (SDM 3A table 9-1).
func resetState(m *machine) {
	cpu, err := m.vm.NewVCPU(1)
	if err != nil {
		m.Skipf("a second vCPU: %v", err)
	}
	var s x86.State
	cpu.Get(&s)
	if s.RIP != 0xfff0 || s.Seg[x86.CS].Selector != 0xf000 || s.Seg[x86.CS].Base != 0xffff0000 || s.RFLAGS != x86.FlagOne ||
		s.CR0&^(x86.CR0NW|x86.CR0CD) != x86.CR0ET || s.EFER != 0 || s.CR4 != 0 || s.PAT != x86.PATReset {
		m.Errorf("rip %#x cs %+v rflags %#x cr0 %#x efer %#x cr4 %#x pat %#x", s.RIP, s.Seg[x86.CS], s.RFLAGS, s.CR0, s.EFER, s.CR4, s.PAT)
	}
}

// syscallRoundTrip: SYSCALL saves RIP and RFLAGS, clears what SFMASK says, and SYSRET goes back (SDM 2B).
func syscallRoundTrip(m *machine) {
	m.user()
	m.st.RFLAGS |= x86.FlagIF | x86.FlagCF
	m.st.STAR = code64Sel<<32 | (code3Sel-16)<<48
	m.st.LSTAR, m.st.SFMASK = codeAt, x86.FlagIF
	m.code(func(a *asm.Asm) { a.Raw(0x0f, 0x05); a.Ud2() })
	m.assemble(codeAt, codeAt, func(a *asm.Asm) {
		a.Mov(8, asm.RBX, asm.R11)
		a.Mov(8, asm.RDX, asm.RCX)
		a.MovI(asm.RSI, stackAt)
		a.Raw(0x9c, 0x8f, 0x06) // pushfq; pop [rsi]
		a.Raw(0x48, 0x0f, 0x07) // sysretq
	})
	e := m.run()
	g := m.want(&e, x86.VectorUD, 0)
	flags := uint64(x86.FlagOne | x86.FlagIF | x86.FlagCF)
	if g.rip != userVA+2 || g.cs != code3Sel || g.ss != data3Sel || g.flags&^x86.FlagRF != flags || m.st.GPR[x86.RBX] != flags || m.st.GPR[x86.RDX] != userVA+2 {
		m.Errorf("frame %+v; r11 was %#x, rcx %#x", g, m.st.GPR[x86.RBX], m.st.GPR[x86.RDX])
	}
	if v := m.get(stackAt); v != x86.FlagOne|x86.FlagCF {
		m.Errorf("flags in ring 0: %#x", v)
	}
}

// sysenterRoundTrip: SYSEXIT to ring 3 takes RIP from RDX and RSP from RCX; its selectors come from IA32_SYSENTER_CS.
func sysenterRoundTrip(m *machine) {
	// SYSEXIT wants CS+32 and CS+40 for 64-bit code and stack of ring 3 (SDM 2B): a table of its own.
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0x00cff3000000ffff} {
		m.put(guestGPA(0x60000+8*i), d)
	}
	m.put(0x60000+7*8, m.get(gdtAt+tssSel))
	m.put(0x60000+8*8, 0)
	m.st.GDTR = x86.Table{Base: 0x60000, Limit: 9*8 - 1}
	m.st.SysenterCS, m.st.SysenterESP, m.st.SysenterEIP = 8, stackAt, codeAt+0x100
	m.st.GPR[x86.RDX], m.st.GPR[x86.RCX] = userVA, userStack
	m.assemble(codeAt, codeAt, func(a *asm.Asm) { a.Raw(0x48, 0x0f, 0x35) }) // sysexit
	m.assemble(userVA, userPages, func(a *asm.Asm) { a.Mov(8, asm.RSI, asm.RSP); a.Raw(0x0f, 0x34) })
	m.assemble(codeAt+0x100, codeAt+0x100, func(a *asm.Asm) { a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.RIP != codeAt+0x101 || m.st.GPR[x86.RSI] != userStack || m.st.GPR[x86.RSP] != stackAt || m.st.Seg[x86.CS].Selector != 8 || m.st.Seg[x86.SS].Selector != 16 {
		m.Errorf("rsp in ring 3 %#x; in ring 0: rsp %#x cs %#x ss %#x; %s", m.st.GPR[x86.RSI], m.st.GPR[x86.RSP], m.st.Seg[x86.CS].Selector,
			m.st.Seg[x86.SS].Selector, m.where())
	}
}

func iretqRoundTrip(m *machine) {
	m.code(func(a *asm.Asm) {
		a.MovI(asm.RAX, data3Sel)
		a.Push(asm.RAX)
		a.MovI(asm.RAX, userStack)
		a.Push(asm.RAX)
		a.MovI(asm.RAX, x86.FlagOne|x86.FlagIF|x86.FlagDF)
		a.Push(asm.RAX)
		a.MovI(asm.RAX, code3Sel)
		a.Push(asm.RAX)
		a.MovI(asm.RAX, userVA)
		a.Push(asm.RAX)
		a.Iretq()
	})
	m.assemble(userVA, userPages, func(a *asm.Asm) { a.Push(asm.RAX); a.Ud2() })
	e := m.run()
	g := m.want(&e, x86.VectorUD, 0)
	if g.rip != userVA+1 || g.rsp != userStack-8 || g.cs != code3Sel || g.ss != data3Sel || g.flags&^x86.FlagRF != x86.FlagOne|x86.FlagIF|x86.FlagDF {
		m.Errorf("frame %+v", g)
	}
	// DS, ES, FS and GS of a higher privilege become null (SDM 2A IRET).
	if m.st.Seg[x86.DS].Selector != 0 || m.st.Seg[x86.GS].Selector != 0 {
		m.Errorf("ds %#x gs %#x", m.st.Seg[x86.DS].Selector, m.st.Seg[x86.GS].Selector)
	}
}

func lretqUser(m *machine) {
	m.code(func(a *asm.Asm) {
		for _, v := range []uint64{data3Sel, userStack, code3Sel, userVA} {
			a.MovI(asm.RAX, v)
			a.Push(asm.RAX)
		}
		a.Raw(0x48, 0xcb) // lretq
	})
	m.assemble(userVA, userPages, func(a *asm.Asm) { a.Ud2() })
	e := m.run()
	if g := m.want(&e, x86.VectorUD, 0); g.rip != userVA || g.rsp != userStack || g.cs != code3Sel {
		m.Errorf("frame %+v", g)
	}
}

func fsgsbase(m *machine) {
	m.st.CR4 |= x86.CR4FSGSBASE
	m.st.Seg[x86.FS].Base = 0x123456789000
	m.st.GPR[x86.RAX], m.st.GPR[x86.RDX] = 0x7fff00001000, 0xffff800000002000
	m.code(func(a *asm.Asm) {
		a.Raw(0xf3, 0x48, 0x0f, 0xae, 0xc3) // rdfsbase rbx
		a.Raw(0xf3, 0x48, 0x0f, 0xae, 0xd0) // wrfsbase rax
		a.Raw(0xf3, 0x48, 0x0f, 0xae, 0xda) // wrgsbase rdx
		a.Raw(0xf3, 0x0f, 0xae, 0xc9)       // rdgsbase ecx
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RBX] != 0x123456789000 || m.st.Seg[x86.FS].Base != 0x7fff00001000 || m.st.Seg[x86.GS].Base != 0xffff800000002000 || m.st.GPR[x86.RCX] != 0x2000 {
		m.Errorf("rbx %#x fs %#x gs %#x ecx %#x", m.st.GPR[x86.RBX], m.st.Seg[x86.FS].Base, m.st.Seg[x86.GS].Base, m.st.GPR[x86.RCX])
	}
}

func swapgs(m *machine) {
	m.st.Seg[x86.GS].Base, m.st.KernelGSBase = 0x1000, 0xffff888000001000
	m.code(func(a *asm.Asm) { a.Raw(0x0f, 0x01, 0xf8); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.Seg[x86.GS].Base != 0xffff888000001000 || m.st.KernelGSBase != 0x1000 {
		m.Errorf("gs %#x kernel gs %#x", m.st.Seg[x86.GS].Base, m.st.KernelGSBase)
	}
}
