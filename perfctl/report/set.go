package report

import (
	"cmp"
	"slices"

	"gozen/hypervisor/control"
	"gozen/perfctl/measure"
)

// Set is what is reported: one or more runs of the same domain on the same host.
type Set struct {
	Title string         `json:"title"` // "boot of web.cfg"
	Host  measure.Host   `json:"host"`
	Runs  []*measure.Run `json:"runs"`
}

// engineSoft is the name of the built-in CPU in control.Info.Engine.
const engineSoft = "soft"

// caution says what the times of the runs mean; empty where they are the hardware's.
func (s *Set) caution() string {
	for _, r := range s.Runs {
		if r.Engine == engineSoft {
			return "times are this emulator's (the built-in CPU), not a processor's; counts are exact"
		}
	}
	return ""
}

// spread is one figure over all runs that have it.
type spread struct{ min, median, max float64 }

// spreadOf sorts v.
func spreadOf(v []float64) spread {
	slices.Sort(v)
	n := len(v)
	return spread{v[0], (v[(n-1)/2] + v[n/2]) / 2, v[n-1]}
}

// moment is a milestone over all runs.
type moment struct {
	name            string
	wall, cpu, insn []float64
}

// moments gathers milestones by name, in the order in which they happened.
func (s *Set) moments() []*moment {
	var out []*moment
	for _, r := range s.Runs {
		for _, t := range r.Milestones {
			i := slices.IndexFunc(out, func(m *moment) bool { return m.name == t.Name })
			if i < 0 {
				i = len(out)
				out = append(out, &moment{name: t.Name})
			}
			m := out[i]
			m.wall = append(m.wall, t.Wall.Seconds())
			m.cpu = append(m.cpu, t.CPU.Seconds())
			m.insn = append(m.insn, float64(t.Instructions))
		}
	}
	slices.SortStableFunc(out, func(a, b *moment) int { return cmp.Compare(slices.Min(a.wall), slices.Min(b.wall)) })
	return out
}

// count is one counter over all runs; a run without it counts 0.
type count struct {
	name   string
	values []float64
}

// counts gathers counters by name, the largest first.
func (s *Set) counts(of func(*measure.Run) []control.Counter) []count {
	at := map[string]int{}
	var out []count
	for i, r := range s.Runs {
		for _, c := range of(r) {
			j, ok := at[c.Name]
			if !ok {
				j = len(out)
				at[c.Name] = j
				out = append(out, count{c.Name, make([]float64, len(s.Runs))})
			}
			out[j].values[i] += float64(c.Count)
		}
	}
	slices.SortStableFunc(out, func(a, b count) int {
		if c := cmp.Compare(slices.Max(b.values), slices.Max(a.values)); c != 0 {
			return c
		}
		return cmp.Compare(a.name, b.name)
	})
	return out
}

// groups are the lists of counters, with their titles.
func groups() []group {
	return []group{
		{"exit", func(r *measure.Run) []control.Counter { return r.Exits }},
		{"hypercall", func(r *measure.Run) []control.Counter { return r.Hypercalls }},
		{"event", func(r *measure.Run) []control.Counter { return r.Events }},
	}
}

type group struct {
	title string
	of    func(*measure.Run) []control.Counter
}
