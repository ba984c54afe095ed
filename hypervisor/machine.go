package main

import (
	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// newMachine builds the domain, paused.
func newMachine(cfg config.Domain, opts control.Options) (control.Machine, error) {
	m, err := build.New(cfg, opts)
	if err != nil {
		return nil, err // not a nil *Machine in an interface
	}
	return m, nil
}
