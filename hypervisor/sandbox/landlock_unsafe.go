package sandbox

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// landlockABI gives the version of the host's Landlock interface.
func landlockABI() (int, error) {
	v, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch e {
	case 0:
		return int(v), nil
	case unix.ENOSYS:
		return 0, errors.New("landlock: the host kernel has none (Linux 5.13 or later has, if built with it)")
	case unix.EOPNOTSUPP:
		return 0, errors.New("landlock: it is switched off on this host (lsm= on the kernel's command line)")
	}
	return 0, fmt.Errorf("landlock: %w", e)
}

// restrict leaves the process the given paths, and TCP only where the network is left to it.
func restrict(abi int, cfg Config) error {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: handledFS(abi)}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if abi >= 4 && !cfg.Network {
		attr.Handled_access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if abi >= 4 {
		size = unsafe.Offsetof(attr.Scoped)
	}
	if abi >= 6 {
		// Not signals: before Linux 6.15 that scope parts the threads of a process from each other.
		attr.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		size = unsafe.Offsetof(attr.Quiet_access_fs)
	}
	fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if e != 0 {
		return fmt.Errorf("landlock: make a rule set: %w", e)
	}
	defer unix.Close(int(fd))
	for _, p := range cfg.Paths {
		if err := allow(int(fd), abi, p); err != nil {
			return err
		}
	}
	return onAllThreads("landlock", unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0)
}

func allow(ruleset, abi int, p Path) error {
	fd, err := unix.Open(p.Name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil // a device that this host has not
	}
	if err != nil {
		return fmt.Errorf("landlock: %s: %w", p.Name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("landlock: %s: %w", p.Name, err)
	}
	rule := unix.LandlockPathBeneathAttr{Parent_fd: int32(fd), Allowed_access: p.Access.rights(st.Mode&unix.S_IFMT == unix.S_IFDIR) & handledFS(abi)}
	_, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if e != 0 {
		return fmt.Errorf("landlock: %s: %w", p.Name, e)
	}
	return nil
}
