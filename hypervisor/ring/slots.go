package ring

import (
	"errors"
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Slots is the back end of a ring whose entries are requests and, at the same places later, responses (public/io/ring.h). One goroutine at a
// time.
type Slots struct {
	pages    []*guestmem.Page
	entry, n uint32
	taken    uint32 // requests taken (C: req_cons)
	put      uint32 // responses written (C: rsp_prod_pvt)
	pushed   uint32 // of them, shown to the guest
}

// NewSlots makes the back end of a ring on pages, a power of two of them, with entries of so many bytes. Work goes on after the last response
// that the ring shows, which is 0 in a new one.
func NewSlots(pages []*guestmem.Page, entry uint32) (*Slots, error) {
	room := uint32(len(pages))*guestmem.PageSize - xen.RingEntries
	s := &Slots{pages: pages, entry: entry, n: 1}
	for s.n*2*entry <= room {
		s.n *= 2
	}
	if len(pages) == 0 || len(pages)&(len(pages)-1) != 0 || s.n*entry > room {
		return nil, errors.New("a ring has 1, 2, 4, ... pages, and room for an entry")
	}
	s.put = pages[0].Load32(xen.RingRspProd)
	s.taken, s.pushed = s.put, s.put
	return s, nil
}

// Len gives the number of entries.
func (s *Slots) Len() int { return int(s.n) }

// InFlight gives the number of requests that were taken and have no response yet.
func (s *Slots) InFlight() int { return int(s.taken - s.put) }

// Waiting gives the number of requests that can be taken, as far as the guest is to be believed.
func (s *Slots) Waiting() int { return int(s.pages[0].Load32(xen.RingReqProd) - s.taken) }

// Take copies the next request to p, as much as fits; false: there is none. The guest may go on changing the ring: what was copied is
// what counts.
func (s *Slots) Take(p []byte) (bool, error) {
	ok, err := s.Peek(p)
	if ok && err == nil {
		s.taken++
	}
	return ok, err
}

// Peek is Take, but the request stays, and may be another when it is taken.
func (s *Slots) Peek(p []byte) (bool, error) {
	prod := s.pages[0].Load32(xen.RingReqProd)
	if prod == s.taken {
		return false, nil
	}
	// A request takes the place of a response, so there are no more of both than places.
	if waiting := prod - s.put; waiting > s.n {
		return false, fmt.Errorf("%w: %d requests in a ring of %d", ErrCorrupt, waiting, s.n)
	}
	s.copy(s.taken, p[:min(uint32(len(p)), s.entry)], false)
	return true, nil
}

// Await asks the guest to signal the next request, and reports whether one has come already: then it is to be taken, since the guest need not
// signal it.
func (s *Slots) Await() bool {
	s.pages[0].Store32(xen.RingReqEvent, s.taken+1)
	return s.pages[0].Load32(xen.RingReqProd) != s.taken
}

// Put writes a response to the next place. There must be a request without one (InFlight).
func (s *Slots) Put(p []byte) {
	if s.put == s.taken {
		panic("ring: a response without a request")
	}
	s.copy(s.put, p, true)
	s.put++
}

// Push shows the guest all responses, and reports whether it wants to be signalled.
func (s *Slots) Push() (notify bool) {
	old := s.pushed
	if old == s.put {
		return false
	}
	s.pages[0].Store32(xen.RingRspProd, s.put)
	s.pushed = s.put
	event := s.pages[0].Load32(xen.RingRspEvent)
	return s.put-event < s.put-old
}

// copy moves bytes between p and entry i, which may lie across two pages.
func (s *Slots) copy(i uint32, p []byte, out bool) {
	at := xen.RingEntries + i&(s.n-1)*s.entry
	for len(p) > 0 {
		b := s.pages[at/guestmem.PageSize].Bytes()[at%guestmem.PageSize:]
		n := 0
		if out {
			n = copy(b, p)
		} else {
			n = copy(p, b)
		}
		p, at = p[n:], at+uint32(n)
	}
}

// Frontend is the guest's side of such a ring, for tests and for guests written in Go.
type Frontend struct {
	Slots
	sent uint32
}

// NewFrontend makes the guest's side, and the ring empty.
func NewFrontend(pages []*guestmem.Page, entry uint32) (*Frontend, error) {
	for off, v := range map[uint32]uint32{xen.RingReqProd: 0, xen.RingRspProd: 0, xen.RingReqEvent: 1, xen.RingRspEvent: 1} {
		pages[0].Store32(off, v)
	}
	s, err := NewSlots(pages, entry)
	if err != nil {
		return nil, err
	}
	return &Frontend{Slots: *s}, nil
}

// Send writes a request; false: the ring is full. It reports whether the back end wants to be signalled.
func (f *Frontend) Send(p []byte) (ok, notify bool) {
	if f.sent-f.taken >= f.n {
		return false, false
	}
	f.copy(f.sent, p, true)
	old := f.sent
	f.sent++
	f.pages[0].Store32(xen.RingReqProd, f.sent)
	return true, f.sent-f.pages[0].Load32(xen.RingReqEvent) < f.sent-old
}

// Receive copies the next response; false: there is none, and the next is asked for.
func (f *Frontend) Receive(p []byte) bool {
	for range 2 {
		if f.pages[0].Load32(xen.RingRspProd) != f.taken {
			f.copy(f.taken, p, false)
			f.taken++
			return true
		}
		f.pages[0].Store32(xen.RingRspEvent, f.taken+1)
	}
	return false
}
