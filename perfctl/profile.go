package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/pprof/profile"
	"github.com/spf13/cobra"

	"gozen/hypervisor/control"
)

func newProfile() *cobra.Command {
	var o struct {
		out, kind string
		seconds   int
		rate, top int
	}
	c := &cobra.Command{
		Use:   "profile DOMAIN",
		Short: "Profile the guest of a running domain",
		Long: `Profile the guest of a running domain, by name or id, from outside: no agent in it, no PMU, no privilege. The file is one of pprof's:
go tool pprof shows it as a table, a graph or a flame graph.

  cpu   where the guest's processors are, sampled at --rate
  exit  each time that a guest is left for the hypervisor, with the time until it goes on, by exact cause and by the guest's function`,
		Example: `  perfctl profile web
  perfctl profile web --seconds 30 -o web.pb.gz && go tool pprof -http=: web.pb.gz
  perfctl profile 3 --kind exit -o exits.pb.gz`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains(control.ProfileKinds, o.kind) {
				return fmt.Errorf("--kind %q: the kinds are %s", o.kind, strings.Join(control.ProfileKinds, ", "))
			}
			if o.seconds < 1 || o.rate < 1 || o.rate > control.MaxRate {
				return fmt.Errorf("--seconds is 1 at least, --rate 1 to %d", control.MaxRate)
			}
			f, err := findDomain(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "profiling domain %d (%s) for %d s\n", f.Domid, f.Name, o.seconds)
			b, err := takeProfile(c.Context(), f, o.kind, time.Duration(o.seconds)*time.Second, o.rate)
			if err != nil {
				return err
			}
			if o.out != "" {
				if err := os.WriteFile(o.out, b, 0o644); err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "written to %s: go tool pprof %s\n", o.out, o.out)
			}
			if o.top == 0 {
				return nil
			}
			p, err := profile.ParseData(b)
			if err != nil {
				return err
			}
			return printTop(c.OutOrStdout(), p, o.top)
		},
	}
	c.Flags().StringVarP(&o.out, "output", "o", "", "file to write the profile to")
	c.Flags().StringVar(&o.kind, "kind", control.ProfileKinds[0], strings.Join(control.ProfileKinds, " or "))
	c.Flags().IntVar(&o.seconds, "seconds", 10, "how long")
	c.Flags().IntVar(&o.rate, "rate", control.DefaultRate, "samples a second of each vCPU")
	c.Flags().IntVar(&o.top, "top", 10, "how many lines to print; 0 for none")
	return c
}

// findDomain gives the domain that a person named.
func findDomain(name string) (control.Found, error) {
	reg, err := control.OpenRegistry("")
	if err != nil {
		return control.Found{}, err
	}
	f, err := reg.Find(name)
	if errors.Is(err, control.ErrNotFound) {
		return f, fmt.Errorf("no domain %q runs here; see xl list", name)
	}
	return f, err
}

func takeProfile(ctx context.Context, f control.Found, kind string, length time.Duration, rate int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, length+askTime)
	defer cancel()
	c := control.NewClient(f.Dir)
	defer c.Close()
	var out bytes.Buffer
	if err := c.Profile(ctx, kind, length, rate, &out); err != nil {
		return nil, fmt.Errorf("domain %s: %w", f.Name, err)
	}
	return out.Bytes(), nil
}

// printTop prints the functions, or causes, with the most samples.
func printTop(w io.Writer, p *profile.Profile, n int) error {
	type row struct {
		name   string
		values []int64
	}
	rows, total := map[string]*row{}, make([]int64, len(p.SampleType))
	for _, s := range p.Sample {
		name := "(nothing)"
		if len(s.Location) > 0 && len(s.Location[0].Line) > 0 {
			name = s.Location[0].Line[0].Function.Name
		}
		r := rows[name]
		if r == nil {
			r = &row{name, make([]int64, len(total))}
			rows[name] = r
		}
		for i, v := range s.Value {
			r.values[i] += v
			total[i] += v
		}
	}
	if total[0] == 0 {
		_, err := fmt.Fprintln(w, "no samples: the guest did nothing meanwhile")
		return err
	}
	var all []*row
	for _, r := range rows {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *row) int {
		if d := b.values[0] - a.values[0]; d != 0 {
			return int(d)
		}
		return strings.Compare(a.name, b.name)
	})
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\tof all\t%s\t  function\n", p.SampleType[0].Type, p.SampleType[1].Type)
	for _, r := range all[:min(n, len(all))] {
		fmt.Fprintf(t, "%d\t%.1f %%\t%v\t  %s\n", r.values[0], 100*float64(r.values[0])/float64(total[0]), time.Duration(r.values[1]).Round(time.Microsecond), r.name)
	}
	fmt.Fprintf(t, "%d\t\t%v\t  in all\n", total[0], time.Duration(total[1]).Round(time.Microsecond))
	return t.Flush()
}
