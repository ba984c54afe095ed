package enginetest

import (
	"fmt"
	"reflect"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// pattern fills with values that tell their places apart.
func pattern(i int) uint64 { return 0x1111111111111111*uint64(i+1)&0x7fffffffffffffff | uint64(i)<<56 }

// kept wants Get to give what Set got, for what pick takes of the state.
func kept(name string, change func(s *x86.State), pick func(s *x86.State) any) testCase {
	return on(name, func(m *machine) {
		change(&m.st)
		m.ok(m.cpu.Set(&m.st))
		var got x86.State
		m.cpu.Get(&got)
		if w, g := pick(&m.st), pick(&got); !reflect.DeepEqual(w, g) {
			m.Errorf("set %s, got %s", show(w), show(g))
		}
	})
}

func show(v any) string { return fmt.Sprintf("%#x", v) }

func stateCases() []testCase {
	return []testCase{
		kept("general", func(s *x86.State) {
			for i := range s.GPR {
				s.GPR[i] = pattern(i)
			}
			s.RIP = 0x12345
			s.RFLAGS = x86.FlagOne | x86.FlagsArith | x86.FlagIF | x86.FlagDF | x86.FlagID | x86.FlagAC
		}, func(s *x86.State) any { return []any{s.GPR, s.RIP, s.RFLAGS} }),
		kept("segments", func(s *x86.State) {
			s.Seg[x86.FS].Base, s.Seg[x86.GS].Base = pattern(1)&0x7fffffffffff, pattern(2)&0x7fffffffffff
			s.Seg[x86.DS] = x86.Segment{Selector: data3Sel, Limit: 0xfffff, Attr: 0x40f3, Base: 0x1000}
			s.Seg[x86.ES] = x86.Segment{Selector: 0x10, Limit: 0xffffffff, Attr: 0xc091}
		}, func(s *x86.State) any { return s.Seg }),
		kept("tables", func(s *x86.State) {
			s.GDTR, s.IDTR = x86.Table{Base: 0xffff800000001000, Limit: 0x7f}, x86.Table{Base: 0xffff800000002000, Limit: 0xabc}
			s.TR = x86.Segment{Selector: tssSel, Base: 0xffff800000003000, Limit: 0x80, Attr: attrTSS}
			s.LDTR = x86.Segment{Selector: 0x50, Base: 0xffff800000004000, Limit: 0x17, Attr: 0x82}
		}, func(s *x86.State) any { return []any{s.GDTR, s.IDTR, s.TR, s.LDTR} }),
		kept("unusable ldtr", func(s *x86.State) {}, func(s *x86.State) any { return s.LDTR.Attr & x86.AttrUnusable }),
		kept("control", func(s *x86.State) {
			s.CR0 |= x86.CR0TS | x86.CR0AM
			s.CR2, s.CR3, s.CR8 = 0x123456789abc, 0x123000, 9
			s.CR4 |= x86.CR4FSGSBASE | x86.CR4DE
			s.EFER &^= x86.EFERSCE
		}, func(s *x86.State) any { return []any{s.CR0, s.CR2, s.CR3, s.CR4, s.CR8, s.EFER} }),
		kept("debug", func(s *x86.State) {
			for i := range 4 {
				s.DR[i] = 0x1000 * uint64(i+1)
			}
			s.DR[6], s.DR[7] = 0xffff0ff0|x86DR6BS, 0x400|0x303
		}, func(s *x86.State) any { return s.DR }),
		kept("msrs", func(s *x86.State) {
			s.STAR, s.LSTAR, s.CSTAR, s.SFMASK = pattern(0), 0xffffffff81000000, 0xffffffff82000000, 0x47700
			s.KernelGSBase = 0xffff888000000000
			s.SysenterCS, s.SysenterESP, s.SysenterEIP = 0x10, 0x83000000, 0x84000000
			s.PAT, s.TSCAux = 0x0407050600070106, 0x1234
		}, func(s *x86.State) any {
			return []any{s.STAR, s.LSTAR, s.CSTAR, s.SFMASK, s.KernelGSBase, s.SysenterCS, s.SysenterESP, s.SysenterEIP, s.PAT, s.TSCAux}
		}),
		kept("sysenter msrs in 64 bits", func(s *x86.State) {
			s.SysenterESP, s.SysenterEIP = 0xffffffff83000000, 0xffffffff84000000
		}, func(s *x86.State) any { return []any{s.SysenterESP, s.SysenterEIP} }),
		kept("fpu", fillFX, func(s *x86.State) any { return s.FX }),
		kept("fpu partly empty", func(s *x86.State) { fillFX(s); s.FX.FTW, s.FX.FSW = 0x3c, 0x1000 }, func(s *x86.State) any {
			return []any{s.FX.FTW, s.FX.FSW}
		}),
		kept("sti shadow", func(s *x86.State) { s.RFLAGS |= x86.FlagIF; s.STIShadow = true }, func(s *x86.State) any { return s.STIShadow }),
		kept("nmi blocked", func(s *x86.State) { s.NMIBlocked = true }, func(s *x86.State) any { return s.NMIBlocked }),
		on("changed by code", changedByCode),
		on("seen by code", seenByCode),
		on("xmm by code", xmmByCode),
		on("x87 by code", x87ByCode),
		on("msrs by code", msrsByCode),
		on("pending event", pendingEvent),
		on("set twice", setTwice),
	}
}

// x86DR6BS is DR6.BS, a single step (SDM 3B 17.2.3).
const x86DR6BS = 1 << 14

func fillFX(s *x86.State) {
	f := &s.FX
	f.FCW, f.FSW, f.FTW, f.FOP, f.MXCSR = 0x27f, 0x3800, 0xff, 0x123, 0x1fa0
	f.FIP, f.FDP = 0x123456, 0x654321
	for i := range f.ST {
		f.ST[i] = x86.F80{Frac: 1<<63 | uint64(i+1)<<40, SE: uint16(0x3fff + i)}
	}
	for i := range f.XMM {
		f.XMM[i] = [2]uint64{pattern(i), ^pattern(i)}
	}
}

// changedByCode: what the guest does to its registers is in Get.
func changedByCode(m *machine) {
	m.code(func(a *asm.Asm) {
		for r := asm.RAX; r <= asm.R15; r++ {
			if r != asm.RSP {
				a.MovI(r, pattern(int(r)))
			}
		}
		a.Push(asm.RAX)
		a.Raw(0xf9) // stc
		a.Raw(0xfd) // std
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	for r := range 16 {
		want := pattern(r)
		if r == x86.RSP {
			want = stackAt - 8
		}
		if m.st.GPR[r] != want {
			m.Errorf("register %d: %#x, want %#x", r, m.st.GPR[r], want)
		}
	}
	if m.st.RFLAGS != x86.FlagOne|x86.FlagCF|x86.FlagDF {
		m.Errorf("rflags %#x", m.st.RFLAGS)
	}
	if v := m.get(stackAt - 8); v != pattern(x86.RAX) {
		m.Errorf("on the stack: %#x", v)
	}
}

// seenByCode: what Set gave is what the guest finds.
func seenByCode(m *machine) {
	for r := range 16 {
		if r != x86.RSP {
			m.st.GPR[r] = pattern(r)
		}
	}
	m.st.GPR[x86.RBX] = dataAt
	m.st.Seg[x86.FS].Base = dataAt + 0x100
	m.st.RFLAGS |= x86.FlagCF | x86.FlagOF
	m.code(func(a *asm.Asm) {
		a.Raw(0x9c) // pushfq
		for r := asm.RAX; r <= asm.R15; r++ {
			a.Store(8, asm.At(asm.RBX, int32(8*r)), r)
		}
		a.Raw(0x64, 0x48, 0x89, 0x04, 0x25, 0, 0, 0, 0) // mov fs:[0], rax
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	for r := range 16 {
		want := pattern(r)
		switch r {
		case x86.RSP:
			want = stackAt - 8
		case x86.RBX:
			want = dataAt
		}
		if v := m.get(dataAt + 8*guestGPA(r)); v != want {
			m.Errorf("register %d: the guest sees %#x, want %#x", r, v, want)
		}
	}
	if v := m.get(dataAt + 0x100); v != pattern(x86.RAX) {
		m.Errorf("at fs:0: %#x", v)
	}
	if v := m.get(stackAt - 8); v != x86.FlagOne|x86.FlagCF|x86.FlagOF {
		m.Errorf("flags: the guest sees %#x", v)
	}
}

func xmmByCode(m *machine) {
	fillFX(&m.st)
	m.st.FX.MXCSR = x86.MXCSRReset
	m.st.GPR[x86.RBX] = dataAt
	m.code(func(a *asm.Asm) {
		a.Raw(0x66, 0x44, 0x0f, 0x7f, 0x3b) // movdqa [rbx], xmm15
		a.Raw(0x66, 0x45, 0x0f, 0xef, 0xff) // pxor xmm15, xmm15
		a.Raw(0x66, 0x0f, 0xd4, 0xc1)       // paddq xmm0, xmm1
		a.Raw(0x0f, 0xae, 0x5b, 0x20)       // stmxcsr [rbx+32]
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if lo, hi := m.get(dataAt), m.get(dataAt+8); lo != pattern(15) || hi != ^pattern(15) {
		m.Errorf("xmm15: the guest sees %#x %#x", lo, hi)
	}
	if m.st.FX.XMM[15] != [2]uint64{} || m.st.FX.XMM[0] != [2]uint64{pattern(0) + pattern(1), ^pattern(0) + ^pattern(1)} {
		m.Errorf("xmm15 %#x xmm0 %#x", m.st.FX.XMM[15], m.st.FX.XMM[0])
	}
	if v := uint32(m.get(dataAt + 32)); v != x86.MXCSRReset {
		m.Errorf("mxcsr: the guest sees %#x", v)
	}
}

func x87ByCode(m *machine) {
	m.st.GPR[x86.RBX] = dataAt
	m.code(func(a *asm.Asm) {
		a.Raw(0xdb, 0xe3) // fninit
		a.Raw(0xd9, 0xe8) // fld1
		a.Raw(0xd9, 0xeb) // fldpi
		a.Raw(0xd8, 0xc1) // fadd st0, st1
		a.Raw(0xdd, 0x13) // fst qword [rbx]
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if v := m.get(dataAt); v != 0x401090fdaa22168c { // pi + 1
		m.Errorf("stored %#x", v)
	}
	if f := m.st.FX; f.ST[1] != (x86.F80{Frac: 1 << 63, SE: 0x3fff}) || f.FTW != 0xc0 || f.FSW>>11&7 != 6 {
		m.Errorf("st1 %#x ftw %#x fsw %#x", f.ST[1], f.FTW, f.FSW)
	}
}

// msrsByCode: RDMSR and WRMSR of the registers that are in the state.
func msrsByCode(m *machine) {
	m.st.LSTAR, m.st.KernelGSBase = 0xffffffff81000000, 0x1234000
	list := []struct {
		msr uint32
		v   uint64
		at  func(s *x86.State) uint64
	}{
		{x86.MSRSTAR, pattern(3), func(s *x86.State) uint64 { return s.STAR }},
		{x86.MSRCSTAR, 0xffffffff82345678, func(s *x86.State) uint64 { return s.CSTAR }},
		{x86.MSRSFMASK, 0x700, func(s *x86.State) uint64 { return s.SFMASK }},
		{x86.MSRFSBase, 0x7f0012345678, func(s *x86.State) uint64 { return s.Seg[x86.FS].Base }},
		{x86.MSRGSBase, 0xffff888012345678, func(s *x86.State) uint64 { return s.Seg[x86.GS].Base }},
		{x86.MSRSysenterCS, 0x18, func(s *x86.State) uint64 { return s.SysenterCS }},
		{x86.MSRSysenterEIP, 0x85000000, func(s *x86.State) uint64 { return s.SysenterEIP }},
		{x86.MSRPAT, 0x0007040600070406, func(s *x86.State) uint64 { return s.PAT }},
	}
	m.code(func(a *asm.Asm) {
		for _, l := range list {
			a.MovI(asm.RCX, uint64(l.msr))
			a.MovI(asm.RAX, l.v&0xffffffff)
			a.MovI(asm.RDX, l.v>>32)
			a.Wrmsr()
		}
		for i, msr := range []uint32{x86.MSRLSTAR, x86.MSRKernelGSBase, x86.MSRSTAR} {
			a.MovI(asm.RCX, uint64(msr))
			a.Rdmsr()
			a.Shl(8, asm.RDX, 32)
			a.Op(asm.OR, 8, asm.RAX, asm.RDX)
			a.MovI(asm.RBX, uint64(dataAt+8*i))
			a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		}
		a.Hlt()
	})
	lstar, gs := m.st.LSTAR, m.st.KernelGSBase
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	for _, l := range list {
		if got := l.at(&m.st); got != l.v {
			m.Errorf("msr %#x: wrote %#x, the state has %#x", l.msr, l.v, got)
		}
	}
	for i, want := range []uint64{lstar, gs, pattern(3)} {
		if v := m.get(guestGPA(dataAt + 8*i)); v != want {
			m.Errorf("read %d: %#x, want %#x", i, v, want)
		}
	}
}

// pendingEvent: an event that had begun on another engine is delivered.
func pendingEvent(m *machine) {
	m.code(func(a *asm.Asm) { a.Hlt() })
	m.st.PendingValid, m.st.PendingVector, m.st.PendingHasError, m.st.PendingError = true, x86.VectorGP, true, 0x1230
	e := m.run()
	if g := m.want(&e, x86.VectorGP, 0x1230); g.rip != codeAt {
		m.Errorf("saved rip %#x", g.rip)
	}
}

// setTwice: the same state gives the same run.
func setTwice(m *machine) {
	m.code(func(a *asm.Asm) {
		a.OpI(asm.ADD, 8, asm.RAX, 5)
		a.Raw(0x9c) // pushfq
		a.Pop(asm.RBX)
		a.ToCR(2, asm.RAX)
		a.Hlt()
	})
	first := m.st
	var ends [2]x86.State
	for i := range ends {
		m.st = first
		e := m.run()
		m.expect(&e, engine.ExitHLT)
		ends[i] = m.st
		ends[i].TSCOffset = 0
	}
	if ends[0] != ends[1] {
		m.Errorf("first %+v\nsecond %+v", ends[0], ends[1])
	}
}
