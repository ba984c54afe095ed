package build

import (
	"gozen/hypervisor/config"
	"gozen/hypervisor/image"
	"gozen/pvh"
)

// newKVM refuses: a KVM of an arm64 host runs arm64 guests.
func (m *Machine) newKVM() error {
	return &config.Error{Field: "engine", What: "an x86 guest cannot run on this host's KVM", Why: "the host is an arm64 machine", Fix: `use engine="soft"`}
}

func (m *Machine) openHypercalls(*image.Kernel, *pvh.Boot) error { return nil }

func (m *Machine) openHVM(*image.Kernel) error { return nil }
