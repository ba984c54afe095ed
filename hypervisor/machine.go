package main

import (
	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// newMachine builds the domain, paused.
func newMachine(cfg config.Domain, opts control.Options) (control.Machine, error) {
	return build.New(cfg, opts)
}
