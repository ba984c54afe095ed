package net

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"gozen/hypervisor/backend/backendtest"
	"gozen/hypervisor/link"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

// sent is a frame that went out.
type sent struct {
	h     link.Header
	frame []byte
}

// wire is a link in memory.
type wire struct {
	out chan sent
	in  chan sent

	mu      sync.Mutex
	bad     error // of Send
	stopped chan struct{}
}

func newWire() *wire {
	w := &wire{out: make(chan sent, 512), in: make(chan sent, 512), stopped: make(chan struct{})}
	close(w.stopped)
	return w
}

func (w *wire) Send(h link.Header, parts [][]byte) error {
	w.mu.Lock()
	bad := w.bad
	w.mu.Unlock()
	if bad != nil {
		return bad
	}
	w.out <- sent{h, bytes.Join(parts, nil)}
	return nil
}

func (w *wire) Receive(h *link.Header, parts [][]byte, wait bool) (int, error) {
	w.mu.Lock()
	stop := w.stopped
	w.mu.Unlock()
	var s sent
	select {
	case <-stop:
		return 0, link.ErrStopped
	case s = <-w.in:
	default:
		if !wait {
			return 0, link.ErrEmpty
		}
		select {
		case <-stop:
			return 0, link.ErrStopped
		case s = <-w.in:
		}
	}
	*h = s.h
	left := s.frame
	for _, p := range parts {
		left = left[copy(p, left):]
	}
	if len(left) > 0 {
		return 0, link.ErrLong
	}
	return len(s.frame), nil
}

func (w *wire) refuse(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = err
}

func (w *wire) Stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.stopped:
	default:
		close(w.stopped)
	}
}

func (w *wire) Start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = make(chan struct{})
}

// bench is a guest with a frontend, written for the test.
type bench struct {
	*backendtest.Guest
	t      testing.TB
	tx, rx *ring.Frontend
	vif    *VIF
	wire   *wire
	nodes  map[string]string
	broken chan error
	posted []uint32 // refs, in order
	next   uint32   // to be posted
}

// Frames of the guest: rings, what it sends, and what it receives into; grant n is frame n.
const (
	txFrame   = 0x10
	rxFrame   = 0x11
	sendFrame = 0x20
	recvFrame = 0x60
	recvCount = 64
)

// able frontends say so.
var modern = map[string]string{"request-rx-copy": "1", "feature-sg": "1", "feature-gso-tcpv4": "1", "feature-gso-tcpv6": "1", "feature-ipv6-csum-offload": "1"}

func newBench(t testing.TB, cfg Config, nodes map[string]string) *bench {
	t.Helper()
	b := &bench{t: t, Guest: backendtest.New(t), wire: newWire(), broken: make(chan error, 1)}
	for ref := uint32(sendFrame); ref < recvFrame+recvCount; ref++ {
		b.Grant(ref, 0)
	}
	b.tx, b.rx = b.Ring(t, txFrame, 1, xen.NetifTxEntry), b.Ring(t, rxFrame, 1, xen.NetifRxEntry)
	b.nodes = map[string]string{"tx-ring-ref": strconv.Itoa(txFrame), "rx-ring-ref": strconv.Itoa(rxFrame), "event-channel": strconv.Itoa(int(b.Port))}
	for k, v := range nodes {
		b.nodes[k] = v
	}
	cfg.Grants, cfg.Events, cfg.Ports = b.Grants, b.Events, []Port{b.wire}
	cfg.Broken = func(err error) {
		b.vif.Disconnect()
		b.broken <- err
	}
	b.vif = New(cfg)
	if _, err := b.vif.Connect(b.front); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.vif.Disconnect)
	return b
}

func (b *bench) front(k string) (string, bool) { v, ok := b.nodes[k]; return v, ok }

