package bpf

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gozen/trace/sample"
)

// require gives tracefs, or skips: tests here need the rights of root and a kernel with eBPF. GOZEN_REQUIRE_BPF turns the skip into a failure.
func require(t *testing.T) *Tracefs {
	t.Helper()
	fs, err := OpenTracefs()
	if err != nil {
		skip(t, err)
	}
	t.Cleanup(func() { _ = fs.Close() })
	return fs
}

func skip(t *testing.T, why error) {
	t.Helper()
	if errors.Is(why, sample.ErrNone) {
		t.Skip(why)
	}
	if os.Getenv("GOZEN_REQUIRE_BPF") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// open loads probes, and fails for those that the kernel has but refuses.
func open(t *testing.T, fs *Tracefs, probes []Probe) *Session {
	t.Helper()
	s, refused, err := Open(fs, probes)
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
			skip(t, err)
		}
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for _, r := range refused {
		if errors.Is(r.Err, ErrNoTracepoint) {
			t.Logf("%s: %v", r.Probe, r.Err)
		} else {
			t.Errorf("%s: %v", r.Probe, r.Err)
		}
	}
	return s
}

// TestOpen_verified shows all programs to the kernel's verifier and attaches them.
func TestOpen_verified(t *testing.T) {
	s := open(t, require(t), KVM())
	for _, r := range s.Start() {
		t.Errorf("%s: %v", r.Probe, r.Err)
	}
}

func TestOpen_refusesOneProbe(t *testing.T) {
	s, refused, err := Open(require(t), []Probe{
		{Name: "none", Count: &Count{At: Point{Tracepoint: "kvm:no_such_thing"}}},
		{Name: "field", Count: &Count{At: Point{Tracepoint: schedSwitch}, Keys: []string{"no_such_field"}}},
		{Name: "good", Count: &Count{At: Point{Tracepoint: schedSwitch, Thread: "next_pid"}}},
	})
	if err != nil {
		skip(t, err)
	}
	defer s.Close()
	if len(refused) != 2 || !errors.Is(refused[0].Err, ErrNoTracepoint) || !strings.Contains(refused[1].Err.Error(), "sched_switch has no field no_such_field on this kernel") {
		t.Errorf("refused: %v", refused)
	}
	if r := s.Start(); len(r) != 0 {
		t.Errorf("not attached: %v", r)
	}
	if rows, err := s.Read("none"); rows != nil || err != nil {
		t.Errorf("a refused probe has figures: %v %v", rows, err)
	}
}

// TestOpen_beyondTheRecord: a format that lies about an offset is caught by the kernel when the program is attached.
func TestOpen_beyondTheRecord(t *testing.T) {
	fs := require(t)
	p := Probe{Name: "beyond", Count: &Count{At: Point{Tracepoint: "kvm:kvm_userspace_exit"}, Keys: []string{"reason"}}}
	s := open(t, fs, nil)
	programs, err := Programs(&p, func(name string) (*Format, error) {
		f, err := fs.Format(name)
		if err == nil {
			for i := range f.Fields {
				if f.Fields[i].Name == "reason" {
					f.Fields[i].Offset = recordMax - 8
				}
			}
		}
		return f, err
	})
	if errors.Is(err, ErrNoTracepoint) {
		t.Skip(err)
	}
	if err == nil {
		err = s.load(&p, programs)
	}
	if err == nil {
		if r := s.Start(); len(r) == 1 {
			err = r[0].Err
		}
	}
	if err == nil {
		t.Error("a program that reads behind the record runs")
	} else if !strings.Contains(err.Error(), "behind the end of the record") {
		t.Error(err)
	}
}

