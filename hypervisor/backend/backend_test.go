package backend

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
	"gozen/hypervisor/xenstore"
)

// guestRing is a guest's end of a byte ring.
type guestRing struct {
	p                *guestmem.Page
	data, size       uint32
	consOff, prodOff uint32
}

func (g guestRing) put(b []byte) int {
	prod := g.p.Load32(g.prodOff)
	n := min(int(g.size-(prod-g.p.Load32(g.consOff))), len(b))
	for i := range n {
		g.p.Store8(g.data+(prod+uint32(i))%g.size, b[i])
	}
	g.p.Store32(g.prodOff, prod+uint32(n))
	return n
}

func (g guestRing) get() (b []byte) {
	cons := g.p.Load32(g.consOff)
	for ; cons != g.p.Load32(g.prodOff); cons++ {
		b = append(b, g.p.Load8(g.data+cons%g.size))
	}
	g.p.Store32(g.consOff, cons)
	return b
}

func page(t *testing.T) *guestmem.Page {
	t.Helper()
	m, err := guestmem.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	p, err := m.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sink is a Writer that can be looked at.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }
func (s *sink) String() string              { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// eventually waits for a condition that another goroutine brings about.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 2000 {
		if f() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s did not happen", what)
}

func consoleEnds(p *guestmem.Page) (in, out guestRing) {
	return guestRing{p, xen.ConsoleIn, xen.ConsoleInSize, xen.ConsoleInCons, xen.ConsoleInProd},
		guestRing{p, xen.ConsoleOut, xen.ConsoleOutSize, xen.ConsoleOutCons, xen.ConsoleOutProd}
}

func TestConsole_output(t *testing.T) {
	p := page(t)
	_, out := consoleEnds(p)
	out.put([]byte("early "))
	var log sink
	notes := make(chan struct{}, 1000)
	c := NewConsole(ConsoleConfig{Page: p, Out: &log, Notify: func() { notes <- struct{}{} }})
	<-notes
	want := "early "
	for i := range 100 {
		line := strings.Repeat(string(rune('a'+i%26)), 100)
		want += line
		for b := []byte(line); len(b) > 0; {
			n := out.put(b)
			b = b[n:]
			c.Kick()
			if n == 0 {
				<-notes
			}
		}
	}
	out.put([]byte(" last words"))
	c.Close()
	if got := log.String(); got != want+" last words" {
		t.Errorf("%d bytes of output, want %d", len(got), len(want))
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("input after Close was taken")
	}
}

func TestConsole_input(t *testing.T) {
	p := page(t)
	in, _ := consoleEnds(p)
	c := NewConsole(ConsoleConfig{Page: p})
	defer c.Close()
	sent := bytes.Repeat([]byte("0123456789"), 1000)
	n, err := c.Write(sent)
	if err != nil || n != maxTyped {
		t.Fatalf("took %d bytes, %v", n, err)
	}
	if n2, _ := c.Write(sent[n:]); n2 != xen.ConsoleInSize {
		t.Errorf("then took %d", n2)
	} else {
		n += n2
	}
	if n3, _ := c.Write(sent[n:]); n3 != 0 {
		t.Errorf("full, but took %d", n3)
	}
	var got []byte
	eventually(t, "input", func() bool {
		got = append(got, in.get()...)
		c.Kick()
		if n < len(sent) {
			m, _ := c.Write(sent[n:])
			n += m
		}
		return len(got) == len(sent)
	})
	if !bytes.Equal(got, sent) {
		t.Error("input differs")
	}
	select {
	case <-c.InputRoom():
	default:
		t.Error("no word of room")
	}
}

func TestConsole_corrupt(t *testing.T) {
	p := page(t)
	bad := make(chan error, 10)
	var log sink
	c := NewConsole(ConsoleConfig{Page: p, Out: &log, OnCorrupt: func(err error) { bad <- err }})
	p.Store32(xen.ConsoleOutProd, 0x80000000)
	c.Kick()
	if err := <-bad; !errors.Is(err, ring.ErrCorrupt) {
		t.Error(err)
	}
	for range 10 {
		c.Kick()
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, ring.ErrCorrupt) {
		t.Error(err)
	}
	c.Close()
	if len(bad) != 0 || log.String() != "" {
		t.Errorf("%d more reports, output %q", len(bad), log.String())
	}
}