// slot is a transmit request.
func slot(ref uint32, offset, flags, id, size int) []byte {
	p := make([]byte, xen.NetifTxEntry)
	le := binary.LittleEndian
	le.PutUint32(p[xen.NetifTxGrant:], ref)
	le.PutUint16(p[xen.NetifTxOffset:], uint16(offset))
	le.PutUint16(p[xen.NetifTxFlags:], uint16(flags))
	le.PutUint16(p[xen.NetifTxID:], uint16(id))
	le.PutUint16(p[xen.NetifTxSize:], uint16(size))
	return p
}

func extra(kind, flags uint8, rest ...byte) []byte {
	p := make([]byte, xen.NetifTxEntry)
	p[0], p[1] = kind, flags
	copy(p[2:], rest)
	return p
}

// transmit puts slots into the ring. The guest shows them one after the other, as a racing one would; so that a frame is whole when it is seen, the
// last is signalled only.
func (b *bench) transmit(slots ...[]byte) {
	b.t.Helper()
	for _, s := range slots {
		if ok, _ := b.tx.Send(s); !ok {
			b.t.Fatal("the ring is full")
		}
	}
	b.Events.Send(b.Port)
}

// answers waits for transmit responses.
func (b *bench) answers(want ...[2]int) {
	b.t.Helper()
	for _, w := range want {
		r := make([]byte, xen.NetifTxRsp)
		b.wait(func() bool { return b.tx.Receive(r) })
		got := [2]int{int(binary.LittleEndian.Uint16(r)), int(int16(binary.LittleEndian.Uint16(r[2:])))}
		if w[1] == xen.NETIF_RSP_NULL {
			got[0] = w[0] // means nothing
		}
		if got != w {
			b.t.Errorf("response (id, status) %v, want %v", got, w)
		}
	}
}

func (b *bench) wait(done func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			b.t.Fatal("it does not come")
		}
	}
}

func (b *bench) gone() sent {
	b.t.Helper()
	select {
	case s := <-b.wire.out:
		return s
	case <-time.After(20 * time.Second):
		b.t.Fatal("nothing was sent")
		return sent{}
	}
}

// post gives the back end empty pages.
func (b *bench) post(n int) {
	b.t.Helper()
	for range n {
		ref := recvFrame + b.next%recvCount
		b.next++
		clear(b.Page(ref))
		p := make([]byte, xen.NetifRxEntry)
		binary.LittleEndian.PutUint16(p, uint16(ref))
		binary.LittleEndian.PutUint32(p[4:], ref)
		if ok, _ := b.rx.Send(p); !ok {
			b.t.Fatal("the ring is full")
		}
		b.posted = append(b.posted, ref)
	}
	b.Events.Send(b.Port)
}

// got is a frame that the guest received.
type got struct {
	frame    []byte
	flags    int
	gso, typ int
}

// receive takes a frame out of the ring as Linux's netfront does: the response at a place is about the page that was posted there.
func (b *bench) receive() (g got) {
	b.t.Helper()
	le := binary.LittleEndian
	for first := true; ; first = false {
		r := make([]byte, xen.NetifRxEntry)
		b.wait(func() bool { return b.rx.Receive(r) })
		ref := b.posted[0]
		b.posted = b.posted[1:]
		flags, n := int(le.Uint16(r[4:])), int(int16(le.Uint16(r[6:])))
		if n < 0 || le.Uint16(r) != uint16(ref) || le.Uint16(r[2:]) != 0 {
			b.t.Fatalf("response % x about page %#x", r, ref)
		}
		g.frame = append(g.frame, b.Page(ref)[:n]...)
		if first {
			g.flags = flags
		}
		if flags&xen.NETRXF_extra_info != 0 {
			b.wait(func() bool { return b.rx.Receive(r) })
			b.posted = b.posted[1:]
			if r[0] != xen.XEN_NETIF_EXTRA_TYPE_GSO || r[1] != 0 {
				b.t.Fatalf("extra information % x", r)
			}
			g.gso, g.typ = int(le.Uint16(r[2:])), int(r[4])
		}
		if flags&xen.NETRXF_more_data == 0 {
			return g
		}
	}
}

