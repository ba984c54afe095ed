package kvm

import "golang.org/x/sys/unix"

// rawIoctl makes one request (enter_amd64.s).
//
//go:noescape
func rawIoctl(fd, request, arg uintptr) uintptr

// rawRun enters the guest without telling Go's scheduler.
func rawRun(fd int) unix.Errno {
	if r := rawIoctl(uintptr(fd), kvmRun, 0); r > ^uintptr(4095) {
		return unix.Errno(-r)
	}
	return 0
}
