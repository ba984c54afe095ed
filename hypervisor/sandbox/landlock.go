package sandbox

import "golang.org/x/sys/unix"

// Access is what the process may do with a path.
type Access int

// The kinds of access. A folder's holds for all that is below it.
const (
	Read   Access = iota // read files, list folders
	Device               // read, write and control a device
	Own                  // everything but to execute, and to make links and devices
)

// Path is a file or folder that stays within reach.
type Path struct {
	Name   string
	Access Access
}

// rights gives the access rights of linux/landlock.h; most make sense for a folder only.
func (a Access) rights(folder bool) uint64 {
	r := uint64(unix.LANDLOCK_ACCESS_FS_READ_FILE)
	switch a {
	case Device:
		r |= unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	case Own:
		r |= unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
		if folder {
			r |= unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_DIR |
				unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_REFER
		}
	}
	if folder {
		r |= unix.LANDLOCK_ACCESS_FS_READ_DIR
	}
	return r
}

// handledFS gives the rights that exist in a version of the interface: all are refused unless a path allows them.
func handledFS(abi int) uint64 {
	bits := 13 // EXECUTE to MAKE_SYM
	switch {
	case abi >= 5:
		bits = 16 // and IOCTL_DEV
	case abi >= 3:
		bits = 15 // and TRUNCATE
	case abi == 2:
		bits = 14 // and REFER
	}
	return 1<<bits - 1
}