// idle reports whether only the rings and n posted pages are mapped.
func (b *bench) idle(n int) {
	b.t.Helper()
	b.wait(func() bool { return b.Grants.InUse() == n })
}

// tcp4 makes a TCP segment with n bytes of data, whose checksum is that of the pseudo header if blank.
func tcp4(n int, blank bool) []byte {
	f := make([]byte, 14+20+20+n)
	copy(f, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00")
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, protoTCP
	be := binary.BigEndian
	be.PutUint16(ip[2:], uint16(min(40+n, 65535)))
	copy(ip[12:], "\x0a\x00\x02\x0f\x0a\x00\x02\x02")
	be.PutUint16(ip[10:], ^fold(sum16(0, ip[:20])))
	be.PutUint32(ip[24:], 1000)
	ip[32], ip[33] = 0x50, 0x18 // 20 bytes; PSH, ACK
	for i := range n {
		ip[40+i] = byte(i * 7)
	}
	pseudo := fold(sum16(uint32(20+n)+protoTCP, ip[12:20]))
	be.PutUint16(ip[36:], pseudo)
	if !blank {
		finish(link.Header{Flags: needsChecksum, CsumStart: 34, CsumOffset: 16}, f)
	}
	return f
}

// right says whether a TCP frame's checksums are.
func right(f []byte) bool {
	ip := f[14:]
	total := int(binary.BigEndian.Uint16(ip[2:]))
	return total+14 == len(f) && fold(sum16(0, ip[:20])) == 0xffff && fold(sum16(uint32(total-20)+protoTCP, ip[12:])) == 0xffff
}

func TestSend(t *testing.T) {
	b := newBench(t, Config{}, modern)
	plain := tcp4(100, false)
	copy(b.Page(sendFrame)[8:], plain)
	b.transmit(slot(sendFrame, 8, xen.NETTXF_data_validated, 7, len(plain)))
	if s := b.gone(); !bytes.Equal(s.frame, plain) || s.h != (link.Header{}) {
		t.Errorf("%+v", s)
	}
	b.answers([2]int{7, 0})

	blank := tcp4(100, true)
	copy(b.Page(sendFrame), blank)
	b.transmit(slot(sendFrame, 0, xen.NETTXF_csum_blank|xen.NETTXF_data_validated, 8, len(blank)))
	if s := b.gone(); !bytes.Equal(s.frame, blank) || s.h != (link.Header{Flags: needsChecksum, CsumStart: 34, CsumOffset: 16}) {
		t.Errorf("%+v", s.h)
	}
	b.answers([2]int{8, 0})

	// A segmented frame in three parts, the middle one of a whole page.
	large := tcp4(6000, true)
	copy(b.Page(sendFrame)[4000:], large[:96])
	copy(b.Page(sendFrame+1), large[96:96+4096])
	copy(b.Page(sendFrame + 2)[1:], large[96+4096:])
	b.transmit(slot(sendFrame, 4000, xen.NETTXF_csum_blank|xen.NETTXF_more_data|xen.NETTXF_extra_info, 1, len(large)),
		extra(xen.XEN_NETIF_EXTRA_TYPE_GSO, 0, 0x78, 0x05, xen.XEN_NETIF_GSO_TYPE_TCPV4),
		slot(sendFrame+1, 0, xen.NETTXF_more_data, 2, 4096), slot(sendFrame+2, 1, 0, 3, len(large)-96-4096))
	want := link.Header{Flags: needsChecksum, GSOType: gsoTCP4, HdrLen: 54, GSOSize: 1400, CsumStart: 34, CsumOffset: 16}
	if s := b.gone(); !bytes.Equal(s.frame, large) || s.h != want {
		t.Errorf("%d bytes, %+v", len(s.frame), s.h)
	}
	b.answers([2]int{1, 0}, [2]int{0, xen.NETIF_RSP_NULL}, [2]int{2, 0}, [2]int{3, 0})
	if s := b.vif.Stats(); s.TxFrames != 3 || s.TxDropped != 0 || s.TxBytes != uint64(len(plain)+len(blank)+len(large)) {
		t.Errorf("%+v", s)
	}
	b.vif.Disconnect()
	b.idle(0)
}

// TestSend_dropped gives frames that are not sent, after which the device works on.
func TestSend_dropped(t *testing.T) {
	b := newBench(t, Config{}, modern)
	arp := make([]byte, 60)
	arp[12], arp[13] = 8, 6
	copy(b.Page(sendFrame), arp)
	var long [][]byte
	var dropped [][2]int
	for i := range xen.XEN_NETIF_NR_SLOTS_MIN + 1 {
		size, more := 1, xen.NETTXF_more_data
		if i == 0 {
			size = 100
		}
		if i == xen.XEN_NETIF_NR_SLOTS_MIN {
			more = 0
		}
		long = append(long, slot(sendFrame, 0, more, i, size))
		dropped = append(dropped, [2]int{i, xen.NETIF_RSP_ERROR})
	}
	for name, tt := range map[string]struct {
		slots [][]byte
		want  [][2]int
	}{
		"short":           {[][]byte{slot(sendFrame, 0, 0, 1, 13)}, [][2]int{{1, -1}}},
		"no grant":        {[][]byte{slot(0x500, 0, 0, 2, 60)}, [][2]int{{2, -1}}},
		"no such grant":   {[][]byte{slot(1<<31, 0, 0, 2, 60)}, [][2]int{{2, -1}}},
		"no checksum":     {[][]byte{slot(sendFrame, 0, xen.NETTXF_csum_blank, 3, 60)}, [][2]int{{3, -1}}},
		"gso without sum": {[][]byte{slot(sendFrame, 0, xen.NETTXF_extra_info, 4, 60), extra(1, 0, 100, 0, 1)}, [][2]int{{4, -1}, {0, 1}}},
		"too many parts":  {long, dropped},
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			b.transmit(tt.slots...)
			b.answers(tt.want...)
		})
	}
	b.t = t
	b.wire.refuse(link.ErrFull)
	b.transmit(slot(sendFrame, 0, 0, 5, 60))
	b.answers([2]int{5, xen.NETIF_RSP_DROPPED})
	b.wire.refuse(nil)
	b.transmit(slot(sendFrame, 0, 0, 6, 60))
	b.answers([2]int{6, 0})
	if s := b.vif.Stats(); s.TxDropped != 7 || s.TxFrames != 1 {
		t.Errorf("%+v", s)
	}
}

