package pvh

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// entryState is how Xen starts the first vCPU of a PVH domain (docs/misc/pvh.pandoc, "x86/HVM direct boot ABI"): flat
// 32-bit protected mode, no paging, no descriptor tables, ebx at the start info.
func entryState(entry uint32, startInfo guestmem.GPA) x86.State {
	s := x86.FlatState(uint64(entry))
	s.GPR[x86.RBX] = uint64(startInfo)
	return s
}
