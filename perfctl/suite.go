package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gozen/benches/guest/gauge"
	"gozen/benches/guest/vehicle"
	"gozen/hypervisor/config"
	"gozen/perfctl/measure"
	"gozen/perfctl/report"
	"gozen/perfctl/result"
)

// suiteFlags are the flags of perfctl run WORKLOAD and perfctl compare.
type suiteFlags struct {
	types, engine        string
	rounds, batches      int
	quick, deterministic bool
	timeout              time.Duration
	out, save, baseline  string
	kernel, modules      string
	vehicle              string
	across, all, silent  bool
	brief                bool
	ide                  bool // put the emulated disk beside the PV disks
}

// Defaults of the two sizes of a measurement. Deterministic rounds are all alike: few will do.
const (
	fullRounds, fullBatches   = 20, 20
	quickRounds, quickBatches = 10, 5
)

func (f *suiteFlags) add(c *cobra.Command, types string) {
	c.Flags().StringVar(&f.types, "types", types, "modes, with commas between them: "+strings.Join(measure.Modes(), ", "))
	c.Flags().StringVar(&f.engine, "engine", "auto", "soft, kvm or auto")
	c.Flags().BoolVar(&f.quick, "quick", false, "fewer workloads, rounds and batches")
	c.Flags().IntVarP(&f.rounds, "rounds", "n", 0, fmt.Sprintf("rounds (0: %d, quick: %d)", fullRounds, quickRounds))
	c.Flags().IntVar(&f.batches, "batches", 0, fmt.Sprintf("batches of each workload in a round (0: %d, quick: %d)", fullBatches, quickBatches))
	c.Flags().BoolVar(&f.deterministic, "deterministic", false, "on the built-in CPU, with time counted in instructions: two runs give the same counts")
	c.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "for each guest")
	c.Flags().StringVar(&f.kernel, "kernel", "", "Linux kernel for the linux/, block/ and net/ workloads")
	c.Flags().StringVar(&f.modules, "modules", "", "folder with the modules of that kernel, for block/ and net/ (default: modules beside it, or /lib/modules/VERSION)")
	c.Flags().StringVar(&f.vehicle, "vehicle", "", "static program that measures in Linux guests (default: perfctl itself; benches/guest/vehicle/init is smaller)")
	c.Flags().StringVarP(&f.out, "output", "o", "table", strings.Join(report.Formats(), ", "))
	c.Flags().StringVarP(&f.save, "save", "f", "", "also keep the result in this file, for report, diff and gate")
	c.Flags().StringVar(&f.baseline, "baseline", "pvh", "mode that the others are put beside")
	c.Flags().BoolVar(&f.across, "across-engines", false, "show ratios across different engines, too")
	c.Flags().BoolVar(&f.all, "all", false, "show every count by its cause")
	c.Flags().BoolVar(&f.brief, "brief", false, "only modes side by side, without the distributions of each")
	c.Flags().BoolVarP(&f.silent, "silent", "s", false, "no progress on standard error")
}

func newCompare() *cobra.Command {
	var f suiteFlags
	c := &cobra.Command{
		Use:   "compare [WORKLOAD...]",
		Short: "Measure workloads in several modes and put them side by side",
		Long: `Measure workloads in a benchmark guest of each mode, in rounds that go through all modes, and put them side by side: medians
with confidence intervals, ratios to a baseline with p-values, distributions, and exact counts for one operation.

A workload is a name of perfctl list or the part of it in front of the slash; without any, all of them. A mode that
cannot run here gives one line and the others are measured.`,
		Example: `  perfctl compare
  perfctl compare --quick --types pv,pvh,hvm -f new.json
  perfctl compare walk pt/update --engine soft -n 30
  perfctl compare linux --kernel /boot/vmlinuz-6.1.0-amd64 --types pv,pvh
  perfctl compare block net --kernel /boot/vmlinuz-6.1.0-amd64
  perfctl compare --deterministic --quick -o csv > counts.csv`,
		RunE: func(c *cobra.Command, args []string) error {
			f.ide = !c.Flags().Changed("types")
			return f.run(c, args)
		},
	}
	f.add(c, strings.Join(gauge.Modes(), ","))
	c.Flags().Lookup("types").Usage += "; by default also hvm-ide where there are workloads for it"
	return c
}

// run measures and shows.
func (f *suiteFlags) run(c *cobra.Command, names []string) error {
	s, err := f.suite(c, names)
	if err != nil {
		return err
	}
	p := newProgress(c.ErrOrStderr())
	if !f.silent {
		s.Progress = p.say
	}
	var keep *os.File
	if f.save != "" { // before minutes of work
		if keep, err = os.Create(f.save); err != nil {
			return err
		}
		defer keep.Close()
	}
	r, err := s.Run(c.Context())
	p.done()
	if err != nil {
		return err
	}
	if keep != nil {
		if err := errors.Join(r.Write(keep), keep.Close()); err != nil {
			return err
		}
	}
	v := report.View{Baseline: f.base(s.Modes), Across: f.across, All: f.all, Brief: f.brief}
	return report.Write(c.OutOrStdout(), r, f.out, v)
}

