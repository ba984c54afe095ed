package evtchn

import (
	"errors"
	"sync"
	"testing"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

type rig struct {
	t      testing.TB
	tab    *Table
	mem    *guestmem.Memory
	shared *guestmem.Page
	mu     sync.Mutex
	notes  [4]int
	polled int
}

func newRig(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	shared, err := m.NewPage()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, mem: m, shared: shared}
	cfg := Config{Dom: 5, VCPUs: 4, Memory: m, Shared: shared, MaxPort: 1023, FIFO: true,
		Notify: func(v int) {
			r.mu.Lock()
			r.notes[v]++
			r.mu.Unlock()
		},
		Polled: func() { r.polled++ }}
	for i := range 4 {
		cfg.Info = append(cfg.Info, VCPUInfo{Page: shared, Off: uint32(i) * xen.VCPUInfoSize})
	}
	if change != nil {
		change(&cfg)
	}
	if r.tab, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) ipi(vcpu uint32) Port {
	r.t.Helper()
	p, err := r.tab.BindIPI(vcpu)
	if err != 0 {
		r.t.Fatal(err)
	}
	return p
}

// ack clears the upcall of a vCPU, as a guest does before it looks for events.
func (r *rig) ack(v int) { r.shared.Store8(uint32(v)*xen.VCPUInfoSize, 0) }

func (r *rig) sel(v int) uint64 { return r.shared.Load64(uint32(v)*xen.VCPUInfoSize + 8) }

func TestSend_twoLevel(t *testing.T) {
	r := newRig(t, nil)
	p := r.ipi(2)
	for range 3 { // only the first 0 to 1 transition notifies
		if err := r.tab.Send(p); err != 0 {
			t.Fatal(err)
		}
	}
	if r.notes != [4]int{0, 0, 1, 0} || r.sel(2) != 1 || r.shared.Load64(2048) != 1<<p {
		t.Errorf("notes %v sel %#x pending %#x", r.notes, r.sel(2), r.shared.Load64(2048))
	}
	// Masked: pending, but no upcall; unmask delivers.
	r.ack(2)
	r.shared.Store64(8+2*64, 0)
	r.shared.Store64(2048, 0)
	r.shared.Store64(2560, 1<<p)
	r.tab.Send(p)
	if r.notes[2] != 1 || r.sel(2) != 0 {
		t.Error("masked event raised an upcall")
	}
	if ok, _ := r.tab.Pending(p); !ok {
		t.Error("masked event is not pending")
	}
	r.tab.Unmask(p)
	if r.notes[2] != 2 || r.sel(2) != 1 || r.shared.Load64(2560) != 0 {
		t.Error("unmask does not deliver")
	}
}

func TestSend_32bitWords(t *testing.T) {
	r := newRig(t, func(c *Config) { c.ABI = xen.ABI32 })
	var p Port
	for p < 40 {
		p = r.ipi(0)
	}
	r.tab.Send(p)
	if r.shared.Load32(2048+4) != 1<<(p-32) || r.shared.Load32(4) != 2 {
		t.Errorf("pending %#x sel %#x", r.shared.Load32(2052), r.shared.Load32(4))
	}
}

