package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/tw"
)

// Table writes the set for people. Of each list of counters the first rows are shown, all of them with rows 0; the others are
// added up in one row.
func (s *Set) Table(w io.Writer, rows int) error {
	if len(s.Runs) == 0 {
		return fmt.Errorf("%s: there is no run to show", s.Title)
	}
	if _, err := io.WriteString(w, s.preamble()); err != nil {
		return err
	}
	if err := s.momentTable(w); err != nil {
		return err
	}
	for _, g := range groups() {
		if err := s.countTable(w, g, rows); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) preamble() string {
	r := s.Runs[0]
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s\n", s.Title, plural(len(s.Runs), "run"))
	fmt.Fprintf(&b, "engine  %s (%s)\n", r.Engine, r.EngineWhy)
	virtual := ""
	if s.Host.Guest {
		virtual = "; itself a virtual machine"
	}
	fmt.Fprintf(&b, "host    %s, %s, Linux %s%s\n", s.Host.CPU, plural(s.Host.CPUs, "CPU"), s.Host.Kernel, virtual)
	fmt.Fprintf(&b, "guest   %s, %d MiB; domain process: %d KiB beyond that\n", plural(r.VCPUs, "vCPU"), r.MemoryKiB>>10, r.OverheadKiB)
	for i, r := range s.Runs {
		if r.End != nil && (i == 0 || s.Runs[i-1].End == nil || *s.Runs[i-1].End != *r.End) {
			fmt.Fprintf(&b, "ended   %s %s\n", r.End.Code, r.End.Text)
		}
	}
	if c := s.caution(); c != "" {
		fmt.Fprintf(&b, "note    %s\n", c)
	}
	return b.String()
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// table makes an empty one with the first column to the left and numbers to the right, headers as they are given.
func table(w io.Writer, header []string) *tablewriter.Table {
	align := make([]tw.Align, len(header))
	for i := range align {
		align[i] = tw.AlignRight
	}
	align[0] = tw.AlignLeft
	t := tablewriter.NewTable(w, tablewriter.WithHeaderAutoFormat(tw.Off), tablewriter.WithRowAutoFormat(tw.Off),
		tablewriter.WithRowAutoWrap(tw.WrapNone), tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: align}))
	t.Header(header)
	return t
}

func (s *Set) momentTable(w io.Writer) error {
	header := []string{"milestone", "time s", "CPU s", "guest instructions"}
	if len(s.Runs) > 1 {
		header = []string{"milestone", "time s min", "median", "max", "CPU s min", "median", "max", "instructions min", "median", "max"}
	}
	t := table(w, header)
	for _, m := range s.moments() {
		row := []string{m.name}
		row = append(row, s.cells(m.wall, seconds)...)
		row = append(row, s.cells(m.cpu, seconds)...)
		row = append(row, s.cells(m.insn, grouped)...)
		if err := t.Append(row); err != nil {
			return err
		}
	}
	return t.Render()
}

func (s *Set) countTable(w io.Writer, g group, rows int) error {
	counts := s.counts(g.of)
	if len(counts) == 0 {
		return nil
	}
	header := []string{g.title, "count"}
	if len(s.Runs) > 1 {
		header = []string{g.title, "min", "median", "max"}
	}
	t := table(w, header)
	total := sum(counts, len(s.Runs))
	if rows > 0 && len(counts) > rows+1 {
		rest := counts[rows:]
		counts = append(counts[:rows:rows], count{fmt.Sprintf("%d other causes (--all)", len(rest)), sum(rest, len(s.Runs))})
	}
	for _, c := range counts {
		if err := t.Append(append([]string{c.name}, s.cells(c.values, grouped)...)); err != nil {
			return err
		}
	}
	if err := t.Append(append([]string{"total"}, s.cells(total, grouped)...)); err != nil {
		return err
	}
	return t.Render()
}

// sum adds counters up, run by run.
func sum(counts []count, runs int) []float64 {
	out := make([]float64, runs)
	for _, c := range counts {
		for i, v := range c.values {
			out[i] += v
		}
	}
	return out
}

// cells gives one cell for a single run and three for several.
func (s *Set) cells(v []float64, format func(float64) string) []string {
	sp := spreadOf(slices.Clone(v))
	if len(s.Runs) == 1 {
		return []string{format(sp.median)}
	}
	return []string{format(sp.min), format(sp.median), format(sp.max)}
}

func seconds(v float64) string { return strconv.FormatFloat(v, 'f', 3, 64) }

// grouped writes a whole number with commas.
func grouped(v float64) string {
	d := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(d) - 3; i > 0 && d[i-1] != '-'; i -= 3 {
		d = d[:i] + "," + d[i:]
	}
	return d
}
