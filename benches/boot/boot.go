package boot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/linux"
	"gozen/hypervisor/control"
)

// MemoryMiB is the memory of both guests.
const MemoryMiB = 512

// script stays a moment after its line, so that the process that runs it can be asked for its CPU time.
const script = "#!/bin/sh\necho '" + linux.Greeting + "init'\nsleep 1\nexec poweroff -f\n"

// Files are what both sides boot.
type Files struct {
	dir     string
	kernel  string // as it came
	vmlinux string // ELF with PVH entry
	initrd  string
	disk    string // an image that each run has a copy of, or ""
	cmdline string // without the console
	want    string // the boot is over when the guest says this
}

// Prepare writes the files into dir: the kernel at kernel, and an initial RAM disk with the static busybox whose init says one line and
// powers off.
func Prepare(dir, kernel, busybox string) (Files, error) {
	f := Files{dir: dir, kernel: kernel, vmlinux: filepath.Join(dir, "vmlinux"), initrd: filepath.Join(dir, "initrd"), want: linux.Greeting}
	v, err := VMLinux(kernel)
	if err != nil {
		return f, err
	}
	disk, err := linux.Initramfs(busybox, script)
	if err != nil {
		return f, err
	}
	return f, errors.Join(os.WriteFile(f.vmlinux, v, 0o600), os.WriteFile(f.initrd, disk, 0o600))
}

// PrepareDisk writes what both sides need to boot a whole system from its disk, to the prompt for a login.
func PrepareDisk(dir, kernel, initrd, disk, cmdline string) (Files, error) {
	f := Files{dir: dir, kernel: kernel, vmlinux: filepath.Join(dir, "vmlinux"), initrd: initrd, disk: disk, cmdline: cmdline, want: " login: "}
	v, err := VMLinux(kernel)
	if err != nil {
		return f, err
	}
	return f, os.WriteFile(f.vmlinux, v, 0o600)
}

// copyDisk gives a run an image of its own.
func (f Files) copyDisk(ctx context.Context, to string) (string, error) {
	to = filepath.Join(to, "disk.img")
	if out, err := exec.CommandContext(ctx, "cp", "--sparse=always", f.disk, to).CombinedOutput(); err != nil {
		return "", fmt.Errorf("cp %s: %w\n%s", f.disk, err, out)
	}
	return to, nil
}

// patience bounds one boot.
const patience = 6 * time.Minute

// Gozen boots once with bin/xl create -c and gives the CPU time to init: of xl over its whole life and of the domain process at the
// moment init's line is seen.
func (f Files) Gozen(ctx context.Context, bin string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	run, err := os.MkdirTemp(f.dir, "run")
	if err != nil {
		return 0, err
	}
	cfg := filepath.Join(run, "bench.cfg")
	text := fmt.Sprintf("name = \"bench\"\ntype = \"pvh\"\nkernel = %q\nramdisk = %q\ncmdline = %q\nmemory = %d\nvcpus = 1\nengine = \"soft\"\n",
		f.kernel, f.initrd, strings.TrimSpace("console=hvc0 "+f.cmdline), MemoryMiB)
	if f.disk != "" {
		img, err := f.copyDisk(ctx, run)
		if err != nil {
			return 0, err
		}
		defer os.Remove(img)
		text += fmt.Sprintf("disk = [ '%s,raw,xvda,rw' ]\n", img)
	}
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		return 0, err
	}
	c := exec.CommandContext(ctx, filepath.Join(bin, "xl"), "create", "-c", cfg)
	c.Env = append(os.Environ(), "GOZEN_RUN="+run, "GOZEN_HYPERVISOR="+filepath.Join(bin, "hypervisor"))
	c.WaitDelay = 5 * time.Second
	var domain time.Duration
	var pid int
	w := &line{want: f.want,
		first: func() (err error) { pid, err = domainPID(run); return err },
		seen: func() (err error) {
			domain, err = cpuTime(pid)
			if f.disk != "" {
				go destroy(run) // a whole system goes on: the rest is not asked for
			}
			return err
		},
	}
	var diag bytes.Buffer
	c.Stdout, c.Stderr = w, &diag
	err = c.Run()
	destroy(run)
	if err == nil {
		err = w.result()
	}
	if err != nil {
		return 0, fmt.Errorf("xl create: %w\n%s%s", err, w.tail(), diag.String())
	}
	return domain + c.ProcessState.UserTime() + c.ProcessState.SystemTime(), nil
}

// domainPID finds the process of the only domain in a run folder.
func domainPID(run string) (int, error) {
	reg, err := control.OpenRegistry(run)
	if err != nil {
		return 0, err
	}
	all, err := reg.List()
	if err != nil {
		return 0, err
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("%d domains run", len(all))
	}
	return all[0].PID, nil
}

// destroy ends what an interrupted run may have left.
func destroy(run string) {
	reg, err := control.OpenRegistry(run)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, _ := reg.List()
	for _, f := range all {
		c := control.NewClient(f.Dir)
		if await, err := c.BeginWait(ctx, control.UntilDeath); err == nil && c.Destroy(ctx) == nil {
			_, _ = await()
		}
		c.Close()
	}
}

// QEMU boots once on QEMU's TCG and gives the CPU time of its process at the moment init's line is seen.
func (f Files) QEMU(ctx context.Context, qemu, machine string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := exec.CommandContext(ctx, qemu, "-machine", machine, "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", fmt.Sprint(MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", f.vmlinux, "-initrd", f.initrd,
		"-append", strings.TrimSpace("console=ttyS0 "+f.cmdline))
	if f.disk != "" {
		run, err := os.MkdirTemp(f.dir, "run")
		if err != nil {
			return 0, err
		}
		img, err := f.copyDisk(ctx, run)
		if err != nil {
			return 0, err
		}
		defer os.Remove(img)
		c.Args = append(c.Args, "-drive", "format=raw,if=virtio,file="+img)
	}
	c.WaitDelay = 5 * time.Second
	var used time.Duration
	w := &line{want: f.want}
	w.seen = func() (err error) {
		used, err = cpuTime(c.Process.Pid)
		cancel() // the rest is not asked for
		return err
	}
	var diag bytes.Buffer
	c.Stdout, c.Stderr = w, &diag
	err := c.Run()
	if w.done || err == nil { // killed by seen, or ended by itself
		err = w.result()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s%s", qemu, err, w.tail(), diag.String())
	}
	return used, nil
}

// cpuTime gives the CPU time of a process, user and system.
func cpuTime(pid int) (time.Duration, error) {
	// Linux include/linux/posix-timers.h: the clock of a process is ~pid<<3 | CPUCLOCK_SCHED.
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|2, &ts); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// line waits for a text in what is written to it: it calls first (which may be nil) with the first byte and seen with the text.
type line struct {
	want  string
	first func() error
	seen  func() error
	text  []byte
	done  bool
	err   error
}

var _ io.Writer = (*line)(nil)

// Write implements io.Writer.
func (l *line) Write(p []byte) (int, error) {
	if len(l.text) == 0 && len(p) > 0 && l.first != nil {
		l.err = l.first()
	}
	l.text = append(l.text, p...)
	if !l.done && bytes.Contains(l.text, []byte(l.want)) {
		l.done = true
		if l.err == nil {
			l.err = l.seen()
		}
	}
	return len(p), nil
}

func (l *line) result() error {
	if !l.done {
		return fmt.Errorf("the guest never said %q", strings.TrimSpace(l.want))
	}
	return l.err
}

// tail gives the last lines of the console, for messages.
func (l *line) tail() string {
	return string(l.text[max(0, len(l.text)-1500):]) + "\n"
}
