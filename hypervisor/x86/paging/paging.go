// Package paging walks a guest's page tables on the hypervisor's behalf: for hypercall arguments, traces, symbols.
//
// It reads only: accessed and dirty bits are the CPU's business (the software CPU has a walker of its own, which
// sets them). Rights are not checked except presence and, for writes, that no level is read-only and user-only pages are left to the caller.
package paging

import (
	"errors"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// ErrNotMapped is returned for an address that the tables do not map.
var ErrNotMapped = errors.New("address not mapped by the guest")

// Root says how a vCPU translates: the control registers that matter.
type Root struct{ CR0, CR3, CR4, EFER uint64 }

const (
	present  = 1
	writable = 2
	large    = 1 << 7
	frame    = 0x000ffffffffff000
)

// Translate gives the guest-physical address of a guest-virtual one. write asks that every level allows writing.
func Translate(m *guestmem.Memory, r Root, va uint64, write bool) (guestmem.GPA, error) {
	if r.CR0&x86.CR0PG == 0 {
		return guestmem.GPA(va & 0xffffffff), nil
	}
	if r.EFER&x86.EFERLMA == 0 || uint64(int64(va<<16)>>16) != va {
		return 0, ErrNotMapped
	}
	table := guestmem.GPA(r.CR3 & frame)
	for level := 3; ; level-- {
		p, err := m.PageAt(table.GFN())
		if err != nil {
			return 0, ErrNotMapped
		}
		e := p.Load64(uint32(va>>(12+9*level)&511) * 8)
		if e&present == 0 || write && e&writable == 0 {
			return 0, ErrNotMapped
		}
		if level == 0 || e&large != 0 && level < 3 {
			size := uint64(1)<<(12+9*level) - 1
			return guestmem.GPA(e&frame&^size | va&size), nil
		}
		table = guestmem.GPA(e & frame)
	}
}

// Copy moves len(p) bytes between p and guest-virtual memory at va, page by page.
func Copy(m *guestmem.Memory, r Root, va uint64, p []byte, write bool) error {
	for len(p) > 0 {
		n := min(len(p), int(guestmem.PageSize-va&(guestmem.PageSize-1)))
		gpa, err := Translate(m, r, va, write)
		if err != nil {
			return err
		}
		if write {
			err = m.Write(gpa, p[:n])
		} else {
			err = m.Read(gpa, p[:n])
		}
		if err != nil {
			return err
		}
		p, va = p[n:], va+uint64(n)
	}
	return nil
}
