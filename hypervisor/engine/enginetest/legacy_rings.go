package enginetest

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// legacyRingCases are about segments, gates and rings in 32-bit mode. Paging is on, since kernels have it on.
func legacyRingCases() []testCase {
	p := &pagers[0]
	var list []testCase
	for _, r := range segmentRows {
		list = append(list, under(p, r.name, func(m *machine, _ *pager) { oneSegment(m, r) }))
	}
	return append(list,
		under(p, "interrupt from ring 3", interruptFrom3),
		under(p, "interrupt gate of 16 bits", gate16),
		under(p, "trap gate keeps if", trapGate),
		under(p, "tss of 16 bits", tss16),
		under(p, "iret to ring 3", iretTo3),
		under(p, "far return to ring 3", farReturnTo3),
		under(p, "sysenter and sysexit", sysenter32),
		under(p, "double fault and shutdown", doubleFault32),
		under(p, "ltr makes a tss busy", ltrBusy),
		under(p, "ldt", localTable),
		under(p, "external interrupt", externalInterrupt32),
		under(p, "addresses wrap", wraps),
		under(p, "decimal arithmetic", decimalArithmetic),
	)
}

func interruptFrom3(m *machine, p *pager) {
	m.user32()
	m.st.RFLAGS |= x86.FlagIF
	m.code32(func(a *asm.Asm) { a.Raw(0xcd, 0x80) })
	e := m.run()
	g := m.want(&e, 0x80, 0)
	if g.rip != userVA32+2 || g.cs != user32Sel || g.flags != x86.FlagOne|x86.FlagIF || g.rsp != userStack32 || g.ss != data3Sel {
		m.Errorf("frame %+v", g)
	}
	if sp := m.st.GPR[x86.RSP]; sp != stackAt-20 || m.st.Seg[x86.SS].Selector != data0Sel || m.st.RFLAGS&x86.FlagIF != 0 {
		m.Errorf("esp %#x ss %#x flags %#x", sp, m.st.Seg[x86.SS].Selector, m.st.RFLAGS)
	}
}

// gate16 pushes words of 16 bits and goes to an offset of 16 bits (SDM 3A 6.12.1).
func gate16(m *machine, p *pager) {
	m.gate32(0x80, 0x12340000|stubsAt+16*0x80, 0x86)
	m.code32(func(a *asm.Asm) { a.Raw(0xcd, 0x80) })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if sp := m.st.GPR[x86.RSP]; m.st.RIP != stubsAt+16*0x80+1 || sp != stackAt-6 || m.get(guestmem.GPA(sp))&0xffffffffffff != x86.FlagOne<<32|code32Sel<<16|(codeAt+2)&0xffff {
		m.Errorf("eip %#x esp %#x frame %#x", m.st.RIP, sp, m.get(guestmem.GPA(sp)))
	}
}

func trapGate(m *machine, p *pager) {
	m.gate32(0x80, stubsAt+16*0x80, 0x8f)
	m.st.RFLAGS |= x86.FlagIF
	m.code32(func(a *asm.Asm) { a.Raw(0xcd, 0x80) })
	e := m.run()
	if m.want(&e, 0x80, 0); m.st.RFLAGS&x86.FlagIF == 0 {
		m.Errorf("flags %#x", m.st.RFLAGS)
	}
}

// tss16: the stack of ring 0 from a TSS of 16 bits (SDM 3A figure 7-10).
func tss16(m *machine, p *pager) {
	m.user32()
	m.put32(other32, 0x9000<<16)
	m.put32(other32+4, data0Sel)
	m.st.TR = x86.Segment{Selector: tssSel, Base: other32, Limit: 0x2b, Attr: 0x83}
	m.code32(func(a *asm.Asm) { a.Raw(0xcd, 0x80) })
	e := m.run()
	if g := m.want(&e, 0x80, 0); m.st.GPR[x86.RSP] != 0x9000-20 || g.rsp != userStack32 {
		m.Errorf("esp %#x, frame %+v", m.st.GPR[x86.RSP], g)
	}
}