func TestPTY(t *testing.T) {
	pty, err := OpenPTY()
	if err != nil {
		t.Skipf("needs pseudo-terminals: %v", err)
	}
	p := page(t)
	in, _ := consoleEnds(p)
	c := NewConsole(ConsoleConfig{Page: p})
	defer c.Close()
	r, w := io.Pipe()
	pty.Serve(r, c)
	user, err := os.OpenFile(pty.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	go w.Write([]byte("hello\n"))
	buf := make([]byte, 6)
	if _, err := io.ReadFull(user, buf); err != nil || string(buf) != "hello\n" {
		t.Errorf("%q, %v", buf, err)
	}
	user.Write([]byte("typed\r"))
	var got []byte
	eventually(t, "input", func() bool { got = append(got, in.get()...); return len(got) >= 6 })
	if string(got) != "typed\r" {
		t.Errorf("guest got %q", got)
	}
	pty.Close()
}

func request(typ uint32, payload string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, typ)
	b = append(b, 7, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	return append(b, payload...)
}

type storeGuest struct {
	req, rsp guestRing
	got      []byte
	x        *Xenstore
}

// message waits for one whole message.
func (g *storeGuest) message(t *testing.T) (typ uint32, payload string) {
	t.Helper()
	eventually(t, "answer", func() bool {
		g.got = append(g.got, g.rsp.get()...)
		g.x.Kick()
		return len(g.got) >= 16 && len(g.got) >= 16+int(binary.LittleEndian.Uint32(g.got[12:]))
	})
	n := 16 + binary.LittleEndian.Uint32(g.got[12:])
	typ, payload = binary.LittleEndian.Uint32(g.got), string(g.got[16:n])
	g.got = g.got[n:]
	return typ, payload
}

func (g *storeGuest) send(t *testing.T, m []byte) {
	t.Helper()
	eventually(t, "room for a request", func() bool {
		m = m[g.req.put(m):]
		g.x.Kick()
		return len(m) == 0
	})
}

func newStoreGuest(t *testing.T, onCorrupt func(error)) (*storeGuest, *xenstore.Store, *guestmem.Page) {
	t.Helper()
	p := page(t)
	s := xenstore.New(xenstore.Quota{})
	if err := s.AddDomain(xenstore.Domain{ID: 5, Name: "g", UUID: "u", VCPUs: 1}); err != nil {
		t.Fatal(err)
	}
	x := NewXenstore(XenstoreConfig{Page: p, Store: s, Domain: 5, OnCorrupt: onCorrupt})
	t.Cleanup(func() { x.Close() })
	return &storeGuest{
		req: guestRing{p, xen.XenstoreReq, 1024, xen.XenstoreReqCons, xen.XenstoreReqProd},
		rsp: guestRing{p, xen.XenstoreRsp, 1024, xen.XenstoreRspCons, xen.XenstoreRspProd}, x: x,
	}, s, p
}

func TestXenstore(t *testing.T) {
	g, s, p := newStoreGuest(t, func(err error) { t.Error(err) })
	if p.Load32(xen.XenstoreServerFeatures) != 3 {
		t.Error("features are missing")
	}
	g.send(t, request(xen.XS_READ, "name\x00"))
	if typ, v := g.message(t); typ != xen.XS_READ || v != "g" {
		t.Errorf("%d %q", typ, v)
	}
	// A value larger than the ring goes both ways.
	long := strings.Repeat("long value ", 180)
	g.send(t, request(xen.XS_WRITE, "data/x\x00"+long))
	if _, v := g.message(t); v != "OK\x00" {
		t.Errorf("%q", v)
	}
	g.send(t, request(xen.XS_READ, "data/x\x00"))
	if _, v := g.message(t); v != long {
		t.Errorf("%d bytes back", len(v))
	}
	g.send(t, request(xen.XS_WATCH, "control/shutdown\x00tok\x00"))
	g.message(t)
	g.message(t)
	s.Write("/local/domain/5/control/shutdown", []byte("poweroff"))
	if typ, v := g.message(t); typ != xen.XS_WATCH_EVENT || v != "control/shutdown\x00tok\x00" {
		t.Errorf("%d %q", typ, v)
	}
}

func TestXenstore_corruptAndReconnect(t *testing.T) {
	tests := []struct {
		name string
		code uint32
		want error
		do   func(p *guestmem.Page, g *storeGuest)
	}{
		{"indices", xen.XENSTORE_ERROR_RINGIDX, ring.ErrCorrupt, func(p *guestmem.Page, _ *storeGuest) { p.Store32(xen.XenstoreReqProd, 5000) }},
		{"answer indices", xen.XENSTORE_ERROR_RINGIDX, ring.ErrCorrupt, func(p *guestmem.Page, _ *storeGuest) { p.Store32(xen.XenstoreRspCons, 1) }},
		{"framing", xen.XENSTORE_ERROR_PROTO, xenstore.ErrProtocol, func(_ *guestmem.Page, g *storeGuest) {
			g.req.put(append(make([]byte, 12), 0xff, 0xff, 0, 0))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := make(chan error, 10)
			g, _, p := newStoreGuest(t, func(err error) { bad <- err })
			tt.do(p, g)
			g.x.Kick()
			if err := <-bad; !errors.Is(err, tt.want) {
				t.Error(err)
			}
			if c := p.Load32(xen.XenstoreError); c != tt.code {
				t.Errorf("error code %d", c)
			}
			p.Store32(xen.XenstoreConnection, xen.XENSTORE_RECONNECT)
			g.x.Kick()
			eventually(t, "reconnection", func() bool { return p.Load32(xen.XenstoreConnection) == xen.XENSTORE_CONNECTED })
			g.send(t, request(xen.XS_READ, "name\x00"))
			if _, v := g.message(t); v != "g" || len(bad) != 0 {
				t.Errorf("%q, %d more errors", v, len(bad))
			}
		})
	}
}
