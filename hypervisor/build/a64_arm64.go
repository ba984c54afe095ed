package build

import (
	"gozen/hypervisor/engine/kvm"
	"gozen/hypervisor/xen"
	"gozen/pvh"
)

// newA64VM makes the domain's VM on the host's KVM.
func (m *Machine) newA64VM() error {
	sys, err := kvm.Open("")
	if err != nil {
		return err
	}
	m.sys, m.name, m.why = sys, sys.Name, "an arm64 kernel on an arm64 host"
	vm, err := sys.New(kvm.Config{Memory: m.mem, GICD: pvh.A64GICD, GICR: pvh.A64GICR, UpcallPPI: xen.GUEST_EVTCHN_PPI})
	if err != nil {
		return err
	}
	m.a64.vm = vm
	return nil
}
