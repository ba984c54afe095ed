package kvm

import (
	"strings"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/enginetest"
	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/guestmem"
)

// TestCompare runs programs on this host's KVM and on the software CPU, side by side. GOZEN_COMPARE sets the number of random ones.
func TestCompare(t *testing.T) {
	s := open(t)
	anchor(t, opener(s))
	t.Logf("%s on %s", s.Name, processor())
	software := enginetest.Side{Name: "soft", Open: func(t testing.TB, mem *guestmem.Memory, _ int) engine.VM {
		vm, err := soft.New(soft.Config{Memory: mem})
		if err != nil {
			t.Fatal(err)
		}
		return vm
	}}
	o := enginetest.CompareOptions{Except: differences(s)}
	switch {
	case s.Name == "kvm-pvm":
		o.Known, o.Sometimes = pvmKnown, pvmProgramsSometimes
	case strings.HasPrefix(processor(), "QEMU TCG CPU"):
		o.NoRF, o.Known, o.Sometimes = true, qemuKnown, qemuProgramsTiming
	}
	enginetest.Compare(t, software, enginetest.Side{Name: s.Name, Open: opener(s)}, o)
}
