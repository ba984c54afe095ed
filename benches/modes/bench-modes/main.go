// Command bench-modes measures the benchmark guest in every mode, shows modes side by side, and holds the counts of each operation
// against their targets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gozen/benches/guest/gauge"
	"gozen/benches/modes"
	"gozen/hypervisor/config"
	"gozen/perfctl/measure"
	"gozen/perfctl/report"
	"gozen/perfctl/result"
)

// perMode is how long a quick measurement of one mode may take.
const perMode = 20 * time.Second

func main() {
	types := flag.String("types", strings.Join(gauge.Modes(), ","), "modes, with commas between them")
	engine := flag.String("engine", "soft", "soft, kvm or auto")
	bin := flag.String("bin", "bin", "folder with hypervisor")
	save := flag.String("save", "", "keep the result and the page in FILE.json and FILE.html")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, strings.Split(*types, ","), config.Engine(*engine), *bin, *save)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-modes:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func run(ctx context.Context, types []string, engine config.Engine, bin, save string) (ok bool, err error) {
	items, err := measure.Choose(nil, false, false)
	if err != nil {
		return false, err
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return false, err
	}
	s := measure.Suite{Title: "all workloads: " + strings.Join(types, ", "), Modes: types, Items: items, Rounds: 10, Batches: 5, Engine: engine,
		Version: "this tree", Options: measure.Options{Program: filepath.Join(bin, "hypervisor")}}
	began := time.Now()
	r, err := s.Run(ctx)
	if err != nil {
		return false, err
	}
	took := time.Since(began) / time.Duration(len(types))
	v := report.View{Baseline: "pvh"}
	if err := report.Write(os.Stdout, r, "table", v); err != nil {
		return false, err
	}
	if save != "" {
		if err := keep(r, v, save); err != nil {
			return false, err
		}
	}
	line, ok := modes.JudgeTime("mode", took, perMode)
	fmt.Println(line)
	for _, t := range modes.Targets() {
		line, good := t.Judge(r)
		fmt.Println(line)
		ok = ok && good
	}
	return ok, nil
}

// keep writes the result file and the page.
func keep(r *result.Result, v report.View, name string) error {
	f, err := os.Create(name + ".json")
	if err != nil {
		return err
	}
	if err := errors.Join(r.Write(f), f.Close()); err != nil {
		return err
	}
	if f, err = os.Create(name + ".html"); err != nil {
		return err
	}
	v.All = true
	return errors.Join(report.HTML(f, r, v), f.Close())
}
