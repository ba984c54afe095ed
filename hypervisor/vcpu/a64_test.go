package vcpu

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// fakeA64 plays exits that a test has listed, and then kicks.
type fakeA64 struct {
	x      [31]uint64
	exits  []engine.Exit
	online atomic.Bool
	level  atomic.Bool
	tr     a64.Translation // the MMU is off
	err    error
	read   uint64 // what the last read was answered with
}

func (f *fakeA64) Run(e *engine.Exit) error {
	if e.Kind == engine.ExitMMIO && !e.Write {
		f.read = e.Data
	}
	if f.err != nil {
		return f.err
	}
	if len(f.exits) == 0 {
		e.Kind = engine.ExitKick
		return nil
	}
	*e = f.exits[0]
	f.exits = f.exits[1:]
	return nil
}

func (f *fakeA64) Kick()                         {}
func (f *fakeA64) Get(*a64.State) error          { return nil }
func (f *fakeA64) Set(*a64.State) error          { return nil }
func (f *fakeA64) X(n int) uint64                { return f.x[n] }
func (f *fakeA64) SetX(n int, v uint64)          { f.x[n] = v }
func (f *fakeA64) Translation() *a64.Translation { return &f.tr }
func (f *fakeA64) Online() bool                  { return f.online.Load() }
func (f *fakeA64) SetUpcall(level bool) error    { f.level.Store(level); return nil }

// a64Time is the host's time.
type a64Time struct{ start time.Time }

func (a a64Time) Now() uint64   { return uint64(time.Since(a.start)) }
func (a a64Time) TSC() uint64   { return a.Now() }
func (a a64Time) TSCHz() uint64 { return 1e9 }

type a64Rig struct {
	*testing.T
	d     *domain.Domain
	eng   *fakeA64
	l     *A64Loop
	ended []domain.Shutdown
	why   string
}

func (r *a64Rig) Crashed(_ int, why string) { r.why = why; r.d.CrashDetail(0, why, "") }

const a64RAM = 0x40000000

func newA64Rig(t *testing.T) *a64Rig {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: a64RAM, Size: 1 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	r := &a64Rig{T: t, eng: &fakeA64{}}
	r.d, err = domain.New(domain.Config{ID: 1, Memory: m, VCPUs: 1, FIFO: true, ABI: xen.ABIA64, Source: a64Time{time.Now()}, Wall: time.Now(),
		OnShutdown: func(s domain.Shutdown) { r.ended = append(r.ended, s) }})
	if err != nil {
		t.Fatal(err)
	}
	r.l = NewA64(0, r.eng, r.d, r)
	r.d.VCPUs[0].BringUp()
	r.eng.online.Store(true)
	return r
}

// exit plays one exit with registers.
func (r *a64Rig) exit(e engine.Exit, regs map[int]uint64) Status {
	for n, v := range regs {
		r.eng.x[n] = v
	}
	r.eng.exits = append(r.eng.exits, e)
	return r.l.Step()
}

func (r *a64Rig) call(nr uint64, args ...uint64) uint64 {
	regs := map[int]uint64{16: nr}
	for i, a := range args {
		regs[i] = a
	}
	r.exit(engine.Exit{Kind: engine.ExitHypercall}, regs)
	return r.eng.x[0]
}

func TestA64Loop_calls(t *testing.T) {
	r := newA64Rig(t)
	if v := r.call(xen.HYPERVISOR_xen_version, xen.XENVER_version); v != 4<<16|17 {
		t.Errorf("version %#x", v)
	}
	for _, tt := range []struct {
		function uint64
		want     []uint64
	}{
		{smcccHypUID, []uint64{0xdc1218a7, 0x694398c6, 0xd179cf9a, 0x67e6de8d}}, {smcccHypCount, []uint64{3}}, {smcccHypRevision, []uint64{0, 1}},
		{0x12345678, []uint64{smcccUnknown}}, {0xc6000000, []uint64{smcccUnknown}},
	} {
		r.exit(engine.Exit{Kind: engine.ExitSMCCC, Data: tt.function}, nil)
		for i, w := range tt.want {
			if r.eng.x[i] != w {
				t.Errorf("%#x: x%d is %#x, want %#x", tt.function, i, r.eng.x[i], w)
			}
		}
	}
	r.exit(engine.Exit{Kind: engine.ExitMMIO, GPA: 0x9000000, Size: 4, Data: 5}, nil)
	r.l.Step()
	if r.eng.read != ^uint64(0) {
		t.Errorf("a read of nothing gives %#x", r.eng.read)
	}
}

