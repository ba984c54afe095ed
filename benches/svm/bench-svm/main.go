// Command bench-svm measures gozen on KVM inside an emulated host with AMD SVM whose clock counts instructions, one a nanosecond, so that
// figures repeat: beside QEMU's microvm, which boots the same guest on the same host, beside C, and beside the host's own kernel. It prints a table and
// a line for each target.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"gozen/benches/svm"
)

const usage = `Usage: bench-svm [flags]

Boots emulated hosts (as root it installs what is missing: QEMU, a C compiler) and measures gozen there beside QEMU's microvm, C and the
bare kernel. Takes a quarter of an hour. The status is 1 if a target is missed or something could not be measured, 2 if nothing could be.

Examples:
  bench-svm                          both hosts
  bench-svm -host 6.1                one of them, with the targets that it decides
  bench-svm -only boot -v            only the jobs whose names match, showing the consoles of the hosts
  bench-svm -json figures.json       also write all figures to a file

Flags:
`

type options struct {
	hosts          []string
	only           string
	json           string
	log            bool
	modes, devices bool
}

func main() {
	var o options
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage); flag.PrintDefaults() }
	host := flag.String("host", "", "kernel of the emulated host, 6.1 or 6.12, instead of both")
	flag.StringVar(&o.only, "only", "", "run only the jobs whose name contains this; the targets of others count as missed")
	flag.StringVar(&o.json, "json", "", "write the figures to this file")
	flag.BoolVar(&o.log, "v", false, "show the consoles of the emulated hosts")
	flag.BoolVar(&o.modes, "modes", false, "measure PV, PVH and HVM guests on the host with kernel 6.1 instead, with the targets of modes")
	flag.BoolVar(&o.devices, "devices", false, "measure disk and network of guests on the host with kernel 6.1 instead, with the targets of devices")
	flag.Parse()
	if o.modes || o.devices {
		*host = svm.Host61
	}
	o.hosts = svm.Hosts()
	if *host != "" {
		o.hosts = []string{strings.TrimSuffix(*host, "-cloud")}
	}
	if flag.NArg() > 0 || !slices.Contains(svm.Hosts(), o.hosts[0]) {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ok, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-svm:", err)
	}
	switch {
	case errors.Is(err, errNothing):
		os.Exit(2)
	case err != nil || !ok:
		os.Exit(1)
	}
}

var errNothing = errors.New("nothing was measured")

// run measures, prints and judges. What was measured is printed whatever fails.
func run(ctx context.Context, o options) (bool, error) {
	dir, err := os.MkdirTemp("", "bench-svm-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	p, err := prepare(ctx, dir, o.hosts)
	if err == nil && o.modes {
		err = p.pc()
	}
	if err == nil && o.devices {
		err = p.devices(ctx, dir)
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", errNothing, err)
	}
	figures := svm.Figures{}
	var errs []error
	w := p.suite(o, figures)
	if w.floor && strings.Contains("boot-bare", o.only) {
		errs = append(errs, p.floor(ctx, dir, figures))
	}
	for _, b := range w.boots {
		if ctx.Err() == nil {
			errs = append(errs, b.run(ctx, o, figures))
		}
	}
	if len(figures) == 0 {
		return false, errors.Join(append(errs, errNothing)...)
	}
	errs = append(errs, w.table(os.Stdout, o.hosts), writeJSON(o.json, figures))
	fmt.Println()
	all := true
	for _, t := range w.targets {
		if !t.For(o.hosts) {
			continue
		}
		line, ok := t.Judge(figures)
		fmt.Println(line)
		all = all && ok
	}
	return all, errors.Join(errs...)
}

// suite is what is measured, and how it is shown and judged.
type suite struct {
	boots   []bootSpec
	targets []svm.Target
	table   func(io.Writer, []string) error
	floor   bool // the guest's kernel is booted on the bare processor, too
}

func (p *plan) suite(o options, fs svm.Figures) suite {
	switch {
	case o.modes:
		return suite{boots: p.modeBoots(), targets: svm.ModeTargets(), table: fs.Table}
	case o.devices:
		return suite{boots: p.deviceBoots(), targets: svm.DeviceTargets(), table: fs.DeviceTable}
	}
	return suite{boots: p.boots(o.hosts), targets: svm.Targets(), table: fs.Table, floor: slices.Contains(o.hosts, svm.Host61)}
}

func writeJSON(path string, figures svm.Figures) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(figures.WriteJSON(f), f.Close())
}