func iretTo3(m *machine, p *pager) {
	m.code32(func(a *asm.Asm) {
		for _, v := range []uint64{data3Sel, userStack32, x86.FlagOne | x86.FlagIF | x86.FlagDF, user32Sel, userVA32} {
			a.MovI(asm.RAX, v)
			a.Push(asm.RAX)
		}
		a.Raw(0xcf)
	})
	m.assemble32(userVA32, userPages, func(a *asm.Asm) { a.Push(asm.RAX); a.Ud2() })
	e := m.run()
	g := m.want(&e, x86.VectorUD, 0)
	if g.rip != userVA32+1 || g.rsp != userStack32-4 || g.cs != user32Sel || g.ss != data3Sel || g.flags&^x86.FlagRF != x86.FlagOne|x86.FlagIF|x86.FlagDF {
		m.Errorf("frame %+v", g)
	}
	if m.st.Seg[x86.DS].Selector != 0 || m.st.Seg[x86.GS].Selector != 0 {
		m.Errorf("ds %#x gs %#x", m.st.Seg[x86.DS].Selector, m.st.Seg[x86.GS].Selector)
	}
}

// farReturnTo3 drops parameters from both stacks (SDM 2B RET).
func farReturnTo3(m *machine, p *pager) {
	m.code32(func(a *asm.Asm) {
		for _, v := range []uint64{data3Sel, userStack32, 0x1111, 0x2222, user32Sel, userVA32} {
			a.MovI(asm.RAX, v)
			a.Push(asm.RAX)
		}
		a.Raw(0xca, 8, 0) // retf 8
	})
	m.assemble32(userVA32, userPages, func(a *asm.Asm) { a.Ud2() })
	e := m.run()
	if g := m.want(&e, x86.VectorUD, 0); g.rip != userVA32 || g.rsp != userStack32+8 || g.cs != user32Sel || g.ss != data3Sel {
		m.Errorf("frame %+v", g)
	}
}

