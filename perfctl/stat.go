package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gozen/perfctl/measure"
	"gozen/perfctl/report"
)

// askTime bounds how long a domain process may take to answer.
const askTime = 10 * time.Second

func newStat() *cobra.Command {
	out, all := format("table"), false
	c := &cobra.Command{
		Use:   "stat DOMAIN",
		Short: "Show the counters of a running domain",
		Long: `Show the counters of a running domain, by name or id: the milestones of its boot, guest instructions so far, and
exits and hypercalls by exact cause. They are always on and cost the domain nothing to read.`,
		Example: `  perfctl stat web
  perfctl stat 3 -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), askTime)
			defer cancel()
			s, err := stat(ctx, args[0])
			if err != nil {
				return err
			}
			return write(s, out, all, c.OutOrStdout())
		},
	}
	c.Flags().StringVarP((*string)(&out), "output", "o", "table", "table, json or benchfmt")
	c.Flags().BoolVar(&all, "all", false, allText)
	return c
}

func stat(ctx context.Context, name string) (*report.Set, error) {
	f, err := findDomain(name)
	if err != nil {
		return nil, err
	}
	r, in, err := measure.Snapshot(ctx, f.Dir)
	if err != nil {
		return nil, fmt.Errorf("domain %s: %w", name, err)
	}
	return &report.Set{Title: fmt.Sprintf("domain %d (%s)", in.Domid, in.Name), Host: measure.ThisHost(), Runs: []*measure.Run{r}}, nil
}
