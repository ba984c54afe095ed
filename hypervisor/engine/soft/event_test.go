package soft

import (
	"sync"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func TestEvent_faultsAndErrorCodes(t *testing.T) {
	for _, c := range []struct {
		name   string
		user   bool
		code   []byte
		vector int
		err    uint64
		next   int // offset of the saved RIP
	}{
		{"ud2", false, []byte{0x0f, 0x0b}, x86.VectorUD, 0, 0},
		{"int3 is a trap", false, []byte{0xcc}, x86.VectorBP, 0, 1},
		{"int 0x80 from ring 3", true, []byte{0xcd, 0x80}, 0x80, 0, 2},
		{"int 0x20 from ring 3", true, []byte{0xcd, 0x20}, x86.VectorGP, 0x20*8 + 2, 0},
		{"int 1 from ring 3", true, []byte{0xcd, 0x01}, x86.VectorGP, 1*8 + 2, 0},
		{"icebp from ring 3", true, []byte{0xf1}, x86.VectorDB, 0, 1},
		{"hlt in ring 3", true, []byte{0xf4}, x86.VectorGP, 0, 0},
		{"div by zero", false, []byte{0x31, 0xc9, 0xf7, 0xf1}, x86.VectorDE, 0, 2},
		{"mov cs", false, []byte{0x8e, 0xc8}, x86.VectorUD, 0, 0},
		{"null ss in ring 3", true, []byte{0x31, 0xc0, 0x8e, 0xd0}, x86.VectorGP, 0, 2},
		{"selector beyond the gdt", false, []byte{0x66, 0xb8, 0x00, 0x01, 0x8e, 0xd8}, x86.VectorGP, 0x100, 4},
		{"cli in ring 3", true, []byte{0xfa}, x86.VectorGP, 0, 0},
		{"in from ring 3", true, []byte{0xec}, x86.VectorGP, 0, 0},
		{"rdmsr in ring 3", true, []byte{0x0f, 0x32}, x86.VectorGP, 0, 0},
		{"lock on a register", false, []byte{0xf0, 0x01, 0xc0}, x86.VectorUD, 0, 0},
		{"too long", false, []byte{0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}, x86.VectorGP, 0, 0},
		{"sgdt under umip", true, []byte{0x0f, 0x01, 0x04, 0x24}, x86.VectorGP, 0, 0},
		{"cr4 reserved", false, []byte{0xb8, 0, 0, 0, 0x80, 0x0f, 0x22, 0xe0}, x86.VectorGP, 0, 5},
		{"efer reserved", false, []byte{0xb9, 0x80, 0, 0, 0xc0, 0xb8, 2, 0, 0, 0, 0x0f, 0x30}, x86.VectorGP, 0, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSys(t)
			s.st.CR4 |= x86.CR4UMIP
			at := uint64(sysCode)
			if c.user {
				s.user()
				at = testVA
				s.put(testPT, testPages|7)
				s.put(testPT+8, testPages+0x1000|7)
				s.st.RIP, s.st.GPR[x86.RSP] = testVA, testVA+0x1800
				s.write(testPages, c.code)
			} else {
				s.write(sysCode, c.code)
			}
			g := s.want(s.run(), c.vector, c.err)
			if g.rip != at+uint64(c.next) {
				t.Errorf("saved rip %#x, want %#x", g.rip, at+uint64(c.next))
			}
			if fault := c.next != 1 && c.vector != 0x80; fault != (g.flags&x86.FlagRF != 0) {
				t.Errorf("RF in saved flags %#x", g.flags)
			}
		})
	}
}

