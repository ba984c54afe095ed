package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"gozen/hypervisor/backend/backendtest"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/ring"
	"gozen/hypervisor/xen"
)

// medium is an image in memory. What is written is lost at a power cut unless it was synced.
type medium struct {
	mu       sync.Mutex
	b        []byte // as it is read
	safe     []byte // as it is after a power cut
	ro       bool
	fail     error
	syncs    int
	slow     chan struct{} // reads that are not prompt wait for it
	notReady bool          // ReadNow has nothing
}

func newMedium(sectors int) *medium {
	return &medium{b: make([]byte, sectors*sector), safe: make([]byte, sectors*sector)}
}

func (m *medium) Size() int64    { return int64(len(m.b)) }
func (m *medium) ReadOnly() bool { return m.ro }

// at gives a byte as it is read.
func (m *medium) at(off int) byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.b[off]
}

func (m *medium) ReadVec(p [][]byte, off int64) error {
	if m.slow != nil {
		<-m.slow
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range p {
		off += int64(copy(b, m.b[off:]))
	}
	return m.fail
}

func (m *medium) ReadNow(p [][]byte, off int64) (bool, error) {
	if m.notReady {
		return false, nil
	}
	return true, m.ReadVec(p, off)
}

func (m *medium) WriteNow(p [][]byte, off int64) (bool, error) {
	if m.notReady {
		return false, nil
	}
	return true, m.WriteVec(p, off)
}

func (m *medium) WriteVec(p [][]byte, off int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range p {
		off += int64(copy(m.b[off:], b))
	}
	return m.fail
}

func (m *medium) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.safe, m.b)
	m.syncs++
	return m.fail
}

func (m *medium) Discard(off, n int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.b[off : off+n])
	return m.fail
}

// bench is a guest with a frontend, written for the test.
type bench struct {
	*backendtest.Guest
	t      testing.TB
	front  *ring.Frontend
	disk   *Disk
	nodes  map[string]string
	layout *xen.BlkifLayout
	broken chan error
	id     uint64
}

// Frames of the guest: rings at 0x10, data from 0x20 on; grant n is frame n.
const (
	ringFrame = 0x10
	dataFrame = 0x20
)

func newBench(t testing.TB, cfg Config, pages int, nodes map[string]string) *bench {
	t.Helper()
	b := &bench{t: t, Guest: backendtest.New(t), layout: &xen.Blkif64, broken: make(chan error, 1)}
	if nodes["protocol"] == "x86_32-abi" {
		b.layout = &xen.Blkif32
	}
	b.nodes = map[string]string{"event-channel": strconv.Itoa(int(b.Port)), "ring-ref": "16"}
	for i := range pages {
		if pages > 1 {
			b.nodes["ring-page-order"] = strconv.Itoa(map[int]int{2: 1, 4: 2}[pages])
			b.nodes[fmt.Sprintf("ring-ref%d", i)] = strconv.Itoa(ringFrame + i)
		}
	}
	b.front = b.Ring(t, ringFrame, pages, b.layout.Entry)
	for k, v := range nodes {
		b.nodes[k] = v
	}
	for i := range 64 {
		b.Grant(uint32(dataFrame+i), 0)
	}
	cfg.Grants, cfg.Events, cfg.Broken = b.Grants, b.Events, func(err error) {
		b.disk.Disconnect()
		b.broken <- err
	}
	b.disk = New(cfg)
	if got, err := b.disk.Connect(func(k string) (string, bool) { v, ok := b.nodes[k]; return v, ok }); err != nil || got["sectors"] == "" {
		t.Fatal(got, err)
	}
	t.Cleanup(b.disk.Disconnect)
	return b
}

type seg struct {
	ref         uint32
	first, last uint8
}

