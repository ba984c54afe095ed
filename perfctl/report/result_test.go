package report

import (
	"bytes"
	"encoding/csv"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/perf/benchfmt"

	"gozen/perfctl/result"
)

// measured is a result of three modes, one of which could not run. Scale makes what pvh's traps cost larger.
func measured(scale float64) *result.Result {
	r := &result.Result{Format: 1, Title: "trap, boot: pv, pvh, hvm", Rounds: 6, Batches: 4, Env: result.Env{Engine: "soft", EngineWhy: "asked for", CPU: "Some CPU",
		CPUs: 2, Arch: "amd64", Kernel: "6.1.0", Guest: true, Governor: "performance", Pinning: "to 1", Clock: "tsc", GuestTSCkHz: 1e6, TimerTicks: 40,
		Version: "1.0", GuestKernel: "gauge 1", Mitigations: []string{"spectre_v2: Mitigation: <all>"}}}
	add := func(mode, workload, area string, base float64, counts ...result.Count) *result.Series {
		s := &result.Series{Mode: mode, Engine: "soft", Workload: workload, Area: area, Unit: "ns", Ops: 256, Counts: counts, Counted: workload != "boot/build"}
		for i := range r.Rounds {
			var b []float64
			for k := range r.Batches {
				b = append(b, base*(1+0.01*float64(i)+0.002*float64(k*k)))
			}
			s.Rounds = append(s.Rounds, b)
		}
		r.Series = append(r.Series, s)
		return s
	}
	add("pv", "boot/build", "boot", 12e6)
	add("pv", "trap/ud2", "syscalls and traps", 900, result.Count{Name: "instructions", PerOp: 4}, result.Count{Name: "exit a|b", PerOp: 1.5})
	add("pv", "walk/2m", "page tables", 1).Rounds = nil
	r.Series[2].Missing = "no large pages in a PV guest"
	add("pvh", "boot/build", "boot", 12e6)
	add("pvh", "trap/ud2", "syscalls and traps", 450*scale, result.Count{Name: "instructions", PerOp: math.Round(4 * scale)})
	add("pvh", "walk/2m", "page tables", 40)
	for _, w := range []string{"boot/build", "trap/ud2", "walk/2m"} {
		r.Series = append(r.Series, &result.Series{Mode: "hvm", Workload: w, Missing: "mode hvm cannot run here: not yet"})
	}
	return r
}

func TestWrite(t *testing.T) {
	v := View{Baseline: "pvh", All: true}
	for name, f := range map[string]string{"result.txt": "table", "result.md": "md", "result.csv": "csv", "result.bench": "benchfmt"} {
		var b bytes.Buffer
		if err := Write(&b, measured(1), f, v); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	var b bytes.Buffer
	if err := HTML(&b, measured(1), v); err != nil {
		t.Fatal(err)
	}
	golden(t, "result.html", b.Bytes())
}

// TestWrite_bench reads the output back with the reader that benchstat uses.
func TestWrite_bench(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, measured(1), "benchfmt", View{}); err != nil {
		t.Fatal(err)
	}
	var pvh []float64
	r := benchfmt.NewReader(&b, "out")
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.Result:
			if rec.GetConfig("engine") != "soft" || rec.GetConfig("figures") != result.KindSoft {
				t.Errorf("configuration %v", rec.Config)
			}
			if string(rec.Name) == "Gauge/workload=trap:ud2/mode=pvh" {
				v, _ := rec.Value("sec/op") // the reader makes seconds of ns/op
				pvh = append(pvh, v)
				if n, ok := rec.Value("instructions/op"); !ok || n != 4 {
					t.Errorf("instructions %v", n)
				}
			}
		case *benchfmt.SyntaxError:
			t.Error(rec)
		}
	}
	if len(pvh) != 6 || pvh[0] < 450e-9 || pvh[5] > 500e-9 {
		t.Errorf("%v", pvh)
	}
}

func TestWrite_csv(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, measured(1), "csv", View{}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) < 40 || !slices.Equal(rows[0], []string{"engine", "figures", "mode", "workload", "figure", "value", "unit"}) {
		t.Errorf("%v: %d rows, %v", err, len(rows), rows[0])
	}
}

func TestGrids_refused(t *testing.T) {
	few, other := measured(1), measured(1)
	for _, s := range few.Series {
		s.Rounds = s.Rounds[:min(3, len(s.Rounds))]
	}
	other.Find("pvh", "trap/ud2").Engine = "kvm-amd"
	for want, r := range map[string]*result.Result{"trap/ud2: no ratio from 3 rounds: it takes 5 (-n)": few, "trap/ud2: no ratio of soft to kvm-amd: different engines": other} {
		_, notes := Grids(r, View{Baseline: "pvh"})
		if !slices.ContainsFunc(notes, func(n string) bool { return strings.HasPrefix(n, want) }) {
			t.Errorf("%q, want %q", notes, want)
		}
	}
}

