package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
	"gozen/perfctl/report"
	"gozen/trace/bpf"
	"gozen/trace/doctor"
	"gozen/trace/host"
)

// condition knows what scripts ask of the host: [bpf] eBPF at tracepoints, [kvm] guests on KVM as well. GOZEN_REQUIRE_BPF says that both are there.
func condition(name string) (bool, error) {
	if name != "bpf" && name != "kvm" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	if os.Getenv("GOZEN_REQUIRE_BPF") != "" {
		return true, nil
	}
	if !bpf.InitialPIDs() || name == "kvm" && unix.Access("/dev/kvm", unix.R_OK|unix.W_OK) != nil {
		return false, nil
	}
	fs, err := bpf.OpenTracefs()
	if err != nil {
		return false, nil
	}
	defer fs.Close()
	s, _, err := bpf.Open(fs, nil)
	if err != nil {
		return false, nil
	}
	s.Close()
	return true, nil
}

// meanwhile is perfctl, to which something happens: meanwhile DELAY int|end:DOMAIN ARGS...
func meanwhile() {
	delay, err := time.ParseDuration(os.Args[1])
	if err != nil {
		panic(err)
	}
	what := os.Args[2]
	os.Args = append([]string{"perfctl"}, os.Args[3:]...)
	go func() {
		time.Sleep(delay)
		if what == "int" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
			return
		}
		reg, err := control.OpenRegistry("")
		if err != nil {
			panic(err)
		}
		f, err := reg.Find(strings.TrimPrefix(what, "end:"))
		if err != nil {
			panic(err)
		}
		_ = control.NewClient(f.Dir).Destroy(context.Background())
	}()
	main()
}

// reconcile runs the domain of a configuration file to its end while the kernel's side is watched, and compares port by port what eBPF and gozen itself
// have counted.
func reconcile() {
	if err := compareCounts(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func compareCounts(file string) error {
	d, err := readConfig(file, nil, os.Stderr)
	if err != nil {
		return err
	}
	st, err := process.Launch(os.Getenv("GOZEN_HYPERVISOR"), process.Request{Config: d, Paused: true}, nil)
	if err != nil {
		return err
	}
	reg, err := control.OpenRegistry("")
	if err != nil {
		return err
	}
	c := control.NewClient(st.Dir)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	watched, enough := context.WithCancel(ctx)
	var stats control.Stats
	var ended error
	res, err := host.Watch(watched, reg, host.Options{Names: []string{d.Name}, Time: time.Hour, Began: func() {
		go func() {
			defer enough()
			if ended = c.Unpause(ctx); ended == nil {
				_, ended = c.Wait(ctx, control.UntilOutcome)
			}
			if ended == nil {
				stats, ended = c.Stats(ctx)
			}
		}()
	}})
	if err != nil {
		return err
	}
	if ended != nil {
		return ended
	}
	return samePorts(res, stats)
}

// samePorts compares the counts of each port.
func samePorts(res *host.Result, stats control.Stats) error {
	kernel, own := map[string]uint64{}, map[string]uint64{}
	for _, c := range res.Counts {
		if c.Probe == bpf.ProbePort {
			kernel[c.What] += c.Count
		}
	}
	for _, e := range stats.Exits {
		if p := strings.Split(e.Name, ":"); len(p) == 3 && p[0] == "io" {
			own[p[1]+" "+p[2]] = e.Count
		}
	}
	if len(own) == 0 {
		return fmt.Errorf("no port was counted: %+v", stats.Exits)
	}
	for what, n := range own {
		if kernel[what] != n {
			return fmt.Errorf("%s: eBPF counts %d, gozen %d", what, kernel[what], n)
		}
	}
	fmt.Printf("same: %d ports, out 0x80 %d times\n", len(own), own["out 0x80"])
	return nil
}

// traced is what a host with hardware virtualization may tell.
func traced() *host.Result {
	at := host.Where{Domid: 1, VCPU: 0, Thread: 101}
	r := &host.Result{Seconds: 2, Kernel: "6.12", Backend: bpf.Backend{Name: "kvm-amd", Hardware: true},
		Domains: []host.Domain{{Domid: 1, Name: "web", PID: 100, Engine: "kvm-amd", Threads: []int{101, 102}, Until: 1.5}},
		Times: []host.Time{
			{Probe: bpf.ProbeRun, Where: at, What: host.All, Count: 12, Mean: 7400, P50: 7400, P90: 9700, P99: 64000, P999: 951000, Max: 1234567},
			{Probe: bpf.ProbeDelay, Where: host.Where{Domid: 1, VCPU: 1, Thread: 102}, Count: 3, Mean: 12, P50: 9, P90: 20, P99: 20, P999: 20, Max: 2000000000}},
		Silent: []host.Silence{{Probe: bpf.ProbeMSR, Why: "it did not happen"}, {Probe: bpf.ProbeWakeup, Why: "kvm:kvm_vcpu_wakeup: this kernel has no such tracepoint", Never: true}},
		Lost:   map[string]bpf.Lost{bpf.ProbePort: {Room: 2}, bpf.ProbeDelay: {Missed: 7}}}
	for i := range 15 {
		r.Counts = append(r.Counts, host.Count{Probe: bpf.ProbeExit, Where: at, What: fmt.Sprintf("cause %d", i), Count: uint64(1000 - i)})
	}
	r.Counts = append(r.Counts, host.Count{Probe: bpf.ProbeExit, Where: host.Where{Domid: 1, VCPU: -1, Thread: 77}, What: "hlt", Count: 1},
		host.Count{Probe: bpf.ProbeEntry, Where: at, Count: 5})
	return r
}

func TestTracedGrids(t *testing.T) {
	for _, rows := range []int{0, tracedRows} {
		var b bytes.Buffer
		if err := report.WriteGrids(&b, tracedHeading(traced()), tracedGrids(traced(), rows), tracedNotes(traced()), "table"); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", fmt.Sprintf("traced-%d.txt", rows))
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != b.String() {
			t.Errorf("%s (UPDATE=1 writes it anew):\n%s", file, b.String())
		}
	}
}

func TestNanos(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 ns", 7: "7 ns", 999: "999 ns", 1000: "1.00 µs", 9996: "10.0 µs", 99949: "99.9 µs", 99960: "100 µs", 999600: "1.00 ms", 1234567: "1.23 ms", 61e9: "61.0 s", 5e12: "5000 s"} {
		if got := nanos(n); got != want {
			t.Errorf("%d ns is %q, want %q", n, got, want)
		}
	}
}

// TestLook: a report has each source once, with words, whatever the rights.
func TestLook(t *testing.T) {
	r := doctor.Look()
	seen := map[string]bool{}
	for _, c := range r.Checks {
		if c.Name == "" || c.State == "" || c.Detail == "" || seen[c.Name] {
			t.Errorf("%+v", c)
		}
		seen[c.Name] = true
	}
	for _, n := range []string{"kernel", "privilege", "memlock", "lockdown", "process numbers", "eBPF", "BTF", "tracefs", "raw tracepoint", "fentry", "kprobe", "perf_event", "/dev/kvm"} {
		if !seen[n] {
			t.Errorf("nothing about %s", n)
		}
	}
	if !strings.HasPrefix(r.Summary, "ebpf: tracepoints ") {
		t.Errorf("summary %q", r.Summary)
	}
}
