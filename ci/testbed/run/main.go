// Command run runs a shell command on an emulated host that has hardware virtualization. See run -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gozen/ci/testbed"
)

const usage = `Usage:
  run KIND [flags] -- 'SHELL COMMAND'     run a command as root on an emulated host, its output and status being this command's
  run prepare [-try] [-host NAME,...] KIND...   only get what these testbeds need

KIND is svm (AMD), vtx (Intel) or vhe (arm64). The command runs in a busybox shell under a stock Debian kernel with KVM loaded. Files that it
leaves in the folder $OUT are brought back. What is missing of emulators and kernels is installed or downloaded first; that needs root
for the emulators.

Examples:
  run svm -- 'uname -a; ls -l /dev/kvm'
  run svm -host 6.1-cloud -file /bin/kvm.test=./kvm.test -- 'kvm.test -test.v'
  run svm -icount -- 'perf-thing'
  run vhe -cpus 2 -param kvm-arm.mode=nvhe -v -- 'dmesg | grep -i kvm'
  run prepare svm vhe

Flags:
`

func main() {
	if len(os.Args) > 1 && os.Args[1] == "prepare" {
		os.Exit(prepare(os.Args[2:]))
	}
	os.Exit(run(os.Args[1:]))
}

// list is a flag that can be given several times.
type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, " ") }

// Set implements flag.Value.
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func run(args []string) int {
	f := flag.NewFlagSet("run", flag.ContinueOnError)
	f.Usage = func() { fmt.Fprint(f.Output(), usage); f.PrintDefaults() }
	var s testbed.Spec
	var files, params, qemu, modules list
	f.StringVar(&s.HostKernel, "host", "", "kernel of the emulated host, such as 6.1-cloud, 6.12 or arm64-6.12")
	f.IntVar(&s.CPUs, "cpus", 1, "number of its processors")
	f.IntVar(&s.MemMiB, "mem", 0, "its memory in MiB (1024, vtx 512)")
	f.BoolVar(&s.ICount, "icount", false, "the virtual clock counts instructions")
	f.DurationVar(&s.Timeout, "timeout", 0, "how long it may take (20m, vtx 1h)")
	f.Var(&files, "file", "copy a file or folder in: INSIDE=OUTSIDE; can be repeated")
	f.Var(&params, "param", "parameter of the host kernel; can be repeated")
	f.Var(&modules, "module", "one more module of the host kernel; can be repeated")
	f.Var(&qemu, "qemu", "one more argument for QEMU; can be repeated")
	out := f.String("out", "", "folder to put the files in that the command leaves in $OUT")
	verbose := f.Bool("v", false, "show the console of the host kernel, on standard error")
	kind, rest := "", args
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		kind, rest = args[0], args[1:]
	}
	if err := f.Parse(rest); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if kind == "" || f.NArg() == 0 {
		f.Usage()
		return 2
	}
	s.Kind, s.Params, s.EmulatorArgs, s.Modules, s.Output = testbed.Kind(kind), strings.Join(params, " "), qemu, modules, os.Stdout
	s.Files = map[string]string{}
	for _, p := range files {
		in, from, ok := strings.Cut(p, "=")
		if !ok {
			fmt.Fprintf(os.Stderr, "run: -file %s: give it as INSIDE=OUTSIDE\n", p)
			return 2
		}
		s.Files[in] = from
	}
	s.Jobs = []testbed.Job{{Name: "command", Script: strings.Join(f.Args(), " ")}}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return show(ctx, s, *out, *verbose)
}

// show runs it and gives the exit status.
func show(ctx context.Context, s testbed.Spec, out string, verbose bool) int {
	log := io.Discard
	if verbose {
		log = os.Stderr
	} else if err := prepareFor(ctx, s); err != nil { // the progress of that is shown all the same
		fmt.Fprintln(os.Stderr, "run:", err)
		return 125
	}
	r, err := testbed.Run(ctx, s, log)
	if verbose && r.Boot > 0 {
		fmt.Fprintf(os.Stderr, "run: %.1f s to the command, %.1f s in all\n", r.Boot.Seconds(), r.Total.Seconds())
	}
	files := filepath.Join(r.Dir, "files", "command")
	if _, e := os.Stat(files); r.Dir != "" && e == nil {
		if out == "" {
			fmt.Fprintln(os.Stderr, "run: files in", files)
		} else if e := os.CopyFS(out, os.DirFS(files)); e != nil {
			err = errors.Join(err, e)
		}
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "run:", err)
	if j, _ := r.Job("command"); errors.Is(err, testbed.ErrJob) && j.Status > 0 {
		return j.Status
	}
	return 125
}

func prepareFor(ctx context.Context, s testbed.Spec) error {
	if s.HostKernel == "" && len(testbed.HostKernels(s.Kind)) > 0 {
		s.HostKernel = testbed.HostKernels(s.Kind)[0]
	}
	return testbed.Prepare(ctx, os.Stderr, s.Kind, s.HostKernel)
}

func prepare(args []string) int {
	f := flag.NewFlagSet("run prepare", flag.ContinueOnError)
	try := f.Bool("try", false, "do not fail where something cannot be had")
	host := f.String("host", "", "host kernels, separated by commas, instead of those that the tests use")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if f.NArg() == 0 {
		fmt.Fprint(os.Stderr, "run prepare: of which testbeds? Give svm, vhe or vtx\n")
		return 2
	}
	var hosts []string
	if *host != "" {
		hosts = strings.Split(*host, ",")
	}
	status := 0
	for _, k := range f.Args() {
		begun := time.Now()
		if err := testbed.Prepare(context.Background(), os.Stderr, testbed.Kind(k), hosts...); err != nil {
			fmt.Fprintln(os.Stderr, "run:", err)
			if !*try || !errors.Is(err, testbed.ErrUnavailable) {
				status = 1
			}
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: ready (%.1f s)\n", k, time.Since(begun).Seconds())
	}
	return status
}
