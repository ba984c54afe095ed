package sandbox

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errCgo says that the threads of this program are not all Go's, so that they cannot be confined one by one, and their calls are not those
// of the rules. The race detector makes such programs.
var errCgo = errors.New("the program is linked with C code (cgo)")

// onAllThreads makes a system call on every thread of the process. It fails alike on all.
func onAllThreads(what string, call, a, b, c uintptr) error {
	_, _, e := syscall.AllThreadsSyscall6(call, a, b, c, 0, 0, 0)
	switch {
	case e == syscall.ENOTSUP:
		return errCgo
	case e != 0:
		return fmt.Errorf("%s: %w", what, e)
	}
	return nil
}

func noNewPrivileges() error {
	return onAllThreads("no_new_privs", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
}

// dropCapabilities empties the permitted, effective and inheritable sets, and with them the ambient one (capabilities(7)). With
// no_new_privs nothing brings them back.
func dropCapabilities() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	// Both outlive the call, which reads them.
	return onAllThreads("drop capabilities", unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&none[0])), 0)
}