// TestSend_broken gives what closes the device.
// TestSend_noGSO has a link that takes no segmentation: the guest is not told of it, and what it sends all the same goes nowhere.
func TestSend_noGSO(t *testing.T) {
	b := newBench(t, Config{NoGSO: true}, modern)
	offer := b.vif.Offer()
	for _, k := range []string{"feature-gso-tcpv4", "feature-gso-tcpv6"} {
		if v, ok := offer[k]; ok {
			t.Errorf("%s=%s is offered", k, v)
		}
	}
	if offer["feature-sg"] != "1" {
		t.Errorf("%v", offer)
	}
	copy(b.Page(sendFrame), tcp4(100, true))
	b.transmit(slot(sendFrame, 0, xen.NETTXF_csum_blank|xen.NETTXF_data_validated|xen.NETTXF_extra_info, 1, 154), extra(xen.XEN_NETIF_EXTRA_TYPE_GSO, 0, 0x32, 0, xen.XEN_NETIF_GSO_TYPE_TCPV4),
		slot(sendFrame, 0, xen.NETTXF_csum_blank, 2, 154))
	b.answers([2]int{1, xen.NETIF_RSP_ERROR}, [2]int{0, xen.NETIF_RSP_NULL}, [2]int{2, xen.NETIF_RSP_OKAY})
	if s := b.gone(); s.h.GSOType != gsoNone || len(s.frame) != 154 {
		t.Errorf("%+v", s)
	}
}

