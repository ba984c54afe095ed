package xenstore

import (
	"errors"
	"slices"

	"gozen/hypervisor/xen"
)

// ErrProtocol is returned when a client breaks the framing of the protocol: a payload of more than 4096 bytes. The
// connection is dead then.
var ErrProtocol = errors.New("xenstore protocol violation: payload of more than 4096 bytes")

const (
	headerSize = 16
	// maxAnswers is how many bytes of answers may wait before no further request is taken.
	maxAnswers = 16 << 10
)

// Conn is one client of the wire protocol. Write and Read are for one goroutine each, or one for both.
type Conn struct {
	s    *Store
	who  actor
	wake func()

	in []byte // a request that is not complete

	// Guarded by s.mu.
	watches      []*watch
	watchBytes   int
	transactions map[uint32]*transaction
	lastTx       uint32
	out          []message
	sending      []byte // rest of the message being read
	answers      int    // bytes of answers in out
	events       int    // events in out
	closed       bool
}

// message waits in a Conn: an encoded answer, or an event that is encoded when its turn comes.
type message struct {
	answer []byte
	w      *watch
	path   string
}

// Connect makes a client with the rights of domain dom; 0 is privileged. wake is called, without locks held and from
// any goroutine, when there is something to Read that no Write caused; it must not block.
func (s *Store) Connect(dom xen.DomID, wake func()) *Conn {
	c := &Conn{s: s, who: actor{dom, dom == 0}, wake: wake, transactions: map[uint32]*transaction{}}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	return c
}

// Close drops the client's watches, transactions and unread answers.
func (c *Conn) Close() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	delete(c.s.conns, c)
	c.dropAll()
	c.out, c.sending, c.answers, c.events, c.closed = nil, nil, 0, 0, true
}

// dropAll forgets watches, their events and transactions.
func (c *Conn) dropAll() {
	c.watches, c.watchBytes = nil, 0
	clear(c.transactions)
	c.out = slices.DeleteFunc(c.out, func(m message) bool { return m.w != nil })
	c.events = 0
}

// Write takes bytes of the client's request stream and carries out the requests they complete. It takes fewer than len(p), without
// error, when too many answers wait to be read: come back with the rest after Read. After ErrProtocol the
// connection is of no more use.
func (c *Conn) Write(p []byte) (int, error) {
	taken := 0
	for taken < len(p) && !c.full() {
		want := headerSize
		if len(c.in) >= headerSize {
			want += int(header(c.in).Len)
		}
		n := min(want-len(c.in), len(p)-taken)
		c.in = append(c.in, p[taken:taken+n]...)
		taken += n
		if len(c.in) < headerSize {
			continue
		}
		h := header(c.in)
		if h.Len > xen.XENSTORE_PAYLOAD_MAX {
			c.in = nil
			return taken, ErrProtocol
		}
		if len(c.in) == headerSize+int(h.Len) {
			c.serve(h, c.in[headerSize:])
			c.in = c.in[:0]
		}
	}
	return taken, nil
}

func (c *Conn) full() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.answers >= maxAnswers
}

// Read moves waiting bytes of answers and events to p and gives their number; 0 when there are none.
func (c *Conn) Read(p []byte) int {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	n := 0
	for n < len(p) {
		if len(c.sending) == 0 && !c.next() {
			break
		}
		m := copy(p[n:], c.sending)
		c.sending = c.sending[m:]
		n += m
	}
	return n
}

// next takes the next message for sending.
func (c *Conn) next() bool {
	if len(c.out) == 0 {
		c.settle()
	}
	if len(c.out) == 0 {
		return false
	}
	m := c.out[0]
	c.out[0] = message{}
	if c.out = c.out[1:]; len(c.out) == 0 {
		c.out = nil
	}
	if m.w == nil {
		c.answers -= len(m.answer)
		c.sending = m.answer
		return true
	}
	c.events--
	payload := append(append([]byte(m.w.name(m.path)), 0), m.w.token...)
	if len(payload) >= xen.XENSTORE_PAYLOAD_MAX { // cannot be told in one message
		return c.next()
	}
	c.sending = encode(xen.XSDSockmsg{Type: xen.XS_WATCH_EVENT}, append(payload, 0))
	return true
}

// settle queues the events that are owed for merged ones.
func (c *Conn) settle() {
	for _, w := range c.watches {
		if w.merged && c.events < c.s.quota.Events {
			w.merged = false
			c.event(w, w.path)
		}
	}
}

// event queues an event and reports whether there is news for the client. The same event waits only once; when too many
// wait, the watch is marked and one event for its own path follows later.
func (c *Conn) event(w *watch, path string) bool {
	if w.merged {
		return false
	}
	for _, m := range c.out {
		if m.w == w && m.path == path {
			return false
		}
	}
	if c.events >= c.s.quota.Events {
		w.merged = true
		return true
	}
	c.events++
	c.out = append(c.out, message{w: w, path: path})
	return true
}

func (c *Conn) answer(h xen.XSDSockmsg, typ uint32, payload []byte) {
	h.Type = typ
	b := encode(h, payload)
	c.answers += len(b)
	c.out = append(c.out, message{answer: b})
}
