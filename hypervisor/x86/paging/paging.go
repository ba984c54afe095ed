// Package paging walks a guest's page tables on the hypervisor's behalf: for hypercall arguments, traces, symbols.
//
// It reads only: accessed and dirty bits are the CPU's business (the software CPU has a walker of its own, which
// sets them). Rights are not checked except presence and, for writes, that no level is read-only and user-only pages are left to the caller. All of
// the processor's ways of paging are known: 4-level, PAE and 32-bit tables, and none.
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

// Bits of entries (SDM 3A 4.3 to 4.5). In the entry of a 4 MiB page, bits 13 to 20 are address bits 32 to 39 (PSE-36).
const (
	present  = 1
	writable = 2
	large    = 1 << 7
	frame    = 0x000ffffffffff000
	frame32  = 0xfffff000
	frame4M  = 0xffc00000
	high4M   = 0x1fe000
)

// Translate gives the guest-physical address of a guest-virtual one, which has 32 bits outside IA-32e mode. write asks that every level allows
// writing.
func Translate(m *guestmem.Memory, r Root, va uint64, write bool) (guestmem.GPA, error) {
	switch {
	case r.CR0&x86.CR0PG == 0:
		return guestmem.GPA(va & 0xffffffff), nil
	case r.EFER&x86.EFERLMA != 0:
		if !x86.Canonical(va) {
			return 0, ErrNotMapped
		}
		return walk64(m, guestmem.GPA(r.CR3&frame), 3, va, write)
	case r.CR4&x86.CR4PAE != 0:
		return walkPAE(m, r, va&0xffffffff, write)
	}
	return walk32(m, r, va&0xffffffff, write)
}

// walk64 goes through tables of 64-bit entries, from one of a level (3 for a PML4, 1 for a page directory) down.
func walk64(m *guestmem.Memory, table guestmem.GPA, level int, va uint64, write bool) (guestmem.GPA, error) {
	for ; ; level-- {
		p, ok := m.Look(table.GFN())
		if !ok {
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

// walkPAE begins with the page-directory pointers, which have no rights. It takes those in memory: the processor's copy of them differs only
// between a guest's write and its next load of CR3.
func walkPAE(m *guestmem.Memory, r Root, va uint64, write bool) (guestmem.GPA, error) {
	at := guestmem.GPA(r.CR3&0xffffffe0) + guestmem.GPA(va>>30*8)
	p, ok := m.Look(at.GFN())
	if !ok {
		return 0, ErrNotMapped
	}
	e := p.Load64(uint32(at) & (guestmem.PageSize - 1))
	if e&present == 0 {
		return 0, ErrNotMapped
	}
	return walk64(m, guestmem.GPA(e&frame), 1, va, write)
}

// walk32 goes through the two levels of 32-bit paging.
func walk32(m *guestmem.Memory, r Root, va uint64, write bool) (guestmem.GPA, error) {
	table := guestmem.GPA(r.CR3 & frame32)
	for level := 1; ; level-- {
		p, ok := m.Look(table.GFN())
		if !ok {
			return 0, ErrNotMapped
		}
		e := uint64(p.Load32(uint32(va>>(12+10*level)&1023) * 4))
		switch {
		case e&present == 0 || write && e&writable == 0:
			return 0, ErrNotMapped
		case level == 0:
			return guestmem.GPA(e&frame32 | va&(1<<12-1)), nil
		case e&large != 0 && r.CR4&x86.CR4PSE != 0:
			return guestmem.GPA(e&frame4M | e&high4M<<19 | va&(1<<22-1)), nil
		}
		table = guestmem.GPA(e & frame32)
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
