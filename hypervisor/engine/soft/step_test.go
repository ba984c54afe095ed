package soft

import (
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// TestEvent_noInterruptBeforeAnswer: an instruction that waits for its answer is not interruptible, or it would be done twice.
func TestEvent_noInterruptBeforeAnswer(t *testing.T) {
	s := newSys(t)
	s.write(sysCode, []byte{0x0f, 0x30, 0x90, 0xf4}) // wrmsr; nop; hlt
	s.st.GPR[x86.RCX] = x86.MSRX2APIC + 0x3f
	s.st.RFLAGS |= x86.FlagIF
	e := s.run()
	if e.Kind != engine.ExitWRMSR || e.Interruptible || s.cpu.Interruptible() {
		t.Fatalf("exit %v, interruptible %v", e.Kind, e.Interruptible)
	}
	s.cpu.WantWindow(true)
	s.cpu.SetLimit(s.cpu.Instructions() + 1e6)
	if err := s.cpu.Run(&e); err != nil {
		t.Fatal(err)
	}
	if e.Kind != engine.ExitWindow || !e.Interruptible || e.RIP != sysCode+2 {
		t.Fatalf("exit %v at %#x, want a window behind the WRMSR", e.Kind, e.RIP)
	}
}

// TestEvent_windowInsideRep: between the elements of REP STOS to device memory interrupts are taken, and each element is written once.
func TestEvent_windowInsideRep(t *testing.T) {
	s := newSys(t)
	s.write(sysCode, []byte{0xf3, 0xaa, 0xf4}) // rep stosb; hlt
	s.put(testPT, 0xfed00000|3)
	s.put(testPD+8, testPT|3)
	s.st.GPR[x86.RDI], s.st.GPR[x86.RCX] = testVA, 3
	s.st.RFLAGS |= x86.FlagIF
	e := s.run()
	for i := range 3 {
		if e.Kind != engine.ExitMMIO || !e.Write || e.GPA != guestmem.GPA(0xfed00000+i) || e.Interruptible {
			t.Fatalf("element %d: exit %v at %#x, interruptible %v", i, e.Kind, uint64(e.GPA), e.Interruptible)
		}
		s.cpu.WantWindow(true)
		_ = s.cpu.Run(&e)
		if left := s.cpu.Regs()[x86.RCX]; e.Kind != engine.ExitWindow || left != uint64(2-i) {
			t.Fatalf("element %d: exit %v, %d left", i, e.Kind, left)
		}
		s.cpu.SetLimit(s.cpu.Instructions() + 1e6)
		_ = s.cpu.Run(&e)
	}
	if e.Kind != engine.ExitHLT {
		t.Errorf("exit %v", e.Kind)
	}
}

// TestEvent_stepOverHlt: #DB follows a HLT under TF, and ends it.
func TestEvent_stepOverHlt(t *testing.T) {
	s := newSys(t)
	s.write(sysCode, []byte{0xf4})
	s.write(sysStubs+16, []byte{0x0f, 0xa2}) // cpuid
	s.st.RFLAGS |= x86.FlagTF
	if e := s.run(); e.Kind != engine.ExitCPUID {
		t.Errorf("exit %v at %#x, want the CPUID of the #DB handler", e.Kind, s.st.RIP)
	}
}

// TestRun_panicLeavesGuest: a vCPU that a panic took out of Run keeps no other waiting.
func TestRun_panicLeavesGuest(t *testing.T) {
	s := newSys(t)
	o := s.newCPU(1)
	s.code(func(a *asm.Asm) { a.Hlt() })
	if err := o.Set(&s.st); err != nil {
		t.Fatal(err)
	}
	bad := *o.handler
	for i := range bad {
		bad[i] = nil
	}
	o.handler = &bad
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		var e engine.Exit
		_ = o.Run(&e)
	}()
	if o.inGuest.Load() {
		t.Error("still in guest mode")
	}
}
