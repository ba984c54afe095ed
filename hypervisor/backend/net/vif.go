package net

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

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
	// MTU is the largest packet without segmentation, in bytes, without the Ethernet header.
	MTU int
	// Rate bounds what the guest sends; the zero value does not.
	Rate Rate
	// Broken is called, from a goroutine of its own and with no lock held, when a ring has what no working frontend puts there. The owner is to call Disconnect.
	Broken func(error)
}

// VIF is a backend.Driver.
type VIF struct {
	cfg    Config
	filter filter
	credit *credit

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
	return map[string]string{
		"feature-sg": "1", "feature-gso-tcpv4": "1", "feature-gso-tcpv6": "1", "feature-ipv6-csum-offload": "1", "feature-rx-copy": "1", "feature-rx-flip": "0",
		"feature-multicast-control": "1", "feature-dynamic-multicast-control": "1", "feature-split-event-channels": "1",
		"multi-queue-max-queues": strconv.Itoa(len(v.cfg.Ports)),
	}
}

// able is what the frontend can take.
type able struct {
	sg, gso4, gso6, csum4, csum6 bool
}

// all says that every frame of the link can be given as it is.
func (a able) all() bool { return a.sg && a.gso4 && a.gso6 && a.csum4 && a.csum6 }

// Connect implements backend.Driver.
func (v *VIF) Connect(front func(string) (string, bool)) (map[string]string, error) {
	number := func(key string, least, most uint64, otherwise string) (uint64, error) {
		s, ok := front(key)
		if !ok {
			s = otherwise
		}
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n < least || n > most {
			return 0, fmt.Errorf("the frontend's %s is %q", key, s)
		}
		return n, nil
	}
	flag := func(key string) bool { s, _ := front(key); return s == "1" }
	if !flag("request-rx-copy") {
		return nil, errors.New("the frontend wants pages flipped, which is long gone: it lacks request-rx-copy")
	}
	can := able{sg: flag("feature-sg"), gso4: flag("feature-gso-tcpv4"), gso6: flag("feature-gso-tcpv6"), csum4: !flag("feature-no-csum-offload"),
		csum6: flag("feature-ipv6-csum-offload")}
	v.filter.reset(flag("request-multicast-control"))
	queues, err := number("multi-queue-num-queues", 1, uint64(len(v.cfg.Ports)), "1")
	if err != nil {
		return nil, err
	}
	for i := range queues {
		prefix := ""
		if _, several := front("multi-queue-num-queues"); several && queues > 1 {
			prefix = fmt.Sprintf("queue-%d/", i)
		}
		c := rings{can: can}
		for _, r := range []struct {
			key string
			to  *gnttab.Ref
		}{{"tx-ring-ref", &c.tx}, {"rx-ring-ref", &c.rx}} {
			n, err := number(prefix+r.key, 0, 1<<32-1, "")
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
			n, err := number(prefix+key, 1, 1<<32-1, "")
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
	refs  [2]gnttab.Ref
	ports []*evtchn.HostPort
	tx    *sender
	rx    *receiver
}

func newQueue(v *VIF, p Port, c rings) (_ *queue, err error) {
	q := &queue{v: v, refs: [2]gnttab.Ref{c.tx, c.rx}}
	var slots [2]*ring.Slots
	mapped := 0
	undo := func() {
		for _, h := range q.ports {
			h.Close()
		}
		for _, r := range q.refs[:mapped] {
			_ = v.cfg.Grants.Unmap(r, true)
		}
	}
	for i, entry := range []uint32{xen.NetifTxEntry, xen.NetifRxEntry} {
		page, err := v.cfg.Grants.Map(q.refs[i], true)
		if err != nil {
			undo()
			return nil, fmt.Errorf("map a ring: %w", err)
		}
		mapped++
		if slots[i], err = ring.NewSlots([]*guestmem.Page{page}, entry); err != nil {
			undo()
			return nil, err
		}
	}
	q.tx = newSender(v, p, slots[0])
	q.rx = newReceiver(v, p, slots[1], c.can)
	kicks := [2]func(){q.tx.Kick, q.rx.kick}
	if c.ports[0] == c.ports[1] {
		kicks[0] = func() { q.tx.Kick(); q.rx.kick() }
	}
	for i, n := range c.ports {
		if i == 1 && n == c.ports[0] {
			q.rx.port = q.ports[0]
			break
		}
		h, err := v.cfg.Events.BindHost(n, kicks[i])
		if err != nil {
			q.tx.Stop()
			undo()
			return nil, err
		}
		q.ports = append(q.ports, h)
		if i == 0 {
			q.tx.port = h
		} else {
			q.rx.port = h
		}
	}
	return q, nil
}

func (q *queue) start() {
	q.rx.start()
	q.tx.ready.Store(true)
	q.tx.Kick()
}

// close ends the queue; no guest memory is touched once it has returned.
func (q *queue) close() {
	for _, h := range q.ports {
		h.Close()
	}
	q.tx.close()
	q.rx.close()
	for _, r := range q.refs {
		_ = q.v.cfg.Grants.Unmap(r, true)
	}
}
