package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gozen/perfctl/report"
	"gozen/perfctl/result"
)

func newReport() *cobra.Command {
	var file, baseline string
	var across bool
	c := &cobra.Command{
		Use:   "report RESULT",
		Short: "Make a page with latency plots from a result file",
		Long:  `Make one HTML page from a result file (-f of run and compare): tables and latency plots. It needs no network.`,
		Example: `  perfctl compare --quick -f new.json
  perfctl report new.json -o new.html`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := result.ReadFile(args[0])
			if err != nil {
				return err
			}
			v := report.View{Baseline: baseline, Across: across, All: true}
			if file == "" {
				return report.HTML(c.OutOrStdout(), r, v)
			}
			f, err := os.Create(file)
			if err != nil {
				return err
			}
			return errors.Join(report.HTML(f, r, v), f.Close())
		},
	}
	c.Flags().StringVarP(&file, "output", "o", "", "file to write (default: standard output)")
	c.Flags().StringVar(&baseline, "baseline", "pvh", "mode that the others are put beside")
	c.Flags().BoolVar(&across, "across-engines", false, "show ratios across different engines, too")
	return c
}

func newDiff() *cobra.Command {
	out, across := "table", false
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what changed between two result files",
		Example: `  perfctl diff old.json new.json
  perfctl diff old.json new.json -o md`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if out != "table" && out != "md" {
				return fmt.Errorf("-o %q: the formats are table and md", out)
			}
			d, err := difference(args, across)
			if err != nil {
				return err
			}
			return d.Write(c.OutOrStdout(), out)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", out, "table or md")
	c.Flags().BoolVar(&across, "across-engines", false, "compare results of different engines, too")
	return c
}

func newGate() *cobra.Command {
	limit, across, counts := "5%", false, false
	c := &cobra.Command{
		Use:   "gate OLD NEW",
		Short: "Fail if a result file is significantly worse than another",
		Long: `Compare two result files, and exit with status 1 if a median of NEW is significantly worse than in OLD by more than the limit, if an
operation costs more counts by more than the limit, or if a workload of OLD is not in NEW. With --counts only counts are looked at: they
are exact, and the same on every machine.`,
		Example: `  perfctl gate old.json new.json --max-regression 5%
  perfctl gate old.json new.json --counts --max-regression 0`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			max, err := percent(limit)
			if err != nil {
				return fmt.Errorf("--max-regression: %w", err)
			}
			d, err := difference(args, across)
			if err != nil {
				return err
			}
			bad, looked := d.Regressions(max, counts)
			for _, b := range bad {
				fmt.Fprintln(c.OutOrStdout(), b)
			}
			if len(bad) > 0 {
				return fmt.Errorf("worse beyond %s: %d of %d figures", limit, len(bad), looked)
			}
			fmt.Fprintf(c.OutOrStdout(), "no regression beyond %s in %d figures\n", limit, looked)
			return nil
		},
	}
	c.Flags().StringVar(&limit, "max-regression", limit, "how much worse is still good: 5%, or 0.05")
	c.Flags().BoolVar(&across, "across-engines", false, "compare results of different engines, too")
	c.Flags().BoolVar(&counts, "counts", false, "look at counts only")
	return c
}

func difference(files []string, across bool) (*report.Diff, error) {
	old, err := result.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	now, err := result.ReadFile(files[1])
	if err != nil {
		return nil, err
	}
	return report.NewDiff(files[0], files[1], old, now, across)
}

// percent reads "5%" or "0.05" as a share.
func percent(s string) (float64, error) {
	t, isPercent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || !(v >= 0 && v <= 1e6) {
		return 0, fmt.Errorf("%q is no share: give 5%% or 0.05", s)
	}
	switch {
	case isPercent:
		v /= 100
	case v > 1:
		return 0, fmt.Errorf("%q is more than all of it: give 5%% or 0.05", s)
	}
	return v, nil
}
