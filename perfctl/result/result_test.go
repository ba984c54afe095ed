package result

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseLine(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Line
		ok   bool
		err  string
	}{
		{in: "gauge: hello 1 mode pvh\r\n", want: Line{Kind: Hello, Name: "pvh", Value: 1}, ok: true},
		{in: "gauge: fact kernel Linux 6.1.0", want: Line{Kind: Fact, Name: "kernel", Text: "Linux 6.1.0"}, ok: true},
		{in: "gauge: begin trap/ud2", want: Line{Kind: Begin, Name: "trap/ud2"}, ok: true},
		{in: "\rgauge: batch trap/ud2 ops 00000256 ticks 000000012345\r", want: Line{Kind: Batch, Name: "trap/ud2", Ops: 256, Unit: "ticks", Value: 12345}, ok: true},
		{in: "gauge: skip walk/1g no such pages", want: Line{Kind: Skip, Name: "walk/1g", Text: "no such pages"}, ok: true},
		{in: "gauge: samples block/read-4k ns 5 1234", want: Line{Kind: Samples, Name: "block/read-4k", Unit: "ns", Values: []uint64{5, 1234}}, ok: true},
		{in: "gauge: mark net/send ops 16 requests 400 bytes 16800000", want: Line{Kind: Mark, Name: "net/send", Ops: 16, Requests: 400, Bytes: 16800000}, ok: true},
		{in: "gauge: end", want: Line{Kind: End}, ok: true},
		{in: "[    0.000000] Linux version 6.1"},
		{in: "someone says gauge: end"},
		{in: ""},
		{in: "gauge: ", ok: true, err: "an empty line"},
		{in: "gauge: batch x ops 0 ticks 5", ok: true, err: "0 operations"},
		{in: "gauge: batch x ops 5 ticks -5", ok: true, err: "invalid syntax"},
		{in: "gauge: samples x ns 5 -5", ok: true, err: "invalid syntax"},
		{in: "gauge: samples x ns", ok: true, err: "not a known line"},
		{in: "gauge: mark x ops 1 requests y bytes 0", ok: true, err: "invalid syntax"},
		{in: "gauge: batch x ops 5 years 5", ok: true, err: "not a known line"},
		{in: "gauge: batch x ops 99999999999 ns 5", ok: true, err: "operations"},
		{in: "gauge: " + strings.Repeat("x", 500), ok: true, err: "a line of 500 bytes"},
	} {
		got, ok, err := ParseLine(tt.in)
		if ok != tt.ok || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: ok %v, error %v", tt.in, ok, err)
		}
		if d := cmp.Diff(tt.want, got); err == nil && d != "" {
			t.Errorf("%q: %s", tt.in, d)
		}
	}
}

func FuzzParseLine(f *testing.F) {
	for _, s := range []string{"gauge: hello 1 mode pvh", "gauge: batch a ops 1 ns 2", "gauge: skip a b", "gauge: fact a b c", "\rgauge: end\r\n", "gauge: samples a ns 1 2", "gauge: mark a ops 1 requests 2 bytes 3", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, ok, err := ParseLine(s)
		if ok && err == nil && l.Kind == Batch && (l.Ops == 0 || l.Name == "" || int64(l.Value) < 0) {
			t.Errorf("%q: %+v", s, l)
		}
	})
}

func series(engine string, rounds ...[]float64) *Series {
	return &Series{Mode: "pvh", Engine: engine, Workload: "w", Unit: "ns", Rounds: rounds}
}

func each(v ...float64) (out [][]float64) {
	for _, x := range v {
		out = append(out, []float64{x})
	}
	return out
}

func TestSummary_known(t *testing.T) {
	var rounds [][]float64
	for r := range 10 { // 1 to 1000
		var b []float64
		for i := range 100 {
			b = append(b, float64(r+10*i+1))
		}
		rounds = append(rounds, b)
	}
	s, ok := series("soft", rounds...).Summary()
	if !ok || s.N != 1000 || s.Rounds != 10 || s.Min != 1 || s.Max != 1000 || s.P50 != 500.5 || s.MAD != 250 {
		t.Errorf("%+v", s)
	}
	for want, got := range map[float64]float64{900: s.P90, 990: s.P99, 999: s.P999, 500.5: s.Mean, 288.8194: s.SD} {
		if math.Abs(got-want) > want/500 {
			t.Errorf("%g, want %g", got, want)
		}
	}
	if s.Median != 500.5 || s.Lo > s.Median || s.Hi < s.Median || s.Lo < 496 || s.Hi > 505 {
		t.Errorf("median %g [%g, %g]", s.Median, s.Lo, s.Hi)
	}
	if _, ok := series("soft").Summary(); ok {
		t.Error("no samples have a summary")
	}
}

