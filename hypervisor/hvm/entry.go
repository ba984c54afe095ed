package hvm

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Segments of the boot protocols: selectors 0x10 and 0x18, flat.
const (
	selCode = 0x10
	selData = 0x18
	gdtSize = 4 * 8
)

// gdt gives a descriptor table with the two segments.
func gdt(long bool) []byte {
	b := make([]byte, gdtSize)
	code := uint64(0x00cf9b000000ffff)
	if long {
		code = 0x00af9b000000ffff
	}
	le.PutUint64(b[selCode:], code)
	le.PutUint64(b[selData:], 0x00cf93000000ffff)
	return b
}

// pageTables map the first 4 GiB to themselves in pages of 2 MiB; they lie at pml4At.
func pageTables() []byte {
	const present, large, entries = 3, 0x83, guestmem.PageSize / 8
	b := make([]byte, 6*guestmem.PageSize)
	le.PutUint64(b, pml4At+guestmem.PageSize|present)
	for i := range 4 {
		le.PutUint64(b[guestmem.PageSize+8*i:], uint64(pml4At+(2+i)*guestmem.PageSize)|present)
	}
	for i := range 4 * entries {
		le.PutUint64(b[2*guestmem.PageSize+8*i:], uint64(i)<<21|large)
	}
	return b
}

// entryState is how Linux's boot protocols start a kernel at its entry point: rsi at the boot parameters, interrupts off, flat segments; with
// 64 bits in long mode with an identity map, else in protected mode without paging.
func entryState(entry uint64, long bool) x86.State {
	s := x86.FlatState(entry)
	s.GPR[x86.RSI] = bootAt
	for i := range s.Seg {
		s.Seg[i].Selector = selData
	}
	s.Seg[x86.CS].Selector = selCode
	s.GDTR.Base, s.GDTR.Limit = gdtAt, gdtSize-1
	if long {
		s.Seg[x86.CS].Attr = x86.AttrFlatCode | x86.AttrL
		s.CR0 |= x86.CR0PG
		s.CR3, s.CR4, s.EFER = pml4At, x86.CR4PAE, x86.EFERLME|x86.EFERLMA
	}
	return s
}
