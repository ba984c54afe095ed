package pv

import (
	"unsafe"

	"gozen/hypervisor/guestmem"
)

// words are a page as the vCPU's own goroutine uses it while the vCPU is in its monitor: nobody else writes to it then, but for a guest that maps what is not
// its, and spoils its own frame.
type words = [pageSize / 8]uint64

// wordsOf gives a page's words. The page outlives the vCPU: the memory is closed after it.
func wordsOf(p *guestmem.Page) *words { return (*words)(unsafe.Pointer(unsafe.SliceData(p.Bytes()))) }
