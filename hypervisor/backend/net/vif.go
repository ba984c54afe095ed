package net

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/link"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

// Port is one queue of the link on the other side.
type Port interface {
	// Send sends one frame; an error means that it is dropped.
	Send(h link.Header, parts [][]byte) error
	// Receive takes the next frame. Without wait it gives link.ErrEmpty where there is none, with it it waits, until Stop: then it gives link.ErrStopped.
	// A frame that does not fit is dropped: link.ErrLong.
	Receive(h *link.Header, parts [][]byte, wait bool) (int, error)
	// Stop wakes Receive, and has it give ErrStopped until Start.
	Stop()
	Start()
}

// Config says what a network device works on.
type Config struct {
	Grants *gnttab.Table
	Events *evtchn.Table
	// Ports are the link's queues; the frontend may have as many.
	Ports []Port
	// NoGSO says that the link takes no frame whose segmentation is left to do: the frontend is not told of it, and such a frame of its is dropped.
	NoGSO bool
	// Rate bounds what the guest sends; the zero value does not.
	Rate Rate
	// Broken is called, from a goroutine of its own and with no lock held, when a ring has what no working frontend puts there. The owner is to call Disconnect.
	Broken func(error)
}

// VIF is a backend.Driver.
type VIF struct {
	cfg    Config
	filter filter
	credit *credit // nil: no bound

	mu     sync.Mutex
	queues []*queue
	stats  counters
}

// Stats counts what went through a device, seen from the guest.
type Stats struct {
	TxFrames, TxBytes, TxDropped uint64
	RxFrames, RxBytes, RxDropped uint64
}

type counters struct {
	txFrames, txBytes, txDropped, rxFrames, rxBytes, rxDropped atomic.Uint64
}

// New makes a network device.
func New(cfg Config) *VIF {
	return &VIF{cfg: cfg, credit: newCredit(cfg.Rate)}
}

// Offer implements backend.Driver.
func (v *VIF) Offer() map[string]string {
	offer := map[string]string{
		"feature-sg": "1", "feature-gso-tcpv4": "1", "feature-gso-tcpv6": "1", "feature-ipv6-csum-offload": "1", "feature-rx-copy": "1", "feature-rx-flip": "0",
		"feature-multicast-control": "1", "feature-dynamic-multicast-control": "1", "feature-split-event-channels": "1",
		"multi-queue-max-queues": strconv.Itoa(len(v.cfg.Ports)),
	}
	if v.cfg.NoGSO {
		delete(offer, "feature-gso-tcpv4")
		delete(offer, "feature-gso-tcpv6")
	}
	return offer
}

// able is what the frontend can take.
type able struct {
	sg, gso4, gso6, csum4, csum6 bool
}

// all says that every frame of the link can be given as it is.
func (a able) all() bool { return a.sg && a.gso4 && a.gso6 && a.csum4 && a.csum6 }

// Connect implements backend.Driver.
func (v *VIF) Connect(front backend.Front) (map[string]string, error) {
	if !front.Has("request-rx-copy") {
		return nil, errors.New("the frontend wants pages flipped, which is long gone: it lacks request-rx-copy")
	}
	can := able{sg: front.Has("feature-sg"), gso4: front.Has("feature-gso-tcpv4"), gso6: front.Has("feature-gso-tcpv6"), csum4: !front.Has("feature-no-csum-offload"),
		csum6: front.Has("feature-ipv6-csum-offload")}
	v.filter.reset(front.Has("request-multicast-control"))
	queues, err := front.Number("multi-queue-num-queues", 1, uint64(len(v.cfg.Ports)), "1")
	if err != nil {
		return nil, err
	}
	for i := range queues {
		prefix := backend.Queue(i, queues)
		c := rings{can: can}
		for _, r := range []struct {
			key string
			to  *gnttab.Ref
		}{{"tx-ring-ref", &c.tx}, {"rx-ring-ref", &c.rx}} {
			n, err := front.Number(prefix+r.key, 0, 1<<32-1, "")
			if err != nil {
				return nil, err
			}
			*r.to = gnttab.Ref(n)
		}
		keys := [2]string{"event-channel", "event-channel"}
		if _, split := front(prefix + "event-channel-tx"); split {
			keys = [2]string{"event-channel-tx", "event-channel-rx"}
		}
		for j, key := range keys {
			n, err := front.Number(prefix+key, 1, 1<<32-1, "")
			if err != nil {
				return nil, err
			}
			c.ports[j] = evtchn.Port(n)
		}
		q, err := newQueue(v, v.cfg.Ports[i], c)
		if err != nil {
			return nil, err
		}
		v.mu.Lock()
		v.queues = append(v.queues, q)
		v.mu.Unlock()
		q.start()
	}
	return nil, nil
}