func TestErrors(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxPort = 5 })
	tab := r.tab
	check := func(what string, got, want xen.Errno) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	check("send 0", tab.Send(0), xen.EINVAL)
	check("send free", tab.Send(3), xen.EINVAL)
	check("send far", tab.Send(1<<20), xen.EINVAL)
	check("close 0", tab.Close(0), xen.EINVAL)
	_, err := tab.BindIPI(4)
	check("vcpu", err, xen.ENOENT)
	_, err = tab.BindVIRQ(24, 0)
	check("virq", err, xen.EINVAL)
	_, err = tab.BindVIRQ(xen.VIRQ_DOM_EXC, 1)
	check("global virq", err, xen.EINVAL)
	_, err = tab.BindVIRQ(xen.VIRQ_TIMER, 9)
	check("virq vcpu", err, xen.ENOENT)
	_, err = tab.BindInterdomain(9, 1)
	check("domain", err, xen.ESRCH)
	_, err = tab.BindInterdomain(xen.DOMID_SELF, 1)
	check("loop to nothing", err, xen.EINVAL)
	_, err = tab.BindInterdomain(0, 1)
	check("host does not listen", err, xen.EINVAL)
	if tab.Used() != 0 {
		t.Errorf("%d ports leaked", tab.Used())
	}
	v, _ := tab.BindVIRQ(xen.VIRQ_TIMER, 1)
	check("timer moves", tab.BindVCPU(v, 0), xen.EINVAL)
	check("send virq", tab.Send(v), xen.EINVAL)
	for range 4 {
		r.ipi(0)
	}
	_, err = tab.BindIPI(0)
	check("full", err, xen.ENOSPC)
	check("close", tab.Close(3), 0)
	if p := r.ipi(0); p != 3 {
		t.Errorf("lowest free port is 3, got %d", p)
	}
	if _, err := tab.AllocHost(func() {}); !errors.Is(err, xen.ENOSPC) {
		t.Errorf("%v", err)
	}
	check("expand in 2-level", tab.ExpandArray(1), xen.EOPNOTSUPP)
	check("priority in 2-level", tab.SetPriority(3, 1), xen.ENOSYS)
	s, err := tab.Status(v)
	if err != 0 || s.Kind != xen.EVTCHNSTAT_virq || s.VCPU != 1 || s.VIRQ != xen.VIRQ_TIMER {
		t.Errorf("%+v", s)
	}
	if s, err := tab.Status(60); err != 0 || s.Kind != xen.EVTCHNSTAT_closed {
		t.Errorf("%+v %v", s, err)
	}
}

func TestVIRQ_raise(t *testing.T) {
	r := newRig(t, nil)
	if r.tab.RaiseVIRQ(3, xen.VIRQ_TIMER) {
		t.Error("not bound")
	}
	p, _ := r.tab.BindVIRQ(xen.VIRQ_TIMER, 3)
	if !r.tab.RaiseVIRQ(3, xen.VIRQ_TIMER) || r.notes[3] != 1 {
		t.Error("timer")
	}
	r.tab.Close(p)
	if r.tab.RaiseVIRQ(3, xen.VIRQ_TIMER) {
		t.Error("closed")
	}
	g, _ := r.tab.BindVIRQ(xen.VIRQ_ARGO, 0)
	r.tab.BindVCPU(g, 2)
	if !r.tab.RaiseVIRQ(0, xen.VIRQ_ARGO) || r.notes[2] != 1 {
		t.Errorf("global virq follows its vCPU: %v", r.notes)
	}
	if e := r.tab.Close(g); e != 0 {
		t.Error(e)
	}
}

