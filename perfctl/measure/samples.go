package measure

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gozen/hypervisor/control"
	"gozen/perfctl/result"
)

// samples gives what the guest measured, in nanoseconds an operation, by workload; ticks names those that stay in ticks of the counter since
// its frequency is not known.
func (g *guestRun) samples() (by map[string][]float64, ticks map[string]bool, err error) {
	by, ticks = map[string][]float64{}, map[string]bool{}
	khz, err := g.fact("tsc-khz")
	if err != nil {
		return nil, nil, err
	}
	timer, err := g.fact("timer-ticks")
	if err != nil {
		return nil, nil, err
	}
	for _, l := range g.lines {
		for _, v := range l.Values {
			by[l.Name] = append(by[l.Name], float64(v))
		}
		if l.Kind != result.Batch {
			continue
		}
		v := float64(l.Value)
		if l.Unit == "ticks" {
			v = max(v-timer, 0)
			if khz > 0 {
				v = v * 1e6 / khz
			} else {
				ticks[l.Name] = true
			}
		}
		by[l.Name] = append(by[l.Name], v/float64(l.Ops))
	}
	return by, ticks, nil
}

func (g *guestRun) fact(name string) (float64, error) {
	v, err := strconv.ParseFloat(g.facts[name], 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
		return 0, fmt.Errorf("the guest's fact %q is %q", name, g.facts[name])
	}
	return v, nil
}

// boot gives the workloads that are measured from outside on a guest without workloads, in nanoseconds.
func (g *guestRun) boot() map[string]float64 {
	at := map[string]float64{}
	for _, m := range g.run.Milestones {
		at[m.Name] = float64(m.Wall)
	}
	out := map[string]float64{}
	for name, span := range map[string][2]float64{
		bootBuild:    {0, at["built"]},
		bootEntry:    {at["built"], at["entry"]},
		bootConsole:  {at["entry"], at["first-console-byte"]},
		bootShutdown: {at["entry"], at["end"]},
	} {
		if span[1] > 0 {
			out[name] = max(span[1]-span[0], 0)
		}
	}
	return out
}

// tally gives all counters of a run by name.
func tally(r *Run) map[string]float64 {
	out := map[string]float64{}
	for _, l := range []struct {
		kind string
		of   []control.Counter
	}{{"exit", r.Exits}, {"hypercall", r.Hypercalls}, {"event", r.Events}} {
		pv := slices.ContainsFunc(l.of, func(c control.Counter) bool { return c.Name == "monitor" })
		for _, c := range l.of {
			kind := l.kind
			if pv && strings.Contains(c.Name, ":") {
				kind = "emulated" // what a PV guest's monitor left for, counted there already
			}
			out[kind+" "+strings.Join(strings.Fields(c.Name), "-")] = float64(c.Count)
		}
	}
	for _, m := range r.Milestones {
		if m.Instructions > 0 {
			out["instructions"] = max(out["instructions"], float64(m.Instructions))
		}
	}
	return out
}

// noise is what the host's own doings cause: exits that no operation is the reason of.
var noise = []string{"exit kick", "exit signal"}

// perOp makes the counts of one operation from two tallies, the second of which has more operations. A count smaller than least is that of something
// that has nothing to do with them.
func perOp(one, two map[string]float64, more float64) []result.Count {
	const least = 0.02
	var out []result.Count
	for name, n := range two {
		v := (n - one[name]) / more
		if math.Abs(v) < least || slices.Contains(noise, name) {
			continue
		}
		out = append(out, result.Count{Name: name, PerOp: math.Round(v*1000) / 1000})
	}
	rank := func(name string) int {
		return slices.Index([]string{"instructions", "exit", "hypercall", "event", "emulated", "device"}, strings.Fields(name)[0])
	}
	slices.SortFunc(out, func(a, b result.Count) int {
		return cmp.Or(cmp.Compare(rank(a.Name), rank(b.Name)), cmp.Compare(b.PerOp, a.PerOp), cmp.Compare(a.Name, b.Name))
	})
	return out
}
