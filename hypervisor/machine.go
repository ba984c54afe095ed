package main

import (
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// newMachine builds the domain, paused.
func newMachine(_ config.Domain, _ control.Options) (control.Machine, error) {
	return nil, &config.Error{Field: "engine", What: "no engine", Why: "this program was built without one"}
}
