package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/perf/benchfmt"

	"gozen/hypervisor/control"
	"gozen/perfctl/measure"
)

var update = flag.Bool("update", false, "rewrite golden files")

func run(scale int) *measure.Run {
	ms := time.Millisecond * time.Duration(scale)
	n := uint64(scale)
	return &measure.Run{Engine: "soft", EngineWhy: "asked for", EventABI: "fifo", VCPUs: 1, MemoryKiB: 512 << 10, OverheadKiB: 2000,
		Milestones: []control.Timing{{Name: "entry", Wall: 10 * ms, CPU: 5 * ms}, {Name: "init", Wall: 2000 * ms, CPU: 1500 * ms, Instructions: 1234567 * n}},
		Exits:      []control.Counter{{Name: "hypercall", Count: 1000 * n}, {Name: "cpuid", Count: 30}, {Name: "io:in:0x61", Count: 1}, {Name: "io:in:0x42", Count: 1}},
		Hypercalls: []control.Counter{{Name: "event_channel_op/send", Count: 900 * n}},
		End:        &control.Reason{Code: "poweroff"}}
}

func set(runs ...*measure.Run) *Set {
	return &Set{Title: "boot of web.cfg", Host: measure.Host{Kernel: "6.1.0", CPU: "Some CPU", CPUs: 2, Arch: "amd64", Guest: true}, Runs: runs}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s (-update rewrites it):\n%s", path, d)
	}
}

func TestFormats(t *testing.T) {
	one, three := set(run(1)), set(run(1), run(3), run(2))
	three.Runs[1].Exits = three.Runs[1].Exits[:1] // a run without some causes
	tests := []struct {
		name  string
		write func(*bytes.Buffer) error
	}{
		{"one.txt", func(b *bytes.Buffer) error { return one.Table(b, 2) }},
		{"three.txt", func(b *bytes.Buffer) error { return three.Table(b, 0) }},
		{"three.json", func(b *bytes.Buffer) error { return three.JSON(b) }},
		{"three.bench", func(b *bytes.Buffer) error { return three.Bench(b) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := tt.write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, b.Bytes())
		})
	}
}

func TestTable_noRuns(t *testing.T) {
	if err := set().Table(&bytes.Buffer{}, 0); err == nil {
		t.Error("an empty set was shown")
	}
}

func TestTable_hardware(t *testing.T) {
	r := run(1)
	r.Engine = "kvm-amd"
	var b bytes.Buffer
	if err := set(r).Table(&b, 0); err != nil || strings.Contains(b.String(), "emulator") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestJSON_readable(t *testing.T) {
	var b bytes.Buffer
	if err := set(run(1)).JSON(&b); err != nil {
		t.Fatal(err)
	}
	var got Set
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(set(run(1)), &got); d != "" {
		t.Error(d)
	}
}

// TestBench_readable reads the output back with the reader that benchstat uses.
func TestBench_readable(t *testing.T) {
	var b bytes.Buffer
	if err := set(run(1), run(2)).Bench(&b); err != nil {
		t.Fatal(err)
	}
	r := benchfmt.NewReader(&b, "out")
	var init []float64
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			if rec.GetConfig("engine") != "soft" {
				t.Errorf("engine %q", rec.GetConfig("engine"))
			}
			if string(rec.Name) == "Boot/vcpus=1/to=init" {
				v, ok := rec.Value("cpu-sec")
				if !ok {
					t.Error("no cpu-sec")
				}
				init = append(init, v)
			}
			if string(rec.Name) == "Boot/vcpus=1" {
				if v, ok := rec.Value("exit:io:in:0x61"); !ok || v != 1 {
					t.Errorf("exit counter %v %v", v, ok)
				}
			}
		case *benchfmt.SyntaxError:
			t.Error(rec)
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]float64{1.5, 3}, init); d != "" {
		t.Error(d)
	}
}

func TestSpread(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want spread
	}{{[]float64{7}, spread{7, 7, 7}}, {[]float64{4, 1}, spread{1, 2.5, 4}}, {[]float64{9, 1, 5}, spread{1, 5, 9}}} {
		if got := spreadOf(tt.in); got != tt.want {
			t.Errorf("%v: %v", tt.in, got)
		}
	}
}

func TestGrouped(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"} {
		if got := grouped(v); got != want {
			t.Errorf("%v: %q", v, got)
		}
	}
}
