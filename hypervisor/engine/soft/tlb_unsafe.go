package soft

import (
	"sync/atomic"
	"unsafe"

	"gozen/hypervisor/guestmem"
)

const (
	tlbSize  = 1024
	pageMask = 0xfff
	noTag    = 1 // not page-aligned: matches no address
)

// tlbEntry maps one linear page. r and w hold the page's linear address if the page may be
// read or written without further ado, else noTag. page points to host memory that guestmem keeps mapped until
// Close, so it stays valid even when the guest's map changes; memoryChanged empties the TLB then.
type tlbEntry struct {
	r, w uint64
	page unsafe.Pointer
	info uint64 // gfn<<8 | infoGlobal | infoLarge
}

const (
	infoGlobal = 1
	infoLarge  = 2
	// infoWatched: the page is mapped but has no tags, because a data breakpoint lies in it.
	infoWatched = 4
)

// dataTLB is direct-mapped by the low bits of the page number. used says which entries may hold something, so that a flush need not look at
// all: [0] those of one address space, [1] the global ones. An entry whose bit is clear is empty or noted in the other.
type dataTLB struct {
	e    [tlbSize]tlbEntry
	used [2][tlbSize / 64]uint64
}

type instEntry struct {
	tag  uint64
	page unsafe.Pointer
	info uint64
}

const itlbSize = 256

type instTLB struct {
	e    [itlbSize]instEntry
	used [2][itlbSize / 64]uint64
}

func (c *CPU) entry(lin uint64) *tlbEntry { return &c.dtlb.e[lin>>12&(tlbSize-1)] }

// load64 and its siblings read guest memory at a linear address. false: c.stop says why.
// (lin+size-1) has another page than lin if the access crosses, and then matches no tag.
func (c *CPU) load64(lin uint64) (uint64, bool) {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+7)&^pageMask == e.r {
		return *(*uint64)(unsafe.Add(e.page, lin&pageMask)), true
	}
	return c.loadSlow(lin, 8)
}

func (c *CPU) load32(lin uint64) (uint64, bool) {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+3)&^pageMask == e.r {
		return uint64(*(*uint32)(unsafe.Add(e.page, lin&pageMask))), true
	}
	return c.loadSlow(lin, 4)
}

func (c *CPU) load16(lin uint64) (uint64, bool) {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+1)&^pageMask == e.r {
		return uint64(*(*uint16)(unsafe.Add(e.page, lin&pageMask))), true
	}
	return c.loadSlow(lin, 2)
}

func (c *CPU) load8(lin uint64) (uint64, bool) {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if lin&^pageMask == e.r {
		return uint64(*(*uint8)(unsafe.Add(e.page, lin&pageMask))), true
	}
	return c.loadSlow(lin, 1)
}

func (c *CPU) store64(lin, v uint64) bool {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+7)&^pageMask == e.w {
		*(*uint64)(unsafe.Add(e.page, lin&pageMask)) = v
		return true
	}
	return c.storeSlow(lin, v, 8)
}

func (c *CPU) store32(lin, v uint64) bool {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+3)&^pageMask == e.w {
		*(*uint32)(unsafe.Add(e.page, lin&pageMask)) = uint32(v)
		return true
	}
	return c.storeSlow(lin, v, 4)
}

func (c *CPU) store16(lin, v uint64) bool {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+1)&^pageMask == e.w {
		*(*uint16)(unsafe.Add(e.page, lin&pageMask)) = uint16(v)
		return true
	}
	return c.storeSlow(lin, v, 2)
}

func (c *CPU) store8(lin, v uint64) bool {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if lin&^pageMask == e.w {
		*(*uint8)(unsafe.Add(e.page, lin&pageMask)) = uint8(v)
		return true
	}
	return c.storeSlow(lin, v, 1)
}

// load and store take the size in bytes: 1, 2, 4 or 8.
func (c *CPU) load(lin uint64, size uint8) (uint64, bool) {
	switch size {
	case 8:
		return c.load64(lin)
	case 4:
		return c.load32(lin)
	case 2:
		return c.load16(lin)
	}
	return c.load8(lin)
}

