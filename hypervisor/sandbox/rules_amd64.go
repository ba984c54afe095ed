package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	statAt    = unix.SYS_NEWFSTATAT
)

// arch_prctl's ARCH_SET_FS (asm/prctl.h) sets a new thread's pointer to its own storage.
const archSetFS = 0x1002

func archRules() []rule {
	return []rule{
		{number: unix.SYS_EPOLL_WAIT},
		{number: unix.SYS_ARCH_PRCTL, any: [][]test{low(0, archSetFS)}},
	}
}
