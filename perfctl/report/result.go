package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"gozen/perfctl/result"
)

// View says how a result is shown.
type View struct {
	Baseline string // mode that the others stand beside; empty: none
	Across   bool   // ratios across engines are meant
	All      bool   // all counts by cause
	Brief    bool   // only what puts modes side by side
}

// heading describes where a result comes from, a line each.
func heading(r *result.Result) []string {
	e := &r.Env
	lines := []string{r.Title, "figures  " + e.Kind(), "engine   " + join(" (", ")", e.Engine, e.EngineWhy)}
	lines = append(lines, environment(e)...)
	if r.Rounds > 0 {
		lines = append(lines, fmt.Sprintf("taken    in %s of %s each, modes interleaved; %s ticks for reading the counter are taken off each batch",
			plural(r.Rounds, "round"), batches(r.Batches), perOp(e.TimerTicks)))
	}
	return lines
}

func batches(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}

// environment is the part of the heading that is known without a guest, too.
func environment(e *result.Env) []string {
	virtual := ""
	if e.Guest {
		virtual = "; itself a virtual machine"
	}
	lines := []string{fmt.Sprintf("host     %s, %s, %s, Linux %s%s", e.CPU, plural(e.CPUs, "CPU"), e.Arch, e.Kernel, virtual),
		"state    " + strings.Join(slices.DeleteFunc([]string{word("governor", e.Governor), word("pinned", e.Pinning), word("clock source", e.Clock)},
			func(s string) bool { return s == "" }), ", ")}
	if e.GuestTSCkHz > 0 {
		lines = append(lines, fmt.Sprintf("guest    %s, counter at %.3f MHz", e.GuestKernel, e.GuestTSCkHz/1000))
	} else if e.GuestKernel != "" {
		lines = append(lines, "guest    "+e.GuestKernel+", frequency of its counter not known: times are ticks")
	}
	return append(lines, "gozen    "+e.Version)
}

func word(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " " + value
}

func join(before, after, a, b string) string {
	if b == "" {
		return a
	}
	return a + before + b + after
}

// Environment writes an environment alone, with the mitigations.
func Environment(w io.Writer, e *result.Env) error {
	lines := environment(e)
	for _, m := range e.Mitigations {
		lines = append(lines, "mitigation "+m)
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// Grids makes the tables of a result, and lines of what was left out or refused.
func Grids(r *result.Result, v View) (grids []*Grid, notes []string) {
	modes := present(r)
	if len(modes) > 1 && r.Rounds > 0 {
		g, n := beside(r, modes, v)
		grids, notes = append(grids, g), append(notes, n...)
	}
	for _, m := range modes {
		if r.Rounds > 0 && (!v.Brief || len(modes) == 1) {
			grids = append(grids, spread1(r, m))
		}
	}
	if g := counted(r, modes); len(g.Rows) > 0 {
		grids = append(grids, g)
	}
	if v.All {
		grids = append(grids, causes(r, modes))
	}
	return grids, append(notes, absent(r)...)
}

// present lists the modes that have anything.
func present(r *result.Result) []string {
	return slices.DeleteFunc(r.Modes(), func(m string) bool {
		return !slices.ContainsFunc(r.Series, func(s *result.Series) bool { return s.Mode == m && s.Missing == "" })
	})
}

// absent says what is missing and why, one line for each reason and mode.
func absent(r *result.Result) (notes []string) {
	modes := present(r)
	type reason struct{ mode, why string }
	var order []reason
	names := map[reason][]string{}
	for _, s := range r.Series {
		if s.Missing == "" {
			continue
		}
		k := reason{s.Mode, s.Missing}
		if !slices.Contains(modes, s.Mode) && strings.HasPrefix(s.Missing, "mode ") {
			k.mode = "" // it says which mode, and that all of it is missing
		}
		if names[k] == nil {
			order = append(order, k)
		}
		names[k] = append(names[k], s.Workload)
	}
	for _, k := range order {
		if k.mode == "" {
			notes = append(notes, k.why)
			continue
		}
		notes = append(notes, fmt.Sprintf("%s: no %s: %s", k.mode, strings.Join(names[k], ", "), k.why))
	}
	return notes
}

// beside puts the modes' medians next to each other, with ratios to the baseline.
func beside(r *result.Result, modes []string, v View) (*Grid, []string) {
	g := &Grid{Title: "Medians of the rounds, with the confidence interval of 95 % (~: no significant difference)", Header: []string{"workload"}}
	for _, m := range modes {
		g.Header = append(g.Header, m, "")
	}
	for _, m := range modes {
		if m != v.Baseline && v.Baseline != "" {
			g.Header = append(g.Header, m+" / "+v.Baseline, "p")
		}
	}
	var notes []string
	for _, w := range r.Workloads() {
		row := []string{w}
		for _, m := range modes {
			row = append(row, centre(r.Find(m, w))...)
		}
		base := r.Find(v.Baseline, w)
		for _, m := range modes {
			if m == v.Baseline || v.Baseline == "" {
				continue
			}
			cells, note := ratioCells(base, r.Find(m, w), v.Across)
			if note != "" && !slices.Contains(notes, note) {
				notes = append(notes, note)
			}
			row = append(row, cells...)
		}
		g.Rows = append(g.Rows, row)
	}
	return g, notes
}

func centre(s *result.Series) []string {
	if s == nil {
		return []string{"-", ""}
	}
	sum, ok := s.Summary()
	if !ok {
		return []string{"-", ""}
	}
	return []string{amount(sum.Median, s.Unit), either(sum)}
}

func ratioCells(base, s *result.Series, across bool) (cells []string, note string) {
	if base == nil || s == nil || len(base.Rounds) == 0 || len(s.Rounds) == 0 {
		return []string{"-", ""}, ""
	}
	ratio, err := result.Compare(base, s, across)
	if err != nil {
		return []string{"-", ""}, err.Error()
	}
	return []string{times(ratio), pValue(ratio.P)}, ""
}

// spread1 shows the distribution of all samples of a mode.
func spread1(r *result.Result, mode string) *Grid {
	g := &Grid{Title: mode + ": distribution of all batches, for one operation",
		Header: []string{"workload", "n", "median", "", "min", "p50", "p90", "p99", "p99.9", "max", "mean", "sd", "MAD"}}
	for _, s := range r.Series {
		sum, ok := s.Summary()
		if s.Mode != mode || !ok {
			continue
		}
		row := append([]string{s.Workload, fmt.Sprint(sum.N)}, centre(s)...)
		for _, q := range []float64{sum.Min, sum.P50, sum.P90, sum.P99, sum.P999, sum.Max, sum.Mean, sum.SD, sum.MAD} {
			row = append(row, amount(q, s.Unit))
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}
