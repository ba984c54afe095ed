package report

import (
	"fmt"
	"io"
	"math"
	"slices"

	"gozen/perfctl/result"
)

// Diff is two results beside each other, series by series.
type Diff struct {
	oldName, newName string
	old, now         *result.Result
	across           bool
	pairs            []pair
}

// pair is a series in both results; now is nil if the new one lacks it.
type pair struct {
	old, now *result.Series
	ratio    result.Ratio
	why      string // why there is no ratio
}

// NewDiff puts two results beside each other. It refuses results of different engines unless across is set.
func NewDiff(oldName, newName string, old, now *result.Result, across bool) (*Diff, error) {
	if old.Env.Engine != now.Env.Engine && !across {
		return nil, fmt.Errorf("%s is of engine %s, %s of %s: different engines are not compared (--across-engines does it all the same)",
			oldName, old.Env.Engine, newName, now.Env.Engine)
	}
	d := &Diff{oldName: oldName, newName: newName, old: old, now: now, across: across}
	for _, a := range old.Series {
		if a.Missing != "" {
			continue
		}
		p := pair{old: a, now: now.Find(a.Mode, a.Workload)}
		if p.now != nil && p.now.Missing != "" {
			p.now = nil
		}
		switch {
		case p.now == nil:
			p.why = "missing in " + newName
		case len(a.Rounds) == 0 && len(p.now.Rounds) == 0:
		default:
			r, err := result.Compare(a, p.now, across)
			if p.ratio = r; err != nil {
				p.why = err.Error()
			}
		}
		d.pairs = append(d.pairs, p)
	}
	if len(d.pairs) == 0 {
		return nil, fmt.Errorf("%s has nothing to compare", oldName)
	}
	return d, nil
}

// Write shows the difference as a table or as Markdown.
func (d *Diff) Write(w io.Writer, format string) error {
	g := &Grid{Title: "Medians of the rounds (~: no significant difference)", Header: []string{"mode", "workload", "old", "", "new", "", "new / old", "p"}, Left: 2}
	var notes []string
	for _, p := range d.pairs {
		if p.now == nil || p.why != "" {
			notes = append(notes, fmt.Sprintf("%s %s: %s", p.old.Mode, p.old.Workload, p.why))
			continue
		}
		if len(p.old.Rounds) == 0 {
			continue
		}
		row := slices.Concat([]string{p.old.Mode, p.old.Workload}, centre(p.old), centre(p.now), []string{times(p.ratio), pValue(p.ratio.P)})
		g.Rows = append(g.Rows, row)
	}
	head := []string{"difference of " + d.oldName + " (old) and " + d.newName + " (new)", "figures  " + d.now.Env.Kind(),
		"engine   " + d.now.Env.Engine, "gozen    " + d.old.Env.Version + " (old), " + d.now.Env.Version + " (new)"}
	if d.old.Env.CPU != d.now.Env.CPU || d.old.Env.Kernel != d.now.Env.Kernel {
		head = append(head, fmt.Sprintf("note     different hosts: %s, Linux %s (old); %s, Linux %s (new)", d.old.Env.CPU, d.old.Env.Kernel, d.now.Env.CPU, d.now.Env.Kernel))
	}
	grids := []*Grid{g}
	if c := d.counts(); len(c.Rows) > 0 {
		grids = append(grids, c)
	} else {
		notes = append(notes, "all counts are the same")
	}
	return WriteGrids(w, head, grids, notes, format)
}

// counts shows the counts that are not the same.
func (d *Diff) counts() *Grid {
	g := &Grid{Title: "Counts for one operation that changed", Header: []string{"mode", "workload", "count", "old", "new"}, Left: 3}
	for _, p := range d.pairs {
		for _, n := range bothCounts(p) {
			if a, b := p.old.Count(n), p.now.Count(n); a != b {
				g.Rows = append(g.Rows, []string{p.old.Mode, p.old.Workload, n, perOp(a), perOp(b)})
			}
		}
	}
	return g
}

// bothCounts names what either side counts.
func bothCounts(p pair) (names []string) {
	if p.now == nil {
		return nil
	}
	for _, s := range []*result.Series{p.old, p.now} {
		for _, c := range s.Counts {
			if !slices.Contains(names, c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names
}

// slack is what a count may grow by whatever the limit: counts are rounded to thousandths, and on engines that run in real time a few events fall
// into other operations.
const slack = 0.02

// Regressions lists what is worse in the new result by more than limit (0.05: five per cent), a line each, and says how many figures were
// looked at. Times count if the difference is significant.
func (d *Diff) Regressions(limit float64, countsOnly bool) (bad []string, looked int) {
	for _, p := range d.pairs {
		name := p.old.Mode + " " + p.old.Workload
		if p.now == nil {
			bad = append(bad, fmt.Sprintf("%s: %s", name, p.why))
			continue
		}
		if !countsOnly && len(p.old.Rounds) > 0 {
			looked++
			switch {
			case p.why != "":
				bad = append(bad, name+": "+p.why)
			case p.ratio.Significant && p.ratio.Ratio > 1+limit:
				bad = append(bad, fmt.Sprintf("%s: %+.1f %% (%s, p %s)", name, 100*(p.ratio.Ratio-1), times(p.ratio), pValue(p.ratio.P)))
			}
		}
		for _, n := range bothCounts(p) {
			looked++
			a, b := p.old.Count(n), p.now.Count(n)
			if b > a*(1+limit)+slack && !math.IsNaN(b) {
				bad = append(bad, fmt.Sprintf("%s: %s: %s for one operation, was %s", name, n, perOp(b), perOp(a)))
			}
		}
	}
	return bad, looked
}
