package measure

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/controltest"
	"gozen/hypervisor/control/process"
)

// TestMain lets the test binary be a domain process, whose machine is a fake or a real one.
func TestMain(m *testing.M) {
	switch os.Getenv("GOZEN_TEST_HYPERVISOR") {
	case "":
		os.Exit(m.Run())
	case "build":
		os.Exit(process.Main(os.Args[1:], "test", newMachine, build.Host))
	}
	os.Exit(process.Main(os.Args[1:], "test", controltest.New, controltest.Host))
}

func newMachine(d config.Domain, o control.Options) (control.Machine, error) {
	m, err := build.New(d, o)
	if err != nil {
		return nil, err // not a nil *Machine in an interface
	}
	return m, nil
}

// fake gives options that boot a fake machine.
func fake(t *testing.T) Options {
	t.Helper()
	t.Setenv("GOZEN_TEST_HYPERVISOR", "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.MkdirTemp("", "pm") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	return Options{Program: self, Root: root, Timeout: time.Minute}
}

func domain(t *testing.T) config.Domain {
	d := config.Domain{Name: "x", Type: config.PVH, MemoryMiB: 64, VCPUs: 1, Kernel: os.Args[0]}
	d.Complete()
	return d
}

// gone checks that no domain is left.
func gone(t *testing.T, root string) {
	t.Helper()
	reg, err := control.OpenRegistry(root)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := reg.List(); err != nil || len(l) != 0 {
		t.Errorf("left behind: %v %v", l, err)
	}
}

func TestBoot_init(t *testing.T) {
	o := fake(t)
	var con strings.Builder
	o.Console = &con
	d := domain(t)
	d.Cmdline = "say=Hello_from_init"
	o.Init = regexp.MustCompile("Hello_from")
	r, err := Boot(t.Context(), d, "boot", o)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Milestones[len(r.Milestones)-1]
	if last.Name != Init || last.Wall <= 0 || last.CPU <= 0 {
		t.Errorf("milestones %+v", r.Milestones)
	}
	if !strings.Contains(con.String(), "Hello_from_init") {
		t.Errorf("console %q", con.String())
	}
	if r.End != nil {
		t.Errorf("ended: %+v", r.End)
	}
	gone(t, o.Root)
}

func TestBoot_toEnd(t *testing.T) {
	o := fake(t)
	o.Init, o.ToEnd = regexp.MustCompile("here"), true
	d := domain(t)
	d.Cmdline, d.OnPoweroff = "say=here end=poweroff", config.Restart
	r, err := Boot(t.Context(), d, "boot", o)
	if err != nil {
		t.Fatal(err)
	}
	if r.End == nil || r.End.Code != control.ReasonPoweroff {
		t.Errorf("end %+v", r.End)
	}
	gone(t, o.Root)
}

func TestBoot_endWithoutInit(t *testing.T) {
	o := fake(t)
	d := domain(t)
	d.Cmdline = "say=panic end=crash"
	if _, err := Boot(t.Context(), d, "boot", o); !errors.Is(err, ErrNoInit) || !strings.Contains(err.Error(), "crash") {
		t.Errorf("%v", err)
	}
	gone(t, o.Root)
}

func TestBoot_timeout(t *testing.T) {
	o := fake(t)
	o.Init, o.Timeout = regexp.MustCompile("this is never printed"), 200*time.Millisecond
	if _, err := Boot(t.Context(), domain(t), "slow", o); err == nil || !strings.Contains(err.Error(), "not done within 200ms") {
		t.Errorf("%v", err)
	}
	gone(t, o.Root)
}

func TestBoot_cancel(t *testing.T) {
	o := fake(t)
	o.Init = regexp.MustCompile("this is never printed")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Boot(ctx, domain(t), "cancelled", o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	gone(t, o.Root)
}

func TestBoot_notBuilt(t *testing.T) {
	o := fake(t)
	d := domain(t)
	d.Kernel = "/nonexistent"
	var ce *config.Error
	if _, err := Boot(t.Context(), d, "broken", o); !errors.As(err, &ce) || ce.Field != "kernel" {
		t.Errorf("%v", err)
	}
	gone(t, o.Root)
}

func TestMerge(t *testing.T) {
	at := func(name string, w time.Duration) control.Timing { return control.Timing{Name: name, Wall: w} }
	init := at(Init, 5)
	for _, tt := range []struct {
		in   []control.Timing
		init *control.Timing
		want []control.Timing
	}{
		{nil, nil, nil},
		{nil, &init, []control.Timing{init}},
		{[]control.Timing{at("entry", 1), at("end", 9)}, &init, []control.Timing{at("entry", 1), init, at("end", 9)}},
		{[]control.Timing{at("entry", 1)}, &init, []control.Timing{at("entry", 1), init}},
	} {
		if d := cmp.Diff(tt.want, merge(tt.in, tt.init)); d != "" {
			t.Error(d)
		}
	}
}

func TestWatch_splitLine(t *testing.T) {
	for _, chunks := range [][]string{{"noise\nHel", "lo from x\n"}, {"Hello from "}, {strings.Repeat("x", 9000), "Hello", " from y"}} {
		b := &boot{opts: Options{Init: regexp.MustCompile(InitPattern)}}
		seen := make(chan struct{})
		b.watch(&pieces{chunks}, seen, func() {})
		if !closed(seen) {
			t.Errorf("%.40q: not seen", chunks)
		}
	}
}

// pieces reads one piece a call.
type pieces struct{ left []string }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, errors.New("end")
	}
	n := copy(b, p.left[0])
	if p.left[0] = p.left[0][n:]; p.left[0] == "" {
		p.left = p.left[1:]
	}
	return n, nil
}

func TestCPUTime(t *testing.T) {
	d, err := CPUTime(os.Getpid())
	if err != nil || d <= 0 {
		t.Errorf("%v %v", d, err)
	}
	if _, err := CPUTime(1 << 22); err == nil {
		t.Error("a process that cannot exist has CPU time")
	}
}

func TestHost(t *testing.T) {
	var h Host
	h.cpuinfo("processor\t: 0\nmodel name\t: Some   CPU  @ 3 GHz\nflags\t\t: fpu hypervisor lm\n\nprocessor: 1\n")
	if h.CPU != "Some CPU @ 3 GHz" || !h.Guest {
		t.Errorf("%+v", h)
	}
	h = Host{}
	if h.cpuinfo("flags: fpu myhypervisor"); h.Guest {
		t.Error("part of a word was taken for the flag")
	}
	if h := ThisHost(); h.CPUs < 1 || h.Kernel == "" {
		t.Errorf("%+v", h)
	}
}
