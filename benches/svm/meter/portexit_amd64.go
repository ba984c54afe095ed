package main

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"gozen/hypervisor/engine"
)

// How a port exit is timed, here and in portexit.c: batches of so many.
const (
	batches   = 30
	batchSize = 2000
)

// outLoop is "out %al,$0x80; jmp .-2".
const outLoop = "\xe6\x80\xeb\xfc"

// portExit times the round trip of a port exit in turns: C, Go, C, Go.
func portExit(args []string) error {
	if len(args) != 1 {
		return errors.New("port-exit: PROGRAM")
	}
	var c, own []float64
	for range 2 {
		t, err := portExitC(args[0])
		if err != nil {
			return err
		}
		c = append(c, t...)
		if t, err = portExitGo(); err != nil {
			return err
		}
		own = append(own, t...)
	}
	for _, s := range []struct {
		name  string
		times []float64
	}{{"c", c}, {"gozen", own}} {
		slices.Sort(s.times)
		report(s.name+"/port-exit-ns", s.times[0], nil)
		report(s.name+"/port-exit-median-ns", s.times[len(s.times)/2], nil)
	}
	return nil
}

func portExitC(program string) (times []float64, err error) {
	out, err := exec.Command(program, fmt.Sprint(batches), fmt.Sprint(batchSize)).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	for l := range strings.Lines(string(out)) {
		var ns float64
		if _, err := fmt.Sscanf(l, "batch %f", &ns); err != nil {
			return nil, fmt.Errorf("%s printed %q: %w", program, l, err)
		}
		times = append(times, ns)
	}
	if len(times) != batches {
		return nil, fmt.Errorf("%s printed %d batches, not %d", program, len(times), batches)
	}
	return times, nil
}

func portExitGo() ([]float64, error) {
	runtime.LockOSThread() // a vCPU stays on its thread
	defer runtime.UnlockOSThread()
	s, err := newSmallVM(outLoop)
	if err != nil {
		return nil, err
	}
	defer s.close()
	times := make([]float64, batches)
	var e engine.Exit
	for i := range times {
		began := time.Now()
		for n := batchSize; n > 0; {
			err := s.cpu.Run(&e)
			switch {
			case e.Kind == engine.ExitIO && err == nil:
				n--
			case err != nil:
				return nil, err
			case e.Kind != engine.ExitSignal:
				return nil, fmt.Errorf("an exit of kind %v, not for a port: %s", e.Kind, e.Reason)
			}
		}
		times[i] = float64(time.Since(began).Nanoseconds()) / batchSize
	}
	return times, nil
}
