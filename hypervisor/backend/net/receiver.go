package net

import (
	"encoding/binary"
	"errors"
	"sync"

	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/link"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

const (
	// maxFrame is the longest that a link gives: a packet of 64 KiB, its Ethernet header, and two VLAN tags.
	maxFrame = 1<<16 + ethernetHeader + 8
	// maxPages is how many of the guest's pages that takes.
	maxPages = (maxFrame + guestmem.PageSize - 1) / guestmem.PageSize
)

// receiver gives frames to the guest.
type receiver struct {
	v     *VIF
	peer  Port
	port  *evtchn.HostPort
	ring  *ring.Slots
	can   able
	kicks chan struct{}
	stop  chan struct{}
	done  chan struct{}
	once  sync.Once
	began bool

	// posted are the requests that were taken and wait for a frame, the oldest first. The goroutine's only.
	posted []rxSlot
	refs   []gnttab.Ref             // being mapped, or given back
	fresh  int                      // the first of posted that is being mapped
	mapped func(i int, page []byte) // takes the page of one of these
	parts  [][]byte
	bounce []byte // a whole frame and room for its pieces, where the guest can't take all that the link gives
	req    [xen.NetifRxEntry]byte
	rsp    [xen.NetifRxEntry]byte
}

// rxSlot is an empty page of the guest.
type rxSlot struct {
	id   uint16
	ref  gnttab.Ref
	page []byte
}

func newReceiver(v *VIF, peer Port, r *ring.Slots, can able) *receiver {
	x := &receiver{v: v, peer: peer, ring: r, can: can, kicks: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	x.mapped = func(i int, page []byte) { x.posted[x.fresh+i].page = page }
	if !can.all() {
		x.bounce = make([]byte, 2*maxFrame)
	}
	return x
}

func (r *receiver) start() {
	r.began = true
	r.peer.Start()
	go r.run()
}

// kick says that the guest may have posted pages.
func (r *receiver) kick() {
	select {
	case r.kicks <- struct{}{}:
	default:
	}
}

// close ends it, and gives back what was posted.
func (r *receiver) close() {
	if !r.began {
		return
	}
	r.once.Do(func() { close(r.stop) })
	r.peer.Stop()
	<-r.done
}

func (r *receiver) run() {
	defer close(r.done)
	defer r.drop()
	for {
		err := r.next()
		switch {
		case errors.Is(err, link.ErrStopped):
			return
		case err != nil:
			r.v.report(err)
			return
		}
	}
}

// drop gives back posted pages, unanswered.
func (r *receiver) drop() {
	r.giveBack(len(r.posted))
	r.posted = nil
}

// pages is how many pages a frame may take, with the slot for its extra information.
func (r *receiver) pages() int {
	if !r.can.sg {
		return 1
	}
	return maxPages + 1
}

// next gives the guest one frame.
func (r *receiver) next() error {
	if err := r.collect(r.pages()); err != nil {
		return err
	}
	if r.bounce != nil {
		return r.copied()
	}
	// A segmented frame has extra information in its second slot, so the second page is left out, and used where it turns out that it is none.
	r.parts = r.parts[:0]
	for i, s := range r.posted[:maxPages+1] {
		if i != 1 {
			r.parts = append(r.parts, s.page)
		}
	}
	h, n, err := r.receive(r.parts)
	if err != nil || n == 0 {
		return err
	}
	if !r.v.filter.passes(r.parts[0]) {
		return nil
	}
	count := (n + guestmem.PageSize - 1) / guestmem.PageSize
	if h.GSOType&^gsoECN == gsoNone && count > 1 {
		for i := 1; i < count; i++ {
			copy(r.posted[i].page, r.posted[i+1].page)
		}
	}
	r.show(h, n)
	return nil
}

// receive takes a frame from the link; 0 bytes: none that is to be given.
func (r *receiver) receive(parts [][]byte) (h link.Header, n int, err error) {
	n, err = r.peer.Receive(&h, parts, false)
	if errors.Is(err, link.ErrEmpty) {
		r.push()
		n, err = r.peer.Receive(&h, parts, true)
	}
	if errors.Is(err, link.ErrLong) || err == nil && n < minFrame {
		r.v.stats.rxDropped.Add(1)
		return h, 0, nil
	}
	return h, n, err
}

// copied gives the guest a frame by way of our own memory: with checksums made and cut into what it takes.
func (r *receiver) copied() error {
	whole, room := r.bounce[:maxFrame], r.bounce[maxFrame:]
	h, n, err := r.receive([][]byte{whole})
	if err != nil || n == 0 {
		return err
	}
	frame := whole[:n]
	if !r.v.filter.passes(frame) {
		return nil
	}
	kind := h.GSOType &^ gsoECN
	if kind == gsoTCP4 && !r.can.gso4 || kind == gsoTCP6 && !r.can.gso6 || kind != gsoNone && !r.can.sg {
		var failed error
		if !split(h, frame, room, func(piece []byte) {
			if failed == nil {
				failed = r.give(link.Header{Flags: dataValid}, piece)
			}
		}) {
			r.v.stats.rxDropped.Add(1)
		}
		return failed
	}
	if p, ok := inspect(frame); kind == gsoNone && h.Flags&needsChecksum != 0 && (!ok || p.v6 && !r.can.csum6 || !p.v6 && !r.can.csum4) {
		finish(h, frame)
		h.Flags = dataValid
	}
	return r.give(h, frame)
}

// give copies a frame into the guest's pages and shows it.
func (r *receiver) give(h link.Header, frame []byte) error {
	count := (len(frame) + guestmem.PageSize - 1) / guestmem.PageSize
	if count > 1 && !r.can.sg {
		r.v.stats.rxDropped.Add(1)
		return nil
	}
	if err := r.collect(count + 1); err != nil {
		return err
	}
	at := 0
	for i, left := 0, frame; len(left) > 0; i++ {
		if at == 1 && h.GSOType&^gsoECN != gsoNone {
			at++
		}
		left = left[copy(r.posted[at].page, left):]
		at++
	}
	r.show(h, len(frame))
	return nil
}

// collect takes posted pages until there are so many, and waits for them.
func (r *receiver) collect(n int) error {
	for len(r.posted) < n {
		select {
		case <-r.stop:
			return link.ErrStopped
		default:
		}
		took, err := r.take(n - len(r.posted))
		if err != nil {
			return err
		}
		if took || r.ring.Await() {
			continue
		}
		r.push()
		select {
		case <-r.stop:
			return link.ErrStopped
		case <-r.kicks:
		}
	}
	return nil
}

// take takes up to n posted pages, if there are some. One that can't be had is an error.
func (r *receiver) take(n int) (bool, error) {
	r.fresh, r.refs = len(r.posted), r.refs[:0]
	var broken error
	for len(r.refs) < n {
		ok, err := r.ring.Take(r.req[:])
		if !ok || err != nil {
			broken = err
			break
		}
		ref := gnttab.Ref(binary.LittleEndian.Uint32(r.req[xen.NetifRxGrant:]))
		r.refs = append(r.refs, ref)
		r.posted = append(r.posted, rxSlot{id: binary.LittleEndian.Uint16(r.req[xen.NetifRxID:]), ref: ref})
	}
	if len(r.refs) == 0 {
		return false, broken
	}
	mapped, err := r.v.cfg.Grants.MapAll(r.refs, true, r.mapped)
	if err != nil {
		r.posted = r.posted[:r.fresh+mapped]
		return false, errors.Join(errFrontend, err)
	}
	return true, broken
}

// giveBack unmaps the first n posted pages.
func (r *receiver) giveBack(n int) {
	r.refs = r.refs[:0]
	for _, s := range r.posted[:n] {
		r.refs = append(r.refs, s.ref)
	}
	r.v.cfg.Grants.UnmapAll(r.refs, true)
}

// show answers the slots of a frame of n bytes, whose pages are filled.
func (r *receiver) show(h link.Header, n int) {
	le := binary.LittleEndian
	flags := uint16(0)
	if h.Flags&needsChecksum != 0 {
		flags |= xen.NETRXF_csum_blank | xen.NETRXF_data_validated
	} else if h.Flags&dataValid != 0 {
		flags |= xen.NETRXF_data_validated
	}
	kind := h.GSOType &^ gsoECN
	if kind != gsoNone {
		flags |= xen.NETRXF_extra_info
	}
	used := 0
	for left := n; left > 0 || used == 1 && kind != gsoNone; used++ {
		s := r.posted[used]
		if used == 1 && kind != gsoNone {
			clear(r.rsp[:])
			r.rsp[xen.NetifExtraType] = xen.XEN_NETIF_EXTRA_TYPE_GSO
			le.PutUint16(r.rsp[xen.NetifExtraGSOSize:], h.GSOSize)
			r.rsp[xen.NetifExtraGSOType] = xenGSO(kind)
			r.ring.Put(r.rsp[:])
			continue
		}
		part := min(left, guestmem.PageSize)
		left -= part
		f := flags
		if used > 0 {
			f = flags & (xen.NETRXF_csum_blank | xen.NETRXF_data_validated)
		}
		if left > 0 {
			f |= xen.NETRXF_more_data
		}
		clear(r.rsp[:])
		le.PutUint16(r.rsp[xen.NetifRxID:], s.id)
		le.PutUint16(r.rsp[xen.NetifRxRspFlags:], f)
		le.PutUint16(r.rsp[xen.NetifRxRspStatus:], uint16(part))
		r.ring.Put(r.rsp[:])
	}
	r.giveBack(used)
	r.posted = r.posted[:copy(r.posted, r.posted[used:])]
	r.v.stats.rxFrames.Add(1)
	r.v.stats.rxBytes.Add(uint64(n))
}

func (r *receiver) push() {
	if r.ring.Push() {
		r.port.Notify()
	}
}
