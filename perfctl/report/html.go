package report

import (
	"html/template"
	"io"
	"slices"

	_ "embed"

	"gozen/perfctl/result"
)

//go:embed page.html
var page string

// section is an area's plots.
type section struct {
	Area  string
	Plots []card
}

type card struct {
	Workload string
	SVG      template.HTML // made by plot, which escapes what it is given
}

// HTML writes one page that needs nothing from outside: heading, tables, and a latency plot for each workload.
func HTML(w io.Writer, r *result.Result, v View) error {
	t, err := template.New("page").Parse(page)
	if err != nil {
		return err
	}
	head := heading(r)
	grids, notes := Grids(r, v)
	if !slices.Contains(present(r), v.Baseline) {
		v.Baseline = ""
	}
	return t.Execute(w, struct {
		Title       string
		Kind        string
		Heading     []string
		Mitigations []string
		Modes       []string
		Sections    []section
		Grids       []*Grid
		Notes       []string
	}{head[0], r.Env.Kind(), head[1:], r.Env.Mitigations, present(r), sections(r), grids, notes})
}

// sections plots what has samples, area by area.
func sections(r *result.Result) (out []section) {
	modes := present(r)
	for _, w := range r.Workloads() {
		p := plot{}
		area := ""
		for i, m := range modes {
			if s := r.Find(m, w); s != nil && len(s.Rounds) > 0 {
				p.curves = append(p.curves, curveOf(s, i))
				p.unit, area = s.Unit, s.Area
			}
		}
		if len(p.curves) == 0 {
			continue
		}
		i := slices.IndexFunc(out, func(s section) bool { return s.Area == area })
		if i < 0 {
			i = len(out)
			out = append(out, section{Area: area})
		}
		out[i].Plots = append(out[i].Plots, card{w, template.HTML(p.svg())})
	}
	return out
}
