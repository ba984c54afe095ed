package measure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"gozen/benches/guest/gauge"
	"gozen/hypervisor/config"
	"gozen/perfctl/result"
)

// Suite measures workloads in benchmark guests, mode beside mode.
type Suite struct {
	Title         string
	Modes         []string
	Items         []Item
	Rounds        int // 0: only counts
	Batches       int // of a workload in a round
	Engine        config.Engine
	Kernel        string // of Linux guests, an absolute path
	Modules       string // folder with modules of that kernel; empty: where they usually are
	Vehicle       string // static program that is a Linux guest's /init (benches/guest/vehicle)
	Deterministic bool
	Version       string
	Options       Options      // Program, Root and Timeout are used
	Progress      func(string) // told what is being done; may be nil

	dir       string // for images
	made      int    // guests so far
	res       *result.Result
	left      map[string][]string // workloads that can be measured, by mode
	leftLinux map[string][]string // those of Linux guests
	devices   *devices
}

// Run measures: first what every operation costs in counts, one workload at a time, which also shows what a mode cannot do; then the
// times, in rounds that go through all modes.
func (s *Suite) Run(ctx context.Context) (*result.Result, error) {
	dir, err := os.MkdirTemp("", "perfctl")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if s.Options.Timeout == 0 {
		s.Options.Timeout = time.Minute
	}
	s.leftLinux = map[string][]string{}
	if s.dir, s.left = dir, map[string][]string{}; s.Deterministic { // what is measured from outside is not
		s.Items = slices.DeleteFunc(slices.Clone(s.Items), func(i Item) bool { return i.ops == 0 })
	}
	s.res = &result.Result{Format: result.FormatVersion, Title: s.Title, Env: Environment(s.Version), Rounds: s.Rounds, Batches: s.Batches}
	s.res.Env.Fixed = s.Deterministic
	s.devices = s.openDevices()
	defer s.devices.close()
	if err := s.nothing(); err != nil { // before anything was booted
		return nil, err
	}
	var modes []string
	var failed []error
	for _, m := range s.Modes {
		switch err := s.count(ctx, m); {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			failed = append(failed, err)
			s.missing(m, err)
		default:
			modes = append(modes, m)
		}
	}
	if len(modes) == 0 {
		return nil, errors.Join(failed...)
	}
	if err := s.nothing(); err != nil {
		return nil, err
	}
	for _, err := range failed {
		s.say(err.Error())
	}
	for r := range s.Rounds {
		for i := range modes {
			m := modes[(r+i)%len(modes)] // no mode is always the first
			s.say(fmt.Sprintf("round %d of %d: %s", r+1, s.Rounds, m))
			if err := s.round(ctx, m); err != nil {
				return nil, fmt.Errorf("round %d: %w", r+1, err)
			}
		}
	}
	return s.res, nil
}

func (s *Suite) say(what string) {
	if s.Progress != nil {
		s.Progress(what)
	}
}

// missing notes a mode that cannot run.
func (s *Suite) missing(mode string, why error) {
	s.res.Series = slices.DeleteFunc(s.res.Series, func(r *result.Series) bool { return r.Mode == mode })
	for _, i := range s.items(mode) {
		s.res.Series = append(s.res.Series, &result.Series{Mode: mode, Workload: i.Name, Area: i.Area, Missing: why.Error()})
	}
}

// items lists what is measured in a mode.
func (s *Suite) items(mode string) []Item {
	return slices.DeleteFunc(slices.Clone(s.Items), func(i Item) bool { return !i.in(mode) })
}

// count runs every workload twice in a mode, the second time with twice the operations: the difference is theirs alone.
func (s *Suite) count(ctx context.Context, mode string) error {
	s.say("counting: " + mode)
	items := s.items(mode)
	if len(items) == 0 {
		return &modeError{mode, errors.New("it is for workloads on a disk (block) only")}
	}
	empty, err := s.guest(ctx, gauge.Spec{Mode: typeOf(mode), Workloads: []string{}, Batches: 1}, 1)
	if err != nil {
		return err
	}
	s.environment(empty)
	for n, i := range items {
		r := &result.Series{Mode: mode, Engine: empty.run.Engine, Workload: i.Name, Area: i.Area, Unit: "ns", Ops: uint64(i.ops)}
		s.res.Series = append(s.res.Series, r)
		if i.ops == 0 || i.Linux {
			continue
		}
		s.say(fmt.Sprintf("counting: %s, %d of %d: %s", mode, n+1, len(items), i.Name))
		if err := s.countOne(ctx, r, i); err != nil {
			var mine *guestError
			if !errors.As(err, &mine) {
				return err
			}
			r.Missing = err.Error()
			s.say(fmt.Sprintf("%s is left out: %v", i.Name, err))
		}
		if r.Missing == "" {
			s.left[mode] = append(s.left[mode], i.Name)
		}
	}
	return s.tryLinux(ctx, mode)
}