// send puts a request of any kind into the ring. count is that of a discard.
func (b *bench) send(op uint8, at, count uint64, segs ...seg) uint64 {
	b.t.Helper()
	b.id++
	r := make([]byte, b.layout.Entry)
	r[xen.BlkifOperation], r[xen.BlkifCount] = op, uint8(len(segs))
	binary.LittleEndian.PutUint64(r[b.layout.ID:], b.id)
	binary.LittleEndian.PutUint64(r[b.layout.Sector:], at)
	for i, s := range segs {
		putSeg(r[b.layout.Segments+uint32(i)*8:], s)
	}
	if op == xen.BLKIF_OP_DISCARD {
		binary.LittleEndian.PutUint64(r[b.layout.DiscardCount:], count)
	}
	b.put(r)
	return b.id
}

func putSeg(p []byte, s seg) {
	binary.LittleEndian.PutUint32(p, s.ref)
	p[xen.BlkifSegmentFirst], p[xen.BlkifSegmentLast] = s.first, s.last
}

// indirect sends a request whose segments lie in the frame list.
func (b *bench) indirect(op uint8, at uint64, list uint32, n int, segs ...seg) uint64 {
	b.t.Helper()
	b.id++
	p := make([]byte, 4096)
	for i, s := range segs {
		putSeg(p[8*i:], s)
	}
	_ = b.Memory.Write(guestmem.GFN(list).GPA(), p)
	r := make([]byte, b.layout.Entry)
	r[xen.BlkifOperation], r[xen.BlkifIndirectOp] = xen.BLKIF_OP_INDIRECT, op
	binary.LittleEndian.PutUint16(r[xen.BlkifIndirectCount:], uint16(n))
	binary.LittleEndian.PutUint64(r[b.layout.IndirectID:], b.id)
	binary.LittleEndian.PutUint64(r[b.layout.IndirectSector:], at)
	binary.LittleEndian.PutUint32(r[b.layout.IndirectGrants:], list)
	b.put(r)
	return b.id
}

func (b *bench) put(r []byte) {
	b.t.Helper()
	ok, notify := b.front.Send(r)
	if !ok {
		b.t.Fatal("the ring is full")
	}
	if notify {
		b.Events.Send(b.Port)
	}
}

// answer waits for the next response.
func (b *bench) answer() (id uint64, op uint8, status int16) {
	b.t.Helper()
	r := make([]byte, b.layout.Response)
	for end := time.Now().Add(20 * time.Second); !b.front.Receive(r); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			b.t.Fatal("no answer")
		}
	}
	return binary.LittleEndian.Uint64(r), r[b.layout.ResponseOp], int16(binary.LittleEndian.Uint16(r[b.layout.RspCode:]))
}

func (b *bench) want(id uint64, op uint8, status int16) {
	b.t.Helper()
	if i, o, s := b.answer(); i != id || o != op || s != status {
		b.t.Errorf("answer to %d: operation %d, status %d; want %d, %d, %d", i, o, s, id, op, status)
	}
}

// idle reports whether only the ring is mapped still.
func (b *bench) idle(rings int) {
	b.t.Helper()
	if n := b.Grants.InUse(); n != rings {
		b.t.Errorf("%d grants are in use, want the ring's %d", n, rings)
	}
}

