// Package soft runs a PVH image to its end on the software CPU, in this process, for benchmarks and tests.
package soft

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// Result is what a run cost.
type Result struct {
	CPU          time.Duration // of the vCPUs' threads
	Instructions uint64
	Reason       control.Reason
	Console      []byte
}

// Run boots image with one vCPU and 64 MiB.
func Run(image string) (Result, error) {
	return RunConfig(config.Domain{Name: filepath.Base(image), UUID: "00000000-0000-0000-0000-000000000001", Type: config.PVH, Kernel: image, MemoryMiB: 64, VCPUs: 1,
		Engine: config.EngineSoft})
}

// RunConfig boots a domain and waits for its end. An end other than power-off is an error.
func RunConfig(cfg config.Domain) (Result, error) {
	dir, err := os.MkdirTemp("", "gozen-run")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	log, err := control.NewConsoleLog(filepath.Join(dir, "console.log"))
	if err != nil {
		return Result{}, err
	}
	defer log.Close()
	m, err := build.New(cfg, control.Options{Domid: 1, Dir: dir, ConsoleOut: log, Log: control.NewRing(1 << 16), Began: time.Now(),
		Warn: func(string) {}})
	if err != nil {
		return Result{}, err
	}
	defer m.Close()
	before := processTime()
	if err := m.Unpause(); err != nil {
		return Result{}, err
	}
	<-m.Done()
	r := Result{CPU: processTime() - before, Reason: m.Reason()}
	for _, v := range m.Info().VCPUs {
		r.Instructions += v.Instructions
	}
	r.Console, _ = os.ReadFile(filepath.Join(dir, "console.log"))
	if r.Reason.Code != control.ReasonPoweroff {
		return r, fmt.Errorf("the guest ended with %s: %s\n%s", r.Reason.Code, r.Reason.Text, r.Reason.Detail)
	}
	return r, nil
}

func processTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano())
}