// sysenter32: SYSEXIT goes to the selectors 16 and 24 above IA32_SYSENTER_CS, with EIP from EDX and ESP from ECX (SDM 2B).
func sysenter32(m *machine, p *pager) {
	for i, d := range []uint64{0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0, 0, 0} {
		m.put(guestmem.GPA(other32+8*i), d)
	}
	m.st.GDTR = x86.Table{Base: other32, Limit: 8*8 - 1}
	m.st.Seg[x86.CS].Selector = 8
	m.st.SysenterCS, m.st.SysenterESP, m.st.SysenterEIP = 8, stackAt-64, codeAt+0x100
	m.st.GPR[x86.RDX], m.st.GPR[x86.RCX] = userVA32, userStack32
	m.assemble32(codeAt, codeAt, func(a *asm.Asm) { a.Raw(0x0f, 0x35) })
	m.assemble32(userVA32, userPages, func(a *asm.Asm) {
		a.Mov(4, asm.RSI, asm.RSP)
		a.Raw(0x8c, 0xcf) // mov edi, cs
		a.Raw(0x0f, 0x34)
	})
	m.assemble32(codeAt+0x100, codeAt+0x100, func(a *asm.Asm) { a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	r := m.st.GPR
	if m.st.RIP != codeAt+0x101 || r[x86.RSI] != userStack32 || r[x86.RDI]&0xffff != 0x1b || r[x86.RSP] != stackAt-64 || m.st.Seg[x86.CS].Selector != 8 || m.st.Seg[x86.SS].Selector != 16 {
		m.Errorf("in ring 3: esp %#x cs %#x; in ring 0: esp %#x cs %#x ss %#x; %s", r[x86.RSI], r[x86.RDI], r[x86.RSP], m.st.Seg[x86.CS].Selector, m.st.Seg[x86.SS].Selector, m.where())
	}
}

func doubleFault32(m *machine, p *pager) {
	m.code32(func(a *asm.Asm) { a.Raw(0x31, 0xc9, 0xf7, 0xf1) })
	m.put(idt32At+8*x86.VectorDE, 0)
	e := m.run()
	m.want(&e, x86.VectorDF, 0)
	m.reset32(p)
	m.put(idt32At+8*x86.VectorDF, 0)
	e = m.run()
	m.expect(&e, engine.ExitShutdown)
}

// ltrBusy: LTR marks the descriptor, and refuses a marked one.
func ltrBusy(m *machine, p *pager) {
	m.put(gdtAt+tssSel, 0x0000890000000067|tss32At<<16)
	m.code32(func(a *asm.Asm) {
		a.MovI(asm.RAX, tssSel)
		a.Raw(0x0f, 0x00, 0xd8) // ltr ax
		a.Raw(0x0f, 0x00, 0xd8)
	})
	e := m.run()
	if g := m.want(&e, x86.VectorGP, tssSel); g.rip != codeAt+8 || m.get(gdtAt+tssSel)>>40&0xff != 0x8b || m.st.TR.Base != tss32At {
		m.Errorf("saved eip %#x, descriptor %#x, tr %+v", g.rip, m.get(gdtAt+tssSel), m.st.TR)
	}
}

// localTable: a data segment in an LDT, with a base.
func localTable(m *machine, p *pager) {
	m.put(gdtAt+0x38, 0x0000820000000017|other32<<16)
	m.put(other32+8, 0x00cf92000000ffff|dataAt<<16&0xffffff0000|dataAt>>24<<56)
	m.write(dataAt+0x100, le(0x9abc))
	m.code32(func(a *asm.Asm) {
		a.MovI(asm.RAX, 0x38)
		a.Raw(0x0f, 0x00, 0xd0) // lldt ax
		a.MovI(asm.RAX, 0x0c)
		a.Raw(0x8e, 0xe0)                   // mov fs, eax
		a.Raw(0x64, 0x8b, 0x1d, 0, 1, 0, 0) // mov ebx, fs:[0x100]
		a.MovI(asm.RAX, 0x1c)
		a.Raw(0x8e, 0xe8) // mov gs, eax: beyond the table
	})
	e := m.run()
	if m.want(&e, x86.VectorGP, 0x1c); m.st.GPR[x86.RBX] != 0x9abc || m.get(other32+8)>>40&1 != 1 {
		m.Errorf("ebx %#x, descriptor %#x", m.st.GPR[x86.RBX], m.get(other32+8))
	}
}

// externalInterrupt32: an interrupt from outside, from ring 3, and back by IRET.
func externalInterrupt32(m *machine, p *pager) {
	m.user32()
	m.st.RFLAGS |= x86.FlagIF
	m.code32(func(a *asm.Asm) {
		a.Label("loop")
		a.OpI(asm.CMP, 4, asm.RSI, 0)
		a.Jcc(asm.E, "loop")
		a.Ud2()
	})
	at := uint64(stubsAt + 16*0x70)
	m.assemble32(at, at, func(a *asm.Asm) { a.Inc(4, asm.RSI); a.Raw(0xcf) })
	m.load()
	m.cpu.Inject(0x70)
	var e engine.Exit
	m.cont(&e)
	if g := m.want(&e, x86.VectorUD, 0); m.st.GPR[x86.RSI] != 1 || g.cs != user32Sel || g.flags&x86.FlagIF == 0 {
		m.Errorf("esi %d, frame %+v", m.st.GPR[x86.RSI], g)
	}
}

// wraps: addresses are cut to 32 bits, with base, index, displacement and the segment's base.
func wraps(m *machine, p *pager) {
	m.write(dataAt, le(0x11223344))
	m.st.GPR[x86.RBX], m.st.GPR[x86.RSI] = 0xfffffff0, dataAt/4
	m.st.Seg[x86.FS].Base = 0xfffff000
	m.code32(func(a *asm.Asm) {
		a.Load(4, asm.RAX, asm.Idx(asm.RBX, asm.RSI, 4, 0x10))
		a.Raw(0x64) // fs
		a.Load(4, asm.RCX, asm.Abs(dataAt+0x1000))
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 0x11223344 || m.st.GPR[x86.RCX] != 0x11223344 {
		m.Errorf("eax %#x ecx %#x; %s", m.st.GPR[x86.RAX], m.st.GPR[x86.RCX], m.where())
	}
}

// decimalArithmetic: 79+35, 9+5, 23-5 and 35-47 in decimal digits, packed or not (SDM 2A DAA, AAA, AAS, DAS).
func decimalArithmetic(m *machine, p *pager) {
	m.code32(func(a *asm.Asm) {
		step := func(ax uint64, to asm.Reg, code ...byte) {
			a.MovI(asm.RAX, ax)
			a.Raw(code...)
			a.Raw(0x83, 0xd0, 0) // adc eax, 0: the carry is 1 in all of them
			a.Mov(4, to, asm.RAX)
		}
		step(0x79, asm.RBX, 0x04, 0x35, 0x27)
		step(0x09, asm.RCX, 0x04, 0x05, 0x37)
		step(0x203, asm.RDX, 0x2c, 0x05, 0x3f)
		step(0x35, asm.RSI, 0x2c, 0x47, 0x2f)
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	r := m.st.GPR
	if r[x86.RBX] != 0x15 || r[x86.RCX] != 0x105 || r[x86.RDX] != 0x109 || r[x86.RSI] != 0x89 {
		m.Errorf("%#x %#x %#x %#x", r[x86.RBX], r[x86.RCX], r[x86.RDX], r[x86.RSI])
	}
}
