package soft

// walk32 is paging outside IA-32e mode: 32-bit and PAE tables (SDM 3A 4.3, 4.4). 32-bit kernels are not
// run yet, so it raises a page fault with reserved bits: a guest that turns such paging on is told at once.
func (c *CPU) walk32(lin uint64, acc access, user, ac bool, x *xlat) bool {
	return c.pageFault(lin, acc, user, 9)
}
