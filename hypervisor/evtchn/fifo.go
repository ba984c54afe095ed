package evtchn

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// The FIFO ABI: an event word per port in pages the guest gives (EVTCHNOP_expand_array), linked into
// sixteen queues per vCPU whose heads lie in a control block (EVTCHNOP_init_control); Xen
// common/event_fifo.c, docs/misc event-channels design, public/event_channel.h.

const (
	fifoPending = 1 << xen.EVTCHN_FIFO_PENDING
	fifoMasked  = 1 << xen.EVTCHN_FIFO_MASKED
	fifoLinked  = 1 << xen.EVTCHN_FIFO_LINKED
	fifoBusy    = 1 << xen.EVTCHN_FIFO_BUSY

	wordsPerPage = guestmem.PageSize / 4
	maxArray     = xen.EVTCHN_FIFO_NR_CHANNELS / wordsPerPage
	// linkTries bounds the compare-and-swaps against a guest that keeps changing a word: an honest guest makes
	// at most four changes while the word is BUSY.
	linkTries = 4
)

type fifo struct {
	array []*guestmem.Page
	vcpus []fifoVCPU
}

// fifoVCPU is a control block and the tails of its queues, which only Xen knows.
type fifoVCPU struct {
	ctl  *guestmem.Page // nil until init_control
	off  uint32
	tail [xen.EVTCHN_FIFO_MAX_QUEUES]Port
}

// word gives the page and offset of a port's event word.
func (f *fifo) word(p Port) (*guestmem.Page, uint32, bool) {
	if p/wordsPerPage >= Port(len(f.array)) {
		return nil, 0, false
	}
	return f.array[p/wordsPerPage], uint32(p%wordsPerPage) * 4, true
}

// setLink makes the tail's word point at port p, if the word is still linked; ok says whether it was.
func setLink(pg *guestmem.Page, off uint32, p Port) (ok bool) {
	w := pg.Load32(off)
	if w&fifoLinked == 0 {
		return false
	}
	if pg.CAS32(off, w, linkTo(w, p)) {
		return true
	}
	// BUSY keeps the guest from unmasking, so that its changes are bounded.
	pg.Or32(off, fifoBusy)
	for range linkTries {
		w = pg.Load32(off)
		if w&fifoLinked == 0 {
			pg.And32(off, ^uint32(fifoBusy))
			return false
		}
		if pg.CAS32(off, w, linkTo(w, p)) {
			return true
		}
	}
	// A guest that plays with the word loses events, nothing more.
	pg.And32(off, ^uint32(fifoBusy))
	return true
}

func linkTo(w uint32, p Port) uint32 {
	return w&^(fifoBusy|xen.EVTCHN_FIFO_LINK_MASK) | uint32(p)
}

func (t *Table) fifoSetPending(vcpu int, p Port, e *effect) {
	f, c := t.fifo, &t.chns[p]
	pg, off, ok := f.word(p)
	if !ok {
		c.pending = true // until the guest adds the page
		return
	}
	v := &f.vcpus[vcpu]
	if v.ctl == nil {
		return // the guest may not unmask before its control block exists: drop
	}
	if pg.Or32(off, fifoPending)&fifoPending == 0 {
		e.polled = true
	}
	if pg.Load32(off)&fifoMasked != 0 || pg.Or32(off, fifoLinked)&fifoLinked != 0 {
		return
	}
	// An event that was a tail leaves an empty queue behind.
	if old := &f.vcpus[c.lastVCPU].tail[c.lastPrio]; *old == p {
		*old = 0
	}
	c.lastVCPU, c.lastPrio = uint16(vcpu), c.priority
	tail := &v.tail[c.priority]
	linked := false
	if *tail != 0 {
		if tpg, toff, ok := f.word(*tail); ok {
			linked = setLink(tpg, toff, p)
		}
	}
	*tail = p
	if linked {
		return
	}
	v.ctl.Store32(v.off+xen.FIFOControlHead+4*uint32(c.priority), uint32(p))
	m := uint32(1) << c.priority
	if v.ctl.Or32(v.off+xen.FIFOControlReady, m)&m == 0 {
		t.markUpcall(vcpu, e)
	}
}

func (t *Table) fifoUnmask(vcpu int, p Port, e *effect) {
	pg, off, ok := t.fifo.word(p)
	if !ok {
		return
	}
	pg.And32(off, ^uint32(fifoMasked))
	if pg.Load32(off)&fifoPending != 0 {
		t.fifoSetPending(vcpu, p, e)
	}
}

// InitControl gives a vCPU its control block (EVTCHNOP_init_control), and switches the domain to the FIFO
// ABI at the first call. The guest learns the number of link bits.
func (t *Table) InitControl(vcpu uint32, gfn guestmem.GFN, off uint32) (linkBits uint8, err xen.Errno) {
	if !t.cfg.FIFO {
		return 0, xen.ENOSYS
	}
	if vcpu >= uint32(t.cfg.VCPUs) {
		return 0, xen.ENOENT
	}
	if off > guestmem.PageSize-xen.FIFOControlSize || off&7 != 0 {
		return 0, xen.EINVAL
	}
	pg, perr := t.cfg.Memory.PageAt(gfn)
	if perr != nil {
		return 0, xen.EINVAL
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fifo == nil {
		t.fifo = &fifo{vcpus: make([]fifoVCPU, t.cfg.VCPUs)}
		// What is pending now is raised again when its event word exists.
		for p := Port(1); p < Port(len(t.chns)) && p < Port(t.layout.Channels); p++ {
			if t.twoLevelIsPending(p) {
				t.chns[p].pending = true
			}
			t.chns[p].priority = xen.EVTCHN_FIFO_PRIORITY_DEFAULT
		}
	}
	v := &t.fifo.vcpus[vcpu]
	if v.ctl != nil {
		return 0, xen.EINVAL
	}
	v.ctl, v.off = pg, off
	return xen.EVTCHN_FIFO_LINK_BITS, 0
}

// ExpandArray adds a page of event words (EVTCHNOP_expand_array) and raises what was pending for it.
func (t *Table) ExpandArray(gfn guestmem.GFN) xen.Errno {
	pg, perr := t.cfg.Memory.PageAt(gfn)
	t.mu.Lock()
	var e effect
	defer t.fire(&e)
	f := t.fifo
	switch {
	case f == nil:
		return xen.EOPNOTSUPP
	case len(f.array) >= maxArray:
		return xen.ENOSPC
	case perr != nil:
		return xen.EINVAL
	}
	first := Port(len(f.array)) * wordsPerPage
	f.array = append(f.array, pg)
	for p := first; p < first+wordsPerPage && p < Port(len(t.chns)); p++ {
		if c := &t.chns[p]; c.pending {
			c.pending = false
			if c.state != free {
				t.fifoSetPending(int(c.vcpu), p, &e)
			}
		}
	}
	return 0
}

// SetPriority changes the queue of a port for its next events (EVTCHNOP_set_priority). 0 is the highest.
func (t *Table) SetPriority(p Port, priority uint32) xen.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.get(p)
	if c == nil {
		return xen.EINVAL
	}
	if t.fifo == nil {
		return xen.ENOSYS
	}
	if !c.usable() {
		return xen.EACCES
	}
	if priority > xen.EVTCHN_FIFO_PRIORITY_MIN {
		return xen.EINVAL
	}
	c.priority = uint8(priority)
	return 0
}
