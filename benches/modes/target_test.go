package modes

import (
	"slices"
	"testing"
	"time"

	"gozen/perfctl/measure"
	"gozen/perfctl/result"
)

func TestTargets_exist(t *testing.T) {
	all := measure.Catalogue()
	for _, x := range Targets() {
		if !slices.ContainsFunc(all, func(i measure.Item) bool { return i.Name == x.Workload }) {
			t.Errorf("no workload %q", x.Workload)
		}
	}
}

func TestJudge(t *testing.T) {
	r := &result.Result{Series: []*result.Series{{Mode: "pvh", Workload: "trap/ud2", Counts: []result.Count{{Name: "exit a", PerOp: 1}, {Name: "exit b", PerOp: 0.504},
		{Name: "instructions", PerOp: 4}}}, {Mode: "pv", Workload: "trap/ud2", Missing: "why"}}}
	for want, tt := range map[string]Target{
		"target pvh-trap-ud2-exits 1.5 (limit 2) ok":                      {"pvh", "trap/ud2", "exit", 2},
		"target pvh-trap-ud2-exits 1.5 (limit 0) MISSED":                  {"pvh", "trap/ud2", "exit", 0},
		"target pvh-trap-ud2-events 0 (limit 0) ok":                       {"pvh", "trap/ud2", "event", 0},
		"target pv-trap-ud2-exits none: not measured (limit 1) MISSED":    {"pv", "trap/ud2", "exit", 1},
		"target hvm-walk-4k-exits none: not measured (limit 0.02) MISSED": {"hvm", "walk/4k", "exit", 0.02},
	} {
		line, ok := tt.Judge(r)
		if line != want || ok != (want[len(want)-2:] == "ok") {
			t.Errorf("%q, want %q", line, want)
		}
	}
	if line, ok := JudgeTime("pv", 2500*time.Millisecond, 20*time.Second); !ok || line != "target pv-measured-in-seconds 2.5 (limit 20) ok" {
		t.Errorf("%q", line)
	}
}
