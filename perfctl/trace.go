package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gozen/hypervisor/control"
	"gozen/perfctl/report"
	"gozen/trace/bpf"
	"gozen/trace/host"
)

// tracedRows is how many causes of each vCPU a table shows.
const tracedRows = 12

func newTrace() *cobra.Command {
	out, all, kernel, seconds := "table", false, false, 5.0
	c := &cobra.Command{
		Use:   "trace --kernel [DOMAIN...]",
		Short: "Show what the host's kernel does for vCPUs",
		Long: `Watch running domains, by name or id, or all of them, from the side of the host's kernel, by eBPF programs at its tracepoints: exits by cause, ports, memory, MSRs,
the time that KVM_RUN takes, and how long vCPUs wait for a CPU. It takes root, or CAP_BPF and CAP_PERFMON. The domains do not notice, and nothing is left
behind, however perfctl ends. ^C ends it early and shows what there is.

What this host does not tell is named with the reason, never shown as zero; perfctl trace doctor says beforehand.`,
		Example: `  perfctl trace --kernel
  perfctl trace --kernel web --seconds 30 --all
  perfctl trace --kernel 3 -o json
  perfctl trace doctor`,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case !kernel:
				return errors.New("say what to trace: --kernel is what there is")
			case out != "table" && out != "md" && out != "json":
				return fmt.Errorf("-o %q: the formats are table, md and json", out)
			case !(seconds > 0 && seconds <= 86400):
				return fmt.Errorf("--seconds %v: give more than 0 and at most a day", seconds)
			}
			reg, err := control.OpenRegistry("")
			if err != nil {
				return err
			}
			r, err := host.Watch(c.Context(), reg, host.Options{Names: args, Time: time.Duration(seconds * float64(time.Second))})
			if err != nil {
				return err
			}
			if out == "json" {
				return writeJSON(c.OutOrStdout(), r)
			}
			rows := tracedRows
			if all {
				rows = 0
			}
			return report.WriteGrids(c.OutOrStdout(), tracedHeading(r), tracedGrids(r, rows), tracedNotes(r), out)
		},
	}
	c.Flags().BoolVar(&kernel, "kernel", false, "trace the host's kernel")
	c.Flags().Float64Var(&seconds, "seconds", seconds, "how long")
	c.Flags().BoolVar(&all, "all", false, fmt.Sprintf("all causes, not the %d most frequent of each vCPU", tracedRows))
	c.Flags().StringVarP(&out, "output", "o", out, "table, md or json")
	c.AddCommand(newDoctor())
	return c
}

// tracedHeading names what was watched.
func tracedHeading(r *host.Result) []string {
	cut := ""
	if r.Interrupted {
		cut = ", interrupted"
	}
	what := r.Backend.Name + ", hardware virtualization"
	if !r.Backend.Hardware {
		what = r.Backend.Name + ", no hardware virtualization"
	}
	lines := []string{fmt.Sprintf("%.1f s%s; host Linux %s, %s", r.Seconds, cut, r.Kernel, what)}
	for _, d := range r.Domains {
		when := ""
		if d.Since > 0 {
			when += fmt.Sprintf(", came after %.1f s", d.Since)
		}
		if d.Until > 0 {
			when += fmt.Sprintf(", ended after %.1f s", d.Until)
		}
		lines = append(lines, fmt.Sprintf("d%-5d  %s: vCPUs %d, engine %s, process %d%s", d.Domid, d.Name, len(d.Threads), d.Engine, d.PID, when))
	}
	return lines
}

// tracedTables are the tables, in their order.
var tracedTables = []struct{ probe, title, what string }{
	{bpf.ProbeExit, "Exits of the processor (kvm_exit)", "cause"},
	{bpf.ProbeUserExit, "Exits to user space (kvm_userspace_exit)", "cause"},
	{bpf.ProbePort, "Ports (kvm_pio)", "access"},
	{bpf.ProbeMMIO, "Memory without RAM behind it (kvm_mmio)", "access"},
	{bpf.ProbeMSR, "Machine-specific registers (kvm_msr)", "access"},
	{bpf.ProbeInterrupt, "Interrupts that the kernel injects (kvm_inj_virq)", "vector"},
	{bpf.ProbeEntry, "Entries (kvm_entry)", ""},
	{bpf.ProbePageFault, "Page faults (kvm_page_fault)", ""},
	{bpf.ProbeRun, "Time in KVM_RUN, by how it ended", "end"},
	{bpf.ProbeDelay, "Time that a vCPU which could run waits for a CPU", ""},
	{bpf.ProbeWakeup, "Time halted in the kernel (kvm_vcpu_wakeup)", "how"},
}

