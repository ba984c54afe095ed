package ring

import (
	"errors"
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// ErrCorrupt is returned (wrapped, with the indices) when producer and consumer index are further apart than the ring
// is long: no working guest does that.
var ErrCorrupt = errors.New("ring indices are corrupt")

// end is one direction of a byte ring: size bytes (a power of two) at data in the page, free-running 32-bit indices at
// cons and prod.
type end struct {
	page             *guestmem.Page
	data, size       uint32
	consOff, prodOff uint32
}

// indices reads both indices; used is the number of bytes between them. The atomic loads order what follows after them.
func (e *end) indices() (cons, prod, used uint32, err error) {
	cons, prod = e.page.Load32(e.consOff), e.page.Load32(e.prodOff)
	used = prod - cons
	if used > e.size {
		return 0, 0, 0, fmt.Errorf("%w: producer %#x, consumer %#x, ring of %d bytes", ErrCorrupt, prod, cons, e.size)
	}
	return cons, prod, used, nil
}

// Reader takes bytes that the guest produced. One goroutine at a time.
type Reader struct{ end }

// Writer produces bytes for the guest. One goroutine at a time.
type Writer struct{ end }

// Console gives both directions of a console page: in carries bytes to the guest, out brings the guest's output.
func Console(p *guestmem.Page) (in *Writer, out *Reader) {
	return &Writer{end{p, xen.ConsoleIn, xen.ConsoleInSize, xen.ConsoleInCons, xen.ConsoleInProd}},
		&Reader{end{p, xen.ConsoleOut, xen.ConsoleOutSize, xen.ConsoleOutCons, xen.ConsoleOutProd}}
}

// Xenstore gives both directions of a xenstore page: req brings the guest's requests, rsp carries answers.
func Xenstore(p *guestmem.Page) (req *Reader, rsp *Writer) {
	return &Reader{end{p, xen.XenstoreReq, xen.XENSTORE_RING_SIZE, xen.XenstoreReqCons, xen.XenstoreReqProd}},
		&Writer{end{p, xen.XenstoreRsp, xen.XENSTORE_RING_SIZE, xen.XenstoreRspCons, xen.XenstoreRspProd}}
}

// Peek copies waiting bytes to p without taking them and gives their number; 0 when there are none.
func (r *Reader) Peek(p []byte) (int, error) {
	cons, _, used, err := r.indices()
	if err != nil {
		return 0, err
	}
	n := min(used, uint32(len(p)))
	ring := r.page.Bytes()[r.data : r.data+r.size]
	at := cons & (r.size - 1)
	m := copy(p[:n], ring[at:])
	copy(p[m:n], ring)
	return int(n), nil
}

// Take marks n bytes, seen by Peek, as consumed: the guest may overwrite them.
func (r *Reader) Take(n int) {
	r.page.Store32(r.consOff, r.page.Load32(r.consOff)+uint32(n))
}

// Read takes waiting bytes into p and gives their number; 0 when there are none.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.Peek(p)
	if n > 0 {
		r.Take(n)
	}
	return n, err
}

// Len gives the number of bytes waiting.
func (r *Reader) Len() (int, error) {
	_, _, used, err := r.indices()
	return int(used), err
}

// Write puts as many bytes of p into the ring as there is room for and gives their number; 0 when it is full.
func (w *Writer) Write(p []byte) (int, error) {
	_, prod, used, err := w.indices()
	if err != nil {
		return 0, err
	}
	n := min(w.size-used, uint32(len(p)))
	ring := w.page.Bytes()[w.data : w.data+w.size]
	at := prod & (w.size - 1)
	m := copy(ring[at:], p[:n])
	copy(ring, p[m:n])
	if n > 0 {
		w.page.Store32(w.prodOff, prod+n)
	}
	return int(n), nil
}

// Room gives the number of bytes that fit now.
func (w *Writer) Room() (int, error) {
	_, _, used, err := w.indices()
	return int(w.size - used), err
}
