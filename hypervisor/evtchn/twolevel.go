package evtchn

// The 2-level ABI: a pending and a mask bit per port in shared_info, and a selector word per vCPU with a bit for
// each word of pending bits (Xen common/event_2l.c, public/xen.h).

// bit gives the word offset of bit n in an array of bits that starts at base, and its mask.
func bit(base uint32, n uint32) (off, mask uint32) { return base + n/32*4, 1 << (n % 32) }

func (t *Table) twoLevelSetPending(vcpu int, p Port, e *effect) {
	off, m := bit(t.layout.EvtchnPending, uint32(p))
	if t.cfg.Shared.Or32(off, m)&m != 0 {
		return
	}
	t.select2(vcpu, p, e)
	e.polled = true
}

// select2 sets the selector bit of an unmasked port and raises the upcall if the bit was clear.
func (t *Table) select2(vcpu int, p Port, e *effect) {
	off, m := bit(t.layout.EvtchnMask, uint32(p))
	if t.cfg.Shared.Load32(off)&m != 0 {
		return
	}
	in := t.info[vcpu]
	off, m = bit(in.Off+t.layout.PendingSel, uint32(p)/t.layout.WordBits)
	if in.Page.Or32(off, m)&m == 0 {
		t.markUpcall(vcpu, e)
	}
}

func (t *Table) twoLevelClearPending(p Port) {
	off, m := bit(t.layout.EvtchnPending, uint32(p))
	t.cfg.Shared.And32(off, ^m)
}

func (t *Table) twoLevelIsPending(p Port) bool {
	off, m := bit(t.layout.EvtchnPending, uint32(p))
	return t.cfg.Shared.Load32(off)&m != 0
}

func (t *Table) twoLevelUnmask(vcpu int, p Port, e *effect) {
	off, m := bit(t.layout.EvtchnMask, uint32(p))
	if t.cfg.Shared.And32(off, ^m)&m != 0 && t.twoLevelIsPending(p) {
		t.select2(vcpu, p, e)
	}
}
