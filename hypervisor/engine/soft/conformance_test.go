package soft

import (
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/enginetest"
	"gozen/hypervisor/guestmem"
)

// TestConformance runs the suite that every engine passes.
func TestConformance(t *testing.T) {
	enginetest.Run(t, openVM, enginetest.Options{Hypercall: []byte{0x0f, 0x01, 0xd9}, CPUID: true, Except: map[string]string{
		"fault/ac misaligned in ring 3": "misaligned accesses are not checked (QUIRKS.md)",
	}})
}

func openVM(t testing.TB, mem *guestmem.Memory, _ int) engine.VM {
	vm, err := New(Config{Memory: mem})
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// TestCompare_itself: programs end alike on two machines of the same engine, so that a difference from another engine means something.
func TestCompare_itself(t *testing.T) {
	side := enginetest.Side{Name: "soft", Open: openVM}
	enginetest.Compare(t, side, side, enginetest.CompareOptions{})
}
