package soft

import (
	"math/bits"
	"sync/atomic"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// access is what an access wants to do; accImplicit marks the processor's own supervisor accesses (descriptor
// tables, TSS), which ignore CPL and AC.
type access uint8

const (
	accRead  access = 0
	accWrite access = 1
	accExec  access = 2
)

// Page-table entry bits (SDM 3A tables 4-15 to 4-20).
const (
	ptP  = 1 << 0
	ptRW = 1 << 1
	ptUS = 1 << 2
	ptA  = 1 << 5
	ptD  = 1 << 6
	ptPS = 1 << 7
	ptG  = 1 << 8
	ptNX = 1 << 63

	physBits = 46
	addrMask = (1<<physBits - 1) &^ pageMask
	rsvdMask = (1<<52 - 1) &^ (1<<physBits - 1)
	rsvdPAE  = 0x7ff << 52 // what only 4-level paging ignores
	hole2M   = 0x1fe000    // bits 13-20 of a 2 MiB page's entry
	hole1G   = 0x3fffe000  // bits 13-29 of a 1 GiB page's entry
	mask2M   = 2<<20 - 1
	mask1G   = 1<<30 - 1
	mask4M   = 4<<20 - 1
)

// xlat is the result of a walk.
type xlat struct {
	gpa    guestmem.GPA
	prot   uint64 // ptRW, ptUS, ptNX as combined over the levels
	dirty  bool   // D is set in the leaf
	global bool
	large  bool
}

// wrap keeps linear addresses to 32 bits outside 64-bit mode.
func (c *CPU) wrap(lin uint64) uint64 {
	if c.long {
		return lin
	}
	return lin & 0xffffffff
}

func canonical(lin uint64) bool { return uint64(int64(lin<<16)>>16) == lin }

// pageFault records a #PF.
func (c *CPU) pageFault(lin uint64, acc access, user bool, code uint32) bool {
	if acc == accWrite {
		code |= x86.PFWrite
	}
	if user {
		code |= x86.PFUser
	}
	if acc == accExec && (c.efer&x86.EFERNXE != 0 && c.cr4&x86.CR4PAE != 0 || c.cr4&x86.CR4SMEP != 0) {
		code |= x86.PFFetch
	}
	c.stop = stopFault
	c.fault = x86.Fault{Vector: x86.VectorPF, HasError: true, Error: code, Addr: lin}
	return false
}

// translate walks the page tables for an access and sets A and D. On failure the fault is recorded.
func (c *CPU) translate(lin uint64, acc access, user, ac bool, x *xlat) bool {
	if c.cr0&x86.CR0PG == 0 {
		*x = xlat{gpa: guestmem.GPA(lin & 0xffffffff), prot: ptRW | ptUS, dirty: true}
		return true
	}
	if c.efer&x86.EFERLMA == 0 {
		return c.walk32(lin, acc, user, ac, x)
	}
	if !canonical(lin) {
		c.gp(0)
		c.nonCanonical, c.fault.Addr = true, lin
		return false
	}
	return c.walk(lin, c.cr3&addrMask, 3, acc, user, ac, x)
}

// walk goes through tables of 64-bit entries, from one of a level (3 for a PML4, 1 for a page directory) down.
func (c *CPU) walk(lin, table uint64, level int, acc access, user, ac bool, x *xlat) bool {
	above := uint64(ptRW | ptUS) // the rights of the upper levels
	for ; ; level-- {
		p := c.mem.HostPage(guestmem.GPA(table).GFN())
		if p == nil {
			// A table outside memory reads as all ones on a PC: reserved bits.
			return c.pageFault(lin, acc, user, x86.PFPresent|x86.PFRsvd)
		}
		ptr := pte(p, lin>>(12+9*level)<<3)
		ent := atomic.LoadUint64(ptr)
		if ent&ptP == 0 {
			return c.pageFault(lin, acc, user, 0)
		}
		leaf := level == 0 || ent&ptPS != 0 && level < 3
		if ent&c.reserved(level, leaf) != 0 {
			return c.pageFault(lin, acc, user, x86.PFPresent|x86.PFRsvd)
		}
		prot := above&(ent|ptNX) | ent&ptNX
		if !leaf {
			if ent&ptA == 0 {
				atomic.OrUint64(ptr, ptA)
				c.touchedTable(table, lin>>(12+9*level)<<3)
			}
			table, above = ent&addrMask, prot
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
			if !atomic.CompareAndSwapUint64(ptr, ent, ent|want) {
				level++ // the entry changed under us: read it again
				continue
			}
			c.touchedTable(table, lin>>(12+9*level)<<3)
			ent |= want
		}
		size := uint64(1)<<(12+9*level) - 1
		x.gpa = guestmem.GPA(ent&addrMask&^size | lin&size)
		x.prot, x.dirty, x.global, x.large = prot, ent&ptD != 0, ent&ptG != 0 && c.cr4&x86.CR4PGE != 0, level > 0
		return true
	}
}

// touchedTable drops decoded code if a page table entry just changed lies in it.
func (c *CPU) touchedTable(table, off uint64) {
	gpa := guestmem.GPA(table | off&0xff8)
	if c.vm.code.has(gpa.GFN()) {
		c.wroteCode(gpa, 8)
	}
}

// reserved gives the bits that must be zero in an entry of a level.
func (c *CPU) reserved(level int, leaf bool) uint64 {
	m := uint64(rsvdMask)
	if c.efer&x86.EFERNXE == 0 {
		m |= ptNX
	}
	if c.efer&x86.EFERLMA == 0 {
		m |= rsvdPAE
	}
	switch {
	case level == 3:
		m |= ptPS
	case level == 2 && leaf:
		m |= hole1G
	case level == 1 && leaf:
		m |= hole2M
	}
	return m
}

// permitted applies the access rights of SDM 3A 4.6.
func (c *CPU) permitted(acc access, user, ac bool, prot uint64) bool {
	if user {
		if prot&ptUS == 0 || acc == accWrite && prot&ptRW == 0 {
			return false
		}
		return acc != accExec || prot&ptNX == 0
	}
	if acc == accExec {
		return prot&ptNX == 0 && (prot&ptUS == 0 || c.cr4&x86.CR4SMEP == 0)
	}
	if prot&ptUS != 0 && c.cr4&x86.CR4SMAP != 0 && !ac {
		return false
	}
	return acc != accWrite || prot&ptRW != 0 || c.cr0&x86.CR0WP == 0
}

// fill walks for lin and enters the translation in the current TLB, if memory backs it. It gives the physical address.
func (c *CPU) fill(lin uint64, acc access) (guestmem.GPA, bool) {
	var x xlat
	user := c.cpl == 3
	if !c.translate(lin, acc, user, c.flags&x86.FlagAC != 0, &x) {
		return 0, false
	}
	e := c.entry(lin)
	page := c.mem.HostPage(x.gpa.GFN())
	if page == nil {
		e.r, e.w, e.info = noTag, noTag, 0
		return x.gpa, true
	}
	e.r, e.w = lin&^pageMask, noTag
	writable := x.dirty && c.permitted(accWrite, user, c.flags&x86.FlagAC != 0, x.prot)
	e.setPage(page)
	e.info = uint64(x.gpa.GFN()) << 8
	if x.global {
		e.info |= infoGlobal
	}
	if x.large {
		e.info |= infoLarge
		c.large = true
	}
	i := lin >> 12 & (tlbSize - 1)
	c.dtlb.used[e.info&infoGlobal][i>>6] |= 1 << (i & 63)
	if writable && !c.vm.code.has(x.gpa.GFN()) {
		e.w = lin &^ pageMask
	}
	if c.watching && c.watchedPage(lin) {
		// Every access to a page with a data breakpoint takes the slow path.
		e.r, e.w = noTag, noTag
		e.info |= infoWatched
	}
	return x.gpa, true
}

// probe checks both pages of an access that may cross, before anything changes.
func (c *CPU) probe(lin uint64, size uint8, acc access) bool {
	last := c.wrap(lin + uint64(size) - 1)
	if _, ok := c.fill(lin, acc); !ok {
		return false
	}
	if last&^pageMask == lin&^pageMask {
		return true
	}
	_, ok := c.fill(last&^pageMask, acc)
	return ok
}

// fetchPage gives the instruction page at lin, or records the fault.
func (c *CPU) fetchPage(lin uint64) (*instEntry, bool) {
	user := 0
	if c.cpl == 3 {
		user = 1
	}
	e := &c.itlbs[user].e[lin>>12&(itlbSize-1)]
	if e.tag == lin&^pageMask {
		return e, true
	}
	var x xlat
	if !c.translate(lin, accExec, user == 1, false, &x) {
		return nil, false
	}
	page := c.mem.HostPage(x.gpa.GFN())
	if page == nil {
		// Fetching from a device or a hole: the bus answers all ones; treat it as an undefined opcode.
		c.stop, c.fault = stopFault, x86.Fault{Vector: x86.VectorUD}
		return nil, false
	}
	e.tag = lin &^ pageMask
	e.setPage(page)
	e.info = uint64(x.gpa.GFN()) << 8
	if x.global {
		e.info |= infoGlobal
	}
	if x.large {
		e.info |= infoLarge
		c.large = true
	}
	i := lin >> 12 & (itlbSize - 1)
	c.itlbs[user].used[e.info&infoGlobal][i>>6] |= 1 << (i & 63)
	return e, true
}

// flushTLB forgets translations: all, or all that are not global.
func (c *CPU) flushTLB(global bool) {
	kinds := 1
	if global {
		kinds = 2
		c.large = false
	}
	for t := range c.tlbs {
		tlb := &c.tlbs[t]
		for k := range kinds {
			for w, bitmap := range tlb.used[k] {
				for ; bitmap != 0; bitmap &= bitmap - 1 {
					e := &tlb.e[w<<6|bits.TrailingZeros64(bitmap)]
					if global || e.info&infoGlobal == 0 {
						e.r, e.w = noTag, noTag
					}
				}
				tlb.used[k][w] = 0
			}
		}
	}
	for t := range c.itlbs {
		tlb := &c.itlbs[t]
		for k := range kinds {
			for w, bitmap := range tlb.used[k] {
				for ; bitmap != 0; bitmap &= bitmap - 1 {
					e := &tlb.e[w<<6|bits.TrailingZeros64(bitmap)]
					if global || e.info&infoGlobal == 0 {
						e.tag = noTag
					}
				}
				tlb.used[k][w] = 0
			}
		}
	}
	c.gen++
}

// flushPage forgets the translation of one linear page, and of the large page it may be part of.
func (c *CPU) flushPage(lin uint64) {
	page := lin &^ pageMask
	for t := range c.tlbs {
		if c.large {
			for i := range c.tlbs[t].e {
				if e := &c.tlbs[t].e[i]; e.info&infoLarge != 0 && (e.r^page)&^mask1G == 0 {
					e.r, e.w = noTag, noTag
				}
			}
		}
		if e := &c.tlbs[t].e[lin>>12&(tlbSize-1)]; e.r == page {
			e.r, e.w = noTag, noTag
		}
	}
	for t := range c.itlbs {
		for i := range c.itlbs[t].e {
			if e := &c.itlbs[t].e[i]; e.tag == page || e.info&infoLarge != 0 && (e.tag^page)&^mask1G == 0 {
				e.tag = noTag
			}
		}
	}
	c.gen++
}

// dropWrites takes the write right from every TLB entry of frame g, which now holds decoded code.
func (c *CPU) dropWrites(g guestmem.GFN) {
	for t := range c.tlbs {
		es := &c.tlbs[t].e
		for i := range es {
			if es[i].w != noTag && guestmem.GFN(es[i].info>>8) == g {
				es[i].w = noTag
			}
		}
	}
}

// mmioRead asks the hypervisor for device memory, or takes the answer on the second execution.
func (c *CPU) mmioRead(gpa guestmem.GPA, size uint8) (uint64, bool) {
	if a := c.answer.next(gpa, size, false); a != nil {
		return a.data, true
	}
	c.mmioExit(gpa, size, false, 0)
	return 0, false
}

func (c *CPU) mmioWrite(gpa guestmem.GPA, v uint64, size uint8) bool {
	if a := c.answer.next(gpa, size, true); a != nil {
		return true
	}
	c.mmioExit(gpa, size, true, v)
	return false
}

func (c *CPU) mmioExit(gpa guestmem.GPA, size uint8, write bool, v uint64) {
	e := c.exit
	e.Kind, e.GPA, e.Size, e.Write, e.Data = engine.ExitMMIO, gpa, size, write, v
	c.stop = stopExit
	c.answer.ask(gpa, size, write)
}
