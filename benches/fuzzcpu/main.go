package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// options are the command line.
type options struct {
	n        uint64
	seconds  int
	seed     uint64
	workers  int
	least    uint64
	findings string
	limit    int
	list     bool
	one      int64
	worker   string
}

func main() {
	var o options
	flag.Uint64Var(&o.n, "n", 50_000_000, "instructions to compare")
	flag.IntVar(&o.seconds, "seconds", 600, "stop after this time at the latest")
	flag.Uint64Var(&o.seed, "seed", 0, "of the random cases; 0 takes the time")
	flag.IntVar(&o.workers, "workers", 2, "processes that compare")
	flag.Uint64Var(&o.least, "least", 2000, "executions that every form must have had")
	flag.StringVar(&o.findings, "findings", ".cache/fuzzcpu", "folder for what differed")
	flag.IntVar(&o.limit, "limit", 20, "stop after this many differences")
	flag.BoolVar(&o.list, "list", false, "list the forms with their executions")
	flag.Int64Var(&o.one, "case", -1, "run only this case and show what it gave")
	flag.StringVar(&o.worker, "worker", "", "for the program's own use")
	flag.Parse()
	if o.seed == 0 {
		o.seed = uint64(time.Now().Unix())
	}
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "fuzzcpu:", err)
		os.Exit(1)
	}
}