func TestDisk_readWrite(t *testing.T) {
	for name, tt := range map[string]struct {
		pages int
		nodes map[string]string
		cfg   Config
	}{
		"plain":      {1, nil, Config{}},
		"32 bits":    {1, map[string]string{"protocol": "x86_32-abi"}, Config{}},
		"large ring": {4, nil, Config{}},
		"persistent": {1, map[string]string{"feature-persistent": "1"}, Config{Persistent: true}},
		"queue":      {1, map[string]string{"multi-queue-num-queues": "1"}, Config{Queues: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMedium(64)
			tt.cfg.Image = m
			b := newBench(t, tt.cfg, tt.pages, tt.nodes)
			for i := range 100 { // round the ring, and over its pages
				copy(b.Page(dataFrame), bytes.Repeat([]byte{byte(i + 1)}, 4096))
				b.want(b.send(xen.BLKIF_OP_WRITE, 3, 0, seg{dataFrame, 2, 5}, seg{dataFrame, 0, 0}), xen.BLKIF_OP_WRITE, 0)
				b.want(b.send(xen.BLKIF_OP_READ, 2, 0, seg{dataFrame + 1, 0, 7}), xen.BLKIF_OP_READ, 0)
				if p := b.Page(dataFrame + 1); p[511] != 0 || p[512] != byte(i+1) || p[6*512-1] != byte(i+1) || p[6*512] != 0 {
					t.Fatalf("round %d: % x % x", i, p[500:520], p[6*512-4:][:8])
				}
			}
			if tt.cfg.Persistent {
				b.idle(tt.pages + 2)
			} else {
				b.idle(tt.pages)
			}
			if s := b.disk.Stats(); s.Reads != 100 || s.Writes != 100 || s.ReadBytes != 100*4096 || s.WriteBytes != 100*5*512 || s.Errors != 0 {
				t.Errorf("%+v", s)
			}
			b.disk.Disconnect()
			b.idle(0)
		})
	}
}

func TestDisk_indirect(t *testing.T) {
	m := newMedium(4096)
	b := newBench(t, Config{Image: m}, 1, nil)
	var segs []seg
	for i := range 60 {
		segs = append(segs, seg{uint32(dataFrame + i), 0, 7})
		b.Page(uint32(dataFrame + i))[5] = byte(i)
	}
	const list = dataFrame + 63
	b.want(b.indirect(xen.BLKIF_OP_WRITE, 8, list, 60, segs...), xen.BLKIF_OP_WRITE, 0)
	for i := range 60 {
		if m.at(4096+i*4096+5) != byte(i) {
			t.Fatalf("page %d", i)
		}
	}
	for i, x := range []struct {
		op   uint8
		at   uint64
		list uint32
		n    int
	}{{xen.BLKIF_OP_DISCARD, 0, list, 1}, {xen.BLKIF_OP_READ, 0, list, 0}, {xen.BLKIF_OP_READ, 0, list, 257}, {xen.BLKIF_OP_READ, 0, list, 65535},
		{xen.BLKIF_OP_READ, 0, 700, 1}, {xen.BLKIF_OP_READ, 4096 - 8*60 + 1, list, 60}, {xen.BLKIF_OP_INDIRECT, 0, list, 1}} {
		b.want(b.indirect(x.op, x.at, x.list, x.n, segs...), x.op, -1)
		b.idle(1)
		_ = i
	}
}

func TestDisk_refuses(t *testing.T) {
	b := newBench(t, Config{Image: newMedium(64)}, 1, nil)
	b.Grant(dataFrame+1, xen.GTF_readonly)
	b.Table.Store32((dataFrame+2)*8, xen.GTF_invalid)
	for _, x := range []struct {
		op    uint8
		at, n uint64
		segs  []seg
		want  int16
	}{
		{xen.BLKIF_OP_READ, 0, 0, nil, -1},
		{xen.BLKIF_OP_READ, 0, 0, []seg{{dataFrame, 3, 2}}, -1},
		{xen.BLKIF_OP_READ, 0, 0, []seg{{dataFrame, 0, 8}}, -1},
		{xen.BLKIF_OP_READ, 57, 0, []seg{{dataFrame, 0, 7}}, -1},
		{xen.BLKIF_OP_READ, 1 << 63, 0, []seg{{dataFrame, 0, 7}}, -1},
		{xen.BLKIF_OP_READ, ^uint64(0), 0, []seg{{dataFrame, 0, 7}}, -1},
		{xen.BLKIF_OP_READ, 0, 0, []seg{{dataFrame + 1, 0, 7}}, -1}, // granted for reading only
		{xen.BLKIF_OP_WRITE, 0, 0, []seg{{dataFrame + 1, 0, 7}}, 0},
		{xen.BLKIF_OP_READ, 0, 0, []seg{{dataFrame, 0, 7}, {dataFrame + 2, 0, 7}}, -1},
		{xen.BLKIF_OP_READ, 0, 0, []seg{{1 << 31, 0, 7}}, -1},
		{xen.BLKIF_OP_DISCARD, 60, 5, nil, -1},
		{xen.BLKIF_OP_DISCARD, 60, ^uint64(0), nil, -1},
		{xen.BLKIF_OP_DISCARD, 60, 4, nil, 0},
		{xen.BLKIF_OP_FLUSH_DISKCACHE, 1 << 62, 0, nil, 0},
		{4, 0, 0, nil, -2}, {7, 0, 0, nil, -2}, {255, 0, 0, nil, -2},
	} {
		b.want(b.send(x.op, x.at, x.n, x.segs...), x.op, x.want)
		b.idle(1)
	}
	twelve := b.send(xen.BLKIF_OP_READ, 0, 0, make([]seg, 11)...)
	b.want(twelve, xen.BLKIF_OP_READ, -1)
}

