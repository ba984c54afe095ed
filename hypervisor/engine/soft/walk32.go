package soft

import (
	"sync/atomic"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Paging outside IA-32e mode: tables of 32-bit entries (SDM 3A 4.3) and PAE tables (SDM 3A 4.4).

// isPAE says whether control registers ask for PAE paging.
func isPAE(cr0, cr4, efer uint64) bool {
	return cr0&x86.CR0PG != 0 && cr4&x86.CR4PAE != 0 && efer&x86.EFERLMA == 0
}

// rsvdPDPTE are the bits that must be zero in a present page-directory-pointer-table entry (SDM 3A table 4-8).
const rsvdPDPTE = 0x1e6 | ^uint64(1<<physBits-1)

// loadPDPTEs reads the four entries that CR3 names into their registers, which the walks use until they are loaded again (SDM 3A 4.4.1). false: a present
// one has a reserved bit set, and nothing has changed.
func (c *CPU) loadPDPTEs(cr3 uint64) bool {
	table := guestmem.GPA(cr3 & 0xffffffe0)
	p := c.mem.HostPage(table.GFN())
	if p == nil {
		return false // a hole reads as ones
	}
	var e [4]uint64
	for i := range e {
		e[i] = atomic.LoadUint64(pte(p, uint64(table)+8*uint64(i)))
		if e[i]&ptP != 0 && e[i]&rsvdPDPTE != 0 {
			return false
		}
	}
	c.pdpte = e
	return true
}

// walk32 is translate for paging outside IA-32e mode.
func (c *CPU) walk32(lin uint64, acc access, user, ac bool, x *xlat) bool {
	if c.cr4&x86.CR4PAE == 0 {
		return c.walk2(lin, acc, user, ac, x)
	}
	top := c.pdpte[lin>>30&3]
	if top&ptP == 0 {
		return c.pageFault(lin, acc, user, 0)
	}
	return c.walk(lin, top&addrMask, 1, acc, user, ac, x)
}

// Entries of 32-bit paging (SDM 3A tables 4-3 to 4-6). With PSE-36 the entry of a 4 MiB page has address bits 32-39 in bits 13-20.
const (
	frame32 = 0xfffff000
	frame4M = 0xffc00000
	high4M  = 0x1fe000
	rsvd4M  = 1 << 21
)

// walk2 goes through the two levels of 32-bit paging.
func (c *CPU) walk2(lin uint64, acc access, user, ac bool, x *xlat) bool {
	table := c.cr3 & frame32
	above := uint64(ptRW | ptUS) // the rights of the upper level
	for level := 1; ; level-- {
		p := c.mem.HostPage(guestmem.GPA(table).GFN())
		if p == nil {
			// A table outside memory reads as ones, and so leads nowhere.
			return c.pageFault(lin, acc, user, x86.PFPresent|x86.PFRsvd)
		}
		off := lin >> (12 + 10*level) << 2 & 0xffc
		ptr := pte32(p, off)
		ent := uint64(atomic.LoadUint32(ptr))
		if ent&ptP == 0 {
			return c.pageFault(lin, acc, user, 0)
		}
		large := level == 1 && ent&ptPS != 0 && c.cr4&x86.CR4PSE != 0
		if large && ent&rsvd4M != 0 {
			return c.pageFault(lin, acc, user, x86.PFPresent|x86.PFRsvd)
		}
		prot := above & ent
		if level == 1 && !large {
			if ent&ptA == 0 {
				atomic.OrUint32(ptr, ptA)
				c.touchedTable(table, off)
			}
			table, above = ent&frame32, prot
			continue
		}
		if !c.permitted(acc, user, ac, prot) {
			return c.pageFault(lin, acc, user, x86.PFPresent)
		}
		want := uint64(ptA)
		if acc == accWrite {
			want |= ptD
		}
		if ent&want != want {
			if !atomic.CompareAndSwapUint32(ptr, uint32(ent), uint32(ent|want)) {
				level++ // the entry changed under us: read it again
				continue
			}
			c.touchedTable(table, off)
			ent |= want
		}
		x.gpa = guestmem.GPA(ent&frame32 | lin&pageMask)
		if large {
			x.gpa = guestmem.GPA(ent&frame4M | ent&high4M<<19 | lin&mask4M)
		}
		x.prot, x.dirty, x.global, x.large = prot, ent&ptD != 0, ent&ptG != 0 && c.cr4&x86.CR4PGE != 0, large
		return true
	}
}