// TestSession_exact: what eBPF counts of a guest's exits is what the vCPU's own loop has counted.
func TestSession_exact(t *testing.T) {
	const n = 3000
	s := open(t, require(t), KVM())
	if err := s.Follow(os.Getpid(), nil); err != nil {
		t.Fatal(err)
	}
	if r := s.Start(); len(r) != 0 {
		t.Fatal(r)
	}
	thread := 0
	own, err := sample.Run(n, func(id int) {
		thread = id
		if err := s.Follow(os.Getpid(), []int{id}); err != nil {
			t.Error(err)
		}
	})
	s.Stop()
	if err != nil {
		skip(t, err)
	}
	for _, p := range KVM() {
		switch lost := s.Lost(p.Name); {
		case lost.Room != 0, lost.Missed != 0 && p.Name != ProbeDelay:
			t.Errorf("%s: lost %+v", p.Name, lost)
		case lost.Missed != 0: // an interrupt woke some thread while a program ran
			t.Logf("%s: lost %+v", p.Name, lost)
		}
	}
	sum := func(probe string, want func(k []uint64) bool) (all uint64) {
		t.Helper()
		rows, err := s.Read(probe)
		if err != nil {
			t.Error(err)
		}
		for _, r := range rows {
			if r.Thread != thread {
				t.Errorf("%s: figures of thread %d, followed is %d", probe, r.Thread, thread)
			}
			if want == nil || want(r.Keys) {
				all += r.Count
			}
		}
		return all
	}
	reason := func(why uint64) func([]uint64) bool {
		return func(k []uint64) bool { return k[0] == why && k[1] == 0 }
	}
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"all user-space exits", sum(ProbeUserExit, nil), own.Runs},
		{"user-space exits for a port", sum(ProbeUserExit, reason(2)), own.Ports},
		{"user-space exits for memory", sum(ProbeUserExit, reason(6)), own.MMIO},
		{"runs that were timed", sum(ProbeRun, nil), own.Runs},
		{"writes of the port", sum(ProbePort, func(k []uint64) bool { return k[0] == 1 && k[1] == sample.Port }), own.Ports},
		{"all port accesses", sum(ProbePort, nil), own.Ports},
		{"reads of memory that nobody answered", sum(ProbeMMIO, func(k []uint64) bool { return k[0] == 0 && k[1] == sample.Addr }), own.MMIO},
	} {
		if c.got != c.want {
			t.Errorf("%s: eBPF counts %d, the vCPU %d", c.what, c.got, c.want)
		}
	}
	exit := func(k []uint64) bool { return k[0] == 1 && k[1] == 30 || k[0] == 2 && k[1] == 0x7b } // VT-x, SVM: an I/O instruction
	if got := sum(ProbeExit, exit); ThisBackend().Hardware && got != own.Ports {
		t.Errorf("exits of the processor for a port: eBPF counts %d, the vCPU %d", got, own.Ports)
	}
	if own.Ports != n {
		t.Errorf("the guest made %d port exits, not %d", own.Ports, n)
	}
	t.Logf("own %+v; kvm_exit %d, kvm_msr %d, waits for a CPU %d", own, sum(ProbeExit, nil), sum(ProbeMSR, nil), sum(ProbeDelay, nil))
	var run Hist
	rows, _ := s.Read(ProbeRun)
	for _, r := range rows {
		run.Merge(r.Hist)
	}
	p50, p99 := run.Quantile(.5), run.Quantile(.99)
	if p50 == 0 || p50 > p99 || p99 > run.Max || run.Mean() < 1 {
		t.Errorf("run times: p50 %d p99 %d max %d mean %.0f", p50, p99, run.Max, run.Mean())
	}
}

// TestSession_others: nothing of a process that is not followed, and nothing after Forget.
func TestSession_others(t *testing.T) {
	s := open(t, require(t), KVM())
	if r := s.Start(); len(r) != 0 {
		t.Fatal(r)
	}
	if err := s.Follow(os.Getpid(), []int{os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	s.Forget(os.Getpid(), []int{os.Getpid()})
	if _, err := sample.Run(50, nil); err != nil {
		skip(t, err)
	}
	s.Stop()
	for _, name := range []string{ProbeUserExit, ProbePort, ProbeRun} {
		if rows, err := s.Read(name); len(rows) != 0 || err != nil {
			t.Errorf("%s: %v %v", name, rows, err)
		}
	}
}

// TestStart_leavesNothing: after Close the kernel has no program of ours at the tracepoint.
func TestStart_leavesNothing(t *testing.T) {
	fs := require(t)
	before := descriptors(t)
	s := open(t, fs, KVM())
	s.Start()
	s.Close()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
