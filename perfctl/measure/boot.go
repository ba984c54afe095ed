package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/process"
)

// InitPattern finds, by default, the first sign of the guest's user space on its console.
const InitPattern = `Run /\S+ as init process|Hello from `

// Milestone names beyond those of control.Timing.
const Init = "init"

// Options says how to boot.
type Options struct {
	Program string         // the domain process's program; empty: process.FindBinary
	Root    string         // root run folder; empty: control.DefaultRoot
	Init    *regexp.Regexp // what on the console tells that init runs; nil: InitPattern
	// ToEnd waits until the guest ends by itself; otherwise the run is over at init.
	ToEnd   bool
	Timeout time.Duration // for one run; 0: 10 minutes
	Console io.Writer     // gets the guest's console output; nil: nobody
	Note    func(string)  // one-line notes of the start; nil: nobody
	Counts  Counts        // nil: nobody
	// Within runs the start of the domain's process, such as on a thread that is in another network; nil: at once, where Boot is called.
	Within func(start func())
}

// Counts gets the counters of a guest that says on its console when. It is called by one goroutine.
type Counts interface {
	// Waits is asked after each piece of console output: does the guest wait?
	Waits() bool
	// Take gets the counters as they are while it waits. Then the guest gets a line feed.
	Take(*Run)
}

// Run is what one boot cost. Counters are those of the whole run, up to init or to the end.
type Run struct {
	Engine      string            `json:"engine"`
	EngineWhy   string            `json:"engine_why"`
	EventABI    string            `json:"event_abi,omitempty"`
	VCPUs       int               `json:"vcpus"`
	MemoryKiB   uint64            `json:"memory_kib"`
	OverheadKiB uint64            `json:"overhead_kib"` // resident memory of the domain process beyond the guest's own
	Milestones  []control.Timing  `json:"milestones"`
	Exits       []control.Counter `json:"exits"`
	Hypercalls  []control.Counter `json:"hypercalls"`
	Events      []control.Counter `json:"events,omitempty"`
	End         *control.Reason   `json:"end,omitempty"` // why the guest ended, if it did
}

// ErrNoInit is wrapped by Boot's error when the run was over before the guest's init was seen.
var ErrNoInit = errors.New("the guest's init was not seen on its console")

// ErrTimeout is wrapped by Boot's error when the time was up.
var ErrTimeout = errors.New("not done")

// Boot boots cfg once. The domain gets a name of its own, so that it can run beside one that was made from the same file, and is gone when
// Boot returns.
func Boot(ctx context.Context, cfg config.Domain, name string, o Options) (*Run, error) {
	if o.Program == "" {
		p, err := process.FindBinary()
		if err != nil {
			return nil, err
		}
		o.Program = p
	}
	if o.Init == nil {
		o.Init = regexp.MustCompile(InitPattern)
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("%w within %v", ErrTimeout, o.Timeout))
	defer cancel()
	cfg.Name, cfg.UUID = name, ""
	for _, a := range []*config.Action{&cfg.OnPoweroff, &cfg.OnReboot, &cfg.OnCrash, &cfg.OnWatchdog, &cfg.OnSoftReset} {
		*a = config.Preserve // the counters are read after the end
	}
	b := &boot{opts: o, began: time.Now()}
	within := o.Within
	if within == nil {
		within = func(start func()) { start() }
	}
	var st process.Started
	var err error
	within(func() {
		st, err = process.Launch(o.Program, process.Request{Config: cfg, Paused: true, Root: o.Root, Began: b.began}, o.Note)
	})
	if err != nil {
		return nil, err
	}
	b.pid, b.client = st.PID, control.NewClient(st.Dir)
	defer b.client.Close()
	defer b.destroy()
	return b.run(ctx)
}

// boot is one run under way.
type boot struct {
	opts   Options
	began  time.Time
	pid    int
	client *control.Client
}