func TestEvent_doubleAndTripleFault(t *testing.T) {
	s := newSys(t)
	s.write(sysCode, []byte{0x0f, 0x0b, 0x31, 0xc9, 0xf7, 0xf1}) // ud2; xor ecx, ecx; div ecx
	s.put(sysIDT+16*x86.VectorUD, 0)
	s.want(s.run(), x86.VectorGP, x86.VectorUD*8+3) // #UD is benign: the #GP of its gate comes alone
	s.reset()
	s.st.RIP += 2
	s.put(sysIDT+16*x86.VectorDE, 0) // #DE and then #GP are both contributory
	s.want(s.run(), x86.VectorDF, 0)
	s.reset()
	s.st.RIP += 2
	s.put(sysIDT+16*x86.VectorDF, 0)
	if e := s.run(); e.Kind != engine.ExitShutdown {
		t.Errorf("exit %v, want shutdown", e.Kind)
	}
}

func TestInterrupt_shadowsAndWindow(t *testing.T) {
	s := newSys(t)
	// IF is off: not interruptible; the window opens behind the instruction that follows STI.
	s.code(func(a *asm.Asm) {
		a.Raw(0x90, 0x90)
		a.Sti()
		a.Inc(8, asm.RAX)
		a.Inc(8, asm.RAX)
		a.Hlt()
	})
	if err := s.cpu.Set(&s.st); err != nil {
		t.Fatal(err)
	}
	s.cpu.WantWindow(true)
	e := s.cont()
	if e.Kind != engine.ExitWindow || !e.Interruptible || s.st.GPR[x86.RAX] != 1 {
		t.Fatalf("exit %v interruptible %v rax %d, want the window behind one instruction", e.Kind, e.Interruptible, s.st.GPR[x86.RAX])
	}
	s.cpu.Inject(0x41)
	g := s.want(s.cont(), 0x41, 0)
	if g.flags&x86.FlagIF == 0 || s.st.RFLAGS&x86.FlagIF != 0 {
		t.Errorf("IF saved %v, in the handler %v", g.flags&x86.FlagIF != 0, s.st.RFLAGS&x86.FlagIF != 0)
	}
	// MOV SS keeps interrupts off for one instruction.
	s.reset()
	s.st.RFLAGS |= x86.FlagIF
	s.code(func(a *asm.Asm) { a.MovI(asm.RCX, selData0); a.Raw(0x8e, 0xd1); a.Inc(8, asm.RBX); a.Hlt() })
	if err := s.cpu.Set(&s.st); err != nil {
		t.Fatal(err)
	}
	s.cpu.SetLimit(s.cpu.Instructions() + 2)
	if err := s.cpu.Run(&e); err != nil {
		t.Fatal(err)
	}
	if e.Interruptible {
		t.Error("interruptible behind MOV SS")
	}
}

func TestInterrupt_wakesHLT(t *testing.T) {
	s := newSys(t)
	s.code(func(a *asm.Asm) { a.Sti(); a.Hlt(); a.Inc(8, asm.RAX); a.Hlt() })
	if e := s.run(); e.Kind != engine.ExitHLT || !e.Interruptible {
		t.Fatalf("exit %v interruptible %v", e.Kind, e.Interruptible)
	}
	s.cpu.Inject(0x30)
	g := s.want(s.cont(), 0x30, 0)
	if g.rip != sysCode+2 {
		t.Errorf("saved rip %#x, want the one behind HLT", g.rip)
	}
}

func TestNMI_blockedUntilIRET(t *testing.T) {
	s := newSys(t)
	s.write(sysStubs+16*2, []byte{0x48, 0xff, 0xc0, 0xf4, 0x48, 0xcf}) // inc rax; hlt; iretq
	s.code(func(a *asm.Asm) { a.Raw(0x90); a.Hlt() })
	if err := s.cpu.Set(&s.st); err != nil {
		t.Fatal(err)
	}
	s.cpu.InjectNMI()
	s.cont()
	s.cpu.InjectNMI() // while the first is being handled
	s.cpu.halted = false
	s.cont()
	if s.st.GPR[x86.RAX] != 2 {
		t.Errorf("rax %d: want the second NMI right behind IRET", s.st.GPR[x86.RAX])
	}
}

