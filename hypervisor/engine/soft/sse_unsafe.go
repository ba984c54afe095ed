package soft

import "unsafe"

// vec is the value of an XMM register, low half first.
type vec = [2]uint64

// load128 reads 16 bytes of guest memory. As in load64, the tag test shows that the access lies inside e.page; hosts
// with little-endian byte order are assumed, as there.
func (c *CPU) load128(lin uint64) (vec, bool) {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+15)&^pageMask == e.r {
		return *(*vec)(unsafe.Add(e.page, lin&pageMask)), true
	}
	if !c.probe(lin, 16, accRead) {
		return vec{}, false
	}
	lo, ok := c.load64(lin)
	if !ok {
		return vec{}, false
	}
	hi, ok := c.load64(c.wrap(lin + 8))
	return vec{lo, hi}, ok
}

// store128 writes 16 bytes, or faults before it has written any.
func (c *CPU) store128(lin uint64, v vec) bool {
	e := &c.dtlb.e[lin>>12&(tlbSize-1)]
	if (lin+15)&^pageMask == e.w {
		*(*vec)(unsafe.Add(e.page, lin&pageMask)) = v
		return true
	}
	return c.probe(lin, 16, accWrite) && c.store64(lin, v[0]) && c.store64(c.wrap(lin+8), v[1])
}
