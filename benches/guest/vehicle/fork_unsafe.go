package vehicle

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The functions of this file fork. The copy has one thread, and a Go runtime that waits for the others: it may do nothing but system calls. That is
// why none of these functions has a check of its stack, in which the runtime would take the processor away from a goroutine that has had it for long.

// forkExit makes a process that ends at once.
//
//go:nosplit
func forkExit() (pid uintptr, e unix.Errno) {
	if pid, _, e = unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0); pid != 0 || e != 0 {
		return pid, e
	}
	for {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// forkAnswer makes a process that sends back each byte that comes, until there are no more. It closes the end of the pipe that is the
// other process's.
//
//go:nosplit
func forkAnswer(from, to, other uintptr) (pid uintptr, e unix.Errno) {
	if pid, _, e = unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0); pid != 0 || e != 0 {
		return pid, e
	}
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, other, 0, 0)
	var b [1]byte
	p := uintptr(unsafe.Pointer(&b)) // stays where it is: a stack that is not checked is not moved
	for {
		n, _, e := unix.RawSyscall(unix.SYS_READ, from, p, 1)
		if e == 0 && n == 1 {
			_, _, e = unix.RawSyscall(unix.SYS_WRITE, to, p, 1)
		}
		if e != 0 && e != unix.EINTR || n == 0 {
			break
		}
	}
	for {
		_, _, _ = unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}
