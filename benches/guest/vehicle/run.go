package vehicle

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// guest is this process.
type guest struct {
	Spec
	out    io.Writer
	in     io.Reader
	failed error // of what was prepared
}

func (g *guest) say(format string, args ...any) { fmt.Fprintf(g.out, "gauge: "+format+"\r\n", args...) }

// run writes the lines of a whole life.
func (g *guest) run() {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	g.say("hello 1 mode %s", g.Mode)
	var u unix.Utsname
	_ = unix.Uname(&u)
	g.say("fact kernel Linux %s", unix.ByteSliceToString(u.Release[:]))
	g.say("fact tsc-khz 0")
	g.say("fact timer-ticks 0")
	for _, o := range List() {
		if !slices.Contains(g.Names, o.Name) {
			continue
		}
		g.say("begin %s", o.Name)
		if err := g.measure(&o); err != nil {
			g.say("skip %s %.300s", o.Name, strings.Join(strings.Fields(err.Error()), " "))
		}
	}
	g.say("end")
}

// measure does batches of an operation. The first, which is not counted, finds caches and pages cold.
func (g *guest) measure(o *Op) error {
	do, end, err := o.begin(g)
	if err != nil {
		return err
	}
	defer end()
	if err := do(o.Ops); err != nil {
		return err
	}
	if g.Count {
		if err := g.count(o, do); err != nil {
			return err
		}
	}
	size := o.Ops // of what is timed at once
	if o.Each {
		size = 1
	}
	var times []time.Duration
	for range g.Batches * o.Ops / size {
		began := time.Now()
		err := do(size)
		if took := time.Since(began); err == nil {
			times = append(times, took)
			continue
		}
		return err
	}
	g.report(o, times)
	return nil
}

// perLine is how many samples a line has: few enough for any console.
const perLine = 16

// report prints what was measured, which takes a while: later than it was measured.
func (g *guest) report(o *Op, times []time.Duration) {
	if !o.Each {
		for _, t := range times {
			g.say("batch %s ops %08d ns %012d", o.Name, o.Ops, t.Nanoseconds())
		}
		return
	}
	for some := range slices.Chunk(times, perLine) {
		line := ""
		for _, t := range some {
			line += fmt.Sprintf(" %d", t.Nanoseconds())
		}
		g.say("samples %s ns%s", o.Name, line)
	}
}

// countedBatches is how many batches are counted: more of them, and what happens by itself meanwhile is less of the whole.
const countedBatches = 4

// count has the host read the counters three times. Between the first two nothing is done: that is what waiting for the host costs.
func (g *guest) count(o *Op, do func(n int) error) error {
	for _, n := range []int{0, 0, countedBatches * o.Ops} {
		for left := n; left > 0; left -= o.Ops {
			if err := do(o.Ops); err != nil {
				return err
			}
		}
		requests, bytes := g.traffic(o.Needs)
		g.say("mark %s ops %d requests %d bytes %d", o.Name, n, requests, bytes)
		for b := []byte{0}; b[0] != '\n'; {
			if _, err := g.in.Read(b); err != nil {
				return fmt.Errorf("wait for the host: %w", err)
			}
		}
	}
	return nil
}