func TestSingleStep(t *testing.T) {
	s := newSys(t)
	s.st.RFLAGS |= x86.FlagTF
	s.code(func(a *asm.Asm) { a.Inc(8, asm.RAX); a.Inc(8, asm.RAX) })
	g := s.want(s.run(), x86.VectorDB, 0)
	if s.st.GPR[x86.RAX] != 1 || g.rip != sysCode+3 || s.st.DR[6]&dr6BS == 0 {
		t.Errorf("rax %d rip %#x dr6 %#x", s.st.GPR[x86.RAX], g.rip, s.st.DR[6])
	}
}

func TestBreakpoints(t *testing.T) {
	for _, c := range []struct {
		name string
		kind uint64 // 0 execute, 1 write, 3 access
		addr uint64
		rip  uint64 // saved
	}{
		{"execute", 0, sysCode + 3, sysCode + 3},
		{"write", 1, 0x50000, sysCode + 6},
		{"access", 3, 0x50008, sysCode + 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSys(t)
			s.st.GPR[x86.RBX] = 0x50000
			s.code(func(a *asm.Asm) {
				a.Inc(8, asm.RAX)
				a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
				a.Raw(0x48, 0x03, 0x4b, 0x08) // add rcx, [rbx+8]
				a.Hlt()
			})
			s.st.DR[0], s.st.DR[7] = c.addr, 1|c.kind<<16
			if c.kind == 3 {
				c.rip++
			}
			g := s.want(s.run(), x86.VectorDB, 0)
			if g.rip != c.rip || s.st.DR[6]&1 == 0 {
				t.Errorf("saved rip %#x dr6 %#x, want %#x", g.rip, s.st.DR[6], c.rip)
			}
		})
	}
}

func TestSyscall_roundTrip(t *testing.T) {
	s := newSys(t)
	s.user()
	s.put(testPT, testPages|7)
	s.write(testPages, []byte{0x0f, 0x05, 0xcd, 0x80}) // syscall; int 0x80
	s.st.RIP, s.st.RFLAGS = testVA, 2|x86.FlagIF|x86.FlagCF
	s.st.STAR = selCode0<<32 | (selCode3-16)<<48
	s.st.LSTAR, s.st.SFMASK = sysCode, x86.FlagIF
	s.code(func(a *asm.Asm) { a.Mov(8, asm.RBX, asm.R11); a.Raw(0x48, 0x0f, 0x07) }) // sysretq
	s.st.GPR[x86.RSP] = testVA
	g := s.want(s.run(), 0x80, 0)
	if g.rip != testVA+4 || s.st.GPR[x86.RBX] != 2|x86.FlagIF|x86.FlagCF || g.flags != s.st.GPR[x86.RBX] || s.st.GPR[x86.RCX] != testVA+2 {
		t.Errorf("rip %#x r11 %#x flags %#x rcx %#x", g.rip, s.st.GPR[x86.RBX], g.flags, s.st.GPR[x86.RCX])
	}
}

func TestSMC_ownBlockAliasAndCrossing(t *testing.T) {
	s := newSys(t)
	s.put(testPT, sysCode|3) // an alias of the code page
	for _, c := range []struct {
		name string
		base uint64 // through which mapping the code is changed
	}{{"same mapping", sysCode}, {"alias", testVA}} {
		s.reset()
		// Changes the immediate of the instruction right behind the store, in the same block.
		s.code(func(a *asm.Asm) {
			a.MovI(asm.RAX, 7)
			a.Store(1, asm.At(asm.RBX, 0), asm.RAX)
			a.MovI(asm.RCX, 1)
			a.Hlt()
		})
		s.st.GPR[x86.RBX] = c.base + 5 + 2 + 1
		s.run()
		if s.st.GPR[x86.RCX] != 7 {
			t.Errorf("%s: rcx %d, want 7", c.name, s.st.GPR[x86.RCX])
		}
	}
	// An instruction that crosses into a page whose bytes then change.
	s.reset()
	s.put(testPT, testPages|3)
	s.put(testPT+8, testPages+0x1000|3)
	body := []byte{0xb8, 1, 0, 0, 0, 0xf4} // mov eax, 1; hlt
	s.write(testPages+0x1000-2, body)
	for want := byte(1); want < 4; want++ {
		s.reset()
		s.st.RIP = testVA + 0x1000 - 2
		s.write(testPages+0x1000-1, []byte{want})
		s.run()
		if s.st.GPR[x86.RAX] != uint64(want) {
			t.Errorf("crossing: eax %d, want %d", s.st.GPR[x86.RAX], want)
		}
		s.write(testPages+0x1000, []byte{0, 0, 0, 0xf4})
	}
}

