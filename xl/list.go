package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"gozen/hypervisor/control"
)

// gather asks all the given domains at once. A domain that does not answer is described by what its run folder says, so
// that one that hangs never hides the others.
func gather(doms []control.Found) []control.Info {
	out := make([]control.Info, len(doms))
	var wg sync.WaitGroup
	for i, f := range doms {
		wg.Go(func() {
			if f.Domid == 0 {
				out[i] = dom0()
				return
			}
			c, ctx, cancel := ask(f)
			defer cancel()
			defer c.Close()
			in, err := c.Info(ctx)
			if err != nil {
				in = fromFolder(f)
			}
			out[i] = in
		})
	}
	wg.Wait()
	return out
}

func fromFolder(f control.Found) control.Info {
	in := control.Info{Name: f.Name, Domid: f.Domid, UUID: f.UUID, Type: string(f.Config.Type), Started: f.Started, PID: f.PID,
		MemoryKiB: f.Config.MemoryMiB << 10, MaxMemKiB: f.Config.MaxMemoryMiB << 10, MaxVCPUs: f.Config.MaxVCPUs}
	in.State.Paused = f.Phase == control.PhaseBuilding
	for i := range min(f.Config.MaxVCPUs, 8192) {
		in.VCPUs = append(in.VCPUs, control.VCPUInfo{ID: i, Online: i < f.Config.VCPUs, CPU: -1})
	}
	return in
}

// listFlags are the columns of xl list beyond the usual ones.
type listFlags struct{ verbose, context, pool, numa bool }

func (a *app) list(c *call) int {
	var fl listFlags
	var f format
	long := false
	args, rc := a.parse(c, options{short: "lvZcno:", long: map[string]byte{"long": 'l', "verbose": 'v', "context": 'Z',
		"cpupool": 'c', "numa": 'n', "output": 'o'}}, func(o byte, v string) {
		switch o {
		case 'l':
			long = true
		case 'v':
			fl.verbose = true
		case 'Z':
			fl.context = true
		case 'c':
			fl.pool = true
		case 'n':
			fl.numa = true
		case 'o':
			f = format(v)
		}
	})
	if rc != noReturn {
		return rc
	}
	if rc := a.checkFormat(f); rc != noReturn {
		return rc
	}
	if len(args) > 1 {
		a.help("list")
		return exitFail
	}
	doms, ok := a.chosen(args)
	if !ok {
		return exitFail
	}
	switch {
	case long:
		return a.listLong(doms)
	case f == "json":
		rows := []listRow{}
		for _, in := range gather(doms) {
			rows = append(rows, listRow{in, in.State.Letters()})
		}
		return a.printJSON(rows)
	}
	printList(a.out, gather(doms), fl)
	return exitOK
}

// listRow is what -o json prints of a domain.
type listRow struct {
	control.Info
	Letters string `json:"state_letters"`
}

// chosen gives the named domains, or all with Domain-0 first.
func (a *app) chosen(names []string) ([]control.Found, bool) {
	if len(names) == 0 {
		all, ok := a.domains()
		return append([]control.Found{{Name: dom0Name}}, all...), ok
	}
	var out []control.Found
	for _, n := range names {
		f, ok := a.find(n)
		if !ok {
			return nil, false
		}
		out = append(out, f)
	}
	return out, true
}

// printList prints the table of xl list, byte for byte.
func printList(w io.Writer, rows []control.Info, fl listFlags) {
	var b strings.Builder
	b.WriteString("Name                                        ID   Mem VCPUs\tState\tTime(s)")
	if fl.verbose {
		b.WriteString("   UUID                            Reason-Code\tSecurity Label")
	}
	if fl.context && !fl.verbose {
		b.WriteString("   Security Label")
	}
	if fl.pool {
		b.WriteString("         Cpupool")
	}
	if fl.numa {
		b.WriteString(" NODE Affinity")
	}
	b.WriteByte('\n')
	for _, in := range rows {
		online := 0
		for _, v := range in.VCPUs {
			if v.Online {
				online++
			}
		}
		fmt.Fprintf(&b, "%-40s %5d %5d %5d     %s  %8.1f", in.Name, in.Domid, in.MemoryKiB/1024, online, in.State.Letters(),
			in.CPUTime.Seconds())
		if fl.verbose {
			fmt.Fprintf(&b, " %s", in.UUID)
			if n := control.ReasonNumber(in.State.Reason); in.State.Shutdown && n >= 0 {
				fmt.Fprintf(&b, " %8x", n)
			} else {
				fmt.Fprintf(&b, " %8s", "-")
			}
		}
		if fl.verbose || fl.context {
			fmt.Fprintf(&b, " %16s", "-")
		}
		if fl.pool {
			fmt.Fprintf(&b, "%16s", "Pool-0")
		}
		if fl.numa {
			b.WriteString(" all")
		}
		b.WriteByte('\n')
	}
	_, _ = io.WriteString(w, b.String())
}
