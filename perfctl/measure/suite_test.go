package measure

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/perfctl/result"
)

// software gives options for domain processes whose machines are real ones on the built-in CPU.
func software(t *testing.T) Options {
	t.Helper()
	o := fake(t)
	t.Setenv("GOZEN_TEST_HYPERVISOR", "build")
	return o
}

func items(t *testing.T, names ...string) []Item {
	t.Helper()
	all, err := Choose(names, false, true)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSuite_quick measures the quick set in PV and PVH on the built-in CPU: every workload has its samples or a reason, and counts that are known
// by heart.
func TestSuite_quick(t *testing.T) {
	quick, err := Choose(nil, true, false)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s := Suite{Title: "t", Modes: []string{"pv", "pvh"}, Items: quick, Rounds: 5, Batches: 2, Engine: config.EngineSoft, Options: software(t)}
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d workloads in %v", len(quick), time.Since(began))
	if r.Env.Kind() != result.KindSoft || r.Env.GuestTSCkHz != 1e6 || r.Env.Kernel == "" {
		t.Errorf("environment %+v", r.Env)
	}
	for _, s := range r.Series {
		if s.Mode == "pv" && strings.HasPrefix(s.Missing, "a PV guest has no ") {
			continue
		}
		if s.Missing != "" || len(s.Rounds) != 5 {
			t.Errorf("%s %s: %d rounds, missing %q", s.Mode, s.Workload, len(s.Rounds), s.Missing)
		}
		if sum, _ := s.Summary(); sum.Median <= 0 {
			t.Errorf("%s: median %g", s.Workload, sum.Median)
		}
	}
	for _, want := range []struct {
		workload, count string
		n               float64
	}{{"base/loop", "instructions", 2}, {"cpuid", "exit cpuid", 1}, {"msr/read", "exit rdmsr:0x1b", 1}, {"hypercall/null", "exit hypercall", 1},
		{"hypercall/null", "hypercall xen_version/version", 1}, {"evtchn/self", "event upcall", 1}, {"evtchn/self", "hypercall event_channel_op/send", 1},
		{"timer/fire", "hypercall vcpu_op/set_singleshot_timer", 1}, {"io/port", "exit io:out:0x80", 1}, {"syscall/null", "exit hypercall", 0},
		{"fault/minor", "exit hypercall", 0}, {"ipi/wake", "hypercall event_channel_op/send", 2}, {"io/console", "hypercall event_channel_op/send", 1}} {
		if got := r.Find("pvh", want.workload).Count(want.count); got != want.n {
			t.Errorf("%s: %s is %g for one operation, want %g", want.workload, want.count, got, want.n)
		}
	}
	for workload, count := range map[string]string{"pt/update": "hypercall update_va_mapping", "hypercall/null": "hypercall xen_version/version",
		"evtchn/self": "hypercall event_channel_op/send", "cpuid": "exit monitor", "io/notify": "exit monitor"} {
		if got := r.Find("pv", workload).Count(count); got != 1 {
			t.Errorf("pv %s: %s is %g for one operation, want 1", workload, count, got)
		}
	}
	gone(t, s.Options.Root)
}

func TestSuite_deterministic(t *testing.T) {
	run := func() *result.Result {
		s := Suite{Modes: []string{"pv", "pvh"}, Items: items(t, "evtchn", "timer", "io", "ipi", "boot"), Rounds: 1, Batches: 2, Deterministic: true,
			Engine: config.EngineSoft, Options: software(t)}
		r, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, two := run(), run()
	if d := cmp.Diff(one.Series, two.Series); d != "" {
		t.Error(d)
	}
	if one.Find("pvh", bootBuild) != nil {
		t.Error("times of the host in a deterministic result")
	}
}

// TestSuite_mode: a mode that cannot run is named with the reason, and the others run.
func TestSuite_mode(t *testing.T) {
	var said []string
	s := Suite{Modes: []string{"none", "pvh"}, Items: items(t, "trap/ud2"), Rounds: 1, Batches: 1, Engine: config.EngineSoft, Options: software(t),
		Progress: func(m string) { said = append(said, m) }}
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const want = `mode none: no mode "none"`
	if r.Find("pvh", "trap/ud2").Missing != "" || !strings.HasPrefix(r.Find("none", "trap/ud2").Missing, want) {
		t.Errorf("%+v", r.Series)
	}
	if !slices.ContainsFunc(said, func(m string) bool { return strings.HasPrefix(m, want) }) {
		t.Errorf("said %q", said)
	}
	s.Modes = s.Modes[:1]
	if _, err := s.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

// TestModeError: the mode stays in sight when the error is shown, whatever the reason.
func TestModeError(t *testing.T) {
	err := error(&modeError{"hvm", &config.Error{Field: "type", What: "a hvm domain\ncannot be built", Why: "of the test"}})
	var inner *config.Error
	if errors.As(err, &inner) || !strings.HasPrefix(err.Error(), "mode hvm cannot run here: a hvm domain cannot be built") {
		t.Errorf("%v", err)
	}
}

// TestSuite_silent: a guest that never reports is named with its mode. The fake machine says nothing.
func TestSuite_silent(t *testing.T) {
	s := Suite{Modes: []string{"pvh"}, Items: items(t, "trap/ud2"), Rounds: 1, Batches: 1, Options: fake(t)}
	s.Options.Timeout = 300 * time.Millisecond
	_, err := s.Run(t.Context())
	var g *guestError
	if !errors.As(err, &g) || g.Error() != "mode pvh: not done within 300ms; it said nothing" {
		t.Errorf("%v", err)
	}
	gone(t, s.Options.Root)
}

func TestListener(t *testing.T) {
	l := &listener{g: &guestRun{facts: map[string]string{}}}
	for _, s := range []string{"gauge: hello 1 mode p", "vh\r\ngauge: fact tsc-khz 000002000000\r\nnoise\r\n\n\n", "gauge: fact timer-ticks 100\r\n",
		"gauge: begin a\r\ngauge: batch a ops 10 ticks 2100\r\ngauge: batch b ops 4 ns 50\r\n", "gauge: end\r\n"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	by, ticks, err := l.g.samples()
	if err != nil || !l.end || l.err != nil || len(ticks) != 0 {
		t.Errorf("%v %+v", err, l)
	}
	if d := cmp.Diff(map[string][]float64{"a": {100}, "b": {12.5}}, by); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"gauge: batch a ops 10 ticks 2100", "gauge: batch b ops 4 ns 50", "gauge: end"}, l.last); d != "" {
		t.Error(d)
	}
	l.g.facts["tsc-khz"] = "000000000000"
	if by, ticks, _ = l.g.samples(); !ticks["a"] || by["a"][0] != 200 || ticks["b"] {
		t.Errorf("without a frequency: %v %v", by, ticks)
	}
	l.g.facts["tsc-khz"] = "much"
	if _, _, err = l.g.samples(); err == nil {
		t.Error("a frequency of much")
	}
	_, _ = l.Write([]byte("gauge: batch a ops x ticks y\n"))
	if l.err == nil {
		t.Error("a bad line went by")
	}
}

func TestPerOp(t *testing.T) {
	got := perOp(map[string]float64{"instructions": 1000, "exit hypercall": 20, "exit kick": 5, "event upcall": 1},
		map[string]float64{"instructions": 1700, "exit hypercall": 120, "exit kick": 105, "event upcall": 2, "hypercall x/y": 100}, 100)
	want := []result.Count{{Name: "instructions", PerOp: 7}, {Name: "exit hypercall", PerOp: 1}, {Name: "hypercall x/y", PerOp: 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestChoose(t *testing.T) {
	if n := len(items(t, "walk")); n != 4 {
		t.Errorf("walk: %d", n)
	}
	if l := items(t, "trap/ud2", "walk/4k"); len(l) != 2 || l[0].Name != "trap/ud2" {
		t.Errorf("%+v", l)
	}
	for name, want := range map[string]string{"trap/ud": `did you mean "trap/ud2"`, "hypercal": `did you mean "hypercall"`, "qqqqqqqq": "perfctl list shows them", "linux": "linux/getpid needs a Linux kernel: --kernel FILE"} {
		if _, err := Choose([]string{name}, false, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	quick, _ := Choose(nil, true, false)
	areas := map[string]int{}
	for _, i := range quick {
		areas[i.Area]++
	}
	for a, n := range areas {
		if n < 2 && a != "base" {
			t.Errorf("quick: %s has %d", a, n)
		}
	}
	for _, name := range slow {
		items(t, name) // exists
	}
}

func TestPinning(t *testing.T) {
	if p := pinning(1 << 20); !strings.HasPrefix(p, "to ") {
		t.Errorf("%q", p)
	}
	e := Environment("1.2.3")
	if e.Version != "1.2.3" || e.CPUs < 1 || e.Kernel == "" {
		t.Errorf("%+v", e)
	}
}

func TestBootTimes(t *testing.T) {
	g := &guestRun{run: &Run{Milestones: []control.Timing{{Name: "built", Wall: 10}, {Name: "entry", Wall: 12}, {Name: "first-console-byte", Wall: 15}, {Name: "end", Wall: 20}}}}
	if d := cmp.Diff(map[string]float64{bootBuild: 10, bootEntry: 2, bootConsole: 3, bootShutdown: 8}, g.boot()); d != "" {
		t.Error(d)
	}
}
