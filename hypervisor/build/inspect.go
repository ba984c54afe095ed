package build

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Memory gives the domain's memory, for tests and for tools in the same process. It may be used until Close.
func (m *Machine) Memory() *guestmem.Memory { return m.mem }

// Registers gives the state of vCPU id. The vCPU must not be running: call it after the end.
func (m *Machine) Registers(id int) (s x86.State) {
	m.loops[id].Eng.Get(&s)
	return s
}
