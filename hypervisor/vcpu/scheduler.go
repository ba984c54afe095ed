package vcpu

import (
	"runtime"
	"sync/atomic"
	"time"

	"gozen/hypervisor/clock"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
)

// Slice is the number of instructions a vCPU runs before the next one's turn in deterministic mode.
const Slice = 20000

// Scheduler interleaves vCPUs on one thread in virtual time: one instruction takes one nanosecond and one TSC tick, and
// when all vCPUs wait, time jumps to the next deadline. Two runs of the same guest are the same, instruction by
// instruction, as long as nothing from outside (console input) reaches it. It is the domain's time source.
type Scheduler struct {
	Loops []*Loop
	// Every, if not 0, makes Observe be called each time so many instructions have finished in all, at the next turn.
	Every   uint64
	Observe func(instructions uint64)

	// Host, if set, is a clock that goes by itself: vCPUs are interleaved, but time is the host's, and so not
	// deterministic. Hosts whose memory is weaker ordered than x86 run guests so.
	Host clock.Source
	// Devices are the backends, polled after each exit.
	Devices []func()

	virt atomic.Uint64 // virtual nanoseconds, as of the last exit
	cur  engine.VCPU   // the vCPU whose turn it is
	last uint64        // its instruction count as of virt
	wake chan struct{}
	done uint64 // instructions finished in all
	next uint64 // when Observe is due
}

// NewScheduler makes a scheduler at time 0.
func NewScheduler() *Scheduler { return &Scheduler{wake: make(chan struct{}, 1)} }

// Now implements clock.Source: virtual time as of the last exit.
func (s *Scheduler) Now() uint64 {
	if s.Host != nil {
		return s.Host.Now()
	}
	return s.virt.Load()
}

// TSC implements clock.Source.
func (s *Scheduler) TSC() uint64 { return s.Now() }

// TSCHz implements clock.Source.
func (s *Scheduler) TSCHz() uint64 { return 1e9 }

// TSCAt gives the counter inside a run, when the vCPU whose turn it is has finished n instructions. Its thread only.
func (s *Scheduler) TSCAt(n uint64) uint64 {
	if s.Host != nil {
		return s.Host.TSC()
	}
	return s.virt.Load() + n - s.last
}

// Kick wakes the scheduler from waiting for the outside. Any goroutine.
func (s *Scheduler) Kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// advance brings virtual time up to the current vCPU's count.
func (s *Scheduler) advance() {
	n := s.cur.Instructions()
	s.virt.Add(n - s.last)
	s.done += n - s.last
	s.last = n
}

// Own gives the scheduler the loops that Run drives. Call it before anything else may Kick them.
func (s *Scheduler) Own(loops []*Loop) {
	s.Loops = loops
	for _, l := range loops {
		l.after, l.outside = s.advance, s.Kick
	}
}

// Run drives all vCPUs until the domain ends. The thread's CPU time is booked on the first.
func (s *Scheduler) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s.Loops[0].begin()
	defer s.Loops[0].account()
	defer func() {
		for _, l := range s.Loops {
			l.finish()
		}
	}()
	for {
		ended, waiting := 0, 0
		for _, l := range s.Loops {
			switch s.turn(l) {
			case Ended:
				ended++
			case Waiting:
				waiting++
			}
			if s.Every != 0 && s.done >= s.next {
				s.Observe(s.done)
				s.next = s.done + s.Every
			}
		}
		if ended > 0 {
			return
		}
		if waiting == len(s.Loops) {
			s.idle()
		}
	}
}

// turn runs one vCPU for a slice.
func (s *Scheduler) turn(l *Loop) Status {
	s.cur, s.last = l.Eng, l.Eng.Instructions()
	end := s.last + Slice
	for {
		left := end
		if d := l.Deadline(); d != domain.Never {
			if now := s.Now(); d > now && d-now < end-s.last {
				left = s.last + d - now
			}
		}
		l.timed.SetLimit(left)
		st := l.Step()
		for _, poll := range s.Devices {
			poll()
		}
		if st != Running {
			return st
		}
		if s.last >= end {
			return Running
		}
	}
}

// idle lets time jump to the next deadline, or waits for the outside when there is none.
func (s *Scheduler) idle() {
	next := domain.Never
	for _, l := range s.Loops {
		if l.pauses.Load()&1 == 0 && l.V.IsUp() { // time stands still for a paused domain, and a vCPU that is down has no timers
			next = min(next, l.Deadline())
		}
	}
	if next == domain.Never {
		<-s.wake
		return
	}
	if s.Host != nil {
		s.sleep(next)
		return
	}
	if now := s.virt.Load(); next > now {
		s.virt.Store(next)
	} else {
		select {
		case <-s.wake:
		default:
		}
	}
}

// sleep waits until a deadline of the host's clock or a kick.
func (s *Scheduler) sleep(next uint64) {
	now := s.Host.Now()
	if next <= now {
		return
	}
	t := time.NewTimer(time.Duration(min(next-now, uint64(time.Hour))))
	defer t.Stop()
	select {
	case <-s.wake:
	case <-t.C:
	}
}
