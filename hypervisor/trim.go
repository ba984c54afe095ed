package main

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// trim takes the program's code and constants out of this process's memory: most of what was touched was for starting and building, and
// what is needed again comes back from the page cache, a few pages at a time. Nothing changes but the memory that the process holds.
func trim() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		if start, size, ok := constant(line, self); ok {
			// The pages are unchanged copies of the file: dropping them loses nothing.
			_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, start, size, unix.MADV_DONTNEED)
		}
	}
}

// constant gives the address range of a line of /proc/self/maps if it is a part of the program's file that nobody can write to (proc(5)).
func constant(line, self string) (start, size uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || f[5] != self || strings.Contains(f[1], "w") {
		return 0, 0, false
	}
	lo, hi, _ := strings.Cut(f[0], "-")
	a, err := strconv.ParseUint(lo, 16, 64)
	b, err2 := strconv.ParseUint(hi, 16, 64)
	if err != nil || err2 != nil || b <= a {
		return 0, 0, false
	}
	return uintptr(a), uintptr(b - a), true
}
