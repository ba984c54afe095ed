// Command bench-cpu measures the six loops on gozen's software CPU and on QEMU's TCG side by side, and prints the ratio of
// their speeds. Both boot the same images; the CPU time of the whole process counts, less that of the same image with no rounds.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"gozen/benches/cpu"
	"gozen/benches/guest/tiny"
	"gozen/benches/soft"
)

const limit = 0.15

func main() {
	runs := flag.Int("runs", 3, "runs of each; the best counts")
	qemu := flag.String("qemu", "qemu-system-x86_64", "QEMU to compare with")
	flag.Parse()
	dir, err := os.MkdirTemp("", "bench-cpu")
	if err != nil {
		fatal(err)
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%-8s %14s %12s %12s %8s\n", "loop", "instructions", "soft Mi/s", "qemu Mi/s", "ratio")
	product, n := 1.0, 0
	for _, l := range cpu.Loops() {
		r, err := measure(l, dir, *qemu, *runs)
		if err != nil {
			fatal(fmt.Errorf("%s: %w", l.Name, err))
		}
		ours, theirs := r.insns/r.soft/1e6, r.insns/r.qemu/1e6
		fmt.Printf("%-8s %14.0f %12.0f %12.0f %8.3f\n", l.Name, r.insns, ours, theirs, ours/theirs)
		product *= ours / theirs
		n++
	}
	mean := math.Pow(product, 1/float64(n))
	verdict := "ok"
	if mean < limit {
		verdict = "MISSED"
	}
	fmt.Printf("target cpu-loops-geomean %.3f of QEMU's speed (limit %.2f) %s\n", mean, limit, verdict)
	if mean < limit {
		os.Exit(1)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench-cpu:", err)
	os.Exit(2)
}

type result struct{ insns, soft, qemu float64 }

// measure runs a loop on both engines, in turns.
func measure(l cpu.Loop, dir, qemu string, runs int) (result, error) {
	best := result{soft: math.Inf(1), qemu: math.Inf(1)}
	full, err := write(l, dir, l.Rounds)
	if err != nil {
		return best, err
	}
	empty, err := write(l, dir, 0)
	if err != nil {
		return best, err
	}
	for range runs {
		s, insns, err := runSoft(full, empty)
		if err != nil {
			return best, err
		}
		q, err := runQEMU(qemu, full, empty)
		if err != nil {
			return best, err
		}
		best.soft, best.qemu, best.insns = min(best.soft, s), min(best.qemu, q), insns
	}
	return best, nil
}

func write(l cpu.Loop, dir string, rounds uint32) (string, error) {
	img, err := l.Image(rounds)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d", l.Name, rounds))
	return path, os.WriteFile(path, img, 0o600)
}

// runSoft gives the CPU seconds and instructions that the rounds cost.
func runSoft(full, empty string) (seconds, insns float64, err error) {
	f, err := soft.Run(full)
	if err != nil {
		return 0, 0, err
	}
	e, err := soft.Run(empty)
	if err != nil {
		return 0, 0, err
	}
	return (f.CPU - e.CPU).Seconds(), float64(f.Instructions - e.Instructions), nil
}

func runQEMU(qemu, full, empty string) (float64, error) {
	f, err := cpuTime(qemu, full)
	if err != nil {
		return 0, err
	}
	e, err := cpuTime(qemu, empty)
	return (f - e).Seconds(), err
}

// cpuTime runs an image in QEMU and gives the CPU time of the whole process.
func cpuTime(qemu, image string) (time.Duration, error) {
	c := exec.Command(qemu, "-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", image)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != tiny.QEMUExit {
		return 0, fmt.Errorf("qemu: %v\n%s", err, out)
	}
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime(), nil
}
