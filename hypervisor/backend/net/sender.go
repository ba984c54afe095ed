package net

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/link"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

// maxSlots is how many requests of one frame are read before the device is given up; more than XEN_NETIF_NR_SLOTS_MIN are dropped.
const maxSlots = 20

// maxExtras bounds the slots of extra information of one frame: one of each kind.
const maxExtras = 4

// headSize is how much of a frame's begin is looked at.
const headSize = 256

var errFrontend = errors.New("the frontend does what none should")

// sender takes frames from the guest.
type sender struct {
	*backend.Worker
	v     *VIF
	peer  Port
	port  *evtchn.HostPort
	ring  *ring.Slots
	ready atomic.Bool // the queue is complete

	closed atomic.Bool
	mu     sync.Mutex
	timer  *time.Timer // set while the guest waits for credit; none is made once the sender is closed

	// Of the frame under way; the worker's only.
	slots []txSlot
	parts [][]byte
	taken []gnttab.Ref
	head  [headSize]byte
	rsp   [xen.NetifTxRsp]byte
}

// txSlot is one slot of a frame, as it was copied from the ring.
type txSlot struct {
	ref               gnttab.Ref
	offset, flags, id uint16
	size              uint16
	extra             bool
}

func newSender(v *VIF, peer Port, r *ring.Slots) *sender {
	s := &sender{v: v, peer: peer, ring: r}
	s.Worker = backend.StartWorker(s.step, nil)
	return s
}

func (s *sender) close() {
	s.closed.Store(true)
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.Stop()
}

// fairShare is how many frames are taken before responses are shown.
const fairShare = 64

// step sends frames until there are none.
func (s *sender) step() {
	if !s.ready.Load() {
		return
	}
	for {
		for range fairShare {
			if s.closed.Load() || !s.credit() {
				s.push()
				return
			}
			more, err := s.frame()
			if err != nil {
				s.closed.Store(true)
				s.push()
				s.v.report(err)
				return
			}
			if !more {
				s.push()
				if !s.ring.Await() {
					return
				}
			}
		}
		s.push()
	}
}

// credit says whether the guest may send now; if not, it goes on later.
func (s *sender) credit() bool {
	if s.v.credit == nil { // not to look at the clock
		return true
	}
	wait := s.v.credit.wait(time.Now())
	if wait == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed.Load() {
		s.timer = time.AfterFunc(wait, s.Kick)
	}
	return false
}

func (s *sender) push() {
	if s.ring.Push() {
		s.port.Notify()
	}
}

// frame sends the next frame; false: there is none. An error is the end of the device.
func (s *sender) frame() (bool, error) {
	s.slots = s.slots[:0]
	first, ok, err := s.take()
	if !ok || err != nil {
		return false, err
	}
	h, verdict, err := s.gather(first)
	if err != nil {
		return false, err
	}
	status := int16(xen.NETIF_RSP_OKAY)
	switch {
	case verdict != nil:
		status = xen.NETIF_RSP_ERROR
	case len(s.parts) > 0:
		if err := s.peer.Send(h, s.parts); err != nil {
			status = xen.NETIF_RSP_DROPPED
		}
	}
	s.done(status, first.size)
	return true, nil
}

// take copies the next slot.
func (s *sender) take() (t txSlot, ok bool, err error) {
	var b [xen.NetifTxEntry]byte
	if ok, err = s.ring.Take(b[:]); !ok || err != nil {
		return t, false, err
	}
	t = parseTx(b[:])
	s.slots = append(s.slots, t)
	return t, true, nil
}

func parseTx(b []byte) txSlot {
	le := binary.LittleEndian
	return txSlot{ref: gnttab.Ref(le.Uint32(b[xen.NetifTxGrant:])), offset: le.Uint16(b[xen.NetifTxOffset:]), flags: le.Uint16(b[xen.NetifTxFlags:]),
		id: le.Uint16(b[xen.NetifTxID:]), size: le.Uint16(b[xen.NetifTxSize:])}
}