func TestDisk_readOnly(t *testing.T) {
	m := newMedium(64)
	m.ro = true
	b := newBench(t, Config{Image: m, CDROM: true}, 1, nil)
	if n := b.disk.Nodes(); n["info"] != "7" || n["sectors"] != "64" {
		t.Error(n)
	}
	if o := b.disk.Offer(); o["feature-flush-cache"] != "" || o["feature-discard"] != "" {
		t.Error(o)
	}
	b.want(b.send(xen.BLKIF_OP_READ, 0, 0, seg{dataFrame, 0, 7}), xen.BLKIF_OP_READ, 0)
	b.want(b.send(xen.BLKIF_OP_WRITE, 0, 0, seg{dataFrame, 0, 7}), xen.BLKIF_OP_WRITE, -1)
	b.want(b.send(xen.BLKIF_OP_DISCARD, 0, 1), xen.BLKIF_OP_DISCARD, -1)
}

// TestDisk_flush: what was written before an answered flush, or by an answered barrier, is there after a power cut.
func TestDisk_flush(t *testing.T) {
	m := newMedium(64)
	b := newBench(t, Config{Image: m}, 1, nil)
	for i := range 20 {
		b.Page(dataFrame)[0] = byte(i + 1)
		b.want(b.send(xen.BLKIF_OP_WRITE, uint64(i), 0, seg{dataFrame, 0, 0}), xen.BLKIF_OP_WRITE, 0)
		b.want(b.send(xen.BLKIF_OP_FLUSH_DISKCACHE, 0, 0), xen.BLKIF_OP_FLUSH_DISKCACHE, 0)
		m.mu.Lock()
		if m.safe[i*sector] != byte(i+1) {
			t.Errorf("write %d was lost", i)
		}
		m.mu.Unlock()
		b.Page(dataFrame)[0] = byte(i + 100)
		b.want(b.send(xen.BLKIF_OP_WRITE_BARRIER, uint64(i), 0, seg{dataFrame, 0, 0}), xen.BLKIF_OP_WRITE_BARRIER, 0)
		m.mu.Lock()
		if m.safe[i*sector] != byte(i+100) {
			t.Errorf("barrier %d was lost", i)
		}
		m.mu.Unlock()
	}
	m.fail = errors.New("the medium is broken")
	b.want(b.send(xen.BLKIF_OP_FLUSH_DISKCACHE, 0, 0), xen.BLKIF_OP_FLUSH_DISKCACHE, -1)
	b.want(b.send(xen.BLKIF_OP_WRITE, 0, 0, seg{dataFrame, 0, 0}), xen.BLKIF_OP_WRITE, -1)
	b.want(b.send(xen.BLKIF_OP_READ, 0, 0, seg{dataFrame, 0, 0}), xen.BLKIF_OP_READ, -1)
}