// suite checks the flags.
func (f *suiteFlags) suite(c *cobra.Command, names []string) (*measure.Suite, error) {
	if !slices.Contains(report.Formats(), f.out) {
		return nil, fmt.Errorf("-o %q: the formats are %s", f.out, strings.Join(report.Formats(), ", "))
	}
	items, err := measure.Choose(names, f.quick, f.kernel != "")
	if err != nil {
		return nil, err
	}
	modes, err := f.modes()
	if err != nil {
		return nil, err
	}
	if f.ide && slices.ContainsFunc(items, func(i measure.Item) bool { return i.Needs == vehicle.Disk }) {
		modes = append(modes, measure.ModeIDE)
	}
	engine := config.Engine(f.engine)
	if !slices.Contains([]config.Engine{config.EngineAuto, config.EngineSoft, config.EngineKVM}, engine) {
		return nil, fmt.Errorf("--engine %q: give soft, kvm or auto", f.engine)
	}
	if f.deterministic {
		if engine == config.EngineKVM {
			return nil, errors.New("--deterministic: only the built-in CPU can do that (--engine soft)")
		}
		engine = config.EngineSoft
	}
	rounds, batches, err := f.size(c, len(modes))
	if err != nil {
		return nil, err
	}
	s := &measure.Suite{Title: title(names, modes), Modes: modes, Items: items, Rounds: rounds, Batches: batches, Engine: engine,
		Deterministic: f.deterministic, Version: version, Options: measure.Options{Timeout: f.timeout}}
	return s, f.linux(s)
}

// linux prepares for Linux guests: this program is their /init.
func (f *suiteFlags) linux(s *measure.Suite) (err error) {
	if f.kernel == "" {
		return nil
	}
	if _, err := os.Stat(f.kernel); err != nil {
		return fmt.Errorf("--kernel: %w", err)
	}
	if s.Kernel, err = filepath.Abs(f.kernel); err != nil {
		return err
	}
	if s.Vehicle = f.vehicle; s.Vehicle == "" {
		s.Vehicle, err = os.Executable()
	}
	s.Modules = f.modules
	return err
}

// size gives rounds and batches, and refuses what no ratio could be made of.
func (f *suiteFlags) size(c *cobra.Command, modes int) (rounds, batches int, err error) {
	rounds, batches = fullRounds, fullBatches
	if f.quick {
		rounds, batches = quickRounds, quickBatches
	}
	if c.Flags().Changed("rounds") {
		rounds = f.rounds
	}
	if c.Flags().Changed("batches") {
		batches = f.batches
	}
	switch {
	case rounds < 1:
		return 0, 0, fmt.Errorf("-n %d: give at least 1", rounds)
	case batches < 1 || batches > gauge.MaxBatches:
		return 0, 0, fmt.Errorf("--batches %d: give 1 to %d", batches, gauge.MaxBatches)
	case modes > 1 && rounds < result.MinRounds:
		return 0, 0, fmt.Errorf("-n %d: no ratio is made of fewer than %d rounds", rounds, result.MinRounds)
	}
	return rounds, batches, nil
}

func (f *suiteFlags) modes() ([]string, error) {
	var out []string
	for _, m := range strings.Split(f.types, ",") {
		m = strings.TrimSpace(m)
		if !slices.Contains(measure.Modes(), m) {
			return nil, fmt.Errorf("--types %q: no mode %q; the modes are %s", f.types, m, strings.Join(measure.Modes(), ", "))
		}
		if slices.Contains(out, m) {
			return nil, fmt.Errorf("--types %q: %s twice", f.types, m)
		}
		out = append(out, m)
	}
	return out, nil
}

// base is the baseline if it is measured, else the first mode.
func (f *suiteFlags) base(modes []string) string {
	if slices.Contains(modes, f.baseline) {
		return f.baseline
	}
	return modes[0]
}

func title(names, modes []string) string {
	what := "all workloads"
	if len(names) > 0 {
		what = strings.Join(names, ", ")
	}
	return what + ": " + strings.Join(modes, ", ")
}

// progress says on one line what is being done, on a terminal; elsewhere it says only what a person would want to find in a log.
type progress struct {
	w     io.Writer
	tty   bool
	width int
	last  time.Time
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, last: time.Now()}
	if f, ok := w.(*os.File); ok {
		st, err := f.Stat()
		p.tty = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// logEvery is how often a log gets a line.
const logEvery = 5 * time.Second

// done takes the line away.
func (p *progress) done() {
	if p.tty && p.width > 0 {
		fmt.Fprintf(p.w, "\r%-*s\r", p.width, "")
	}
}

func (p *progress) say(what string) {
	lasting := strings.Contains(what, "cannot run here") || strings.Contains(what, "is left out")
	switch {
	case p.tty:
		fmt.Fprintf(p.w, "\r%-*s\r%s", p.width, "", what)
		if p.width = len(what); lasting {
			fmt.Fprintln(p.w)
			p.width = 0
		}
	case lasting || time.Since(p.last) > logEvery:
		fmt.Fprintln(p.w, what)
		p.last = time.Now()
	}
}
