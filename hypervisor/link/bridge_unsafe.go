package link

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// AddBridge makes a bridge (SIOCBRADDBR, linux/sockios.h). It needs CAP_NET_ADMIN, and stays until it is taken away, or its network namespace is.
func AddBridge(name string) error {
	b, err := unix.BytePtrFromString(name)
	if err != nil {
		return fmt.Errorf("make the bridge %q: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make the bridge %s: %w", name, err)
	}
	defer unix.Close(fd)
	// The kernel copies the name before the call ends.
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCBRADDBR, uintptr(unsafe.Pointer(b))); e != 0 {
		return fmt.Errorf("make the bridge %s: %w", name, e)
	}
	return nil
}
