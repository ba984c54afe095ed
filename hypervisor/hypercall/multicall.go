package hypercall

import "gozen/hypervisor/xen"

// multicall does a list of hypercalls. It goes on from where it stopped when it is continued: the list pointer and count in its arguments
// move, and an entry that was itself cut short is kept with its own progress.
func (c *call) multicall() uint64 {
	if c.deep {
		return xen.EINVAL.Ret()
	}
	c.deep = true // until Call begins another one
	va, count := c.args[0], uint32(c.args[1])
	for i := uint32(0); i < count; i++ {
		if i != 0 && !c.spend() || c.res.Block || c.res.Yield {
			return c.multicallStop(va, count-i)
		}
		size, again, ok := c.multicallEntry(va)
		if !ok {
			return efault
		}
		if again {
			return c.multicallStop(va, count-i)
		}
		va = c.elem(va, 1, uint64(size))
	}
	return 0
}

// multicallStop makes the rest of the list the continued call.
func (c *call) multicallStop(va uint64, left uint32) uint64 {
	c.nr = xen.HYPERVISOR_multicall
	c.args[0], c.args[1] = va, uint64(left)
	return c.again()
}

// multicallEntry does one entry and writes its result, or, when its work was cut short, its progress.
func (c *call) multicallEntry(va uint64) (size int, again, ok bool) {
	var m xen.MulticallEntry
	k := c.sizer()
	if m.Layout(&k); !c.load(&k, va) {
		return 0, false, false
	}
	size = c.n
	m.Layout(&k)
	saved := c.args
	c.nr, c.args = m.Op, m.Args
	m.Result = c.dispatch()
	if c.res.Again {
		c.res.Again, again = false, true
		m.Args = c.args
	}
	c.nr, c.args = xen.HYPERVISOR_multicall, saved
	if !again {
		// Only the result goes back: the guest may have changed the rest meanwhile.
		return size, false, c.writeLong(va, 1, m.Result)
	}
	e := c.fresh(size)
	m.Layout(&e)
	return size, true, c.store(va, 0) == 0
}