// gather takes the rest of a frame and maps its pages. The verdict says why it is dropped; with neither that nor parts it was only a message.
func (s *sender) gather(first txSlot) (h link.Header, verdict, err error) {
	gso, kind, message, err := s.extras(first)
	if err != nil {
		return h, nil, err
	}
	if message {
		return h, nil, nil
	}
	total, rest := int(first.size), 0
	data := []int{0}
	for more := first.flags&xen.NETTXF_more_data != 0; more; {
		t, ok, err := s.take()
		switch {
		case err != nil:
			return h, nil, err
		case !ok:
			return h, nil, fmt.Errorf("%w: a frame ends in the middle", errFrontend)
		case len(data) == maxSlots:
			return h, nil, fmt.Errorf("%w: a frame of more than %d requests", errFrontend, maxSlots)
		case int(t.size) > total-rest:
			return h, nil, fmt.Errorf("%w: the parts of a frame are longer than itself", errFrontend)
		}
		rest += int(t.size)
		data = append(data, len(s.slots)-1)
		more = t.flags&xen.NETTXF_more_data != 0
	}
	s.slots[0].size = uint16(total - rest)
	for _, i := range data {
		if t := s.slots[i]; t.offset > guestmem.PageSize || int(t.offset)+int(t.size) > guestmem.PageSize {
			return h, nil, fmt.Errorf("%w: a part of a frame goes beyond its page", errFrontend)
		}
	}
	if total < minFrame || len(data) > xen.XEN_NETIF_NR_SLOTS_MIN || gso != 0 && s.v.cfg.NoGSO {
		return h, errDropped, nil
	}
	for _, i := range data {
		t := s.slots[i]
		if t.size == 0 {
			continue
		}
		p, err := s.v.cfg.Grants.Map(t.ref, false)
		if err != nil {
			return h, errDropped, nil
		}
		s.taken = append(s.taken, t.ref)
		s.parts = append(s.parts, p.Bytes()[t.offset:][:t.size])
	}
	n := 0
	for _, p := range s.parts {
		n += copy(s.head[n:], p)
	}
	h, ok := outgoing(s.head[:n], first.flags&xen.NETTXF_csum_blank != 0, gso, kind)
	if !ok {
		return h, errDropped, nil
	}
	return h, nil, nil
}

var errDropped = errors.New("the frame is dropped")

// extras reads the extra information of a frame. The slots are those after its first request.
func (s *sender) extras(first txSlot) (gso uint16, kind uint8, message bool, err error) {
	more := first.flags&xen.NETTXF_extra_info != 0
	for n := 0; more; n++ {
		var b [xen.NetifTxEntry]byte
		ok, err := s.ring.Take(b[:])
		if err != nil {
			return 0, 0, false, err
		}
		if !ok || n == maxExtras {
			return 0, 0, false, fmt.Errorf("%w: extra information without end", errFrontend)
		}
		s.slots = append(s.slots, txSlot{extra: true})
		switch b[xen.NetifExtraType] {
		case xen.XEN_NETIF_EXTRA_TYPE_GSO:
			gso = binary.LittleEndian.Uint16(b[xen.NetifExtraGSOSize:])
			kind = linkGSO(b[xen.NetifExtraGSOType])
			if gso == 0 || kind == gsoNone {
				return 0, 0, false, fmt.Errorf("%w: segments of size %d, kind %d", errFrontend, gso, b[xen.NetifExtraGSOType])
			}
		case xen.XEN_NETIF_EXTRA_TYPE_MCAST_ADD, xen.XEN_NETIF_EXTRA_TYPE_MCAST_DEL:
			message = true
			var a [6]byte
			copy(a[:], b[xen.NetifExtraMcast:])
			s.v.filter.change(a, b[xen.NetifExtraType] == xen.XEN_NETIF_EXTRA_TYPE_MCAST_ADD)
		default:
			return 0, 0, false, fmt.Errorf("%w: extra information of kind %d", errFrontend, b[xen.NetifExtraType])
		}
		more = b[xen.NetifExtraFlags]&xen.XEN_NETIF_EXTRA_FLAG_MORE != 0
	}
	return gso, kind, message, nil
}

// done gives back a frame's pages and answers its slots.
func (s *sender) done(status int16, size uint16) {
	sent := len(s.parts) > 0 && status == xen.NETIF_RSP_OKAY
	for _, r := range s.taken {
		_ = s.v.cfg.Grants.Unmap(r, false)
	}
	clear(s.parts)
	s.parts, s.taken = s.parts[:0], s.taken[:0]
	for _, t := range s.slots {
		code := status
		if t.extra {
			code = xen.NETIF_RSP_NULL
		}
		binary.LittleEndian.PutUint16(s.rsp[xen.NetifTxRspID:], t.id)
		binary.LittleEndian.PutUint16(s.rsp[xen.NetifTxRspCode:], uint16(code))
		s.ring.Put(s.rsp[:])
	}
	c := &s.v.stats
	switch {
	case sent:
		c.txFrames.Add(1)
		c.txBytes.Add(uint64(size))
		s.v.credit.spend(int(size))
	case status != xen.NETIF_RSP_OKAY:
		c.txDropped.Add(1)
	}
}
