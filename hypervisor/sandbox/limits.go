package sandbox

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// openFiles bounds the file descriptors of the process: clients of the control socket take one each.
const openFiles = 4096

// limits bounds what the process may take of the host. Not the size of files: disk images and shared guest memory have any. Not the number of
// processes: that limit counts all of the user's, and the filter lets none be made.
var limits = []limit{
	{"core", unix.RLIMIT_CORE, 0}, // a core file would hold the guest's memory
	{"nofile", unix.RLIMIT_NOFILE, openFiles},
	{"msgqueue", unix.RLIMIT_MSGQUEUE, 0},
}

// dataSize bounds the memory, in bytes, of a process with a network: what strangers send it may become as much as they like. A domain's process has its guest's.
const dataSize = 1 << 30

// fileSize bounds the files that such a process writes, in bytes: there are none but for its last words, when it fails.
const fileSize = 1 << 20

// limit is one of them.
type limit struct {
	name     string
	resource int
	max      uint64
}

// setLimits lowers the limits; those that are lower already stay.
func setLimits(network bool) error {
	all := limits
	if network {
		all = append(slices.Clip(all), limit{"data", unix.RLIMIT_DATA, dataSize}, limit{"fsize", unix.RLIMIT_FSIZE, fileSize})
	}
	for _, l := range all {
		var have unix.Rlimit
		if err := unix.Prlimit(0, l.resource, nil, &have); err != nil {
			return fmt.Errorf("resource limit %s: %w", l.name, err)
		}
		want := unix.Rlimit{Cur: min(have.Max, l.max), Max: min(have.Max, l.max)}
		if err := unix.Prlimit(0, l.resource, &want, nil); err != nil {
			return fmt.Errorf("resource limit %s: %w", l.name, err)
		}
	}
	return nil
}