func TestHostPort_bothWays(t *testing.T) {
	r := newRig(t, nil)
	calls := 0
	h, err := r.tab.AllocHost(func() { calls++ })
	if err != nil || h.Port() != 1 {
		t.Fatal(err)
	}
	r.tab.Send(h.Port())
	if calls != 1 || !h.Notify() || r.notes[0] != 1 {
		t.Errorf("%d calls, notes %v", calls, r.notes)
	}
	if s, _ := r.tab.Status(1); s.Kind != xen.EVTCHNSTAT_interdomain || s.Remote != 0 {
		t.Errorf("%+v", s)
	}
	r.tab.Close(1)
	other := r.ipi(0)
	if h.Notify() || h.Alive() || other != 1 {
		t.Error("a closed port's host end raised its successor")
	}
	// A frontend allocates, the backend binds, and lets go.
	p, _ := r.tab.AllocUnbound(0)
	if _, err := r.tab.BindHost(other, func() {}); err == nil {
		t.Error("bound an IPI")
	}
	h, err = r.tab.BindHost(p, func() { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	r.tab.Send(p)
	h.Close()
	r.tab.Send(p)
	if s, _ := r.tab.Status(p); calls != 2 || s.Kind != xen.EVTCHNSTAT_unbound {
		t.Errorf("%d calls, %+v", calls, s)
	}
	// A port the host listens on.
	l := r.tab.ListenHost(func() { calls++ })
	p, e := r.tab.BindInterdomain(0, l)
	if e != 0 {
		t.Fatal(e)
	}
	r.tab.Send(p)
	if _, e := r.tab.BindInterdomain(0, l); calls != 3 || e != xen.EINVAL {
		t.Errorf("%d calls, second bind %v", calls, e)
	}
}

func TestMoveVCPUInfo_marksEverything(t *testing.T) {
	r := newRig(t, nil)
	pg, _ := r.mem.PageAt(10)
	r.shared.Store8(64+1, 1)
	r.tab.MoveVCPUInfo(1, VCPUInfo{pg, 128}, false)
	if pg.Load32(128) != 0x101 || pg.Load64(136) != ^uint64(0) || r.notes[1] != 1 {
		t.Errorf("%#x %#x %v", pg.Load32(128), pg.Load64(136), r.notes)
	}
	r.tab.MoveVCPUInfo(2, VCPUInfo{pg, 256}, true)
	if pg.Load32(256) != 0x101 {
		t.Errorf("fresh: %#x", pg.Load32(256))
	}
}

// fifoGuest is what a guest does: control blocks, an array, and the consumption of queues.
type fifoGuest struct {
	*rig
	ctl   [4]*guestmem.Page
	array *guestmem.Page
	head  [4][16]uint32
}

func newFIFO(t testing.TB, vcpus int) *fifoGuest {
	g := &fifoGuest{rig: newRig(t, nil)}
	for v := range vcpus {
		bits, err := g.tab.InitControl(uint32(v), guestmem.GFN(100+v), 0)
		if err != 0 || bits != 17 {
			t.Fatal(err)
		}
		g.ctl[v], _ = g.mem.PageAt(guestmem.GFN(100 + v))
	}
	g.array, _ = g.mem.PageAt(200)
	return g
}

func (g *fifoGuest) expand() {
	if err := g.tab.ExpandArray(200); err != 0 {
		g.t.Fatal(err)
	}
}

// consume takes the events of a vCPU in the order a guest sees them (Linux events_fifo.c).
func (g *fifoGuest) consume(v int) (got []Port) {
	g.ack(v)
	ready := g.ctl[v].And32(0, 0)
	for q := range 16 {
		if ready>>q&1 == 0 {
			continue
		}
		head := g.head[v][q]
		if head == 0 {
			head = g.ctl[v].Load32(8 + 4*uint32(q))
		}
		for n := 0; head != 0; n++ {
			if n > 2000 {
				g.t.Fatal("queue does not end")
			}
			off := head * 4
			w := g.array.And32(off, ^uint32(fifoLinked|xen.EVTCHN_FIFO_LINK_MASK))
			if w&fifoPending != 0 && w&fifoMasked == 0 {
				g.array.And32(off, ^uint32(fifoPending))
				got = append(got, Port(head))
			}
			head = w & xen.EVTCHN_FIFO_LINK_MASK
		}
		g.head[v][q] = 0
	}
	return got
}

func same(a, b []Port) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestFIFO_orderAndPriority(t *testing.T) {
	g := newFIFO(t, 2)
	g.expand()
	var p [6]Port
	for i := range p {
		p[i] = g.ipi(0)
	}
	g.tab.SetPriority(p[4], 0)
	for _, i := range []int{3, 1, 5, 4, 1, 0} {
		g.tab.Send(p[i])
	}
	if g.notes[0] != 1 {
		t.Errorf("%d notifications", g.notes[0])
	}
	if got := g.consume(0); !same(got, []Port{p[4], p[3], p[1], p[5], p[0]}) {
		t.Errorf("order %v", got)
	}
	g.tab.Send(p[2])
	if got := g.consume(0); !same(got, []Port{p[2]}) || g.notes[0] != 2 {
		t.Errorf("%v, %d notifications", got, g.notes[0])
	}
}

func TestFIFO_maskUnmask(t *testing.T) {
	g := newFIFO(t, 1)
	g.expand()
	p := g.ipi(0)
	g.array.Or32(uint32(p)*4, fifoMasked)
	g.tab.Send(p)
	if g.notes[0] != 0 || g.array.Load32(uint32(p)*4)&fifoLinked != 0 {
		t.Error("masked event was linked")
	}
	g.tab.Unmask(p)
	if got := g.consume(0); !same(got, []Port{p}) || g.notes[0] != 1 {
		t.Errorf("%v", got)
	}
}

func TestFIFO_pendingBeforeArray(t *testing.T) {
	r := newRig(t, nil)
	before := r.ipi(0)
	r.tab.Send(before) // in the 2-level ABI
	g := &fifoGuest{rig: r}
	r.tab.InitControl(0, 100, 0)
	g.ctl[0], _ = r.mem.PageAt(100)
	g.array, _ = r.mem.PageAt(200)
	after := r.ipi(0)
	r.tab.Send(after)
	g.expand()
	if got := g.consume(0); !same(got, []Port{before, after}) {
		t.Errorf("%v", got)
	}
}

func TestFIFO_movesToAnotherVCPU(t *testing.T) {
	g := newFIFO(t, 2)
	g.expand()
	a, _ := g.tab.AllocUnbound(xen.DOMID_SELF)
	b, _ := g.tab.BindInterdomain(xen.DOMID_SELF, a)
	g.consume(0)
	g.tab.Send(b)
	g.tab.BindVCPU(a, 1)
	if got := g.consume(0); !same(got, []Port{a}) {
		t.Errorf("first stays: %v", got)
	}
	g.tab.Send(b)
	if got := g.consume(1); !same(got, []Port{a}) {
		t.Errorf("then moves: %v", got)
	}
	// a was the tail of the old queue; a later event there must not be linked behind it.
	c := g.ipi(0)
	g.tab.Send(c)
	if got := g.consume(0); !same(got, []Port{c}) {
		t.Errorf("old queue: %v", got)
	}
}

func TestFIFO_linkedPortIsNotReused(t *testing.T) {
	g := newFIFO(t, 1)
	g.expand()
	p := g.ipi(0)
	g.tab.Send(p)
	g.tab.Close(p)
	if q := g.ipi(0); q == p {
		t.Error("a port that is still on a queue was given out again")
	}
	g.consume(0)
	if q := g.ipi(0); q != p {
		t.Errorf("free again, but got %d", q)
	}
}

func TestFIFO_errors(t *testing.T) {
	r := newRig(t, nil)
	for _, x := range []struct {
		vcpu uint32
		gfn  guestmem.GFN
		off  uint32
		want xen.Errno
	}{{4, 100, 0, xen.ENOENT}, {0, 100, 4, xen.EINVAL}, {0, 100, 4096 - 64, xen.EINVAL}, {0, 1 << 30, 0, xen.EINVAL}, {0, 100, 4024, 0},
		{0, 100, 0, xen.EINVAL}} {
		if _, err := r.tab.InitControl(x.vcpu, x.gfn, x.off); err != x.want {
			t.Errorf("%+v: %v", x, err)
		}
	}
	if err := r.tab.ExpandArray(1 << 30); err != xen.EINVAL {
		t.Error(err)
	}
	for i := range maxArray {
		if err := r.tab.ExpandArray(200); err != 0 {
			t.Fatal(i, err)
		}
	}
	if err := r.tab.ExpandArray(200); err != xen.ENOSPC {
		t.Error(err)
	}
	for r.tab.Reset() {
	}
	if r.tab.FIFO() {
		t.Error("reset")
	}
	off := newRig(t, func(c *Config) { c.FIFO = false })
	if _, err := off.tab.InitControl(0, 100, 0); err != xen.ENOSYS {
		t.Error(err)
	}
}

func TestReset_isBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxPort = 4095 })
	for range 4095 {
		r.ipi(1)
	}
	n := 0
	for r.tab.Reset() {
		n++
	}
	if n < 3 || r.tab.Used() != 0 {
		t.Errorf("%d steps, %d left", n, r.tab.Used())
	}
}

