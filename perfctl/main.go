// Command perfctl measures gozen domains: what operations cost in each mode, what a boot costs, and the counters of a domain that runs.
//
// main.go makes the command tree; suite.go measures workloads in benchmark guests, run.go boots a person's own domain, stat.go asks a domain
// that runs (perfctl/measure does all three); results.go has what works on result files; perfctl/report shows everything.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gozen/benches/guest/vehicle"
	"gozen/hypervisor/config"
)

// version is set at build time with -ldflags "-X main.version=...".
var version = "0.1.0"

func main() {
	if vehicle.Wanted() { // this is the first process of a Linux guest that measures
		vehicle.Main()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "perfctl: "+explain(err))
		stop()
		os.Exit(1)
	}
}

// explain gives an error's parts a line each.
func explain(err error) string {
	var es []*config.Error
	var one *config.Error
	if errors.As(err, &one) {
		es = config.Errors(err)
	}
	if len(es) == 0 {
		return err.Error()
	}
	text := ""
	for i, e := range es {
		if i > 0 {
			text += "\nperfctl: "
		}
		text += e.Error()
	}
	return text
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "perfctl",
		Short: "Measure gozen domains",
		Long: `perfctl measures gozen domains: what operations cost in each mode (PV, PVH, HVM), what a boot costs, and the counters of a
domain that runs.

Every figure names its engine. Counts (instructions, exits, hypercalls) are exact and can be compared across
machines; times on the built-in CPU are this emulator's, and say nothing about a processor.`,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(newList(), newRun(), newCompare(), newReport(), newDiff(), newGate(), newGuest(), newStat(), newProfile(), newTrace(), newEnv())
	return root
}

// format is the value of -o.
type format string

func (f format) check() error {
	switch f {
	case "table", "json", "benchfmt":
		return nil
	}
	return fmt.Errorf("-o %q: the formats are table, json and benchfmt", string(f))
}
