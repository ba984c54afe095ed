package kvm

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// thread is the part of a vCPU that all architectures share: its descriptor, the page it shares with the kernel, and the way in and out.
//
// KVM_RUN is entered by RawSyscall, which tells Go's scheduler nothing: that is within 2 % of C. The scheduler then believes that the
// goroutine computes, and after 10 ms sends it SIGURG; that ends KVM_RUN with EINTR, and the next entry is by Syscall, which lets
// others use the processor meanwhile: a guest that runs so long without an exit does not notice the 200 instructions. When exits become
// frequent again, so does RawSyscall.
type thread struct {
	m   *machine
	fd  int
	run []byte // struct kvm_run and what follows it
	// page is the first of run: places in it that are constants need no check.
	page *[runPage]byte

	immediate *uint32 // the word of run that holds immediate_exit
	reason    *uint32

	tid    atomic.Int32
	inside atomic.Bool   // about to enter the guest, in it, or just out
	asks   atomic.Uint32 // what keeps it from entering: ask bits

	raw   bool
	short int       // exits since began
	began time.Time // when short was 0
}

// How RawSyscall comes back: so many exits in so short a time.
const (
	shortExits = 16
	shortTime  = time.Millisecond
)

// What is looked at between inside and the entry: all of it in one word, since the way in is the hot path.
const (
	askKick uint32 = 1 << iota // Kick was called
	askGate                    // memory slots are changing
	askBind                    // no thread has run the vCPU yet
	askWork                    // something was posted (amd64)
)

// immediateBit is immediate_exit in the first word of kvm_run, which it shares with request_interrupt_window.
const immediateBit = 1 << (8 * runImmediate)

// runPage is less than any host's shared page.
const runPage = 4096

// words finds the words of the shared page that are accessed atomically.
func (t *thread) words() {
	// The page is mapped until close, aligned, and larger than struct kvm_run.
	t.page = (*[runPage]byte)(t.run)
	t.immediate = (*uint32)(unsafe.Pointer(&t.run[0]))
	t.reason = (*uint32)(unsafe.Pointer(&t.run[runReason]))
}

func (t *thread) close() {
	_ = unix.Munmap(t.run)
	_ = unix.Close(t.fd)
	t.run, t.page, t.immediate, t.reason = nil, nil, nil, nil
}

// Kick makes the run that is under way, or the next one, return soon. Any goroutine, until the VM is closed.
func (t *thread) Kick() {
	t.asks.Or(askKick)
	t.interrupt()
}

// interrupt ends a run that is under way, if there is one.
func (t *thread) interrupt() {
	if !t.inside.Load() {
		return
	}
	atomic.OrUint32(t.immediate, immediateBit)
	if tid := t.tid.Load(); tid != 0 {
		_ = unix.Tgkill(pid, int(tid), unix.SIGURG)
	}
}

var pid = unix.Getpid()

// leave returns once the vCPU is outside the guest. The gate must be shut, so that it does not come back.
func (t *thread) leave() {
	for t.inside.Load() {
		t.interrupt()
		runtime.Gosched()
	}
}

// outcome of an entry.
type outcome uint8

const (
	exited   outcome = iota // reason says why
	signaled                // a signal ended the run: a timer's, or of Go's runtime
	kickedIt                // Kick was called
)

// enter runs the guest until it exits or is interrupted. A KVM error comes back as it is.
func (t *thread) enter() (outcome, error) {
	t.inside.Store(true)
	if t.asks.Load() != 0 && !t.ready() {
		return kickedIt, nil
	}
	var e unix.Errno
	if t.raw {
		e = rawRun(t.fd)
	} else {
		_, _, e = unix.Syscall(unix.SYS_IOCTL, uintptr(t.fd), kvmRun, 0)
		t.pace()
	}
	t.inside.Store(false)
	if e != 0 {
		return t.interrupted(e)
	}
	return exited, nil
}

// ready does what is seldom needed before an entry: false is that Kick was called.
func (t *thread) ready() bool {
	if t.asks.Load()&askBind != 0 {
		t.tid.Store(int32(unix.Gettid()))
		t.asks.And(^askBind)
	}
	for t.asks.Load()&askGate != 0 {
		t.inside.Store(false)
		t.m.await()
		t.inside.Store(true)
	}
	if t.takeKick() {
		t.inside.Store(false)
		return false
	}
	return true
}

func (t *thread) takeKick() bool {
	return t.asks.Load()&askKick != 0 && t.asks.And(^askKick)&askKick != 0
}

// interrupted sorts out what ended a run.
func (t *thread) interrupted(e unix.Errno) (outcome, error) {
	if e != unix.EINTR && e != unix.EAGAIN {
		return exited, e
	}
	asked := atomic.AndUint32(t.immediate, ^uint32(immediateBit))&immediateBit != 0
	if t.takeKick() {
		return kickedIt, nil
	}
	if t.raw && !asked {
		t.raw, t.short, t.began = false, 0, time.Now()
		runtime.Gosched()
	}
	return signaled, nil
}

// pace goes back to RawSyscall when exits are frequent.
func (t *thread) pace() {
	if t.short++; t.short < shortExits {
		return
	}
	now := time.Now()
	t.raw = now.Sub(t.began) < shortTime
	t.short, t.began = 0, now
}

func (t *thread) u32(off int) uint32 { return binary.NativeEndian.Uint32(t.page[off:]) }
func (t *thread) u64(off int) uint64 { return binary.NativeEndian.Uint64(t.page[off:]) }
func (t *thread) set64(off int, v uint64) {
	binary.NativeEndian.PutUint64(t.page[off:], v)
}
