package build

import (
	"fmt"
	"runtime"

	"gozen/hypervisor/config"
	"gozen/hypervisor/engine/kvm"
	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/hypercall"
)

// hypercallPort is where a guest on a host that keeps VMCALL for itself enters us: no PC has a device there.
const hypercallPort = 0xe7

// pickEngine decides what executes the guest, and says why.
func (m *Machine) pickEngine() error {
	switch m.cfg.Engine {
	case config.EngineSoft:
		m.name, m.why = "soft", "asked for"
		return nil
	case config.EngineAuto, "":
		if m.cfg.Deterministic || m.cfg.Interleaved {
			m.name, m.why = "soft", "the run is deterministic or interleaved, which only the software CPU can do"
			return nil
		}
		if runtime.GOARCH != "amd64" {
			m.name, m.why = "soft", "an x86-64 guest on an "+runtime.GOARCH+" host"
			return nil
		}
		s, err := kvm.Open("")
		if err != nil {
			m.name, m.why = "soft", err.Error()
			return nil
		}
		if !s.Hardware {
			m.name, m.why = "soft", fmt.Sprintf("the host's KVM (%s) has no hardware virtualization behind it and would interpret the guest's kernel", s.Name)
			return s.Close()
		}
		m.sys, m.name, m.why = s, s.Name, "hardware virtualization"
		return nil
	case config.EngineKVM:
		if m.cfg.Interleaved {
			return &config.Error{Field: "engine", What: "vCPUs on KVM cannot be interleaved", Fix: `use engine="soft"`}
		}
		s, err := kvm.Open("")
		if err != nil {
			return err
		}
		m.sys, m.name, m.why = s, s.Name, "asked for"
		return nil
	}
	return &config.Error{Field: "engine", What: fmt.Sprintf("no engine %q", m.cfg.Engine), Why: "there is no engine of that name", Fix: "--engine soft"}
}

// newVM makes the virtual machine, without vCPUs, and the domain's time.
func (m *Machine) newVM() (err error) {
	if m.sys != nil {
		return m.newKVM()
	}
	m.source()
	m.hyper = hypercall.Page([]byte(hypercall.VMMCALL))
	m.vm, err = soft.New(m.softConfig())
	return err
}
