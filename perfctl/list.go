package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gozen/perfctl/measure"
	"gozen/perfctl/report"
)

func newList() *cobra.Command {
	out := "table"
	c := &cobra.Command{
		Use:   "list",
		Short: "List the workloads",
		Example: `  perfctl list
  perfctl list -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all := measure.Catalogue()
			if out == "json" {
				return writeJSON(c.OutOrStdout(), all)
			}
			if out != "table" && out != "md" {
				return fmt.Errorf("-o %q: the formats are table, md and json", out)
			}
			g := &report.Grid{Header: []string{"workload", "area", "quick", "what is measured"}, Left: 4}
			for _, i := range all {
				quick := ""
				if i.Quick {
					quick = "yes"
				}
				g.Rows = append(g.Rows, []string{i.Name, i.Area, quick, i.Meaning})
			}
			return report.WriteGrids(c.OutOrStdout(), []string{fmt.Sprintf("%d workloads", len(all))}, []*report.Grid{g}, nil, out)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", out, "table, md or json")
	return c
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(v)
}

func newEnv() *cobra.Command {
	out := "table"
	c := &cobra.Command{
		Use:   "env",
		Short: "Show the environment that every result carries",
		Example: `  perfctl env
  perfctl env -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			e := measure.Environment(version)
			switch out {
			case "table":
				return report.Environment(c.OutOrStdout(), &e)
			case "json":
				return writeJSON(c.OutOrStdout(), e)
			}
			return fmt.Errorf("-o %q: the formats are table and json", out)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", out, "table or json")
	return c
}
