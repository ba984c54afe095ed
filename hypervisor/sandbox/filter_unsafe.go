package sandbox

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// filterThreads puts the system-call filter on all threads of the process at once, and on those to come.
func filterThreads(network bool) error {
	if err := catchForbidden(); err != nil {
		return err
	}
	p := compile(auditArch, rules(facts{pid: uint32(os.Getpid()), text: uint32(uint64(trapPC()) >> 32), network: network}))
	fprog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	// TSYNC: all threads or none. LOG: the kernel's audit log names the call as well.
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_LOG)
	// The kernel copies the program during the call.
	thread, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fprog)))
	switch {
	case e != 0:
		return fmt.Errorf("system-call filter: %w", e)
	case thread != 0:
		return fmt.Errorf("system-call filter: thread %d has another one", thread)
	}
	return nil
}
