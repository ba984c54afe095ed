package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gozen/perfctl/report"
	"gozen/trace/doctor"
)

func newDoctor() *cobra.Command {
	out := "table"
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Show what this host can tell of vCPUs, and what it keeps to itself",
		Long: `Try each source of figures about vCPUs on this host: rights, tracefs, BTF, the tracepoints (with a sample guest whose exits are known), and eBPF's other ways into
the kernel. Nothing stays attached. States: ok; silent (it is there and tells nothing); missing; refused; not tried (nothing made it fire).`,
		Example: `  perfctl trace doctor
  perfctl trace doctor -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if out != "table" && out != "md" && out != "json" {
				return fmt.Errorf("-o %q: the formats are table, md and json", out)
			}
			r := doctor.Look()
			if out == "json" {
				return writeJSON(c.OutOrStdout(), r)
			}
			g := &report.Grid{Header: []string{"what", "state", "detail"}, Left: 3}
			var notes []string
			for _, k := range r.Checks {
				g.Rows = append(g.Rows, []string{k.Name, string(k.State), k.Detail})
				if k.Fix != "" {
					notes = append(notes, fmt.Sprintf("%s: %s", k.Name, k.Fix))
				}
			}
			return report.WriteGrids(c.OutOrStdout(), []string{r.Summary}, []*report.Grid{g}, notes, out)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", out, "table, md or json")
	return c
}
