package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Grid is a table of words: what text and Markdown have in common. Cells of the first columns that are words stand to the left.
type Grid struct {
	Title  string
	Header []string
	Rows   [][]string
	Left   int // how many columns stand to the left
}

// text writes the grid with lines around it.
func (g *Grid) text(w io.Writer) error {
	if g.Title != "" {
		if _, err := fmt.Fprintf(w, "\n%s\n", g.Title); err != nil {
			return err
		}
	}
	return g.render(w, nil)
}

func (g *Grid) render(w io.Writer, r tw.Renderer) error {
	align := make([]tw.Align, len(g.Header))
	for i := range align {
		align[i] = tw.AlignRight
		if i < max(g.Left, 1) {
			align[i] = tw.AlignLeft
		}
	}
	opts := []tablewriter.Option{tablewriter.WithHeaderAutoFormat(tw.Off), tablewriter.WithRowAutoFormat(tw.Off),
		tablewriter.WithRowAutoWrap(tw.WrapNone), tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAlignmentConfig(tw.CellAlignment{PerColumn: align}),
		tablewriter.WithHeaderAlignmentConfig(tw.CellAlignment{PerColumn: align})}
	if r != nil {
		opts = append(opts, tablewriter.WithRenderer(r), tablewriter.WithAlignment(align))
	}
	t := tablewriter.NewTable(w, opts...)
	t.Header(g.Header)
	for _, row := range g.Rows {
		if err := t.Append(row); err != nil {
			return err
		}
	}
	return t.Render()
}

// markdown writes the grid for Markdown, where a pipe ends a cell.
func (g *Grid) markdown(w io.Writer) error {
	if g.Title != "" {
		if _, err := fmt.Fprintf(w, "\n### %s\n\n", g.Title); err != nil {
			return err
		}
	}
	safe := Grid{Header: escaped(g.Header), Left: g.Left}
	for _, r := range g.Rows {
		safe.Rows = append(safe.Rows, escaped(r))
	}
	return safe.render(w, renderer.NewMarkdown())
}

func escaped(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	return out
}
