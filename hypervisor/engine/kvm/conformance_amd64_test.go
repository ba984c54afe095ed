package kvm

import (
	"strings"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/enginetest"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// TestConformance runs the suite that every engine passes.
func TestConformance(t *testing.T) {
	s := open(t)
	t.Logf("%s on %s", s.Name, processor())
	o := enginetest.Options{Except: exceptions(s)}
	switch {
	case s.Name == "kvm-pvm":
		o.Sometimes = pvmTiming
	case strings.HasPrefix(processor(), "QEMU TCG CPU"):
		o.Sometimes, o.IdleTSS = qemuTiming, true
	}
	if s.Xen.Intercept {
		o.Hypercall = []byte{0x0f, 0x01, 0xd9}
	}
	leaves, err := s.SupportedCPUID()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range leaves {
		if l.Leaf == 0x80000001 {
			o.No1GPages = l.D>>26&1 == 0
		}
	}
	anchor(t, opener(s))
	enginetest.Run(t, opener(s), o)
}

// anchor keeps a VM with a vCPU alive. Kernels patch their code when the first of either is made and when the last one goes, which an emulated
// host with two processors does not survive for long (QEMU 7.2: "Oops: int3").
func anchor(t testing.TB, open enginetest.Open) {
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	vm := open(t, mem, 1)
	t.Cleanup(func() { _ = vm.Close(); mem.Close() })
	if _, err := vm.NewVCPU(0); err != nil {
		t.Fatal(err)
	}
}

// opener makes VMs that show guests what the host's KVM supports.
func opener(s *System) enginetest.Open {
	return func(t testing.TB, mem *guestmem.Memory, _ int) engine.VM {
		leaves, err := s.SupportedCPUID()
		if err != nil {
			t.Fatal(err)
		}
		vm, err := s.New(Config{Memory: mem, CPUID: func(int) []x86.CPUIDLeaf { return leaves }, Intercept: s.Xen.Intercept})
		if err != nil {
			t.Fatal(err)
		}
		return vm
	}
}
