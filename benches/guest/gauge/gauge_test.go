package gauge

import (
	"bytes"
	"strings"
	"testing"

	"gozen/benches/guest/tiny"
)

// TestImage_everything emits all workloads in every mode, or why the mode lacks them; the code must fit below its stack.
func TestImage_everything(t *testing.T) {
	for _, m := range Modes() {
		b, err := Image(Spec{Mode: m, Batches: MaxBatches})
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > tiny.Stack-0x2000-tiny.Base {
			t.Errorf("%s: the image has %d bytes", m, len(b))
		}
		for _, w := range List() {
			line := "gauge: begin " + w.Name + "\r\n"
			if why, ok := findMode(m).has(&w); !ok {
				line = "gauge: skip " + w.Name + " " + why + "\r\n"
			}
			if !bytes.Contains(b, []byte(line)) {
				t.Errorf("%s: the image has no line %q", m, line)
			}
		}
		if lacks := findMode(m).lacks; len(lacks) > 4 {
			t.Errorf("%s lacks %v", m, lacks)
		}
	}
}

func TestImage_same(t *testing.T) {
	one, err := Image(Spec{Mode: "pvh"})
	two, err2 := Image(Spec{Mode: "pvh"})
	if err != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Errorf("two images of the same spec differ (%v, %v)", err, err2)
	}
}

func TestImage_refused(t *testing.T) {
	for want, s := range map[string]Spec{
		`no mode "bare": the modes are pv, pvh, hvm`: {Mode: "bare"},
		`no workload "walk/3k"`:                      {Mode: "pvh", Workloads: []string{"walk/3k"}},
		"513 batches: give 1 to 512":                 {Mode: "pvh", Batches: 513},
		"are more than 16777216":                     {Mode: "pvh", Repeat: 1 << 20},
	} {
		if _, err := Image(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}

func TestList(t *testing.T) {
	areas := map[string]int{}
	seen := map[string]bool{}
	for _, w := range List() {
		if seen[w.Name] || w.Meaning == "" || w.Ops < 1 || strings.ContainsAny(w.Name, " \t") || (w.op == nil) == (w.batch == nil) {
			t.Errorf("workload %+v", w)
		}
		seen[w.Name] = true
		areas[w.Area]++
	}
	for _, a := range []string{AreaTraps, AreaTables, AreaEvents, AreaIO} {
		if areas[a] < 2 {
			t.Errorf("%s: %d workloads", a, areas[a])
		}
	}
	if len(seen) < 12 {
		t.Errorf("%d workloads", len(seen))
	}
}
