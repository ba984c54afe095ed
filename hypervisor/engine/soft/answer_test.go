package soft

import (
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// TestMMIO_manyAccesses: instructions with many device accesses, some of them across pages, come to an end.
func TestMMIO_manyAccesses(t *testing.T) {
	for _, tc := range []struct {
		name string
		off  uint64
		code []byte
	}{
		{"movups", 0xff4, []byte{0x0f, 0x10, 0x03}},
		{"fxsave", 0, []byte{0x48, 0x0f, 0xae, 0x03}},
		{"fxrstor", 0xf00, []byte{0x48, 0x0f, 0xae, 0x0b}},
		{"fnsave", 0xfc3, []byte{0xdd, 0x33}},
		{"enter", 0xff4, []byte{0xc8, 0x10, 0, 31}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSys(t)
			for i := uint64(0); i < 2; i++ {
				s.put(testPT+guestmem.GPA(8*i), 0xf0000000|i<<12|7) // nothing there
			}
			s.code(func(a *asm.Asm) { a.Raw(tc.code...); a.Hlt() })
			s.st.GPR[x86.RBX] = testVA + tc.off
			if tc.name == "enter" {
				s.st.GPR[x86.RSP], s.st.GPR[x86.RBP] = testVA+tc.off, testVA+tc.off
			}
			e := s.run()
			n := 0
			for ; e.Kind == engine.ExitMMIO && n < 1000; n++ {
				e.Data = 0
				if err := s.cpu.Run(&e); err != nil {
					t.Fatal(err)
				}
			}
			if e.Kind != engine.ExitHLT && e.Kind != engine.ExitIO || n < 3 {
				t.Errorf("after %d accesses: %v at %#x", n, e.Kind, e.RIP)
			}
		})
	}
}
