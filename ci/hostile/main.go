// Command hostile runs PV guests that attack the hypervisor: hypercalls with wild arguments, page tables, selectors and return frames that are wrong, privileged
// instructions, code from anywhere. Each gets Xen's errors, goes on, and is crashed or ends; the hypervisor neither panics nor hangs.
//
// Path: program.go and action.go make the guest of a seed, run.go runs it, svm.go runs this program on an emulated host with SVM.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

const usage = `Usage: hostile [flags]

Runs random PV guests that attack the hypervisor, one after the other, each in a domain of its own. The status is 1 if the hypervisor panicked or
hung; the seed is printed with it.

Examples:
  hostile -time 10m                  on the software CPU
  hostile -svm -time 10m             on KVM, in an emulated host with AMD SVM
  hostile -seed 77 -n 1 -v           one guest again, saying how it ended

Flags:
`

func main() {
	var o options
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage); flag.PrintDefaults() }
	svm := flag.Bool("svm", false, "run on an emulated host with SVM")
	flag.StringVar(&o.engine, "engine", "soft", "soft or kvm")
	flag.DurationVar(&o.time, "time", time.Minute, "how long")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the first guest; the next ones follow")
	flag.IntVar(&o.n, "n", 0, "how many guests, instead of for how long")
	flag.BoolVar(&o.verbose, "v", false, "say how each guest ended")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *svm {
		err = onSVM(ctx, o)
	} else {
		err = runAll(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
}
