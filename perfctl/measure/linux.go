package measure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gozen/benches/guest/gauge"
	"gozen/benches/guest/vehicle"
	"gozen/hypervisor/config"
	"gozen/perfctl/result"
)

// linuxMemory is that of a Linux guest, in MiB.
const linuxMemory = 256

// linux boots a Linux guest that measures; with count, it waits for its counters to be read around each workload.
func (s *Suite) linux(ctx context.Context, mode string, names []string, batches int, count bool) (*guestRun, error) {
	d := config.Domain{Type: config.Type(typeOf(mode)), MemoryMiB: linuxMemory, VCPUs: 1, Kernel: s.Kernel}
	spec := vehicle.Spec{Mode: mode, Names: names, Batches: batches, Count: count}
	within, err := s.devices.attach(&d, &spec, s.needs(names))
	if err != nil {
		return nil, err
	}
	d.Ramdisk, d.Cmdline = filepath.Join(s.dir, "initramfs-"+mode), spec.Cmdline()
	if _, err := os.Stat(d.Ramdisk); err != nil {
		mods, err := s.devices.load(mode, s.needs(names))
		var b []byte
		if err == nil {
			b, err = vehicle.Initramfs(s.Vehicle, mods)
		}
		if err == nil {
			err = os.WriteFile(d.Ramdisk, b, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("RAM disk of the Linux guest: %w", err)
		}
	}
	return s.boot(ctx, mode, d, within)
}

// needs lists the devices that workloads need.
func (s *Suite) needs(names []string) (out []vehicle.Need) {
	for _, i := range s.Items {
		if slices.Contains(names, i.Name) && i.Needs != vehicle.Nothing && !slices.Contains(out, i.Needs) {
			out = append(out, i.Needs)
		}
	}
	return out
}

// tryLinux finds out whether the mode's Linux guest reports at all, and what its workloads cost in counts.
func (s *Suite) tryLinux(ctx context.Context, mode string) error {
	var names []string
	for _, i := range s.items(mode) {
		if !i.Linux {
			continue
		}
		if err := s.devices.lack(mode, i.Needs); err != nil {
			s.res.Find(mode, i.Name).Missing = err.Error()
			continue
		}
		names = append(names, i.Name)
	}
	if len(names) == 0 {
		return nil
	}
	s.say("trying: " + mode + ", Linux guest")
	g, err := s.linux(ctx, mode, names, 1, !s.Deterministic) // what comes from the host is at no certain instruction
	var mine *guestError
	var refused *modeError
	if err != nil && !errors.As(err, &mine) && !errors.As(err, &refused) {
		return err
	}
	for _, n := range names {
		r := s.res.Find(mode, n)
		if err != nil {
			r.Missing = err.Error()
			continue
		}
		if r.Missing = g.missing(n); r.Missing == "" {
			r.Counts, r.Counted = g.counts(n, r.Area)
			s.leftLinux[mode] = append(s.leftLinux[mode], n)
		}
	}
	if err == nil {
		s.res.Env.GuestKernel = g.facts["kernel"] + fmt.Sprintf(" and gauge %d", gauge.Version)
	}
	return nil
}

// missing says why the guest has not measured a workload; "" if it has.
func (g *guestRun) missing(name string) string {
	why := "the guest did not report it"
	for _, l := range g.lines {
		switch {
		case l.Name == name && l.Kind == result.Skip:
			return l.Text
		case l.Name == name && (l.Kind == result.Batch || l.Kind == result.Samples):
			why = ""
		}
	}
	return why
}

// counts gives what an operation of a workload costs, from the three marks of it (vehicle): between the first two the guest did nothing.
func (g *guestRun) counts(name, area string) ([]result.Count, bool) {
	m := g.marks[name]
	if len(m) != 3 || m[2].line.Ops == 0 {
		return nil, false
	}
	idle, work := gained(m[0].tally, m[1].tally), gained(m[1].tally, m[2].tally)
	for name, n := range idle {
		idle[name] = min(n, work[name]) // nothing is less than nothing
	}
	if what := map[string]string{AreaBlock: "requests", AreaNet: "packets"}[area]; what != "" {
		work["device "+what] = float64(m[2].line.Requests - m[1].line.Requests)
		work["device bytes"] = float64(m[2].line.Bytes - m[1].line.Bytes)
	}
	return perOp(idle, work, float64(m[2].line.Ops)), true
}

// gained is what was added to counters.
func gained(before, after map[string]float64) map[string]float64 {
	out := maps.Clone(after)
	for name, n := range before {
		out[name] -= n
	}
	return out
}

// nothing is the error if every workload is about a device that cannot be had, as far as that is known.
func (s *Suite) nothing() error {
	var why []string
	for _, i := range s.Items {
		modes := 0
		for _, m := range s.Modes {
			err := s.devices.lack(m, i.Needs)
			if !i.in(m) {
				continue
			}
			if modes++; err == nil {
				if r := s.res.Find(m, i.Name); r == nil || r.Missing == "" || i.Needs == vehicle.Nothing {
					return nil
				} else {
					err = errors.New(r.Missing)
				}
			}
			if line := err.Error(); !slices.Contains(why, line) {
				why = append(why, line)
			}
		}
		if modes == 0 {
			return nil // said elsewhere
		}
	}
	if len(why) == 0 {
		return nil
	}
	return errors.New(strings.Join(why, "\n"))
}
