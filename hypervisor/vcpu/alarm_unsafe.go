package vcpu

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm makes the kernel interrupt one thread at a time, whatever it does: a run of the guest ends then. It is for engines that do not count
// instructions; Go's own timers belong to a processor of its scheduler, which a vCPU in the guest may hold.
//
// A signal that comes just before the guest is entered ends nothing. So it is repeated until the alarm is set anew.
type alarm struct {
	id   int32
	spec struct{ interval, value unix.Timespec } // struct itimerspec
}

// repeat is how late an alarm can be that came in the wrong moment.
const repeat = 200 * time.Microsecond

// sigevent is struct sigevent (include/uapi/asm-generic/siginfo.h), for SIGEV_THREAD_ID.
type sigevent struct {
	value         uint64
	signo, notify int32
	tid           int32
	_             [11]int32
}

const sigevThreadID = 4

// newAlarm makes an alarm for the calling thread.
func newAlarm() (*alarm, error) {
	a := &alarm{}
	ev := sigevent{signo: int32(unix.SIGURG), notify: sigevThreadID, tid: int32(unix.Gettid())}
	// The kernel reads the event and writes the id during the call.
	_, _, e := unix.Syscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&ev)), uintptr(unsafe.Pointer(&a.id)))
	if e != 0 {
		return nil, fmt.Errorf("make a timer for a vCPU: %w", e)
	}
	return a, nil
}

// set makes the alarm go off after d, or never if d is negative.
func (a *alarm) set(d time.Duration) {
	a.spec.interval, a.spec.value = unix.Timespec{}, unix.Timespec{}
	if d >= 0 {
		a.spec.value = unix.NsecToTimespec(int64(max(d, 1)))
		a.spec.interval = unix.NsecToTimespec(int64(repeat))
	}
	// The timer exists until close, and the kernel only reads the times.
	_, _, _ = unix.RawSyscall6(unix.SYS_TIMER_SETTIME, uintptr(a.id), 0, uintptr(unsafe.Pointer(&a.spec)), 0, 0, 0)
}

func (a *alarm) close() { _, _, _ = unix.Syscall(unix.SYS_TIMER_DELETE, uintptr(a.id), 0, 0) }