func TestA64Loop_power(t *testing.T) {
	for _, tt := range []struct {
		event  uint64
		reason uint8
	}{{engine.PowerOff, xen.SHUTDOWN_poweroff}, {engine.PowerReset, xen.SHUTDOWN_reboot}, {engine.PowerCrash, xen.SHUTDOWN_crash}} {
		r := newA64Rig(t)
		r.exit(engine.Exit{Kind: engine.ExitShutdown, Data: tt.event}, nil)
		if len(r.ended) != 1 || r.ended[0].Reason != tt.reason || r.l.Step() != Ended {
			t.Errorf("event %d: %+v", tt.event, r.ended)
		}
	}
	r := newA64Rig(t)
	r.exit(engine.Exit{Kind: engine.ExitInternal, Reason: "out of luck"}, nil)
	if r.why != "out of luck" {
		t.Errorf("%q", r.why)
	}
	r = newA64Rig(t)
	r.eng.err = errors.New("engine failed")
	r.l.Step()
	if r.why != "engine failed" || r.l.Step() != Ended {
		t.Errorf("%q", r.why)
	}
}

// TestA64Loop_upcall: an event raises the line, and an exit after the guest took it lowers it.
func TestA64Loop_upcall(t *testing.T) {
	r := newA64Rig(t)
	told := 0
	r.l.watch = func() { told++ }
	if err := r.d.Memory.Write64(a64RAM, 0); err != nil { // evtchn_bind_ipi: vCPU 0
		t.Fatal(err)
	}
	if v := r.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, a64RAM); v != 0 {
		t.Fatalf("bind_ipi %d", int64(v))
	}
	port, _ := r.d.Memory.Read32(a64RAM + 4)
	_ = r.d.Memory.Write64(a64RAM, uint64(port))
	r.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, a64RAM)
	if !r.eng.level.Load() || told == 0 || r.l.Counts.Upcalls.Load() != 1 {
		t.Fatalf("line %v, watcher told %d times", r.eng.level.Load(), told)
	}
	in := r.d.VCPUs[0].Info()
	in.Page.Store8(in.Off, 0)
	r.l.Step()
	if r.eng.level.Load() {
		t.Error("the line stays high")
	}
}

// TestA64Loop_poll: SCHEDOP_poll waits out here, and ends soon whatever happens.
func TestA64Loop_poll(t *testing.T) {
	r := newA64Rig(t)
	_ = r.d.Memory.Write64(a64RAM, 0)
	r.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, a64RAM)
	port, _ := r.d.Memory.Read32(a64RAM + 4)
	_ = r.d.Memory.Write64(a64RAM+64, a64RAM+128) // sched_poll: ports, number, timeout
	_ = r.d.Memory.Write64(a64RAM+72, 1)
	_ = r.d.Memory.Write64(a64RAM+80, 0)
	_ = r.d.Memory.Write64(a64RAM+128, uint64(port))
	if v := r.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, a64RAM+64); v != 0 {
		t.Fatalf("poll %d", int64(v))
	}
	if s := r.l.Step(); s != Waiting || r.l.State() != StateBlocked || r.l.rest() > pollPause || r.l.rest() < 0 {
		t.Errorf("status %v, state %d, rest %v", s, r.l.State(), r.l.rest())
	}
	if s := r.l.Step(); s != Running || r.d.VCPUs[0].Polling() {
		t.Errorf("after the pause: status %v, polling %v", s, r.d.VCPUs[0].Polling())
	}
}

func TestA64Loop_pauseAndOffline(t *testing.T) {
	r := newA64Rig(t)
	r.l.Pause(true)
	if s := r.l.Step(); s != Waiting || r.l.rest() != -1 {
		t.Errorf("paused: %v, rest %v", s, r.l.rest())
	}
	r.l.AwaitPause()
	r.l.Pause(false)
	r.eng.online.Store(false) // the guest has switched it off, and somebody kicks
	r.l.Step()
	if r.d.VCPUs[0].IsUp() || r.l.State() != StateDown {
		t.Errorf("up %v, state %d", r.d.VCPUs[0].IsUp(), r.l.State())
	}
	r.eng.online.Store(true)
	r.call(xen.HYPERVISOR_xen_version, 0)
	if !r.d.VCPUs[0].IsUp() {
		t.Error("not up again")
	}
}

func TestA64Loop_exitsDoNotAllocate(t *testing.T) {
	r := newA64Rig(t)
	exits := []engine.Exit{{Kind: engine.ExitHypercall}, {Kind: engine.ExitSMCCC, Data: 1}, {Kind: engine.ExitKick}, {Kind: engine.ExitMMIO, Size: 8}}
	i := 0
	one := make([]engine.Exit, 1)
	if n := testing.AllocsPerRun(400, func() {
		one[0] = exits[i%len(exits)]
		i++
		r.eng.exits = one
		r.eng.x[16], r.eng.x[0], r.eng.x[1] = xen.HYPERVISOR_sched_op, xen.SCHEDOP_yield, 0
		r.l.Step()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