// TestSMP_lockedIncrements: two vCPUs on threads of their own count with LOCK, and one that patches code is obeyed by the other.
func TestSMP_lockedIncrements(t *testing.T) {
	s := newSys(t)
	const rounds = 200000
	s.code(func(a *asm.Asm) {
		a.MovI(asm.RCX, rounds)
		a.MovI(asm.RAX, 1)
		a.Label("again")
		a.Raw(0xf0)
		a.OpStore(asm.ADD, 8, asm.At(asm.RBX, 0), asm.RAX)
		a.Raw(0xf0, 0x66, 0xff, 0x43, 0x11) // lock inc word [rbx+17], unaligned
		a.Dec(8, asm.RCX)
		a.Jcc(asm.NE, "again")
		a.Hlt()
	})
	s.st.GPR[x86.RBX] = 0x50000
	cpus := []*CPU{s.cpu, s.newCPU(1)}
	var wg sync.WaitGroup
	for i, c := range cpus {
		st := s.st
		st.GPR[x86.RSP] -= uint64(i) * 0x1000
		if err := c.Set(&st); err != nil {
			t.Fatal(err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			var e engine.Exit
			for e.Kind != engine.ExitHLT {
				_ = c.Run(&e)
			}
		}()
	}
	wg.Wait()
	if v := s.get(0x50000); v != 2*rounds {
		t.Errorf("counter %d, want %d", v, 2*rounds)
	}
	b := make([]byte, 2)
	_ = s.mem.Read(guestmem.GPA(0x50011), b)
	if v := uint16(b[0]) | uint16(b[1])<<8; v != uint16(2*rounds&0xffff) {
		t.Errorf("word %d, want %d", v, 2*rounds&0xffff)
	}
}

// TestRun_doesNotAllocate: no exit kind allocates.
func TestRun_doesNotAllocate(t *testing.T) {
	s := newSys(t)
	s.code(func(a *asm.Asm) {
		a.Label("again")
		a.Raw(0xe6, 0x80)     // out 0x80, al
		a.Raw(0xec)           // in al, dx
		a.Vmmcall()           // hypercall
		a.Raw(0x0f, 0xa2)     // cpuid
		a.MovI(asm.RCX, 0x1b) // rdmsr apic base
		a.Rdmsr()             //
		a.Load(8, asm.RAX, asm.At(asm.RBX, 0))
		a.Jmp("again")
	})
	s.put(testPT, 0xf0000000|7)
	s.st.GPR[x86.RBX] = testVA
	if err := s.cpu.Set(&s.st); err != nil {
		t.Fatal(err)
	}
	var e engine.Exit
	var seen [engine.NumKinds]bool
	n := testing.AllocsPerRun(200, func() {
		_ = s.cpu.Run(&e)
		seen[e.Kind] = true
	})
	if n != 0 {
		t.Errorf("%v allocations per exit", n)
	}
	for _, k := range []engine.Kind{engine.ExitIO, engine.ExitHypercall, engine.ExitCPUID, engine.ExitRDMSR, engine.ExitMMIO} {
		if !seen[k] {
			t.Errorf("no exit of kind %v", k)
		}
	}
}
