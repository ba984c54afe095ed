package vcpu

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// gate is what loops of all architectures share: how other goroutines reach a vCPU, make it stand still, and see what it does.
type gate struct {
	eng    interface{ Kick() }
	stop   atomic.Bool
	pauses atomic.Uint64 // odd while paused
	tid    atomic.Int32  // of the thread that runs the vCPU; 0 before and after
	busy   atomic.Int64  // nanoseconds of CPU time, once the thread has ended
	state  atomic.Uint32

	mu      sync.Mutex
	sleeper *waiter   // of the thread under way
	parked  sync.Cond // standing or over have changed
	stands  uint64    // the value of pauses at which the vCPU was last seen to stand still
	over    bool      // nobody will call Step again
	outside func()    // told of kicks when there is no thread of its own; must not block
}

func (g *gate) set(eng interface{ Kick() }) { g.eng, g.parked.L = eng, &g.mu }

// Kick makes the loop look again soon. Any goroutine.
func (g *gate) Kick() {
	g.eng.Kick()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.outside != nil {
		g.outside()
	}
	if g.sleeper != nil {
		g.sleeper.kick()
	}
}

// Stop ends the loop for good. Any goroutine.
func (g *gate) Stop() {
	g.stop.Store(true)
	g.Kick()
}

// Pause makes Step answer Waiting until it is called with false. Any goroutine.
func (g *gate) Pause(on bool) {
	for {
		n := g.pauses.Load()
		if n&1 == 1 == on {
			break
		}
		if g.pauses.CompareAndSwap(n, n+1) {
			break
		}
	}
	g.mu.Lock() // so that nobody misses it between looking and waiting
	g.parked.Broadcast()
	g.mu.Unlock()
	g.Kick()
}

// AwaitPause returns once the vCPU stands still, or goes on because it was unpaused. The loop must be driven by Run or a Scheduler, whose
// end counts as well.
func (g *gate) AwaitPause() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := g.pauses.Load(); n&1 == 1 && g.stands != n && !g.over && n == g.pauses.Load(); {
		g.parked.Wait()
	}
}

// park tells those who wait that the vCPU stands still because of pause n.
func (g *gate) park(n uint64) {
	g.mu.Lock()
	g.stands = n
	g.mu.Unlock()
	g.parked.Broadcast()
}

// finish tells them that Step will not be called again.
func (g *gate) finish() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.parked.Broadcast()
}

// State words of Loop.State.
const (
	StateDown uint32 = iota
	StateRunning
	StateBlocked
	StateRunnable
)

// State tells what the vCPU does. Any goroutine.
func (g *gate) State() uint32 { return g.state.Load() }

func (g *gate) setWaiter(w *waiter) {
	g.mu.Lock()
	g.sleeper = w
	g.mu.Unlock()
}

// threadClock gives the clock of a thread's CPU time (Linux: include/linux/posix-timers_types.h, CPUCLOCK_SCHED of a thread).
func threadClock(tid int) int32 { return int32(^tid<<3 | 6) }

// CPUTime gives the CPU time that the vCPU's thread has used. Any goroutine.
func (g *gate) CPUTime() time.Duration {
	tid := g.tid.Load()
	if tid == 0 {
		return time.Duration(g.busy.Load())
	}
	var ts unix.Timespec
	if unix.ClockGettime(threadClock(int(tid)), &ts) != nil {
		return time.Duration(g.busy.Load()) // the thread has ended meanwhile
	}
	return time.Duration(ts.Nano())
}

// Thread gives the id of the host's thread that runs the vCPU, 0 before and after. A Scheduler runs all vCPUs on the thread of the first. Any goroutine.
func (g *gate) Thread() int { return int(g.tid.Load()) }

// begin and account frame the life of the vCPU's thread.
func (g *gate) begin() { g.tid.Store(int32(unix.Gettid())) }

func (g *gate) account() {
	g.busy.Store(int64(g.CPUTime()))
	g.tid.Store(0)
}
