package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/controltest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is\n%q\nwant\n%q", name, got, want)
	}
}

func rows() []control.Info {
	v := func(id, cpu int, online, run, block bool, t time.Duration, aff []int) control.VCPUInfo {
		return control.VCPUInfo{ID: id, CPU: cpu, Online: online, Running: run, Blocked: block, Time: t, Affinity: aff}
	}
	return []control.Info{
		{Name: "Domain-0", UUID: "00000000-0000-0000-0000-000000000000", MemoryKiB: 1536 << 10, State: control.State{Running: true},
			CPUTime: 123456 * time.Millisecond, Uptime: 90061 * time.Second, VCPUs: []control.VCPUInfo{v(0, 1, true, true, false, 123456*time.Millisecond, nil)}},
		{Name: "gpvh", Domid: 7, UUID: "11111111-2222-3333-4444-555555555555", MemoryKiB: 256 << 10, State: control.State{Blocked: true},
			CPUTime: 2949 * time.Millisecond, Uptime: 3661 * time.Second, VCPUs: []control.VCPUInfo{v(0, 0, true, false, true, 2949*time.Millisecond, []int{0, 1, 2, 5}),
				v(1, -1, false, false, false, 0, []int{})}},
		{Name: "a name with spaces that is much longer than forty columns", Domid: 32751, UUID: "21111111-2222-3333-4444-555555555555",
			MemoryKiB: 1 << 30, State: control.State{Shutdown: true, Reason: "crash", Dying: true}, CPUTime: 1e15, Uptime: 200000 * time.Second},
	}
}

func TestFormats(t *testing.T) {
	var b bytes.Buffer
	printList(&b, rows(), listFlags{})
	golden(t, "list", b.Bytes())
	b.Reset()
	printList(&b, rows(), listFlags{verbose: true, context: true, pool: true, numa: true})
	golden(t, "list-vZcn", b.Bytes())
	b.Reset()
	printList(&b, rows(), listFlags{context: true})
	golden(t, "list-Z", b.Bytes())
	b.Reset()
	printVCPUs(&b, rows(), []int{0, 1, 2, 3, 4, 5})
	golden(t, "vcpu-list", b.Bytes())
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	b.Reset()
	printUptime(&b, rows(), false, now)
	golden(t, "uptime", b.Bytes())
	b.Reset()
	printUptime(&b, rows(), true, now)
	golden(t, "uptime-s", b.Bytes())
	b.Reset()
	printInfo(&b, []field{{"host", "h"}, {"virt_caps", "hvm hap"}, {"sharing_freed_memory", "0"}, {"xen_commandline", ""}})
	golden(t, "info", b.Bytes())
}

// TestFormats_strings checks the tables against the C formats, not against themselves.
func TestFormats_strings(t *testing.T) {
	var b bytes.Buffer
	printList(&b, rows()[1:2], listFlags{})
	printVCPUs(&b, rows()[1:2], []int{0, 1, 2, 3, 4, 5})
	printUptime(&b, rows(), false, time.Time{})
	want := "Name                                        ID   Mem VCPUs\tState\tTime(s)\n" +
		"gpvh" + strings.Repeat(" ", 36) + "     7   256     1     -b----       2.9\n" +
		"Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n" +
		"gpvh                                 7     0    0   -b-       2.9  0-2,5 / all\n" +
		"gpvh                                 7     1    -   --p       0.0  none / all\n" +
		"Name                                ID Uptime\n" +
		"Domain-0                             0 1 day,  1:01:01\n" +
		"gpvh                                 7  1:01:01\n" +
		"a name with spaces that is much longer than forty columns 32751 2 days,  7:33:20\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestCommands_table(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range commands() {
		if seen[c.name] || (c.run == nil) != (c.why != "") || c.run != nil && c.summary == "" {
			t.Errorf("row %q is wrong", c.name)
		}
		seen[c.name] = true
	}
	if len(seen) < 97+3 {
		t.Errorf("%d subcommands, want the 97 of Xen's xl and ours", len(seen))
	}
	for in, want := range map[string]string{"cr": "create", "li": "list", "vcpu-l": "vcpu-list", "pause": "pause", "dom": "", "": "", "cons": "console"} {
		got := ""
		if c := lookup(in); c != nil {
			got = c.name
		}
		if got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// TestShutdown_notAcknowledged has a guest that leaves control/shutdown as it is.
func TestShutdown_notAcknowledged(t *testing.T) {
	t.Setenv("GOZEN_RUN", filepath.Join(t.TempDir(), "run"))
	reg, err := control.OpenRegistry("")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Domain{Name: "mule", Type: config.PVH, Kernel: "/k", Cmdline: "ignore"}
	cfg.Complete()
	e, err := reg.Create(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Remove()
	log, err := control.NewConsoleLog(e.Path(control.ConsoleLogName))
	if err != nil {
		t.Fatal(err)
	}
	ring := control.NewRing(100)
	m, err := controltest.New(cfg, control.Options{Domid: e.Domid, ConsoleOut: log, Log: ring, Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	_ = m.Xenstore().Write("/local/domain/1/control/shutdown", []byte("poweroff"))
	s, err := control.Serve(e, m, ring)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs bytes.Buffer
	a := &app{out: &out, err: &errs, in: os.Stdin, ackTime: 50 * time.Millisecond}
	if rc := a.main([]string{"xl", "shutdown", "mule"}); rc != 1 {
		t.Errorf("status %d", rc)
	}
	if want := "Shutting down domain 1\nguest didn't acknowledge control request: -9\nshutdown failed (rc=-9)\n"; errs.String() != want {
		t.Errorf("%q, want %q", errs.String(), want)
	}
}

// TestList_hungProcessHidesNothing has a domain whose process serves nothing: its folder describes it.
func TestList_hungProcessHidesNothing(t *testing.T) {
	t.Setenv("GOZEN_RUN", filepath.Join(t.TempDir(), "run"))
	reg, err := control.OpenRegistry("")
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Domain{Name: "silent", Type: config.PVH, Kernel: "/k", MemoryMiB: 77}
	cfg.Complete()
	e, err := reg.Create(cfg) // no server behind it
	if err != nil {
		t.Fatal(err)
	}
	defer e.Remove()
	var out, errs bytes.Buffer
	a := &app{out: &out, err: &errs, in: os.Stdin}
	if rc := a.main([]string{"xl", "list", "silent"}); rc != 0 || !strings.Contains(out.String(), "   77     1     --p---       0.0\n") {
		t.Errorf("status %d, %q %q", rc, out.String(), errs.String())
	}
}
