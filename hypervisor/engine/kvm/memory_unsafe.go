package kvm

import (
	"unsafe"

	"gozen/hypervisor/guestmem"
)

// run gives the host address of frame g, 0 where nothing is mapped, and for how many frames, at most limit, that goes on without a break.
func run(m *guestmem.Memory, g guestmem.GFN, limit uint64) (host uintptr, n uint64) {
	// Pages lie in mappings that the collector does not know and that stay until Memory.Close: their addresses are numbers.
	host = uintptr(unsafe.Pointer(m.HostPage(g)))
	for n = 1; n < limit; n++ {
		if c := m.Chunk(g + guestmem.GFN(n)); c != nil && uintptr(unsafe.Pointer(c)) == host+uintptr(n)*guestmem.PageSize {
			n += uint64(len(c))/guestmem.PageSize - 1
			continue
		}
		h := uintptr(unsafe.Pointer(m.HostPage(g + guestmem.GFN(n))))
		if host == 0 && h != 0 || host != 0 && h != host+uintptr(n)*guestmem.PageSize {
			break
		}
	}
	return host, min(n, limit)
}
