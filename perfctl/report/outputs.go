package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/perf/benchfmt"

	"gozen/perfctl/result"
)

// Formats are the names of the output formats of a result.
func Formats() []string { return []string{"table", "json", "csv", "md", "benchfmt"} }

// Write writes a result in a format.
func Write(w io.Writer, r *result.Result, format string, v View) error {
	switch format {
	case "json":
		return r.Write(w)
	case "csv":
		return writeCSV(w, r)
	case "benchfmt":
		return writeBench(w, r)
	}
	grids, notes := Grids(r, v)
	return WriteGrids(w, heading(r), grids, notes, format)
}

// WriteGrids writes a heading, grids and notes as a table or as Markdown.
func WriteGrids(w io.Writer, head []string, grids []*Grid, notes []string, format string) error {
	if format == "md" {
		return writeMarkdown(w, head, grids, notes)
	}
	if _, err := io.WriteString(w, strings.Join(head, "\n")+"\n"); err != nil {
		return err
	}
	for _, g := range grids {
		if err := g.text(w); err != nil {
			return err
		}
	}
	for _, n := range notes {
		if _, err := fmt.Fprintln(w, n); err != nil {
			return err
		}
	}
	return nil
}

func writeMarkdown(w io.Writer, head []string, grids []*Grid, notes []string) error {
	if _, err := fmt.Fprintf(w, "## %s\n\n", head[0]); err != nil {
		return err
	}
	list := append([]string(nil), head[1:]...)
	for _, l := range list {
		name, value, _ := strings.Cut(l, " ")
		if _, err := fmt.Fprintf(w, "- %s: %s\n", name, strings.TrimSpace(value)); err != nil {
			return err
		}
	}
	for _, g := range grids {
		if err := g.markdown(w); err != nil {
			return err
		}
	}
	for _, n := range notes {
		if _, err := fmt.Fprintf(w, "\n> %s\n", n); err != nil {
			return err
		}
	}
	return nil
}

// writeCSV writes one row for each figure: mode, workload, name of the figure, value, unit.
func writeCSV(w io.Writer, r *result.Result) error {
	c := csv.NewWriter(w)
	_ = c.Write([]string{"engine", "figures", "mode", "workload", "figure", "value", "unit"})
	row := func(s *result.Series, figure string, v float64, unit string) {
		_ = c.Write([]string{s.Engine, r.Env.Kind(), s.Mode, s.Workload, figure, strconv.FormatFloat(v, 'g', -1, 64), unit})
	}
	for _, s := range r.Series {
		if sum, ok := s.Summary(); ok {
			for _, f := range []struct {
				name string
				v    float64
			}{{"n", float64(sum.N)}, {"median", sum.Median}, {"median-lo", sum.Lo}, {"median-hi", sum.Hi}, {"min", sum.Min}, {"p50", sum.P50}, {"p90", sum.P90},
				{"p99", sum.P99}, {"p99.9", sum.P999}, {"max", sum.Max}, {"mean", sum.Mean}, {"sd", sum.SD}, {"mad", sum.MAD}} {
				unit := s.Unit
				if f.name == "n" {
					unit = "samples"
				}
				row(s, f.name, f.v, unit)
			}
		}
		for _, n := range s.Counts {
			row(s, n.Name, n.PerOp, "per operation")
		}
	}
	c.Flush()
	return c.Error()
}

// writeBench writes a line for each round: benchstat compares files of them.
func writeBench(w io.Writer, r *result.Result) error {
	out := benchfmt.NewWriter(w)
	for _, s := range r.Series {
		config := benchConfig(r, s)
		name := benchfmt.Name("Gauge/workload=" + strings.ReplaceAll(s.Workload, "/", ":") + "/mode=" + s.Mode)
		counts := benchCounts(s)
		for i := range max(len(s.Rounds), min(len(counts), 1)) {
			values := counts
			if i < len(s.Rounds) && len(s.Rounds[i]) > 0 {
				one := result.Series{Rounds: s.Rounds[i : i+1]}
				sum, _ := one.Summary()
				unit := s.Unit + "/op"
				values = append([]benchfmt.Value{{Value: sum.Median, Unit: unit}}, counts...)
			}
			if len(values) == 0 {
				continue
			}
			res := &benchfmt.Result{Config: config, Name: name, Iters: max(int(s.Ops)*r.Batches, 1), Values: values}
			if err := out.Write(res); err != nil {
				return err
			}
		}
	}
	return nil
}

func benchConfig(r *result.Result, s *result.Series) []benchfmt.Config {
	var config []benchfmt.Config
	for _, c := range [][2]string{{"figures", r.Env.Kind()}, {"engine", s.Engine}, {"goarch", r.Env.Arch}, {"cpu", r.Env.CPU}, {"kernel", r.Env.Kernel},
		{"guest-kernel", r.Env.GuestKernel}, {"gozen", r.Env.Version}} {
		if v := oneLine(c[1]); v != "" {
			config = append(config, benchfmt.Config{Key: c[0], Value: []byte(v), File: true})
		}
	}
	return config
}

func benchCounts(s *result.Series) (values []benchfmt.Value) {
	for _, c := range s.Counts {
		values = append(values, benchfmt.Value{Value: c.PerOp, Unit: strings.ReplaceAll(c.Name, " ", ":") + "/op"})
	}
	return values
}
