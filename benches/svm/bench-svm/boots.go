package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"gozen/benches/boot"
	"gozen/benches/svm"
	"gozen/ci/testbed"
)

// hostMiB is the memory of an emulated host with guests. One whose own kernel is measured has as much as a guest.
const hostMiB = 2048

// timeout bounds a boot of an emulated host, in real time.
const timeout = 40 * time.Minute

// bootSpec is one boot of an emulated host.
type bootSpec struct {
	host, title string
	memory      int
	files       map[string]string
	jobs        []testbed.Job
	modules     []string // more of the host's kernel
}

// boots lists what is to be run.
func (p *plan) boots(hosts []string) (out []bootSpec) {
	for _, h := range hosts {
		jobs := []testbed.Job{
			job("boot-gozen", "boot", "gozen", vmlinux, greeter),
			job("boot-qemu", slices.Concat([]string{"boot", "qemu", vmlinux, greeter}, qemu(qemuMicrovm, "microvm,rtc=on", vmlinux, greeter))...),
			job("boot-bzimage", "boot", "gozen-bzimage", vmlinuz(svm.Host61), greeter),
			job("port-exit", "port-exit", portExitC),
			job("pause", "pause"),
			job("operations", "guest", "gozen", "default", vmlinuz(h), opsDisk),
		}
		if h == svm.Host612 {
			jobs = append(jobs, job("operations-native", "guest", "gozen-native", "native", vmlinuz(h), opsDisk))
		}
		out = append(out, p.with(h, jobs), p.bare(h))
	}
	return out
}

// modeBoots lists what is to be run for the targets of modes: boots of the compressed kernel, as QEMU's PC does, and operations.
func (p *plan) modeBoots() []bootSpec {
	h := svm.Host61
	jobs := []testbed.Job{
		job("boot-pvh", "boot", "gozen", vmlinuz(h), greeter),
		job("boot-pv", "boot", "gozen-pv", vmlinuz(h), greeter),
		job("boot-hvm", "boot", "gozen-hvm", vmlinuz(h), greeter),
		job("boot-qemu", slices.Concat([]string{"boot", "qemu-pc", vmlinuz(h), greeter}, qemu(qemuPC, "pc", vmlinuz(h), greeter))...),
		job("operations", "guest", "gozen", "default", vmlinuz(h), opsDisk),
		job("operations-pv", "guest", "gozen-pv", "default", vmlinuz(h), opsDisk),
	}
	return []bootSpec{p.with(h, jobs), p.bare(h)}
}

// with is a host that has guests.
func (p *plan) with(host string, jobs []testbed.Job, modules ...string) bootSpec {
	return bootSpec{host, "host with kernel " + host, hostMiB, p.files, jobs, modules}
}

// bare is a host whose own kernel is measured.
func (p *plan) bare(host string) bootSpec {
	return bootSpec{host, "bare kernel " + host, boot.MemoryMiB, p.some(meter, opsC), []testbed.Job{job("bare-operations", "bare", "bare", opsC)}, nil}
}

// qemu is the command line of one of Debian's QEMUs on KVM, for the shell.
func qemu(program, machine, kernel, initrd string) []string {
	return []string{"/usr/bin/" + program, "-M", machine, "-accel", "kvm", "-cpu", "host", "-smp", "1", "-m", fmt.Sprint(boot.MemoryMiB), "-nodefaults", "-no-user-config",
		"-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd, "-append", "'console=ttyS0 quiet'"}
}

// job runs meter.
func job(name string, args ...string) testbed.Job {
	return testbed.Job{Name: name, Script: "exec meter " + strings.Join(args, " ")}
}

func (p *plan) some(inside ...string) map[string]string {
	out := maps.Clone(p.files)
	maps.DeleteFunc(out, func(name, _ string) bool {
		for _, i := range inside {
			if name == i {
				return false
			}
		}
		return true
	})
	return out
}

// run boots the host until all its jobs have ended, and takes in the figures. Those of jobs that ended before something failed count.
func (b bootSpec) run(ctx context.Context, o options, figures svm.Figures) error {
	jobs := slices.DeleteFunc(slices.Clone(b.jobs), func(j testbed.Job) bool { return !strings.Contains(j.Name, o.only) })
	for try := 0; len(jobs) > 0; try++ {
		done, err := b.once(ctx, o, jobs, try, figures)
		if !errors.Is(err, errStalled) || try == retries {
			return err
		}
		jobs = jobs[done:]
		fmt.Fprintf(os.Stderr, "%s: %v, in job %s: again from there, a little later (%s)\n", b.title, errStalled, jobs[0].Name, whyStalled)
	}
	return nil
}

// An emulated host that falls silent is started again: on a QEMU that testbed does not know how to mend, a guest can get an interrupt twice, and spin for
// ever. The same instructions come to the same end, so another try has to begin a little later.
const (
	stall      = 3 * time.Minute // without a word, in real time
	retries    = 2
	whyStalled = "an unmended QEMU 7.2 can deliver an injected interrupt twice"
)

var errStalled = fmt.Errorf("nothing was heard for %v", stall)

// once boots once and tells how many jobs have ended.
func (b bootSpec) once(ctx context.Context, o options, jobs []testbed.Job, try int, figures svm.Figures) (done int, err error) {
	log := io.Discard
	if o.log {
		log = os.Stderr
	}
	if try > 0 {
		jobs = slices.Clone(jobs)
		jobs[0].Script = fmt.Sprintf("sleep 0.%03d; %s", 137*try, jobs[0].Script)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer watch.Stop()
	fmt.Fprintf(os.Stderr, "%s: starting\n", b.title)
	r, err := testbed.Run(ctx, testbed.Spec{Kind: testbed.SVM, HostKernel: cloud(b.host), MemMiB: b.memory, ICount: true, Files: b.files, Modules: b.modules,
		Jobs: jobs, Timeout: timeout, Output: &progress{to: os.Stderr, heard: func() { watch.Reset(stall) }}}, log)
	fmt.Fprintf(os.Stderr, "%s: %.0f s\n", b.title, r.Total.Seconds())
	errs := []error{err}
	for _, j := range r.Jobs {
		if j.Status < 0 && errors.Is(err, errStalled) {
			continue // it is repeated
		}
		done++
		if e := figures.Parse(b.host, j.Output); e != nil {
			errs = append(errs, fmt.Errorf("job %s: %w", j.Name, e))
		}
	}
	return done, errors.Join(errs...)
}

// progress shows what a job prints: figures in short.
type progress struct {
	to    io.Writer
	heard func()
	part  string
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	p.heard()
	p.part += string(b)
	for {
		l, rest, ok := strings.Cut(p.part, "\n")
		if !ok {
			return len(b), nil
		}
		p.part = rest
		var f svm.Figure
		if json.Unmarshal([]byte(l), &f) == nil && f.Name != "" {
			l = fmt.Sprintf("%s %.2f", f.Name, f.Value)
		}
		fmt.Fprintf(p.to, "  %s\n", strings.TrimRight(l, "\r"))
	}
}
