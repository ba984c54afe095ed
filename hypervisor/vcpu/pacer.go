package vcpu

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/domain"
)

// pacer expires the timers of a vCPU whose upcalls the host injects, from a thread of its own: the vCPU need not leave the guest for
// them.
type pacer struct {
	l    *Loop
	fd   int
	done chan struct{}

	mu   sync.Mutex
	due  uint64 // system time of the next timer
	look uint64 // when to look whether the last upcall has arrived
	set  uint64 // what the kernel's timer is set to
	wait time.Duration
	stop bool
}

// How long an upcall may wait before the vCPU is looked after: twice as long each time, since one that was not started yet takes none.
const (
	arrival     = 2 * time.Millisecond
	lastArrival = 64 * time.Millisecond
)

func newPacer(l *Loop) (*pacer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a timer for a vCPU: %w", err)
	}
	p := &pacer{l: l, fd: fd, due: domain.Never, look: domain.Never, set: domain.Never, done: make(chan struct{})}
	go p.run()
	return p, nil
}

// at sets the next timer's time.
func (p *pacer) at(due uint64) {
	p.mu.Lock()
	p.due = due
	if !p.l.V.UpcallPending() {
		p.look, p.wait = domain.Never, 0
	}
	p.arm()
	p.mu.Unlock()
}

// check makes the pacer look after the vCPU in a while. Any goroutine.
func (p *pacer) check() {
	p.mu.Lock()
	if !p.stop {
		p.look = p.l.V.Now() + uint64(max(p.wait, arrival))
		p.arm()
	}
	p.mu.Unlock()
}

// arm sets the kernel's timer; the caller holds mu.
func (p *pacer) arm() {
	next := min(p.due, p.look)
	if p.stop {
		next = 0
	}
	if next == p.set {
		return
	}
	p.set = next
	var spec unix.ItimerSpec
	if next != domain.Never {
		now := p.l.V.Now()
		spec.Value = unix.NsecToTimespec(int64(max(next, now+1) - now))
	}
	_ = unix.TimerfdSettime(p.fd, 0, &spec, nil)
}

func (p *pacer) close() {
	p.mu.Lock()
	p.stop = true
	p.arm()
	p.mu.Unlock()
	<-p.done
	_ = unix.Close(p.fd)
}

func (p *pacer) run() {
	runtime.LockOSThread()
	defer close(p.done)
	var b [8]byte
	for {
		if _, err := unix.Read(p.fd, b[:]); err != nil && err != unix.EINTR {
			return
		}
		if !p.tick() {
			return
		}
	}
}

// tick does what is due.
func (p *pacer) tick() bool {
	v := p.l.V
	now := v.Now()
	p.mu.Lock()
	if p.stop {
		p.mu.Unlock()
		return false
	}
	timer, look := p.due <= now, p.look <= now
	if timer {
		p.due = domain.Never
	}
	if look {
		p.look = domain.Never
	}
	p.set = domain.Never // it has gone off
	p.arm()
	p.mu.Unlock()
	switch {
	case v.UpcallPending(): // the last one has not arrived: the vCPU's own thread finds out why
		p.slower()
		p.l.Kick()
	case timer:
		v.Expire(now)
	}
	return true
}

// slower makes the next look come later.
func (p *pacer) slower() {
	p.mu.Lock()
	p.wait = min(max(2*p.wait, arrival), lastArrival)
	p.mu.Unlock()
}
