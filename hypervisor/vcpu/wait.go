package vcpu

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// waiter lets one thread sleep until a kick or a deadline, to the precision of the host's high-resolution timers (the Go runtime's own
// timers are rounded up to a millisecond when everything else is idle).
type waiter struct {
	fds      [1]unix.PollFd
	ts       unix.Timespec
	kicked   atomic.Bool
	sleeping atomic.Bool
}

func newWaiter() (*waiter, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make an eventfd for a vCPU: %w", err)
	}
	return &waiter{fds: [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}}, nil
}

func (w *waiter) fd() int { return int(w.fds[0].Fd) }

func (w *waiter) close() { _ = unix.Close(w.fd()) }

var one = binary.NativeEndian.AppendUint64(nil, 1)

// precise makes the calling thread's sleeps end in time: by itself the kernel allows a thread 50 microseconds of slack.
func precise() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// kick ends the sleep under way, or the next one. Any goroutine, until close.
func (w *waiter) kick() {
	w.kicked.Store(true)
	if w.sleeping.Load() {
		_, _ = unix.Write(w.fd(), one)
	}
}

// sleep waits for a kick, at most d; d < 0 means without end. It reports whether there was one.
func (w *waiter) sleep(d time.Duration) (kicked bool) {
	w.sleeping.Store(true)
	if kicked = w.kicked.Swap(false); !kicked {
		var ts *unix.Timespec
		if d >= 0 {
			w.ts = unix.NsecToTimespec(int64(d))
			ts = &w.ts
		}
		if n, _ := unix.Ppoll(w.fds[:], ts, nil); n > 0 {
			var b [8]byte
			_, _ = unix.Read(w.fd(), b[:])
		}
		kicked = w.kicked.Swap(false)
	}
	w.sleeping.Store(false)
	return kicked
}