func TestSend_broken(t *testing.T) {
	for name, slots := range map[string][][]byte{
		"half a frame":     {slot(sendFrame, 0, xen.NETTXF_more_data, 1, 100)},
		"no extra":         {slot(sendFrame, 0, xen.NETTXF_extra_info, 1, 100)},
		"unknown extra":    {slot(sendFrame, 0, xen.NETTXF_extra_info, 1, 100), extra(9, 0)},
		"extras for ever":  {slot(sendFrame, 0, xen.NETTXF_extra_info, 1, 100), extra(2, 1), extra(2, 1), extra(2, 1), extra(2, 1), extra(2, 1)},
		"gso of 0":         {slot(sendFrame, 0, xen.NETTXF_extra_info, 1, 100), extra(1, 0, 0, 0, 1)},
		"gso of kind 7":    {slot(sendFrame, 0, xen.NETTXF_extra_info, 1, 100), extra(1, 0, 1, 1, 7)},
		"beyond the page":  {slot(sendFrame, 4000, 0, 1, 97)},
		"offset":           {slot(sendFrame, 65535, 0, 1, 60)},
		"parts are longer": {slot(sendFrame, 0, xen.NETTXF_more_data, 1, 100), slot(sendFrame, 0, 0, 2, 101)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, modern)
			b.transmit(slots...)
			select {
			case err := <-b.broken:
				if !errors.Is(err, errFrontend) {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("nobody minds")
			}
			b.idle(0)
		})
	}
}

func TestReceive(t *testing.T) {
	b := newBench(t, Config{}, modern)
	b.post(60)
	plain, blank, large := tcp4(10, false), tcp4(10, true), tcp4(60000, true)
	jumbo := tcp4(8946, true)
	sum := link.Header{Flags: needsChecksum, CsumStart: 34, CsumOffset: 16}
	gso := link.Header{Flags: needsChecksum, CsumStart: 34, CsumOffset: 16, GSOType: gsoTCP4 | gsoECN, GSOSize: 1448, HdrLen: 54}
	for round := range 5 {
		for _, tt := range []struct {
			in   sent
			want got
		}{
			{sent{link.Header{}, plain}, got{frame: plain}},
			{sent{sum, blank}, got{frame: blank, flags: xen.NETRXF_csum_blank | xen.NETRXF_data_validated}},
			{sent{gso, blank}, got{blank, xen.NETRXF_csum_blank | xen.NETRXF_data_validated | xen.NETRXF_extra_info, 1448, 1}},
			{sent{link.Header{Flags: dataValid}, plain}, got{frame: plain, flags: xen.NETRXF_data_validated}},
			{sent{sum, jumbo}, got{frame: jumbo, flags: xen.NETRXF_csum_blank | xen.NETRXF_data_validated | xen.NETRXF_more_data}},
			{sent{gso, large}, got{large, xen.NETRXF_csum_blank | xen.NETRXF_data_validated | xen.NETRXF_extra_info | xen.NETRXF_more_data, 1448, 1}},
		} {
			b.wire.in <- tt.in
			g := b.receive()
			if !bytes.Equal(g.frame, tt.want.frame) || g.flags != tt.want.flags || g.gso != tt.want.gso || g.typ != tt.want.typ {
				t.Fatalf("round %d: %d bytes, flags %x, gso %d/%d; want %d, %x, %d/%d", round, len(g.frame), g.flags, g.gso, g.typ,
					len(tt.want.frame), tt.want.flags, tt.want.gso, tt.want.typ)
			}
			b.post(60 - len(b.posted))
		}
	}
	if s := b.vif.Stats(); s.RxFrames != 30 || s.RxDropped != 0 {
		t.Errorf("%+v", s)
	}
	b.vif.Disconnect()
	b.idle(0)
}

