package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"time"

	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// buildLimit is the heap at which garbage is collected even while a domain is built.
const buildLimit = 192 << 20

// newMachine builds the domain, paused.
func newMachine(cfg config.Domain, opts control.Options) (control.Machine, error) {
	// A vCPU in the guest holds a processor of Go's scheduler; its timer, the backends and the control socket need others.
	runtime.GOMAXPROCS(max(runtime.NumCPU(), max(cfg.VCPUs, cfg.MaxVCPUs)+2))
	// Building leaves garbage by the megabyte, all of it at once: it is collected when the domain is built.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(buildLimit)
	m, err := build.New(cfg, opts)
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(gcPercent)
	if err != nil {
		return nil, err // not a nil *Machine in an interface
	}
	go settle(m.Done())
	return m, nil
}

// settle makes the process small a few times while it comes to rest, when the guest has booted or is about to: the garbage of the build goes, and the
// code that was for building. That takes some milliseconds of a processor, which a guest that boots has better uses for.
func settle(done <-chan struct{}) {
	for _, d := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
		select {
		case <-time.After(d):
			debug.FreeOSMemory()
			trim()
		case <-done:
			return
		}
	}
}
