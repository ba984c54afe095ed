package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"gozen/hypervisor/config"
	"gozen/perfctl/measure"
	"gozen/perfctl/report"
	"gozen/xl/cfg"
)

// bootFlags are the flags of perfctl run boot.
type bootFlags struct {
	runs            int
	engine, pattern string
	until           string
	out             format
	timeout         time.Duration
	console, all    bool
}

func newRun() *cobra.Command {
	var f suiteFlags
	c := &cobra.Command{
		Use:   "run WORKLOAD...",
		Short: "Measure workloads, or the boot of a domain",
		Long: `Measure workloads in a benchmark guest: distribution of the times, and exact counts for one operation. A workload is a name of
perfctl list or the part of it in front of the slash. perfctl run boot CFG boots a domain of your own instead.`,
		Example: `  perfctl run trap/ud2 syscall/null
  perfctl run walk --engine soft -n 5 -o csv
  perfctl run hypercall --all
  perfctl run boot web.cfg`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args) },
	}
	f.add(c, "pvh")
	c.AddCommand(newBoot())
	return c
}

func newBoot() *cobra.Command {
	var f bootFlags
	c := &cobra.Command{
		Use:   "boot CFG [KEY=VALUE...]",
		Short: "Boot a domain and show what it cost",
		Long: `Boot the domain of an xl.cfg file, once or several times, and show time and CPU to each milestone (built, entry,
first console byte, init, end), guest instructions, and exits and hypercalls by exact cause.

The domain gets a name of its own and is destroyed afterwards. init is the first console output that --init-pattern
matches. KEY=VALUE settings count as if they stood at the end of the file.`,
		Example: `  perfctl run boot web.cfg
  perfctl run boot web.cfg -n 10 -o benchfmt > new.txt && benchstat old.txt new.txt
  perfctl run boot web.cfg vcpus=4 --until end --console
  perfctl run boot web.cfg --init-pattern 'login:' -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return runBoot(c, args, &f) },
	}
	c.Flags().IntVarP(&f.runs, "runs", "n", 1, "how many times to boot")
	c.Flags().StringVar(&f.engine, "engine", "", "soft, kvm or auto; overrides the file's engine=")
	c.Flags().StringVarP((*string)(&f.out), "output", "o", "table", "table, json or benchfmt")
	c.Flags().StringVar(&f.pattern, "init-pattern", measure.InitPattern, "regular expression that tells init on the console")
	c.Flags().StringVar(&f.until, "until", "init", "init: stop there; end: wait until the guest ends by itself")
	c.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "for each boot")
	c.Flags().BoolVar(&f.console, "console", false, "show the guest's console on standard error")
	c.Flags().BoolVar(&f.all, "all", false, allText)
	return c
}

func runBoot(c *cobra.Command, args []string, f *bootFlags) error {
	if err := f.out.check(); err != nil {
		return err
	}
	if f.runs < 1 {
		return fmt.Errorf("-n %d: give at least 1", f.runs)
	}
	if f.until != "init" && f.until != "end" {
		return fmt.Errorf("--until %q: give init or end", f.until)
	}
	re, err := regexp.Compile(f.pattern)
	if err != nil {
		return fmt.Errorf("--init-pattern: %w", err)
	}
	say := c.ErrOrStderr()
	settings := args[1:]
	if f.engine != "" {
		settings = append(settings, fmt.Sprintf("engine=%q", f.engine))
	}
	d, err := readConfig(args[0], settings, say)
	if err != nil {
		return err
	}
	o := measure.Options{Init: re, ToEnd: f.until == "end", Timeout: f.timeout}
	if f.console {
		o.Console = say
	}
	set := &report.Set{Title: "boot of " + args[0], Host: measure.ThisHost()}
	for i := range f.runs {
		if f.runs > 1 {
			fmt.Fprintf(say, "run %d of %d\n", i+1, f.runs)
		}
		r, err := measure.Boot(c.Context(), d, fmt.Sprintf("perfctl-%d-%d", os.Getpid(), i+1), o)
		if err != nil {
			return fmt.Errorf("run %d: %w", i+1, err)
		}
		set.Runs = append(set.Runs, r)
	}
	return write(set, f.out, f.all, c.OutOrStdout())
}

// shortRows is how many counters of each kind a table shows without --all.
const (
	shortRows = 12
	allText   = "show every counter in the table"
)

func write(s *report.Set, f format, all bool, w io.Writer) error {
	rows := shortRows
	if all {
		rows = 0
	}
	switch f {
	case "json":
		return s.JSON(w)
	case "benchfmt":
		return s.Bench(w)
	}
	return s.Table(w, rows)
}

// readConfig reads an xl.cfg file and the settings behind it.
func readConfig(file string, settings []string, warn io.Writer) (config.Domain, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return config.Domain{}, err
	}
	conf, err := cfg.Parse(file, src)
	if err != nil {
		return config.Domain{}, err
	}
	for _, s := range settings {
		more, err := cfg.Parse("command line", []byte(s+"\n"))
		if err == nil {
			err = conf.Merge(more)
		}
		if err != nil {
			return config.Domain{}, err
		}
	}
	res, err := conf.Domain()
	if err != nil {
		return config.Domain{}, err
	}
	for _, w := range res.Warnings {
		fmt.Fprintln(warn, w)
	}
	for _, p := range []*string{&res.Domain.Kernel, &res.Domain.Ramdisk} {
		if *p != "" {
			if *p, err = filepath.Abs(*p); err != nil {
				return config.Domain{}, err
			}
		}
	}
	return res.Domain, nil
}