func (c *CPU) store(lin, v uint64, size uint8) bool {
	switch size {
	case 8:
		return c.store64(lin, v)
	case 4:
		return c.store32(lin, v)
	case 2:
		return c.store16(lin, v)
	}
	return c.store8(lin, v)
}

// loadSlow serves what the TLB does not: misses, page crossings, device memory.
func (c *CPU) loadSlow(lin uint64, size uint8) (uint64, bool) {
	if lin>>32 != 0 && !c.long {
		lin, ok := c.far(lin)
		if !ok {
			return 0, false
		}
		return c.load(lin, size)
	}
	if lin&pageMask+uint64(size) > guestmem.PageSize {
		if !c.probe(lin, size, accRead) {
			return 0, false
		}
		var v uint64
		for i := uint8(0); i < size; i++ {
			b, ok := c.load8(c.wrap(lin + uint64(i)))
			if !ok {
				return 0, false
			}
			v |= b << (8 * i)
		}
		return v, true
	}
	e := c.entry(lin)
	if e.r != lin&^pageMask {
		gpa, ok := c.fill(lin, accRead)
		if !ok {
			return 0, false
		}
		if e = c.entry(lin); e.r != lin&^pageMask {
			if e.info&infoWatched == 0 {
				return c.mmioRead(gpa, size)
			}
			c.watchAccess(lin, size, accRead)
		}
	}
	p := unsafe.Add(e.page, lin&pageMask)
	switch size {
	case 1:
		return uint64(*(*uint8)(p)), true
	case 2:
		return uint64(*(*uint16)(p)), true
	case 4:
		return uint64(*(*uint32)(p)), true
	}
	return *(*uint64)(p), true
}