func (s *Suite) environment(g *guestRun) {
	e := &s.res.Env
	e.Engine, e.EngineWhy = g.run.Engine, g.run.EngineWhy
	e.GuestTSCkHz, _ = strconv.ParseFloat(g.facts["tsc-khz"], 64)
	e.TimerTicks, _ = strconv.ParseFloat(g.facts["timer-ticks"], 64)
	if e.GuestKernel = g.facts["kernel"]; e.GuestKernel == "" {
		e.GuestKernel = fmt.Sprintf("gauge %d", gauge.Version)
	}
}

// countOne fills in a series' counts, or why it is missing.
func (s *Suite) countOne(ctx context.Context, r *result.Series, i Item) error {
	var tallies [2]map[string]float64
	defer func(was bool) { s.Deterministic = was }(s.Deterministic)
	if r.Engine == "soft" { // exact in any case: nothing depends on how long the host takes
		s.Deterministic = true
	}
	for k := range tallies {
		g, err := s.guest(ctx, gauge.Spec{Mode: r.Mode, Workloads: []string{i.Name}, Batches: 1, Repeat: k + 1}, i.vcpus)
		if err != nil {
			return err
		}
		for _, l := range g.lines {
			if l.Kind == result.Skip {
				r.Missing = l.Text
				return nil
			}
		}
		if tallies[k] = tally(g.run); i.vcpus > 1 {
			delete(tallies[k], "instructions") // most of them look whether another vCPU is done
		}
	}
	more := float64(gauge.Executed(2*i.ops, 1) - gauge.Executed(i.ops, 1))
	r.Counts, r.Counted = perOp(tallies[0], tallies[1], more), true
	return nil
}

// round measures all workloads in a mode, and keeps their samples.
func (s *Suite) round(ctx context.Context, mode string) error {
	if slices.ContainsFunc(s.items(mode), func(i Item) bool { return i.ops == 0 }) {
		empty, err := s.guest(ctx, gauge.Spec{Mode: mode, Workloads: []string{}, Batches: 1}, 1)
		if err != nil {
			return err
		}
		for name, v := range empty.boot() {
			s.keep(mode, name, "ns", []float64{v})
		}
	}
	for vcpus, names := range s.byVCPUs(s.left[mode]) {
		g, err := s.guest(ctx, gauge.Spec{Mode: mode, Workloads: names, Batches: s.Batches}, vcpus)
		if err != nil {
			return err
		}
		if err := s.keepAll(mode, g); err != nil {
			return err
		}
	}
	if names := s.leftLinux[mode]; len(names) > 0 {
		g, err := s.linux(ctx, mode, names, s.Batches, false)
		if err != nil {
			return err
		}
		return s.keepAll(mode, g)
	}
	return nil
}

// byVCPUs sorts workloads by the vCPUs that their guest needs.
func (s *Suite) byVCPUs(names []string) map[int][]string {
	out := map[int][]string{}
	for _, i := range s.Items {
		if slices.Contains(names, i.Name) {
			out[i.vcpus] = append(out[i.vcpus], i.Name)
		}
	}
	return out
}

// keepAll adds what a guest measured to the series.
func (s *Suite) keepAll(mode string, g *guestRun) error {
	samples, ticks, err := g.samples()
	if err != nil {
		return fmt.Errorf("mode %s: %w", mode, err)
	}
	for name, v := range samples {
		unit := "ns"
		if ticks[name] {
			unit = "ticks"
		}
		s.keep(mode, name, unit, v)
	}
	return nil
}

// keep adds a round's samples to the series that is being measured.
func (s *Suite) keep(mode, workload, unit string, v []float64) {
	if r := s.res.Find(mode, workload); r != nil && r.Missing == "" {
		r.Rounds, r.Unit = append(r.Rounds, v), unit
	}
}
