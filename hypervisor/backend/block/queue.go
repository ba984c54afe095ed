package block

import (
	"encoding/binary"
	"fmt"
	"sync"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

// queue is one ring and what is under way of it.
type queue struct {
	*backend.Worker
	d      *Disk
	layout *xen.BlkifLayout
	refs   []gnttab.Ref
	port   *evtchn.HostPort
	free   []*request
	pace   pace                          // whoever works on the ring
	kept   map[gnttab.Ref]*guestmem.Page // persistent grants; nil where there are none. The queue's goroutine only.

	mu     sync.Mutex
	idle   sync.Cond // nothing is under way
	ring   *ring.Slots
	away   int  // requests in goroutines of their own
	broken bool // the ring is left alone
	waits  bool // the medium's writes may have to wait
	rsp    [16]byte
}

func newQueue(d *Disk, l *xen.BlkifLayout, port evtchn.Port, refs []gnttab.Ref, persistent bool) (*queue, error) {
	pages, err := mapAll(d.cfg.Grants, refs)
	if err != nil {
		return nil, fmt.Errorf("map the ring: %w", err)
	}
	q := &queue{d: d, layout: l, refs: refs}
	q.idle.L = &q.mu
	if persistent {
		q.kept = map[gnttab.Ref]*guestmem.Page{}
	}
	if q.ring, err = ring.NewSlots(pages, l.Entry); err != nil {
		d.cfg.Grants.UnmapAll(refs, true)
		return nil, err
	}
	q.Worker = backend.StartWorker(q.step, d.cfg.Wake)
	if q.port, err = d.cfg.Events.BindHost(port, q.signalled); err != nil {
		q.Stop()
		d.cfg.Grants.UnmapAll(refs, true)
		return nil, err
	}
	return q, nil
}

// signalled is called when the guest signals a request. A single short one, for which nothing has to be waited, is done at once, in the goroutine of the
// vCPU: that takes less of its time than to wake another one.
func (q *queue) signalled() {
	if !q.Try(q.prompt) {
		q.Kick()
	}
}

// promptPages is how many pages a request may have that is done at once.
const promptPages = 4

// prompt does the one request that there is, or leaves all to the worker.
func (q *queue) prompt() {
	var r *request
	if q.single() && q.pace.prompt() {
		r = q.take()
	}
	if r == nil {
		q.Kick()
		return
	}
	switch err := q.parse(r); {
	case err != nil || r.do != xen.BLKIF_OP_READ && r.do != xen.BLKIF_OP_WRITE: // the guest has changed it meanwhile
		q.finish(r, xen.BLKIF_RSP_ERROR)
	case r.n > promptPages*guestmem.PageSize:
		q.apart(r, func() error { return q.move(r) })
	default:
		q.now(r)
	}
	q.push()
	q.mu.Lock()
	more := q.ring.Await()
	q.mu.Unlock()
	if more {
		q.Kick()
	}
}

// single says that there is one request, a short read or write.
func (q *queue) single() bool {
	if _, ok := q.d.cfg.Image.(Prompt); !ok {
		return false
	}
	var head [2]byte
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken || q.ring.Waiting() != 1 {
		return false
	}
	if ok, err := q.ring.Peek(head[:]); !ok || err != nil {
		return false
	}
	return head[xen.BlkifCount] <= promptPages && (head[0] == xen.BLKIF_OP_READ || head[0] == xen.BLKIF_OP_WRITE && !q.waits && !q.d.cfg.Image.ReadOnly())
}

// close ends the queue; requests under way are finished first.
func (q *queue) close() {
	q.mu.Lock()
	q.broken = true // what has not been taken stays in the ring
	q.mu.Unlock()
	q.port.Close()
	q.Stop()
	q.drain()
	for ref := range q.kept {
		_ = q.d.cfg.Grants.Unmap(ref, true)
	}
	q.d.cfg.Grants.UnmapAll(q.refs, true)
}

// drain waits until nothing is under way.
func (q *queue) drain() {
	q.mu.Lock()
	for q.away > 0 {
		q.idle.Wait()
	}
	q.mu.Unlock()
}

// fairShare is how many requests are taken before a stop is looked for.
const fairShare = 256

// step takes requests until there are none.
func (q *queue) step() {
	for n := range fairShare {
		r := q.take()
		if r == nil {
			q.pace.looked(n)
			return
		}
		if err := q.parse(r); err != nil {
			q.finish(r, xen.BLKIF_RSP_ERROR)
			continue
		}
		q.start(r)
	}
	q.pace.looked(fairShare)
	q.push()
	q.Kick()
}

// take gives the next request, nil if there is none: then all responses have been shown, and the guest signals the next request.
func (q *queue) take() *request {
	q.mu.Lock()
	if q.broken {
		q.mu.Unlock()
		return nil
	}
	r := q.request()
	for {
		ok, err := q.ring.Take(r.raw[:])
		if err != nil {
			q.broken = true
			q.mu.Unlock()
			q.report(err)
			return nil
		}
		if ok {
			q.mu.Unlock()
			return r
		}
		notify := q.ring.Push()
		more := q.ring.Await()
		if notify {
			q.mu.Unlock()
			q.port.Notify()
			q.mu.Lock()
		}
		if !more || q.broken {
			q.free = append(q.free, r)
			q.mu.Unlock()
			return nil
		}
	}
}

// report tells the owner of a broken ring; it will disconnect, for which this goroutine has to return.
func (q *queue) report(err error) {
	if q.d.cfg.Broken == nil {
		return
	}
	if q.d.cfg.Wake != nil {
		q.d.cfg.Broken(err)
		return
	}
	go q.d.cfg.Broken(err)
}

// finish answers a request and gives back what it had. The response is shown with the next push, or by who takes the next request.
func (q *queue) finish(r *request, status int16) {
	r.release(q)
	q.d.count(r, status)
	q.mu.Lock()
	defer q.mu.Unlock()
	binary.LittleEndian.PutUint64(q.rsp[:], r.id)
	q.rsp[q.layout.ResponseOp] = r.do // frontends compare it with what an indirect request is to do
	binary.LittleEndian.PutUint16(q.rsp[q.layout.RspCode:], uint16(status))
	if q.ring.InFlight() > 0 {
		q.ring.Put(q.rsp[:q.layout.Response])
	}
	q.free = append(q.free, r)
}

// push shows the guest the responses there are.
func (q *queue) push() {
	q.mu.Lock()
	notify := q.ring.Push()
	q.mu.Unlock()
	if notify {
		q.port.Notify()
	}
}

// apart does work that has to wait, in a goroutine of its own where there may be one.
func (q *queue) apart(r *request, work func() error) {
	if q.d.cfg.Wake != nil {
		q.finish(r, status(work()))
		return
	}
	q.mu.Lock()
	q.away++
	q.mu.Unlock()
	go func() {
		q.finish(r, status(work()))
		q.push()
		q.mu.Lock()
		if q.away--; q.away == 0 {
			q.idle.Broadcast()
		}
		q.mu.Unlock()
	}()
}

func status(err error) int16 {
	if err != nil {
		return xen.BLKIF_RSP_ERROR
	}
	return xen.BLKIF_RSP_OKAY
}

// request gives an unused request; the caller holds mu.
func (q *queue) request() *request {
	if n := len(q.free); n > 0 {
		r := q.free[n-1]
		q.free = q.free[:n-1]
		r.reset()
		return r
	}
	return &request{}
}
