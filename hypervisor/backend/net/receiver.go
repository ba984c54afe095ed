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
	parts  [][]byte
	bounce []byte // a whole frame and room for its pieces, where the guest can't take all that the link gives
	rsp    [xen.NetifRxEntry]byte
}

// rxSlot is an empty page of the guest.
type rxSlot struct {
	id   uint16
	ref  gnttab.Ref
	page *guestmem.Page
}

func newReceiver(v *VIF, peer Port, r *ring.Slots, can able) *receiver {
	x := &receiver{v: v, peer: peer, ring: r, can: can, kicks: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
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
	for _, s := range r.posted {
		_ = r.v.cfg.Grants.Unmap(s.ref, true)
	}
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
			r.parts = append(r.parts, s.page.Bytes())
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
			copy(r.posted[i].page.Bytes(), r.posted[i+1].page.Bytes())
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
		left = left[copy(r.posted[at].page.Bytes(), left):]
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
		ok, err := r.take()
		if err != nil {
			return err
		}
		if ok || r.ring.Await() {
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

// take takes one posted page; one that can't be had is answered at once, in its turn.
func (r *receiver) take() (bool, error) {
	var b [xen.NetifRxEntry]byte
	ok, err := r.ring.Take(b[:])
	if !ok || err != nil {
		return false, err
	}
	s := rxSlot{id: binary.LittleEndian.Uint16(b[xen.NetifRxID:]), ref: gnttab.Ref(binary.LittleEndian.Uint32(b[xen.NetifRxGrant:]))}
	if s.page, err = r.v.cfg.Grants.Map(s.ref, true); err != nil {
		return false, errors.Join(errFrontend, err)
	}
	r.posted = append(r.posted, s)
	return true, nil
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
			r.answer(s)
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
		r.answer(s)
	}
	r.posted = r.posted[:copy(r.posted, r.posted[used:])]
	r.v.stats.rxFrames.Add(1)
	r.v.stats.rxBytes.Add(uint64(n))
}

func (r *receiver) answer(s rxSlot) {
	_ = r.v.cfg.Grants.Unmap(s.ref, true)
	r.ring.Put(r.rsp[:])
}

func (r *receiver) push() {
	if r.ring.Push() {
		r.port.Notify()
	}
}
