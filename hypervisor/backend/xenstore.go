package backend

import (
	"errors"
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
	"gozen/hypervisor/xenstore"
)

// XenstoreConfig says what a xenstore backend works on.
type XenstoreConfig struct {
	Page   *guestmem.Page // the ring
	Store  *xenstore.Store
	Domain xen.DomID
	// Notify signals the guest's event channel. OnCorrupt, which may be nil, is told of a ring or a request stream that no
	// working guest makes.
	Notify    func()
	OnCorrupt func(error)
	// Wake, if set, makes the backend work without a goroutine of its own: Wake is called, from any goroutine, when the
	// owner shall call Poll. It must not block.
	Wake func()
}

// Xenstore serves a guest's xenstore ring (docs/misc/xenstore-ring.txt): it carries bytes between the ring and a
// xenstore.Conn. After an error it waits until the guest asks for a new connection.
type Xenstore struct {
	*Worker
	cfg  XenstoreConfig
	req  *ring.Reader
	rsp  *ring.Writer
	conn *xenstore.Conn
	rest []byte // of answers that found no room in the ring
	held bool   // an error was reported
	buf  [xen.XENSTORE_RING_SIZE]byte
}

// NewXenstore starts a xenstore backend. It writes its features to the ring's page.
func NewXenstore(cfg XenstoreConfig) *Xenstore {
	x := &Xenstore{cfg: cfg}
	x.req, x.rsp = ring.Xenstore(cfg.Page)
	cfg.Page.Store32(xen.XenstoreServerFeatures, xen.XENSTORE_SERVER_FEATURE_RECONNECTION|xen.XENSTORE_SERVER_FEATURE_ERROR)
	started := make(chan struct{})
	x.Worker = StartWorker(func() { <-started; x.step() }, cfg.Wake)
	x.conn = cfg.Store.Connect(cfg.Domain, x.Kick)
	close(started)
	x.Kick()
	return x
}

// Close ends the connection; the guest's watches and transactions are gone.
func (x *Xenstore) Close() error {
	x.Worker.Stop()
	x.conn.Close()
	return nil
}

// step moves bytes both ways until nothing moves, at most a fair share at a time.
func (x *Xenstore) step() {
	if x.cfg.Page.Load32(xen.XenstoreConnection) == xen.XENSTORE_RECONNECT {
		x.reconnect()
	}
	if x.held {
		return
	}
	moved := false
	for i := 0; ; i++ {
		out, err := x.answers()
		in := false
		if err == nil {
			in, err = x.requests()
		}
		moved = moved || out || in
		if err != nil {
			x.hold(err)
			break
		}
		if !out && !in {
			break
		}
		if i == 64 { // let a stop or other goroutines in
			x.Kick()
			break
		}
	}
	if moved {
		x.notify()
	}
}

// answers moves answers and events to the ring and reports whether any moved.
func (x *Xenstore) answers() (bool, error) {
	if len(x.rest) == 0 {
		room, err := x.rsp.Room()
		if err != nil || room == 0 {
			return false, err
		}
		x.rest = x.buf[:x.conn.Read(x.buf[:room])]
	}
	n, err := x.rsp.Write(x.rest)
	x.rest = x.rest[n:]
	return n > 0, err
}

// requests moves requests from the ring to the connection, as many as it takes.
func (x *Xenstore) requests() (bool, error) {
	var buf [xen.XENSTORE_RING_SIZE]byte
	n, err := x.req.Peek(buf[:])
	if err != nil || n == 0 {
		return false, err
	}
	n, err = x.conn.Write(buf[:n])
	x.req.Take(n)
	return n > 0, err
}

// hold tells guest and owner of an error and drops the connection.
func (x *Xenstore) hold(err error) {
	code := uint32(xen.XENSTORE_ERROR_RINGIDX)
	if errors.Is(err, xenstore.ErrProtocol) {
		code = xen.XENSTORE_ERROR_PROTO
	}
	x.held = true
	x.rest = nil
	x.conn.Close()
	x.cfg.Page.Store32(xen.XenstoreError, code)
	x.notify()
	if x.cfg.OnCorrupt != nil {
		x.cfg.OnCorrupt(fmt.Errorf("xenstore ring of domain %d: %w", x.cfg.Domain, err))
	}
}

// reconnect starts anew on the guest's wish: empty ring, no watches, no transactions.
func (x *Xenstore) reconnect() {
	p := x.cfg.Page
	x.conn.Close()
	x.conn = x.cfg.Store.Connect(x.cfg.Domain, x.Kick)
	x.rest, x.held = nil, false
	for _, off := range []uint32{xen.XenstoreReqCons, xen.XenstoreReqProd, xen.XenstoreRspCons, xen.XenstoreRspProd, xen.XenstoreError} {
		p.Store32(off, 0)
	}
	p.Store32(xen.XenstoreConnection, xen.XENSTORE_CONNECTED)
	x.notify()
}

func (x *Xenstore) notify() {
	if x.cfg.Notify != nil {
		x.cfg.Notify()
	}
}