// TestReceive_old gives frames to a frontend that can do nothing: they come whole, with checksums, in pieces of a page at most.
func TestReceive_old(t *testing.T) {
	b := newBench(t, Config{}, map[string]string{"request-rx-copy": "1", "feature-no-csum-offload": "1"})
	b.post(60)
	blank, large := tcp4(10, true), tcp4(10000, true)
	b.wire.in <- sent{link.Header{Flags: needsChecksum, CsumStart: 34, CsumOffset: 16}, blank}
	if g := b.receive(); !right(g.frame) || len(g.frame) != len(blank) || g.flags&xen.NETRXF_csum_blank != 0 {
		t.Errorf("%x %x", g.flags, g.frame)
	}
	b.wire.in <- sent{link.Header{Flags: needsChecksum, CsumStart: 34, CsumOffset: 16, GSOType: gsoTCP4, GSOSize: 1448, HdrLen: 54}, large}
	var data []byte
	for i := range 7 {
		g := b.receive()
		if !right(g.frame) || g.flags&(xen.NETRXF_csum_blank|xen.NETRXF_extra_info) != 0 {
			t.Errorf("piece %d: flags %x, % x", i, g.flags, g.frame[:54])
		}
		if seq := binary.BigEndian.Uint32(g.frame[38:]); seq != uint32(1000+len(data)) {
			t.Errorf("piece %d: sequence number %d", i, seq)
		}
		if push := g.frame[47]&8 != 0; push != (i == 6) {
			t.Errorf("piece %d: PSH %v", i, push)
		}
		data = append(data, g.frame[54:]...)
	}
	if !bytes.Equal(data, large[54:]) {
		t.Error("the data is not the same")
	}
	// Longer than a page, and nothing to cut it by.
	b.wire.in <- sent{link.Header{}, tcp4(6000, false)}
	b.wire.in <- sent{link.Header{}, tcp4(1, false)}
	if g := b.receive(); len(g.frame) != 55 {
		t.Errorf("%d bytes", len(g.frame))
	}
	if s := b.vif.Stats(); s.RxDropped != 1 {
		t.Errorf("%+v", s)
	}
}

func TestReceive_multicast(t *testing.T) {
	nodes := map[string]string{"request-multicast-control": "1"}
	for k, v := range modern {
		nodes[k] = v
	}
	b := newBench(t, Config{}, nodes)
	b.post(60)
	to := func(addr string) []byte { return append([]byte(addr), make([]byte, 54)...) }
	want, other := to("\x01\x00\x5e\x00\x00\x01"), to("\x01\x00\x5e\x00\x00\x02")
	b.transmit(slot(0, 0, xen.NETTXF_extra_info, 9, 0), extra(xen.XEN_NETIF_EXTRA_TYPE_MCAST_ADD, 0, want[:6]...))
	b.answers([2]int{9, 0}, [2]int{0, xen.NETIF_RSP_NULL})
	all := to("\xff\xff\xff\xff\xff\xff")
	for _, f := range [][]byte{other, want, all} {
		b.wire.in <- sent{frame: f}
	}
	for _, f := range [][]byte{want, all} {
		if g := b.receive(); !bytes.Equal(g.frame, f) {
			t.Errorf("% x", g.frame[:6])
		}
	}
	b.transmit(slot(0, 0, xen.NETTXF_extra_info, 9, 0), extra(xen.XEN_NETIF_EXTRA_TYPE_MCAST_DEL, 0, want[:6]...))
	b.answers([2]int{9, 0}, [2]int{0, xen.NETIF_RSP_NULL})
	b.wire.in <- sent{frame: want}
	b.wire.in <- sent{frame: all}
	if g := b.receive(); !bytes.Equal(g.frame, all) {
		t.Errorf("% x", g.frame[:6])
	}
}

