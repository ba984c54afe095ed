package kvm

import "golang.org/x/sys/unix"

// rawRun enters the guest without telling Go's scheduler.
func rawRun(fd int) unix.Errno {
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(fd), kvmRun, 0)
	return e
}