// TestDisk_slow: a read that waits for the medium holds up nothing else, and Disconnect waits for it.
func TestDisk_slow(t *testing.T) {
	m := newMedium(64)
	m.notReady, m.slow = true, make(chan struct{})
	b := newBench(t, Config{Image: m}, 1, nil)
	slow := b.send(xen.BLKIF_OP_READ, 0, 0, seg{dataFrame, 0, 7})
	b.want(b.send(xen.BLKIF_OP_WRITE, 0, 0, seg{dataFrame + 1, 0, 0}), xen.BLKIF_OP_WRITE, 0)
	done := make(chan struct{})
	go func() { b.disk.Disconnect(); close(done) }()
	select {
	case <-done:
		t.Error("disconnected with a read under way")
	case <-time.After(20 * time.Millisecond):
	}
	m.slow <- struct{}{}
	<-done
	b.want(slow, xen.BLKIF_OP_READ, 0)
	b.idle(0)
}

func TestDisk_brokenRing(t *testing.T) {
	b := newBench(t, Config{Image: newMedium(64)}, 1, nil)
	p, _ := b.Memory.PageAt(ringFrame)
	p.Store32(xen.RingReqProd, 33) // one more than there are places
	b.Events.Send(b.Port)
	select {
	case err := <-b.broken:
		if !errors.Is(err, ring.ErrCorrupt) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody noticed")
	}
	b.idle(0)
}

func TestDisk_refusesFrontends(t *testing.T) {
	for _, nodes := range []map[string]string{{"protocol": "sparc"}, {"ring-ref": "x"}, {"ring-ref": "700"}, {"ring-ref": "-1"}, {"event-channel": "0"}, {"event-channel": "9"},
		{"event-channel": "4294967296"}, {"multi-queue-num-queues": "2"}, {"multi-queue-num-queues": "0"}, {"ring-page-order": "3"}, {"ring-page-order": "1"}} {
		b := newBench(t, Config{Image: newMedium(64)}, 1, nil)
		b.disk.Disconnect()
		for k, v := range nodes {
			b.nodes[k] = v
		}
		if _, err := b.disk.Connect(func(k string) (string, bool) { v, ok := b.nodes[k]; return v, ok }); err == nil {
			t.Errorf("%v was taken", nodes)
		}
		b.disk.Disconnect()
		b.idle(0)
	}
}

// FuzzRing plays a hostile frontend: words of the input are requests, grants, ring indices.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0, 0x20, 0, 7})
	f.Add([]byte{6, 0, 2, 0, 0x21, 0, 7, 255, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, in []byte) {
		m := newMedium(64)
		// Without goroutines, so that an input always does the same.
		woken := false
		b := newBench(t, Config{Image: m, Wake: func() { woken = true }, Persistent: len(in)%2 == 1}, 1, map[string]string{"feature-persistent": "1"})
		before := bytes.Clone(b.Page(0x200)) // not granted
		p, _ := b.Memory.PageAt(ringFrame)
		prod := uint32(0)
		for len(in) > 4 {
			switch in[0] % 8 {
			case 7: // the producer jumps
				prod += uint32(in[1])
			case 6: // a grant is taken back, or another frame's
				b.Table.Store32(uint32(in[1])%512*8, uint32(in[2])<<16|uint32(in[3]))
			case 5: // memory is scribbled on
				p.Bytes()[64+int(in[1])*16%4000] = in[2]
			default:
				at := xen.RingEntries + prod%32*xen.Blkif64.Entry
				copy(p.Bytes()[at:at+xen.Blkif64.Entry], in)
				prod++
			}
			p.Store32(xen.RingReqProd, prod)
			b.Events.Send(b.Port)
			b.disk.Poll()
			in = in[min(len(in), 5+int(in[4]%64)):]
		}
		_ = woken
		b.disk.Disconnect()
		if n := b.Grants.InUse(); n != 0 {
			t.Errorf("%d grants stay in use", n)
		}
		if !bytes.Equal(before, b.Page(0x200)) {
			t.Error("memory was written to that was not granted")
		}
	})
}
