package e2e

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// addBridge makes a bridge (SIOCBRADDBR, linux/sockios.h).
func addBridge(fd int, name string) error {
	b, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(b))); e != 0 {
		return e
	}
	return nil
}
