package soft

import (
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// TestCode_crossingStore: an instruction that crosses a page and writes to decoded bytes of a third page goes on working.
func TestCode_crossingStore(t *testing.T) {
	s := newSys(t)
	const at = sysCode + 0x1000 - 2
	s.codeAt(at, at, func(a *asm.Asm) {
		a.Store(8, asm.At(asm.RBX, 0), asm.RAX) // three bytes: two in the first page
		a.Hlt()
	})
	s.write(testPages, []byte{0xf4}) // hlt, decoded
	s.put(testPT, testPages|3)
	s.put(testPD+8, testPT|3)
	s.st.RIP = testVA
	if e := s.run(); e.Kind != engine.ExitHLT {
		t.Fatalf("exit %v", e.Kind)
	}
	for i := range 3 {
		s.reset()
		s.st.RIP = testVA
		s.write(testPages, []byte{0xf4})
		if e := s.run(); e.Kind != engine.ExitHLT {
			t.Fatalf("exit %v", e.Kind)
		}
		s.reset()
		s.st.RIP, s.st.GPR[x86.RBX] = at, testVA
		if e := s.run(); e.Kind != engine.ExitHLT || s.st.RIP != at+4 {
			t.Fatalf("round %d: exit %v at %#x, want the HLT behind %#x", i, e.Kind, s.st.RIP, at)
		}
	}
}