func TestDiff(t *testing.T) {
	d, err := NewDiff("old.json", "new.json", measured(1), measured(1.25), false)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]string{"diff.txt": "table", "diff.md": "md"} {
		var b bytes.Buffer
		if err := d.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

func TestRegressions(t *testing.T) {
	for _, tt := range []struct {
		name   string
		scale  float64
		limit  float64
		counts bool
		edit   func(*result.Result)
		want   []string
	}{
		{name: "the same", scale: 1, limit: 0},
		{name: "faster", scale: 0.8, limit: 0},
		{name: "slower", scale: 1.25, limit: 0.05, want: []string{"pvh trap/ud2: +25.0 % (1.25x [", "pvh trap/ud2: instructions: 5 for one operation, was 4"}},
		{name: "within the limit", scale: 1.25, limit: 0.3},
		{name: "counts", scale: 1.25, limit: 0, counts: true, want: []string{"pvh trap/ud2: instructions"}},
		{name: "not significant", scale: 1.005, limit: 0},
		{name: "gone", scale: 1, want: []string{"pvh walk/2m: missing in new"}, edit: func(r *result.Result) { r.Find("pvh", "walk/2m").Missing = "why" }},
		{name: "few", scale: 1, want: []string{"pvh walk/2m: walk/2m: no ratio from 0 rounds"}, edit: func(r *result.Result) { r.Find("pvh", "walk/2m").Rounds = nil }},
	} {
		now := measured(tt.scale)
		if tt.edit != nil {
			tt.edit(now)
		}
		d, err := NewDiff("old", "new", measured(1), now, false)
		if err != nil {
			t.Fatal(err)
		}
		bad, looked := d.Regressions(tt.limit, tt.counts)
		if len(bad) != len(tt.want) || looked == 0 {
			t.Errorf("%s: %q, want %q", tt.name, bad, tt.want)
			continue
		}
		for i, w := range tt.want {
			if !strings.HasPrefix(bad[i], w) {
				t.Errorf("%s: %q, want %q", tt.name, bad[i], w)
			}
		}
	}
	other := measured(1)
	other.Env.Engine = "kvm-amd"
	if _, err := NewDiff("old", "new", measured(1), other, false); err == nil || !strings.Contains(err.Error(), "different engines are not compared") {
		t.Errorf("%v", err)
	}
}

func TestAmount(t *testing.T) {
	for want, v := range map[string]float64{"0 ns": 0, "1.50 ns": 1.5, "15.2 ns": 15.15, "999 ns": 999, "1.00 µs": 1000, "12.3 ms": 12.34e6, "2.00 s": 2e9, "?": math.Inf(1)} {
		if got := amount(v, "ns"); got != want {
			t.Errorf("%g: %q, want %q", v, got, want)
		}
	}
	if got := amount(5, "ticks"); got != "5.00 ticks" {
		t.Errorf("%q", got)
	}
}

func TestTicks(t *testing.T) {
	for _, r := range [][2]float64{{1, 10}, {99, 101}, {1, 1e9}, {3.1, 3.2}, {450, 520}} {
		if n := len(ticks(r[0], r[1])); n < 2 || n > 12 {
			t.Errorf("%v: %d ticks", r, n)
		}
	}
}

// browsers are programs that render a page without a screen.
var browsers = []string{"chromium", "chromium-browser", "google-chrome"}

// TestHTML_rendered renders the page offline, in the light and in the dark, and looks whether it is full of something.
func TestHTML_rendered(t *testing.T) {
	program := ""
	for _, b := range browsers {
		if p, err := exec.LookPath(b); err == nil && program == "" {
			program = p
		}
	}
	if program == "" {
		t.Skip("no browser to render the page: install Debian's package chromium")
	}
	dir := t.TempDir()
	if keep := os.Getenv("GOZEN_SCREENSHOTS"); keep != "" {
		dir = keep
	}
	var b bytes.Buffer
	if err := HTML(&b, measured(1), View{Baseline: "pvh", All: true}); err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(dir, "page.html")
	if err := os.WriteFile(page, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{"light": nil, "dark": {"--force-dark-mode", "--blink-settings=preferredColorScheme=0"}} {
		shot := filepath.Join(dir, name+".png")
		args := slices.Concat([]string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1300,1500",
			"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=" + filepath.Join(t.TempDir(), "profile"), "--screenshot=" + shot}, flags, []string{"file://" + page})
		c := exec.CommandContext(t.Context(), program, args...)
		c.WaitDelay = time.Second
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
		colours := palette(t, shot)
		for what, c := range map[string]string{"curves of pv": map[string]string{"light": "1f6fc4", "dark": "6cb0f5"}[name],
			"curves of pvh": map[string]string{"light": "c8511b", "dark": "f59a68"}[name], "background": map[string]string{"light": "ffffff", "dark": "14171b"}[name]} {
			if colours[c] < 50 {
				t.Errorf("%s: %d pixels in the colour of the %s (#%s)", name, colours[c], what, c)
			}
		}
	}
}
