package vcpu

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// line is the interrupt line of the event channel upcall of one arm64 vCPU. The guest clears evtchn_upcall_pending without an exit, and KVM
// keeps a private interrupt's line as it was set, so somebody has to lower it:
//
//   - raise follows evtchn_upcall_pending going from 0 to 1; check lowers the line when the flag is 0 again.
//   - Both look at the flag under mu and then set the line, so an event is not lost: if check saw 0, a flag set later belongs to
//     a raise that comes after.
//   - Until the line is lowered, the guest takes the interrupt again and finds nothing to do. Whoever raises the line while the vCPU is in
//     the guest waits some microseconds for the flag to fall; then the watcher takes over, and every exit of the vCPU checks as well.
type line struct {
	pending func() bool
	set     func(level bool) error

	mu   sync.Mutex
	high atomic.Bool // written under mu
	err  atomic.Pointer[error]
}

// raise raises the line if it is low and the flag is set, and reports whether it did.
func (l *line) raise() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.high.Load() || !l.pending() {
		return false
	}
	l.to(true)
	return true
}

// check lowers the line if the guest has cleared the flag, and reports whether it is still high.
func (l *line) check() bool {
	if !l.high.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.high.Load() && !l.pending() {
		l.to(false)
	}
	return l.high.Load()
}

// settle waits a little for a guest that runs on another processor to clear the flag, lowers the line if it did, and reports whether the
// line is low.
func (l *line) settle(most time.Duration) bool {
	for end := time.Now().Add(most); ; {
		if !l.check() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func (l *line) to(level bool) {
	if err := l.set(level); err != nil {
		l.err.CompareAndSwap(nil, &err)
	}
	l.high.Store(level)
}

// How often the watcher looks: as soon as a guest can have reacted, then less and less often while a guest does not, because it has
// interrupts masked or does not run; and hardly ever once it has not for long, as a guest that does not use events. The pause is also
// the longest time that a guest which then reacts is interrupted in vain.
const (
	watchFirst = 5 * time.Microsecond
	watchSoon  = 250 * time.Microsecond
	watchLate  = 20 * time.Millisecond
	patience   = 20 * time.Millisecond
)

// pause gives how long to wait before the next look, after the guest has not reacted for a time.
func pause(waited time.Duration) time.Duration {
	if waited < patience {
		return min(max(waited, watchFirst), watchSoon)
	}
	return min(waited/4, watchLate)
}

// Watcher lowers the upcall lines of a domain's vCPUs.
type Watcher struct {
	lines []*line
	w     *waiter
	stop  atomic.Bool
	done  sync.WaitGroup
	looks atomic.Uint64
}

// NewWatcher makes a watcher for the loops of a domain, before they run.
func NewWatcher(loops []*A64Loop) (*Watcher, error) {
	w, err := newWaiter()
	if err != nil {
		return nil, err
	}
	x := &Watcher{w: w}
	for _, l := range loops {
		x.lines = append(x.lines, &l.line)
		l.watch = w.kick
	}
	return x, nil
}

// Start begins to watch, Stop ends it.
func (x *Watcher) Start() {
	x.done.Add(1)
	go x.run()
}

// Stop ends the watcher; no loop may run any more.
func (x *Watcher) Stop() {
	x.stop.Store(true)
	x.w.kick()
	x.done.Wait()
	x.w.close()
}

func (x *Watcher) run() {
	defer x.done.Done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	precise()
	since := time.Now()
	for !x.stop.Load() {
		x.looks.Add(1)
		if !x.look() {
			x.w.sleep(-1)
			since = time.Now()
		}
		if x.w.sleep(pause(time.Since(since))) {
			since = time.Now() // another line was raised
		}
	}
}

// look checks all lines and reports whether one is high.
func (x *Watcher) look() bool {
	any := false
	for _, l := range x.lines {
		any = l.check() || any
	}
	return any
}
