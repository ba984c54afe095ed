package domain

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

type source struct{ ns atomic.Uint64 }

func (s *source) Now() uint64   { return s.ns.Load() }
func (s *source) TSC() uint64   { return 3 * s.ns.Load() }
func (s *source) TSCHz() uint64 { return 3e9 }

func newDomain(t testing.TB, vcpus int, change func(*Config)) (*Domain, *source) {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 8 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	src := &source{}
	src.ns.Store(10)
	cfg := Config{ID: 3, Memory: m, VCPUs: vcpus, FIFO: true, Source: src, Wall: time.Unix(1_000_000_000, 0)}
	if change != nil {
		change(&cfg)
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d, src
}

func TestNew_refusesNonsense(t *testing.T) {
	m, _ := guestmem.New([]guestmem.Range{{Base: 0, Size: 4096}})
	defer m.Close()
	for _, c := range []Config{{}, {Memory: m, VCPUs: 1}, {Memory: m, Source: &source{}}, {Memory: m, Source: &source{}, VCPUs: 129}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
}

func TestXenLeaf_answersAsXen(t *testing.T) {
	d, _ := newDomain(t, 2, func(c *Config) { c.UpcallVector = true; c.TSCMode = 2 })
	v := d.VCPUs[1]
	for _, x := range []struct {
		leaf, sub  uint32
		a, b, c, d uint32
		ok         bool
	}{
		{0x40000000, 0, 0x40000005, 0x566e6558, 0x65584d4d, 0x4d4d566e, true},
		{0x40000001, 0, 4<<16 | 17, 0, 0, 0, true},
		{0x40000002, 0, 1, 0x40000000, 0, 0, true},
		{0x40000003, 0, 6, 2, 3_000_000, 1, true},
		{0x40000003, 1, 0, 0, 0xaaaaaaaa, 0xffffffff, true},
		{0x40000003, 2, 3_000_000, 0, 0, 0, true},
		{0x40000003, 3, 0, 0, 0, 0, true},
		{0x40000004, 0, 0x5c, 1, 3, 0, true},
		{0x40000004, 1, 0, 0, 0, 0, true},
		{0x40000005, 0, 0, 0, 0, 0, true},
		{0x40000006, 0, 0, 0, 0, 0, false},
		{0x40000100, 0, 0, 0, 0, 0, false},
		{0, 0, 0, 0, 0, 0, false},
	} {
		a, b, c, dd, ok := v.XenLeaf(x.leaf, x.sub)
		if a != x.a || b != x.b || c != x.c || dd != x.d || ok != x.ok {
			t.Errorf("%#x/%d: %#x %#x %#x %#x %v", x.leaf, x.sub, a, b, c, dd, ok)
		}
	}
	plain, _ := newDomain(t, 1, nil)
	if a, _, _, _, _ := plain.VCPUs[0].XenLeaf(0x40000004, 0); a&xen.XEN_HVM_CPUID_UPCALL_VECTOR != 0 {
		t.Error("upcall vector offered without being asked for")
	}
}

func TestUpcall_callbackIsLevelVectorIsEdge(t *testing.T) {
	d, _ := newDomain(t, 2, nil)
	var kicks [2]int
	for i, v := range d.VCPUs {
		v.Kick = func() { kicks[i]++ }
	}
	p, _ := d.Events.BindIPI(0)
	q, _ := d.Events.BindIPI(1)
	d.Events.Send(p)
	if _, due := d.VCPUs[0].CallbackVector(); due || kicks[0] != 1 {
		t.Error("no callback is set yet")
	}
	if e := d.GuestSetParam(xen.HVM_PARAM_CALLBACK_IRQ, xen.HVM_PARAM_CALLBACK_TYPE_VECTOR<<56|0x31); e != 0 {
		t.Fatal(e)
	}
	for range 2 { // level: due as long as the guest leaves it pending
		if v, due := d.VCPUs[0].CallbackVector(); !due || v != 0x31 {
			t.Error("callback not due")
		}
	}
	// The upcall mask does not count for HVM and PVH.
	in := d.VCPUs[0].Info()
	in.Page.Store8(in.Off+1, 1)
	if _, due := d.VCPUs[0].CallbackVector(); !due {
		t.Error("mask was obeyed")
	}
	in.Page.Store8(in.Off, 0)
	if _, due := d.VCPUs[0].CallbackVector(); due {
		t.Error("still due")
	}
	d.VCPUs[1].SetUpcallVector(0xf3)
	d.VCPUs[1].TakeUpcallVector()
	d.Events.Send(q)
	if v, due := d.VCPUs[1].TakeUpcallVector(); !due || v != 0xf3 {
		t.Error("edge lost")
	}
	if _, due := d.VCPUs[1].TakeUpcallVector(); due {
		t.Error("edge twice")
	}
	d.VCPUs[1].ResetUpcallVector()
	if u := d.VCPUs[1].Upcall(); u != (Upcall{0, 0x31}) {
		t.Errorf("%+v", u)
	}
}

func TestVCPUInfo_beyond32(t *testing.T) {
	d, _ := newDomain(t, 40, nil)
	v := d.VCPUs[35]
	if e := v.Initialise(&x86.State{}); e != xen.EINVAL {
		t.Errorf("initialise without vcpu_info: %v", e)
	}
	if e := v.RegisterInfo(d.VCPUs[0], 0x10, 0); e != 0 {
		t.Fatal(e)
	}
	in := v.Info()
	if in.Page.Load8(1) != 1 || !v.UpcallPending() {
		t.Error("a fresh vcpu_info starts masked and pending")
	}
	if e := v.Initialise(&x86.State{}); e != 0 {
		t.Error(e)
	}
	w := d.VCPUs[36]
	w.BringUp()
	if e := w.RegisterInfo(d.VCPUs[0], 0x11, 0); e != xen.EINVAL {
		t.Errorf("moved a running vCPU's vcpu_info: %v", e)
	}
}

func TestMemory_extraPagesAreBounded(t *testing.T) {
	d, _ := newDomain(t, 1, func(c *Config) { c.MaxPages = 1 << 20 })
	n := uint64(0)
	for g := guestmem.GFN(0x100000); d.Populate(g) == 0; g++ {
		n++
	}
	if n != maxExtra || d.MaxGFN() != 0x100000+maxExtra-1 {
		t.Errorf("%d extra pages, top %#x", n, d.MaxGFN())
	}
	if e := d.Populate(1 << 40); e != xen.ENOMEM {
		t.Error(e)
	}
}

func TestMemory_moveKeepsContentOnFailure(t *testing.T) {
	d, _ := newDomain(t, 1, nil)
	d.Memory.Write64(0x5000, 77)
	if e := d.AddToPhysmap(xen.XENMAPSPACE_gmfn, 5, 1<<33); e != 0 {
		t.Fatal(e) // outside RAM, within the bound
	}
	if x, _ := d.Memory.Read64(1 << 45); x != 77 {
		t.Errorf("%d", x)
	}
	d.AddToPhysmap(xen.XENMAPSPACE_shared_info, 0, 6)
	if e := d.AddToPhysmap(xen.XENMAPSPACE_gmfn, 6, 7); e != xen.EINVAL {
		t.Errorf("moved shared info: %v", e)
	}
	d.AddToPhysmap(xen.XENMAPSPACE_grant_table, 0, 8)
	if e := d.AddToPhysmap(xen.XENMAPSPACE_gmfn, 8, 9); e != xen.EINVAL {
		t.Errorf("moved a grant frame: %v", e)
	}
	// One special page over another.
	d.AddToPhysmap(xen.XENMAPSPACE_shared_info, 0, 8)
	if d.Grants.FrameAt(0) != ^guestmem.GFN(0) || d.SharedAt() != 8 {
		t.Error("the grant frame is still said to be there")
	}
}

func TestShutdown_onceAndResume(t *testing.T) {
	var got []Shutdown
	d, _ := newDomain(t, 2, func(c *Config) { c.OnShutdown = func(s Shutdown) { got = append(got, s) } })
	kicks := 0
	d.VCPUs[1].Kick = func() { kicks++ }
	st := &x86.State{RIP: 9}
	d.Crash(1, "triple fault", st)
	d.Shutdown(xen.SHUTDOWN_poweroff)
	if len(got) != 1 || got[0].Reason != xen.SHUTDOWN_crash || got[0].Regs != st || kicks != 1 {
		t.Errorf("%+v, %d kicks", got, kicks)
	}
	d.Resume()
	if d.IsShutdown() {
		t.Error("resume")
	}
	d.Shutdown(xen.SHUTDOWN_suspend)
	if s, down := d.ShutdownState(); !down || s.Reason != xen.SHUTDOWN_suspend {
		t.Errorf("%+v", s)
	}
}

func TestTime_followsAnchor(t *testing.T) {
	d, src := newDomain(t, 1, nil)
	src.ns.Store(1_000_000)
	if n := d.VCPUs[0].Now(); n < 999_998 || n > 1_000_000 {
		t.Errorf("now %d", n)
	}
	before := d.Shared().Load32(xen.VCPUInfoTime)
	d.Clock.Anchor(5)
	d.UpdateTime()
	if v := d.Shared().Load32(xen.VCPUInfoTime); v != before+2 || d.Shared().Load64(xen.VCPUInfoTime+16) != 5 {
		t.Errorf("version %d, was %d", v, before)
	}
}

func TestDomain_concurrentUse(t *testing.T) {
	d, src := newDomain(t, 4, nil)
	h, err := d.Events.AllocHost(func() {})
	if err != nil {
		t.Fatal(err)
	}
	var ports [4]evtchn.Port
	for i, v := range d.VCPUs {
		ports[i], _ = d.Events.BindVIRQ(xen.VIRQ_TIMER, uint32(i))
		v.BringUp()
	}
	var wg sync.WaitGroup
	for i, v := range d.VCPUs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range 500 {
				v.SetSingleshot(v.Now() + 10)
				src.ns.Add(20)
				v.Expire(v.Now())
				v.SetRunstate(uint32(n & 3))
				v.UpdateTime()
				v.TakeUpcallVector()
				v.CallbackVector()
				d.VCPUs[(i+1)%4].Runstate()
				d.Populate(guestmem.GFN(n))
				d.Remove(guestmem.GFN(n + 50*i))
				v.BeginPoll(1)
				h.Notify()
				v.EndPoll()
				d.Hypercalls()
				v.Counts.Add(uint64(n), uint64(n))
			}
		}()
	}
	wg.Wait()
	if d.Pages() > d.MaxPages() {
		t.Errorf("%d of %d pages", d.Pages(), d.MaxPages())
	}
}

// A vCPU with a vector of its own has its edge noted before the host is asked to deliver it.
func TestUpcall_edgeBeforeRaise(t *testing.T) {
	d, _ := newDomain(t, 1, nil)
	v := d.VCPUs[0]
	v.SetUpcallVector(0xf3)
	v.TakeUpcallVector()
	p, _ := d.Events.BindIPI(0)
	var got uint8
	v.Raise = func() { got, _ = v.TakeUpcallVector() }
	d.Events.Send(p)
	if got != 0xf3 {
		t.Errorf("raised with vector %#x", got)
	}
}
