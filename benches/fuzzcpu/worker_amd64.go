//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/engine/soft/fuzz"
	"gozen/hypervisor/engine/soft/native"
)

// message is what a worker tells, one line of JSON each.
type message struct {
	Cases, Steps uint64
	Counts       []uint32          // executions by form since the last message
	Skipped      map[string]uint64 // since the last message
	Finding      *finding
	Error        string
}

// finding is one difference.
type finding struct {
	Case  uint64
	State int
	Text  string
}

// job is a worker's part: the cases first, first+step ...
type job struct{ seed, first, step uint64 }

// worker compares until it is killed. File 3 is the shared page that says which case it is at.
func worker(spec string) error {
	var j job
	if _, err := fmt.Sscanf(spec, "%d,%d,%d", &j.seed, &j.first, &j.step); err != nil {
		return err
	}
	page, err := unix.Mmap(3, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map progress page: %w", err)
	}
	r, err := fuzz.NewRunner(j.seed)
	if err != nil {
		return err
	}
	forms, _ := fuzz.Forms()
	enc := json.NewEncoder(os.Stdout)
	fresh := func() *message { return &message{Counts: make([]uint32, len(forms)), Skipped: map[string]uint64{}} }
	m := fresh()
	at := time.Now()
	var o fuzz.Outcome
	for n := j.first; ; n += j.step {
		binary.LittleEndian.PutUint64(page, n)
		c := r.Gen.Case(n)
		r.Place(c)
		for i := range c.States {
			if err := r.Run(c, &c.States[i], &o); err != nil {
				return err
			}
			switch {
			case o.Differences != nil:
				d := r.Minimise(c, &c.States[i], &o)
				m.Finding = &finding{n, i, fuzz.Describe(d, &c.States[i], &o)}
			case o.Skipped != "":
				m.Skipped[o.Skipped]++
			default:
				m.Steps += o.Steps
				count(m.Counts, c, &o)
			}
			if m.Finding != nil {
				break
			}
		}
		if m.Cases++; m.Finding != nil || m.Cases&63 == 0 && time.Since(at) > 250*time.Millisecond {
			if err := enc.Encode(m); err != nil {
				return nil // the parent has gone
			}
			m, at = fresh(), time.Now()
		}
	}
}

// count credits the instructions that were executed for certain: up to the first branch, or the fault.
func count(counts []uint32, c *fuzz.Case, o *fuzz.Outcome) {
	end := len(c.Instrs)
	if o.Host.Vector != native.NoFault {
		end = min(int(o.Steps), end)
	}
	for i := range c.Instrs[:end] {
		counts[c.Instrs[i].Form]++
		if c.Instrs[i].Target >= 0 {
			return
		}
	}
}