// Disconnect implements backend.Driver.
func (v *VIF) Disconnect() {
	v.mu.Lock()
	queues := v.queues
	v.queues = nil
	v.mu.Unlock()
	for _, q := range queues {
		q.close()
	}
}

// Stats gives what the device has done so far.
func (v *VIF) Stats() Stats {
	c := &v.stats
	return Stats{c.txFrames.Load(), c.txBytes.Load(), c.txDropped.Load(), c.rxFrames.Load(), c.rxBytes.Load(), c.rxDropped.Load()}
}

// report tells the owner of a broken ring; it will disconnect, for which the caller's goroutine has to return.
func (v *VIF) report(err error) {
	if v.cfg.Broken != nil {
		go v.cfg.Broken(err)
	}
}

// rings is where a queue of the frontend is.
type rings struct {
	can    able
	tx, rx gnttab.Ref
	ports  [2]evtchn.Port // of the rings; both the same where the frontend has one
}

// queue is a pair of rings with its port.
type queue struct {
	v     *VIF
	refs  []gnttab.Ref // of the rings that are mapped
	ports []*evtchn.HostPort
	tx    *sender
	rx    *receiver
}

func newQueue(v *VIF, p Port, c rings) (*queue, error) {
	q := &queue{v: v}
	tx, err := q.ring(c.tx, xen.NetifTxEntry)
	if err != nil {
		q.release()
		return nil, err
	}
	rx, err := q.ring(c.rx, xen.NetifRxEntry)
	if err != nil {
		q.release()
		return nil, err
	}
	q.tx, q.rx = newSender(v, p, tx), newReceiver(v, p, rx, c.can)
	if err := q.bind(c.ports); err != nil {
		q.tx.Stop()
		q.release()
		return nil, err
	}
	return q, nil
}

// ring maps a ring.
func (q *queue) ring(ref gnttab.Ref, entry uint32) (*ring.Slots, error) {
	page, err := q.v.cfg.Grants.Map(ref, true)
	if err != nil {
		return nil, fmt.Errorf("map a ring: %w", err)
	}
	q.refs = append(q.refs, ref)
	return ring.NewSlots([]*guestmem.Page{page}, entry)
}

// bind takes up the event channels, which may be one.
func (q *queue) bind(ports [2]evtchn.Port) (err error) {
	one := ports[0] == ports[1]
	kick := q.tx.Kick
	if one {
		kick = func() { q.tx.Kick(); q.rx.kick() }
	}
	if q.tx.port, err = q.port(ports[0], kick); err != nil {
		return err
	}
	if q.rx.port = q.tx.port; !one {
		q.rx.port, err = q.port(ports[1], q.rx.kick)
	}
	return err
}

func (q *queue) port(n evtchn.Port, kick func()) (*evtchn.HostPort, error) {
	h, err := q.v.cfg.Events.BindHost(n, kick)
	if err == nil {
		q.ports = append(q.ports, h)
	}
	return h, err
}

// release gives the ports back, then the rings, of a queue that does not work.
func (q *queue) release() {
	q.unbind()
	q.v.cfg.Grants.UnmapAll(q.refs, true)
}

func (q *queue) unbind() {
	for _, h := range q.ports {
		h.Close()
	}
	q.ports = nil
}

func (q *queue) start() {
	q.rx.start()
	q.tx.ready.Store(true)
	q.tx.Kick()
}

// close ends the queue; no guest memory is touched once it has returned.
func (q *queue) close() {
	q.unbind()
	q.tx.close()
	q.rx.close()
	q.release()
}
