package clock

import (
	"errors"
	"math/big"
	"testing"
	"time"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

type fakeSource struct{ now, tsc, hz uint64 }

func (f *fakeSource) Now() uint64   { return f.now }
func (f *fakeSource) TSC() uint64   { return f.tsc }
func (f *fakeSource) TSCHz() uint64 { return f.hz }

func TestScale_matchesRealFrequencies(t *testing.T) {
	for _, hz := range []uint64{1e3, 32768, 1e6, 999_999_000, 1e9, 1e9 + 1, 1_996_250_000, 2e9, 2_400_000_000, 3_187_201_000, 5_000_000_000, 1e12} {
		s, err := ScaleOf(hz)
		if err != nil {
			t.Fatal(err)
		}
		for _, secs := range []uint64{1, 60, 86400 * 30} {
			got := s.Nanoseconds(hz * secs)
			want := secs * 1e9
			if diff := int64(got - want); diff > 0 || -diff > int64(want>>29)+2 {
				t.Errorf("%d Hz: %d s scale to %d ns", hz, secs, got)
			}
		}
		for _, ns := range []uint64{0, 1, 999, 1e9, 1e15} {
			k := s.Ticks(ns)
			if s.Nanoseconds(k) < ns || k > 0 && hz < 1e9 && s.Nanoseconds(k-1) >= ns {
				t.Errorf("%d Hz: %d ns gives %d ticks, which is %d ns", hz, ns, k, s.Nanoseconds(k))
			}
		}
	}
	for _, hz := range []uint64{0, 999, 1e12 + 1} {
		if _, err := ScaleOf(hz); !errors.Is(err, ErrFrequency) {
			t.Errorf("%d Hz accepted", hz)
		}
	}
}

func TestScale_isTheGuestsArithmetic(t *testing.T) {
	s, _ := ScaleOf(2_893_202_000)
	for _, d := range []uint64{0, 1, 3, 1 << 20, 1 << 40, 1<<52 + 12345} {
		x := new(big.Int).SetUint64(d >> -s.Shift)
		x.Mul(x, big.NewInt(int64(s.Mul))).Rsh(x, 32)
		if got := s.Nanoseconds(d); got != x.Uint64() {
			t.Errorf("%d: %d, want %s", d, got, x)
		}
	}
}

func page(t *testing.T) *guestmem.Page {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 4096}})
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

func TestClock_recordAgreesWithNow(t *testing.T) {
	src := &fakeSource{now: 5000, tsc: 1 << 40, hz: 2_500_000_000}
	c, err := New(src, time.Unix(1_700_000_000, 250))
	if err != nil {
		t.Fatal(err)
	}
	p := page(t)
	p.Store32(64, 7) // an odd version from a time before
	c.WriteTime(p, 64)
	src.tsc += 123_456_789
	r := xen.VCPUTimeInfo{}
	k := xen.Decoder(xen.ABI64, p.Bytes()[64:96])
	r.Layout(&k)
	if r.Version == 0 || r.Version&1 != 0 || r.Flags != xen.XEN_PVCLOCK_TSC_STABLE_BIT || r.TSCTimestamp != 1<<40 {
		t.Errorf("%+v", r)
	}
	guest := r.SystemTime + Scale{r.TSCToSystemMul, int8(r.TSCShift)}.Nanoseconds(src.tsc-r.TSCTimestamp)
	if guest != c.Now() || c.Now() < 5000+49_382_714 || c.Now() > 5000+49_382_716 {
		t.Errorf("guest reads %d, we have %d", guest, c.Now())
	}
	if at := c.TSCAt(c.Now() + 1000); at < src.tsc+2497 || at > src.tsc+2503 {
		t.Errorf("deadline in %d ticks", at-src.tsc)
	}
	src.tsc = 0 // a TSC before the anchor must not wrap
	if c.Now() != 5000 {
		t.Errorf("time %d", c.Now())
	}
	c.Anchor(1 << 50)
	if c.Now() != 1<<50 || c.TSCAt(1) != 0 || c.TSCAt(1<<50) != 0 {
		t.Error("anchor")
	}
}

func TestClock_wall(t *testing.T) {
	src := &fakeSource{now: 1_000_000_000, hz: 1e9}
	c, _ := New(src, time.Unix(1_700_000_001, 7))
	p := page(t)
	l := xen.Shared(xen.ABI64)
	c.WriteWall(p, l)
	if p.Load32(l.WCSec) != 1_700_000_000 || p.Load32(l.WCNsec) != 7 || p.Load32(l.WCVersion)&1 != 0 {
		t.Errorf("%d %d", p.Load32(l.WCSec), p.Load32(l.WCNsec))
	}
	src.tsc += 5e9
	c.SetWall(time.Unix(1<<33, 0))
	c.WriteWall(p, l)
	if sec := uint64(p.Load32(l.WCSec)) | uint64(p.Load32(l.WCSecHi))<<32; sec != 1<<33-6 {
		t.Errorf("sec %d", sec)
	}
	c.SetWall(time.Unix(-5, 0)) // before 1970 is 1970
	if sec, _ := c.Wall(); sec != 0 {
		t.Errorf("sec %d", sec)
	}
}

func TestRunstate_sumsUp(t *testing.T) {
	r := NewRunstate(xen.RUNSTATE_offline, 100)
	r.Set(xen.RUNSTATE_running, 150)
	r.Set(xen.RUNSTATE_blocked, 400)
	r.Set(xen.RUNSTATE_running, 300) // a clock that went back counts nothing
	r.Set(xen.RUNSTATE_running, 450)
	i := r.Info(500)
	if i.Time[0]+i.Time[1]+i.Time[2]+i.Time[3] != 400 {
		t.Errorf("%+v", i)
	}
	if i.State != xen.RUNSTATE_running || i.StateEntryTime != 450 {
		t.Errorf("%+v", i)
	}
}

func TestTimers_nextAndExpire(t *testing.T) {
	var x Timers
	if x.Next() != Never || x.Expire(1<<60) {
		t.Error("idle")
	}
	x.SetSingle(0) // long past, but armed
	if x.Next() != 1 || !x.Expire(5) || x.Expire(5) {
		t.Error("single")
	}
	x.SetPeriod(10, 100)
	x.SetSingle(105)
	if x.Next() != 105 || x.Expire(104) || !x.Expire(105) || x.Next() != 110 {
		t.Error("single before period")
	}
	if !x.Expire(137) || x.Next() != 140 {
		t.Errorf("missed ticks: next %d", x.Next())
	}
	x.SetPeriod(0, 0)
	x.SetSingle(200)
	x.StopSingle()
	if x.Next() != Never {
		t.Error("stopped")
	}
}
