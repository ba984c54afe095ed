package vcpu

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// What is different for a vCPU whose local APIC is the host's.

// pollNap is how long a vCPU sleeps at most in SCHEDOP_poll before it goes back to the guest, which polls again: an interrupt that waits in
// the host's APIC is not seen from here.
const pollNap = 500 * time.Microsecond

// raise makes the host deliver an upcall. Any goroutine.
func (l *Loop) raise() {
	if vec, ok := l.V.TakeUpcallVector(); ok {
		l.chip.Fire(vec)
		return
	}
	if l.V.Polling() {
		l.Kick()
	}
	l.deliver()
}

// deliver raises the callback vector, and has somebody look whether it arrives.
func (l *Loop) deliver() {
	l.Counts.Upcalls.Add(1)
	l.chip.Raise()
	if p := l.pacer.Load(); p != nil {
		p.check()
	}
}

// chipPending decides what a vCPU that waits does. One that blocks waits in the host, for whatever its APIC has. The APIC of one that has not
// begun is left as INIT left it: the guest takes a request in it for a stale one.
func (l *Loop) chipPending() {
	if _, due := l.V.CallbackVector(); due && l.began {
		l.chip.Reopen()
		l.deliver()
	}
	switch {
	case !l.idle:
		return
	case l.poll && !l.nap:
		l.nap = true
		return
	case l.poll:
		l.V.EndPoll()
		l.poll, l.nap, l.idle = false, false, false
		return
	}
	l.idle = false
	if !l.V.UpcallPending() {
		l.chip.Halt()
	}
}

// State tells what the vCPU does. Any goroutine. One that halts in the host is seen by its thread, which sleeps.
func (l *Loop) State() uint32 {
	s := l.gate.State()
	if s == StateRunning && l.chip != nil && asleep(l.tid.Load()) {
		return StateBlocked
	}
	return s
}

// asleep reports whether a thread of this process sleeps (proc(5), stat).
func asleep(tid int32) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ") // behind the name
	return strings.HasPrefix(rest, "S")
}