// storeSlow writes where the TLB has no write entry: misses, page crossings, pages with decoded code, device memory.
func (c *CPU) storeSlow(lin, v uint64, size uint8) bool {
	if lin>>32 != 0 && !c.long {
		lin, ok := c.far(lin)
		return ok && c.store(lin, v, size)
	}
	if lin&pageMask+uint64(size) > guestmem.PageSize {
		if !c.probe(lin, size, accWrite) {
			return false
		}
		for i := uint8(0); i < size; i++ {
			if !c.store8(c.wrap(lin+uint64(i)), v>>(8*i)&0xff) {
				return false
			}
		}
		return true
	}
	gpa, ok := c.fill(lin, accWrite)
	if !ok {
		return false
	}
	e := c.entry(lin)
	if e.r != lin&^pageMask && e.w != lin&^pageMask {
		if e.info&infoWatched == 0 {
			return c.mmioWrite(gpa, v, size)
		}
		c.watchAccess(lin, size, accWrite)
	}
	p := unsafe.Add(e.page, lin&pageMask)
	switch size {
	case 1:
		*(*uint8)(p) = uint8(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	case 4:
		*(*uint32)(p) = uint32(v)
	default:
		*(*uint64)(p) = v
	}
	if e.w != lin&^pageMask {
		c.wroteCode(gpa, uint64(size))
	}
	return true
}

// span gives host memory for up to n bytes at lin, for bulk copies: the part that lies in lin's page, or fewer. nil
// with true means the bytes are to be moved one by one (device memory, a page with code).
func (c *CPU) span(lin uint64, n uint64, acc access) ([]byte, bool) {
	e := c.entry(lin)
	page := lin &^ pageMask
	if acc == accRead && e.r != page || acc == accWrite && e.w != page {
		if _, ok := c.fill(lin, acc); !ok {
			return nil, false
		}
		if e = c.entry(lin); acc == accRead && e.r != page || acc == accWrite && e.w != page {
			return nil, true
		}
	}
	off := lin & pageMask
	return (*[guestmem.PageSize]byte)(e.page)[off:min(off+n, guestmem.PageSize)], true
}

// atomicPtr gives the host address of a size-byte operand in one page, checked for writing. nil, true: not in plain memory
// or across pages, so that the caller falls back to load and store.
func (c *CPU) atomicPtr(lin uint64, size uint8) (unsafe.Pointer, uint64, bool) {
	if lin&pageMask+uint64(size) > guestmem.PageSize {
		return nil, 0, c.probe(lin, size, accWrite)
	}
	e := c.entry(lin)
	if e.w == lin&^pageMask {
		return unsafe.Add(e.page, lin&pageMask), 0, true
	}
	gpa, ok := c.fill(lin, accWrite)
	if !ok {
		return nil, 0, false
	}
	e = c.entry(lin)
	if e.w == lin&^pageMask {
		return unsafe.Add(e.page, lin&pageMask), 0, true
	}
	if e.r == lin&^pageMask { // a page with code: write, then tell
		return unsafe.Add(e.page, lin&pageMask), uint64(gpa) | 1<<63, true
	}
	return nil, 0, true
}

// cas compares and swaps size bytes at p, which may be unaligned (amd64 hosts allow it, split or not).
// Sizes 1 and 2 go through the 4 bytes around them, which lie in the same page.
func cas(p unsafe.Pointer, old, new uint64, size uint8) bool {
	switch size {
	case 8:
		return atomic.CompareAndSwapUint64((*uint64)(p), old, new)
	case 4:
		return atomic.CompareAndSwapUint32((*uint32)(p), uint32(old), uint32(new))
	}
	off := uintptr(p) & 3
	if size == 2 && off == 3 {
		// The word straddles: take the 4 bytes that start one before it. p is not at a page's start then.
		off = 1
	}
	w := (*uint32)(unsafe.Add(p, -int(off)))
	sh := 8 * off
	mask := uint32(0xff)
	if size == 2 {
		mask = 0xffff
	}
	for {
		cur := atomic.LoadUint32(w)
		if cur>>sh&mask != uint32(old)&mask {
			return false
		}
		if atomic.CompareAndSwapUint32(w, cur, cur&^(mask<<sh)|(uint32(new)&mask)<<sh) {
			return true
		}
	}
}

func peek(p unsafe.Pointer, size uint8) uint64 {
	switch size {
	case 8:
		return *(*uint64)(p)
	case 4:
		return uint64(*(*uint32)(p))
	case 2:
		return uint64(*(*uint16)(p))
	}
	return uint64(*(*uint8)(p))
}

// setPage enters a translation; page is memory that guestmem handed out.
func (e *tlbEntry) setPage(p *[guestmem.PageSize]byte) { e.page = unsafe.Pointer(p) }

func (e *instEntry) setPage(p *[guestmem.PageSize]byte) { e.page = unsafe.Pointer(p) }

func (e *instEntry) bytes() *[guestmem.PageSize]byte { return (*[guestmem.PageSize]byte)(e.page) }

// pte gives a page-table entry in guest memory for atomic access; off is a multiple of 8 below the page size.
func pte(p *[guestmem.PageSize]byte, off uint64) *uint64 {
	return (*uint64)(unsafe.Pointer(&p[off&0xff8]))
}

// pte32 is pte for the tables of 32-bit paging; off is a multiple of 4.
func pte32(p *[guestmem.PageSize]byte, off uint64) *uint32 {
	return (*uint32)(unsafe.Pointer(&p[off&0xffc]))
}

// distance gives how far behind s's start d's start lies, in bytes.
func distance(s, d []byte) int64 {
	return int64(uintptr(unsafe.Pointer(&d[0])) - uintptr(unsafe.Pointer(&s[0])))
}

// modifyAtomic replaces size bytes at p by f of them; see modify.
func (c *CPU) modifyAtomic(p unsafe.Pointer, code uint64, size uint8, f func(c *CPU, old, src uint64) uint64, src uint64) uint64 {
	for {
		old := peek(p, size)
		if cas(p, old, f(c, old, src), size) {
			if code != 0 {
				c.wroteCode(gpaOf(code), uint64(size))
			}
			return old
		}
	}
}

// gpaOf takes the physical address out of atomicPtr's second result.
func gpaOf(code uint64) guestmem.GPA { return guestmem.GPA(code &^ (1 << 63)) }