func TestSend_concurrentWithHostAndClose(t *testing.T) {
	g := newFIFO(t, 4)
	g.expand()
	var ports [16]Port
	for i := range ports {
		ports[i] = g.ipi(uint32(i % 4))
	}
	h, _ := g.tab.AllocHost(func() {})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 3000 {
				g.tab.Send(ports[(i+w)%len(ports)])
				h.Notify()
				g.tab.RaiseVIRQ(w, xen.VIRQ_TIMER)
			}
		}()
	}
	for range 200 {
		p := g.ipi(0)
		g.tab.Send(p)
		g.tab.Close(p)
		for v := range 4 {
			g.consume(v)
		}
	}
	wg.Wait()
	for v := range 4 {
		g.consume(v)
	}
	for _, p := range ports {
		if w := g.array.Load32(uint32(p) * 4); w != 0 {
			t.Errorf("port %d left %#x", p, w)
		}
	}
}

func TestSend_doesNotAllocate(t *testing.T) {
	for name, g := range map[string]*rig{"2-level": newRig(t, nil), "fifo": func() *rig { f := newFIFO(t, 4); f.expand(); return f.rig }()} {
		p := g.ipi(1)
		h, _ := g.tab.AllocHost(func() {})
		if n := testing.AllocsPerRun(100, func() { g.tab.Send(p); g.ack(1); h.Notify(); g.tab.Send(h.Port()); g.tab.Unmask(p) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestPolled_onlyWhenSomebodyPolls(t *testing.T) {
	r := newRig(t, nil)
	p, q := r.ipi(0), r.ipi(0)
	r.tab.Send(p)
	r.tab.AddPoller(1)
	r.tab.Send(q)
	r.tab.AddPoller(-1)
	if r.polled != 1 {
		t.Errorf("polled %d times", r.polled)
	}
}

// FuzzFIFO drives the FIFO ABI over words that the guest changes at will.
func FuzzFIFO(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xff, 0x80})
	f.Add([]byte{1, 1, 1, 1, 9, 9, 9, 9, 4, 4, 4, 4})
	f.Fuzz(func(t *testing.T, prog []byte) {
		g := newFIFO(t, 2)
		g.expand()
		for i := range 8 {
			g.ipi(uint32(i % 2))
		}
		for i := 0; i+2 < len(prog); i += 3 {
			p, x := Port(prog[i+1]%12), uint32(prog[i+2])
			switch prog[i] % 9 {
			case 0:
				g.tab.Send(p)
			case 1:
				g.array.Store32(uint32(p)*4, x<<24|x)
			case 2:
				g.tab.Unmask(p)
			case 3:
				g.tab.SetPriority(p, x%17)
			case 4:
				g.ctl[x&1].Store32(uint32(x%18)*4, x*0x01010101)
			case 5:
				g.tab.Close(p)
			case 6:
				g.tab.BindIPI(x % 3)
			case 7:
				g.tab.BindVCPU(p, x%3)
			case 8:
				g.array.Or32(uint32(p)*4, fifoLinked|0x1ffff)
			}
		}
	})
}

func BenchmarkSend(b *testing.B) {
	g := newFIFO(b, 1)
	g.expand()
	p := g.ipi(0)
	for b.Loop() {
		g.tab.Send(p)
	}
}
