package main

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"sync/atomic"

	"gozen/hypervisor/engine"
)

// collections is how often the collector runs against a spinning guest.
const collections = 20

// pause measures how long the collector stops this process while a vCPU is in its guest and does not come out by itself.
func pause([]string) error {
	runtime.GOMAXPROCS(2)
	var running, over atomic.Bool
	var signals atomic.Int64
	kick, ended := make(chan func()), make(chan error)
	go func() { ended <- spin(kick, &running, &over, &signals) }()
	var stop func()
	select {
	case stop = <-kick:
	case err := <-ended:
		return err
	}
	for !running.Load() {
		runtime.Gosched()
	}
	before := pauses()
	for range collections {
		runtime.GC()
	}
	after := pauses()
	over.Store(true)
	stop()
	if err := <-ended; err != nil {
		return err
	}
	total, stopping := worst(before[0], after[0]), worst(before[1], after[1])
	report("gozen/gc-pause-ms", total*1000, map[string]uint64{"collections": collections, "pauses": hits(before[0], after[0]), "signals": uint64(signals.Load())})
	report("gozen/gc-stopping-ms", stopping*1000, nil)
	return nil
}

// spin runs a guest that only spins ("jmp .") until it is over and kicked.
func spin(kick chan<- func(), running, over *atomic.Bool, signals *atomic.Int64) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := newSmallVM("\xeb\xfe")
	if err != nil {
		return err
	}
	defer s.close()
	kick <- s.cpu.Kick
	var e engine.Exit
	for !over.Load() {
		running.Store(true)
		if err := s.cpu.Run(&e); err != nil {
			return err
		}
		switch e.Kind {
		case engine.ExitSignal:
			signals.Add(1)
		case engine.ExitKick:
		default:
			return fmt.Errorf("an exit of kind %v from a guest that spins: %s", e.Kind, e.Reason)
		}
	}
	return nil
}

// pauses gives the runtime's histograms: whole pauses, and the part until all goroutines had stopped.
func pauses() (h [2]metrics.Float64Histogram) {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/stopping/gc:seconds"}}
	metrics.Read(s)
	for i := range s {
		now := s[i].Value.Float64Histogram()
		h[i] = metrics.Float64Histogram{Counts: append([]uint64(nil), now.Counts...), Buckets: now.Buckets}
	}
	return h
}

// worst gives the upper edge of the highest bucket that grew, in seconds.
func worst(before, after metrics.Float64Histogram) float64 {
	for i := len(after.Counts) - 1; i >= 0; i-- {
		if after.Counts[i] > before.Counts[i] {
			if edge := after.Buckets[i+1]; !math.IsInf(edge, 0) {
				return edge
			}
			return after.Buckets[i]
		}
	}
	return 0
}

func hits(before, after metrics.Float64Histogram) (n uint64) {
	for i := range after.Counts {
		n += after.Counts[i] - before.Counts[i]
	}
	return n
}