// TestSummary_order: the confidence interval of ten rounds' median is from the second to the ninth (97.9 % by order statistics).
func TestSummary_order(t *testing.T) {
	s, _ := series("soft", each(9, 1, 8, 2, 7, 3, 6, 4, 5, 10)...).Summary()
	if s.Median != 5.5 || s.Lo != 2 || s.Hi != 9 {
		t.Errorf("%g [%g, %g]", s.Median, s.Lo, s.Hi)
	}
}

// TestCompare_known has p-values from tables of the Mann-Whitney U test.
func TestCompare_known(t *testing.T) {
	for _, tt := range []struct {
		name  string
		a, b  [][]float64
		p     float64
		ratio float64
		sign  bool
	}{
		{"apart", each(1, 2, 3, 4, 5), each(6, 7, 8, 9, 10), 2.0 / 252, 8.0 / 3, true}, // U = 0: 2 of (10 over 5) orders
		{"mixed", each(1, 3, 5, 7, 9), each(2, 4, 6, 8, 10), 0.690, 6.0 / 5, false},
		{"same", each(5, 5, 5, 5, 5), each(5, 5, 5, 5, 5), 1, 1, false},
		{"constant", each(5, 5, 5, 5, 5), each(6, 6, 6, 6, 6), 0.0079, 1.2, true},
	} {
		r, err := Compare(series("soft", tt.a...), series("soft", tt.b...), false)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if math.Abs(r.P-tt.p) > 0.001 || math.Abs(r.Ratio-tt.ratio) > 1e-9 || r.Significant != tt.sign {
			t.Errorf("%s: %+v", tt.name, r)
		}
		if r.Lo > r.Ratio || r.Hi < r.Ratio {
			t.Errorf("%s: the interval [%g, %g] is beside %g", tt.name, r.Lo, r.Hi, r.Ratio)
		}
	}
}

func TestCompare_refused(t *testing.T) {
	five := each(1, 2, 3, 4, 5)
	other := series("soft", five...)
	other.Unit = "ticks"
	for want, s := range map[string]*Series{
		"no ratio from 4 rounds: it takes 5": series("soft", each(1, 2, 3, 4)...),
		"different engines":                  series("kvm-amd", five...),
		"different units":                    other,
	} {
		if _, err := Compare(series("soft", five...), s, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Compare(series("soft", five...), series("kvm-amd", five...), true); err != nil {
		t.Error(err)
	}
	if _, err := Compare(series("soft", each(0, 0, 0, 0, 0)...), series("soft", five...), false); err == nil {
		t.Error("a ratio to 0")
	}
}

func TestKind(t *testing.T) {
	for want, e := range map[string]Env{KindSoft: {Engine: "soft", Guest: true}, KindVirtual: {Engine: "soft", Fixed: true}, KindSoftKVM: {Engine: "kvm-pvm"},
		KindNested: {Engine: "kvm-intel", Guest: true}, KindHardware: {Engine: "kvm-amd"}, KindUnknown: {}} {
		if got := e.Kind(); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}

func TestFile(t *testing.T) {
	r := &Result{Format: FormatVersion, Title: "t", Env: Env{Engine: "soft"}, Series: []*Series{series("soft", each(1, 2)...)}}
	r.Series[0].Counts = []Count{{"instructions", 7}}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r, got); d != "" {
		t.Error(d)
	}
	if s := got.Find("pvh", "w"); s.Count("instructions") != 7 || s.Count("none") != 0 || got.Find("pv", "w") != nil {
		t.Errorf("%+v", s)
	}
}

func TestRead_bad(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "not a result file of perfctl",
		"[1]":                          "not a result file of perfctl",
		"{}":                           "format 0",
		`{"format":2}`:                 "format 2",
		`{"format":1,"series":[null]}`: "series 1 has no mode",
		`{"format":1,"series":[{"mode":"pvh","workload":"w","rounds":[[-1]]}]}`: "a sample of -1",
	} {
		if _, err := Read(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// FuzzRead: what is read without error can be described and compared.
func FuzzRead(f *testing.F) {
	f.Add(`{"format":1,"series":[{"mode":"pvh","workload":"w","unit":"ns","rounds":[[1,2],[3],[],[1e300],[0]],"counts":[{"name":"exit x","per_op":2}]}]}`)
	f.Add(`{"format":1,"series":[{"mode":"pvh","workload":"w","missing":"why"}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 4096 {
			return
		}
		r, err := Read(strings.NewReader(s))
		if err != nil {
			return
		}
		for _, s := range r.Series[:min(len(r.Series), 4)] {
			s.Summary()
			_, _ = Compare(s, s, true)
		}
		r.Modes()
		r.Workloads()
	})
}