func (b *boot) run(ctx context.Context) (*Run, error) {
	await, err := b.client.BeginWait(ctx, control.UntilShutdown)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	var end control.Ended
	go func() {
		var err error
		end, err = await()
		ended <- err
	}()
	con, err := b.client.Console(ctx, 0)
	if err != nil {
		return nil, err
	}
	seen := make(chan struct{})
	drained := make(chan struct{})
	go func() { defer close(drained); b.watch(con, seen, func() { b.answer(ctx, con) }) }()
	defer func() { con.Close(); <-drained }() // nobody writes to Options.Console afterwards
	if err := b.client.Unpause(ctx); err != nil {
		return nil, err
	}
	var atInit *control.Timing
	for {
		select {
		case <-seen:
			t, err := b.milestone(ctx, Init)
			if err != nil {
				return nil, err
			}
			if atInit, seen = &t, nil; !b.opts.ToEnd {
				return b.collect(ctx, atInit, nil)
			}
		case err := <-ended:
			if err != nil {
				return nil, noTime(ctx, err)
			}
			<-drained
			if seen != nil && closed(seen) { // both at once
				t, err := b.milestone(ctx, Init)
				if err != nil {
					return nil, err
				}
				atInit, seen = &t, nil
			}
			r, err := b.collect(ctx, atInit, &end.Reason)
			if err == nil && seen != nil {
				err = fmt.Errorf("%w (pattern %q): it ended with %s %s", ErrNoInit, b.opts.Init, end.Reason.Code, end.Reason.Text)
			}
			return r, err
		case <-ctx.Done():
			return nil, noTime(ctx, ctx.Err())
		}
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func noTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// watch copies the console until its end and closes seen when the pattern turned up in a line. After each piece that was copied it calls then.
func (b *boot) watch(con io.Reader, seen chan struct{}, then func()) {
	const keep = 4096 // of a line that does not end
	var line []byte
	done := false
	buf := make([]byte, 4096)
	for {
		n, err := con.Read(buf)
		if b.opts.Console != nil {
			_, _ = b.opts.Console.Write(buf[:n])
		}
		then()
		if !done {
			line = append(line, buf[:n]...)
			if b.opts.Init.Match(line) {
				done = true
				close(seen)
			}
			if i := bytes.LastIndexByte(line, '\n'); i >= 0 {
				line = append(line[:0], line[i+1:]...)
			}
			if len(line) > keep {
				line = append(line[:0], line[len(line)-keep:]...)
			}
		}
		if err != nil {
			return
		}
	}
}

// answer reads the counters of a guest that waits for that. If it cannot, the domain is about to end, and others see why.
func (b *boot) answer(ctx context.Context, con io.Writer) {
	if b.opts.Counts == nil || !b.opts.Counts.Waits() {
		return
	}
	in, err := b.idle(ctx)
	if err != nil {
		return
	}
	r, err := b.collect(ctx, nil, nil)
	if err != nil {
		return
	}
	r.Milestones = append(r.Milestones, control.Timing{Name: "now", Instructions: instructions(&in)})
	b.opts.Counts.Take(r)
	_, _ = con.Write([]byte("\n"))
}

// idle waits a little until all vCPUs are, as they are soon after the guest has said that it waits.
func (b *boot) idle(ctx context.Context) (in control.Info, err error) {
	for range 200 {
		if in, err = b.client.Info(ctx); err != nil || in.State.Blocked {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return in, err
}

// milestone takes the time as it is now.
func (b *boot) milestone(ctx context.Context, name string) (control.Timing, error) {
	t := control.Timing{Name: name, Wall: time.Since(b.began)}
	t.CPU, _ = CPUTime(b.pid)
	in, err := b.client.Info(ctx)
	t.Instructions = instructions(&in)
	return t, err
}

func instructions(in *control.Info) (n uint64) {
	for _, v := range in.VCPUs {
		n += v.Instructions
	}
	return n
}

// CPUTime gives the CPU time, user and system, that the process has used so far.
func CPUTime(pid int) (time.Duration, error) {
	// A process's clock has the id ~pid<<3 | CPUCLOCK_SCHED (Linux include/linux/posix-timers.h, clock_getcpuclockid(3)).
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|2, &ts); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// collect reads the counters.
func (b *boot) collect(ctx context.Context, atInit *control.Timing, end *control.Reason) (*Run, error) {
	in, err := b.client.Info(ctx)
	if err != nil {
		return nil, err
	}
	s, err := b.client.Stats(ctx)
	if err != nil {
		return nil, err
	}
	r := &Run{Engine: in.Engine, EngineWhy: in.EngineWhy, EventABI: in.EventABI, VCPUs: in.MaxVCPUs, MemoryKiB: in.MemoryKiB,
		OverheadKiB: in.OverheadKiB, Exits: s.Exits, Hypercalls: s.Hypercalls, Events: s.Events, End: end}
	r.Milestones = merge(s.Timings, atInit)
	return r, nil
}

// merge puts the init milestone in its place: before the end.
func merge(ts []control.Timing, atInit *control.Timing) (out []control.Timing) {
	for _, t := range ts {
		if atInit != nil && t.Wall > atInit.Wall {
			out = append(out, *atInit)
			atInit = nil
		}
		out = append(out, t)
	}
	if atInit != nil {
		out = append(out, *atInit)
	}
	return out
}

// destroy ends the domain and waits until it and its process are gone: what they held, such as a disk, is free for the next one.
func (b *boot) destroy() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	await, err := b.client.BeginWait(ctx, control.UntilDeath)
	if b.client.Destroy(ctx) == nil && err == nil {
		_, _ = await()
	}
	for ctx.Err() == nil && unix.Kill(b.pid, 0) == nil {
		time.Sleep(time.Millisecond)
	}
}

// Snapshot gives the counters of a running domain as they are, with a milestone "now".
func Snapshot(ctx context.Context, dir string) (*Run, *control.Info, error) {
	c := control.NewClient(dir)
	defer c.Close()
	b := &boot{client: c}
	in, err := c.Info(ctx)
	if err != nil {
		return nil, nil, err
	}
	now := control.Timing{Name: "now", Wall: time.Since(in.Started), Instructions: instructions(&in)}
	now.CPU, _ = CPUTime(in.PID)
	r, err := b.collect(ctx, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	r.Milestones = append(r.Milestones, now)
	return r, &in, nil
}
