package report

import (
	"slices"
	"strings"

	"gozen/perfctl/result"
)

// kinds of counts, in the order of columns.
var kinds = []struct{ prefix, title string }{{"instructions", "instructions"}, {"exit", "exits"}, {"hypercall", "hypercalls"}, {"event", "upcalls and interrupts"}}

// counted shows what an operation costs in counts, kind by kind.
func counted(r *result.Result, modes []string) *Grid {
	g := &Grid{Title: "Counts for one operation (exact)", Header: []string{"workload", "mode"}, Left: 2}
	for _, k := range kinds {
		g.Header = append(g.Header, k.title)
	}
	for _, w := range r.Workloads() {
		for _, m := range modes {
			if s := r.Find(m, w); s != nil && s.Counted {
				g.Rows = append(g.Rows, countedRow(s))
			}
		}
	}
	return g
}

func countedRow(s *result.Series) []string {
	row := []string{s.Workload, s.Mode}
	for _, k := range kinds {
		v, ok := total(s, k.prefix)
		cell := perOp(v)
		if k.prefix == "instructions" && !ok {
			cell = "-" // the engine does not count them
		}
		row = append(row, cell)
	}
	return row
}

// total adds up the counts of a kind; ok is false if there is none.
func total(s *result.Series, kind string) (v float64, ok bool) {
	for _, c := range s.Counts {
		if c.Name == kind || strings.HasPrefix(c.Name, kind+" ") {
			v, ok = v+c.PerOp, true
		}
	}
	return v, ok
}

// causes shows every count by its cause.
func causes(r *result.Result, modes []string) *Grid {
	g := &Grid{Title: "Counts for one operation by cause", Header: append([]string{"workload", "count"}, modes...), Left: 2}
	for _, w := range r.Workloads() {
		var names []string
		for _, m := range modes {
			if s := r.Find(m, w); s != nil {
				for _, c := range s.Counts {
					if !slices.Contains(names, c.Name) {
						names = append(names, c.Name)
					}
				}
			}
		}
		for _, n := range names {
			row := []string{w, n}
			for _, m := range modes {
				cell := "-"
				if s := r.Find(m, w); s != nil && s.Missing == "" {
					cell = perOp(s.Count(n))
				}
				row = append(row, cell)
			}
			g.Rows = append(g.Rows, row)
		}
	}
	return g
}
