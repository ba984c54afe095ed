package build

import (
	"gozen/hypervisor/control/process"
	"gozen/hypervisor/engine/kvm"
)

// Host is a process.Host: what the host's KVM can do (kvm.Abilities).
func Host() any {
	s, err := kvm.Open("")
	if err != nil {
		return process.NoHost{Name: "none", Why: err.Error()}
	}
	defer func() { _ = s.Close() }()
	return s.Abilities
}