func TestCredit(t *testing.T) {
	c := newCredit(Rate{Bytes: 1000, Every: time.Second})
	now := time.Unix(100, 0)
	if w := c.wait(now); w != 0 {
		t.Fatal(w)
	}
	c.spend(1500)
	if w := c.wait(now.Add(300 * time.Millisecond)); w != 700*time.Millisecond {
		t.Error(w)
	}
	if w := c.wait(now.Add(time.Second)); w != 0 {
		t.Error(w)
	}
	c.spend(500) // the rest, with what was owed
	if w := c.wait(now.Add(1100 * time.Millisecond)); w != 900*time.Millisecond {
		t.Error(w)
	}
	if w := newCredit(Rate{}).wait(now); w != 0 {
		t.Error(w)
	}
}

// TestSend_rate lets a guest send more than it may: all of it comes, later.
func TestSend_rate(t *testing.T) {
	b := newBench(t, Config{Rate: Rate{Bytes: 100, Every: 20 * time.Millisecond}}, modern)
	f := tcp4(46, false)
	copy(b.Page(sendFrame), f)
	begin := time.Now()
	for i := range 5 {
		b.transmit(slot(sendFrame, 0, 0, i, len(f)))
	}
	for i := range 5 {
		b.answers([2]int{i, 0})
	}
	if d := time.Since(begin); d < 60*time.Millisecond {
		t.Errorf("500 bytes at 100 each 20 ms took %v", d)
	}
}

func TestConnect_refused(t *testing.T) {
	b := newBench(t, Config{}, modern)
	b.vif.Disconnect()
	for key, value := range map[string]string{"request-rx-copy": "0", "tx-ring-ref": "x", "rx-ring-ref": "5000", "event-channel": "77", "multi-queue-num-queues": "2"} {
		was := b.nodes[key]
		b.nodes[key] = value
		if _, err := b.vif.Connect(b.front); err == nil {
			t.Errorf("%s = %s is taken", key, value)
		}
		b.vif.Disconnect()
		b.idle(0)
		if b.nodes[key] = was; was == "" {
			delete(b.nodes, key)
		}
	}
	if _, err := b.vif.Connect(b.front); err != nil { // as a kernel that starts after another one
		t.Error(err)
	}
}

// FuzzRings is a guest that puts anything into both rings, and pulls the device away.
func FuzzRings(f *testing.F) {
	for _, s := range [][]byte{slot(sendFrame, 0, 0, 1, 60), slot(sendFrame, 4000, 3, 1, 97), bytes.Join([][]byte{slot(sendFrame, 0, 13, 1, 100), extra(1, 0, 100, 0, 1), slot(sendFrame, 0, 0, 1, 50)}, nil)} {
		f.Add(s, uint8(1), uint8(0))
	}
	f.Fuzz(func(t *testing.T, in []byte, posts, jump uint8) {
		b := newBench(t, Config{}, modern)
		copy(b.Page(sendFrame), tcp4(2000, true))
		raw := b.Page(txFrame)
		n := 0
		for ; len(in) >= xen.NetifTxEntry && n < 256; n++ {
			copy(raw[64+n*xen.NetifTxEntry:], in[:xen.NetifTxEntry])
			in = in[xen.NetifTxEntry:]
		}
		p, _ := b.Memory.PageAt(txFrame)
		p.Store32(xen.RingReqProd, uint32(n)+uint32(jump))
		rx := b.Page(rxFrame)
		for i := 0; i+8 <= len(in) && i < 2048; i += 8 {
			copy(rx[64+i:], in[i:i+8])
		}
		q, _ := b.Memory.PageAt(rxFrame)
		q.Store32(xen.RingReqProd, uint32(posts))
		b.wire.in <- sent{frame: tcp4(100, false)}
		b.Events.Send(b.Port)
		b.wait(func() bool {
			select {
			case <-b.broken:
				return true
			default:
				return len(b.wire.out) > 0 || p.Load32(xen.RingRspProd) == uint32(n)+uint32(jump)
			}
		})
		b.vif.Disconnect()
		b.idle(0)
	})
}
