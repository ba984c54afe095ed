package soft

import (
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// low maps a user page at 1 GiB, within reach of 32-bit code.
const low = 1 << 30

func (s *sys) mapLow() {
	s.put(sysPML4, sysPDPT|7)
	s.put(sysPDPT+8, testPD|7)
	s.put(testPD, testPT|7)
	s.put(testPT, testPages|7)
}

// TestSyscall_compatibility: AMD's SYSCALL from 32-bit code under a 64-bit kernel goes to CSTAR, and SYSRET without REX.W back.
func TestSyscall_compatibility(t *testing.T) {
	s := newSys(t)
	s.mapLow()
	s.user()
	s.st.Seg[x86.CS] = flat(0x4b, attrCode32|attrDPL3)
	s.st.STAR, s.st.CSTAR, s.st.SFMASK = selCode0<<32|0x43<<48, sysCode, x86.FlagIF
	s.st.RIP, s.st.GPR[x86.RSP], s.st.RFLAGS = low, low+0x800, x86.FlagOne|x86.FlagIF|x86.FlagCF
	s.write(testPages, []byte{0x0f, 0x05, 0x0f, 0x0b})
	s.code(func(a *asm.Asm) {
		a.Mov(8, asm.RBX, asm.RCX)
		a.Raw(0x8c, 0xcf) // mov edi, cs
		a.Raw(0x0f, 0x07) // sysretl
	})
	g := s.want(s.run(), x86.VectorUD, 0)
	if g.rip != low+2 || s.st.GPR[x86.RBX] != low+2 || s.st.GPR[x86.RDI] != selCode0 || s.st.GPR[x86.R11] != x86.FlagOne|x86.FlagIF|x86.FlagCF {
		t.Errorf("back at %#x; in ring 0: rcx %#x cs %#x r11 %#x", g.rip, s.st.GPR[x86.RBX], s.st.GPR[x86.RDI], s.st.GPR[x86.R11])
	}
	if cs := s.get(guestmem.GPA(s.st.GPR[x86.RSP]) + 8); cs != 0x43 {
		t.Errorf("cs of ring 3 %#x", cs)
	}
}

// TestSyscall_protected: in protected mode the target is in STAR; two rounds from ring 3.
func TestSyscall_protected(t *testing.T) {
	s := newSys(t)
	s.st.CR0 &^= x86.CR0PG
	s.st.CR4, s.st.EFER = 0, x86.EFERSCE
	s.st.Seg[x86.CS] = flat(selCode32, attrCode32)
	s.st.STAR = sysCode + 0x100 | selCode32<<32 | 0x43<<48
	s.st.GPR[x86.RCX] = sysCode + 0x200
	at := func(off uint64, f func(a *asm.Asm)) {
		s.codeAt(sysCode+off, sysCode+off, func(a *asm.Asm) { a.Bits = 32; f(a) })
	}
	at(0, func(a *asm.Asm) { a.Raw(0x0f, 0x07) })
	at(0x100, func(a *asm.Asm) {
		a.Inc(4, asm.RDI)
		a.OpI(asm.CMP, 4, asm.RDI, 2)
		a.Jcc(asm.E, "done")
		a.Raw(0x0f, 0x07)
		a.Label("done")
		a.Hlt()
	})
	at(0x200, func(a *asm.Asm) {
		a.Raw(0x8c, 0xcb) // mov ebx, cs
		a.Raw(0x9c, 0x5e) // pushfd; pop esi
		a.Raw(0x0f, 0x05, 0x0f, 0x05)
	})
	e := s.run()
	r := s.st.GPR
	if e.Kind != engine.ExitHLT || r[x86.RDI] != 2 || r[x86.RBX] != 0x43 || r[x86.RCX] != sysCode+0x208 || r[x86.RSI]&x86.FlagIF == 0 ||
		s.st.RFLAGS&x86.FlagIF != 0 || s.st.Seg[x86.CS].Selector != selCode32 || s.st.Seg[x86.SS].Selector != selCode32+8 {
		t.Errorf("exit %v, edi %d ebx %#x ecx %#x esi %#x flags %#x cs %#x ss %#x at %#x", e.Kind, r[x86.RDI], r[x86.RBX], r[x86.RCX], r[x86.RSI],
			s.st.RFLAGS, s.st.Seg[x86.CS].Selector, s.st.Seg[x86.SS].Selector, s.st.RIP)
	}
}

// TestPAE_pointersAreRegisters: a change of the four pointers in memory counts from the next load of CR3.
func TestPAE_pointersAreRegisters(t *testing.T) {
	const root, pd = 0x40020, 0x41000
	s := newSys(t)
	s.put(root, pd|1)
	s.put(pd, 0x83)
	s.st.CR3, s.st.EFER, s.st.CR4 = root, 0, x86.CR4PAE
	if err := s.cpu.Set(&s.st); err != nil {
		t.Fatal(err)
	}
	reads := func() bool {
		_, ok := s.cpu.load32(0x1000)
		s.cpu.stop = stopNone
		return ok
	}
	s.put(root, 0)
	s.cpu.flushTLB(true)
	if !reads() {
		t.Error("the walk looked at memory")
	}
	if !s.cpu.setCR3(root) || reads() {
		t.Error("MOV to CR3 did not load the pointers")
	}
}

// TestHot32_segments: one block runs under a flat segment, one with a base and a limit, and a null one, and back; and with something in the upper halves of its
// registers.
func TestHot32_segments(t *testing.T) {
	s := newSys(t)
	s.st.CR0 &^= x86.CR0PG
	s.st.CR4, s.st.EFER = 0, 0
	s.st.Seg[x86.CS] = flat(selCode32, attrCode32)
	s.codeAt(sysCode, sysCode, func(a *asm.Asm) {
		a.Bits = 32
		a.Load(4, asm.RAX, asm.At(asm.RBX, 0x10))
		a.Store(4, asm.At(asm.RBX, 0x14), asm.RCX)
		a.OpStore(asm.ADD, 4, asm.At(asm.RBX, 0x18), asm.RCX)
		a.Hlt()
	})
	const at, base = 0x40000, 0x1000
	for i, c := range []struct {
		seg   x86.Segment
		upper uint64
		off   uint64 // where the access goes
		fault bool
	}{
		{flat(selData0, attrData), 0, 0, false},
		{x86.Segment{Base: base, Limit: 0xfffff, Attr: 0x4093}, 0, base, false},
		{flat(selData0, attrData), 5 << 32, 0, false},
		{x86.Segment{Base: base, Limit: 0xfffff, Attr: 0x4093}, 5 << 33, base, false},
		{x86.Segment{Base: base, Limit: at, Attr: 0x4093}, 0, 0, true},
		{x86.Segment{Attr: x86.AttrUnusable}, 0, 0, true},
		{x86.Segment{Base: base, Limit: 0xffffffff, Attr: attrData}, 0, base, false},
		{flat(selData0, attrData), 0, 0, false},
	} {
		for _, a := range []guestmem.GPA{at, at + base} {
			s.put(a+0x10, uint64(a)|7)
			s.put(a+0x18, 1)
		}
		s.st.Seg[x86.DS] = c.seg
		s.st.RIP, s.st.GPR[x86.RBX], s.st.GPR[x86.RCX], s.st.GPR[x86.RSP] = sysCode, at|c.upper, uint64(i)+1, sysStack
		s.st.IDTR.Limit = 0
		e := s.run()
		if c.fault {
			if e.Kind != engine.ExitShutdown || s.cpu.rip != sysCode {
				t.Errorf("%d: exit %v at %#x, want a fault", i, e.Kind, s.cpu.rip)
			}
			continue
		}
		to := guestmem.GPA(at + c.off)
		if e.Kind != engine.ExitHLT || s.st.GPR[x86.RAX] != uint64(to)|7 || s.get(to+0x10)>>32 != uint64(i)+1 || s.get(to+0x18) != uint64(i)+2 {
			t.Errorf("%d: exit %v at %#x: eax %#x, memory %#x %#x", i, e.Kind, s.st.RIP, s.st.GPR[x86.RAX], s.get(to+0x10), s.get(to+0x18))
		}
	}
}
