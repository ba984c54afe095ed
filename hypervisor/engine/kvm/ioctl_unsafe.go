package kvm

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ioctl makes a request whose argument is a number.
func ioctl(fd int, req, arg uintptr) (int, error) {
	for {
		n, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, arg)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return -1, e
		}
		return int(n), nil
	}
}

// request makes a request whose argument is the structure *p, which the kernel reads or fills; it keeps no pointer to it.
func request[T any](fd int, req uintptr, p *T) error {
	_, err := ioctl(fd, req, uintptr(unsafe.Pointer(p)))
	return err
}

// address gives the address of *p for a structure that points to another one. The caller keeps p alive until the
// request is done.
func address[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

// addr is address for the argument of a request.
func addr[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// fail names a failed request.
func fail(what string, err error) error { return fmt.Errorf("kvm: %s: %w", what, err) }

func keep[T any](p *T) { runtime.KeepAlive(p) }
