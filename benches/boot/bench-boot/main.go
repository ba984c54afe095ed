// Command bench-boot compares the CPU time from "xl create" to a stock Debian kernel's init on gozen's built-in CPU with that of QEMU's
// TCG, both booting the same kernel by its PVH entry, in turns. The best run of each counts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"gozen/benches/boot"
	"gozen/ci/guestdisk"
	"gozen/ci/kernels"
)

const limit = 4.0

func main() {
	runs := flag.Int("runs", 3, "runs of each; the best counts")
	qemu := flag.String("qemu", "qemu-system-x86_64", "QEMU to compare with")
	machine := flag.String("machine", "pc", "QEMU's machine type; microvm is a little leaner, but some boots on it hang without a reference for the TSC")
	bin := flag.String("bin", "bin", "folder with xl and hypervisor")
	disk := flag.Bool("disk", false, "boot a whole Debian from its own disk (make guest-disk) to the login prompt instead, with a PV disk and with virtio")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := compare(ctx, *runs, *qemu, *machine, *bin, *disk)
	stop()
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-boot:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

func compare(ctx context.Context, runs int, qemu, machine, bin string, disk bool) (bool, error) {
	if err := haveQEMU(qemu); err != nil {
		return false, err
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "gozen-boot-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	prepare, target := toInit, "boot-cpu-vs-qemu"
	if disk {
		prepare, target = toLogin, "login-cpu-vs-qemu"
	}
	files, title, err := prepare(ctx, dir)
	if err != nil {
		return false, err
	}
	fmt.Printf("%s, 1 vCPU, %d MiB: CPU seconds, user and system\n%-5s %8s %8s\n", title, boot.MemoryMiB, "run", "gozen", "qemu")
	var ours, theirs time.Duration
	for i := range runs {
		g, err := files.Gozen(ctx, bin)
		if err != nil {
			return false, err
		}
		q, err := files.QEMU(ctx, qemu, machine)
		if err != nil {
			return false, err
		}
		fmt.Printf("%-5d %8.2f %8.2f\n", i+1, g.Seconds(), q.Seconds())
		if i == 0 {
			ours, theirs = g, q
		}
		ours, theirs = min(ours, g), min(theirs, q)
	}
	ratio := ours.Seconds() / theirs.Seconds()
	verdict := "ok"
	if ratio > limit {
		verdict = "MISSED"
	}
	fmt.Printf("best  %8.2f %8.2f (engine soft; QEMU TCG, machine %s)\n", ours.Seconds(), theirs.Seconds(), machine)
	fmt.Printf("target %s %.2f times QEMU's (limit %.1f) %s\n", target, ratio, limit, verdict)
	return ratio <= limit, nil
}

// toInit prepares the boot of a kernel to its init.
func toInit(_ context.Context, dir string) (boot.Files, string, error) {
	f, err := kernels.Fetch(os.Stderr, "6.1-cloud", kernels.Busybox)
	if err != nil {
		return boot.Files{}, "", err
	}
	kernel, err1 := f.Find("6.1-cloud")
	busybox, err2 := f.Find(kernels.Busybox)
	if err := errors.Join(err1, err2); err != nil {
		return boot.Files{}, "", err
	}
	files, err := boot.Prepare(dir, kernel, busybox)
	return files, name(f) + " to init", err
}

// toLogin prepares the boot of a whole system to its login prompt.
func toLogin(ctx context.Context, dir string) (boot.Files, string, error) {
	d, err := guestdisk.Make(ctx, os.Stderr)
	if err != nil {
		return boot.Files{}, "", err
	}
	files, err := boot.PrepareDisk(dir, d.Kernel, d.Initrd, d.Image, "root=LABEL=root rw")
	return files, "Debian with systemd, from its disk, to the login prompt", err
}

func name(f kernels.Files) string {
	if p := f.Package("6.1-cloud"); p != "" {
		return p
	}
	return "Debian 6.1 cloud kernel"
}

// haveQEMU finds QEMU; root gets it installed.
func haveQEMU(qemu string) error {
	if _, err := exec.LookPath(qemu); err == nil {
		return nil
	}
	const how = "apt-get install --no-install-recommends qemu-system-x86"
	if os.Geteuid() != 0 || filepath.Base(qemu) != qemu {
		return fmt.Errorf("%s is not installed; on Debian: sudo %s", qemu, how)
	}
	fmt.Fprintln(os.Stderr, "installing QEMU:", how)
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "qemu-system-x86"}} {
		c := exec.Command("apt-get", args...)
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		c.Stdout, c.Stderr = os.Stderr, os.Stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("QEMU could not be installed (%s): %w", how, err)
		}
	}
	_, err := exec.LookPath(qemu)
	return err
}