// tracedGrids makes a table of each probe that has figures. rows bounds the causes of a vCPU; 0: all.
func tracedGrids(r *host.Result, rows int) (grids []*report.Grid) {
	for _, t := range tracedTables {
		g := &report.Grid{Title: t.title, Header: []string{"vCPU"}, Left: 1}
		if t.what != "" {
			g.Header, g.Left = append(g.Header, t.what), 2
		}
		countRows(g, r, t.probe, rows)
		if len(g.Rows) > 0 {
			g.Header = append(g.Header, "count", "a second")
		} else if timeRows(g, r, t.probe, rows); len(g.Rows) > 0 {
			g.Header = append(g.Header, "count", "mean", "p50", "p90", "p99", "p99.9", "max")
		} else {
			continue
		}
		grids = append(grids, g)
	}
	return grids
}

func countRows(g *report.Grid, r *host.Result, probe string, rows int) {
	row := func(where host.Where, what string, n uint64) {
		cells := []string{where.String()}
		if g.Left > 1 {
			cells = append(cells, what)
		}
		g.Rows = append(g.Rows, append(cells, fmt.Sprint(n), fmt.Sprintf("%.0f", float64(n)/r.Watched(where.Domid))))
	}
	of := slices.DeleteFunc(slices.Clone(r.Counts), func(c host.Count) bool { return c.Probe != probe })
	for len(of) > 0 {
		n := 1
		for n < len(of) && of[n].Where == of[0].Where {
			n++
		}
		mine, rest := of[:n], of[n:]
		shown := n
		if rows > 0 && n > rows+1 {
			shown = rows
		}
		for _, c := range mine[:shown] {
			row(c.Where, c.What, c.Count)
		}
		if shown < n {
			sum := uint64(0)
			for _, c := range mine[shown:] {
				sum += c.Count
			}
			row(mine[0].Where, fmt.Sprintf("%d others (--all)", n-shown), sum)
		}
		of = rest
	}
}

func timeRows(g *report.Grid, r *host.Result, probe string, rows int) {
	last, shown := host.Where{}, 0
	for _, t := range r.Times {
		if t.Probe != probe {
			continue
		}
		if t.Where != last {
			last, shown = t.Where, 0
		}
		if shown++; rows > 0 && shown > rows {
			continue
		}
		cells := []string{t.Where.String()}
		if g.Left > 1 {
			cells = append(cells, t.What)
		}
		cells = append(cells, fmt.Sprint(t.Count), nanos(uint64(t.Mean)))
		for _, v := range []uint64{t.P50, t.P90, t.P99, t.P999, t.Max} {
			cells = append(cells, nanos(v))
		}
		g.Rows = append(g.Rows, cells)
	}
}

// nanos writes nanoseconds with three digits.
func nanos(n uint64) string {
	v, unit := float64(n), "ns"
	for _, u := range []string{"µs", "ms", "s"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, u
	}
	switch {
	case unit == "ns" || v >= 99.95:
		return fmt.Sprintf("%.0f %s", v, unit)
	case v >= 9.995:
		return fmt.Sprintf("%.1f %s", v, unit)
	}
	return fmt.Sprintf("%.2f %s", v, unit)
}

// tracedNotes names what is not in the tables.
func tracedNotes(r *host.Result) (notes []string) {
	var quiet, why []string
	without := map[string][]string{} // probes by the reason
	for _, s := range r.Silent {
		switch {
		case !s.Never:
			quiet = append(quiet, s.Probe)
		case without[s.Why] == nil:
			why = append(why, s.Why)
			fallthrough
		default:
			without[s.Why] = append(without[s.Why], s.Probe)
		}
	}
	for _, w := range why {
		notes = append(notes, fmt.Sprintf("not to be had: %s: %s", strings.Join(without[w], ", "), w))
	}
	if len(quiet) > 0 {
		notes = append(notes, "watched, did not happen: "+strings.Join(quiet, ", "))
	}
	for _, p := range bpf.KVM() {
		l := r.Lost[p.Name]
		if l.Room > 0 {
			notes = append(notes, fmt.Sprintf("%s: %d events are missing: there were more causes than there is room for", p.Name, l.Room))
		}
		if l.Missed > 0 {
			notes = append(notes, fmt.Sprintf("%s: the kernel left out %d events, of any thread of the host, that came while an eBPF program ran", p.Name, l.Missed))
		}
	}
	return notes
}
