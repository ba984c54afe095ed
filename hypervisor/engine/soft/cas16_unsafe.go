//go:build !amd64

package soft

import "unsafe"

// cas16 compares and exchanges 16 bytes at p, which is aligned to 16 and lies in guest memory, and gives what was there. Hosts other than amd64
// interleave vCPUs on one thread, so no other vCPU is between the two halves.
func (vm *VM) cas16(p unsafe.Pointer, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64, ok bool) {
	q := (*[2]uint64)(p)
	lo, hi = q[0], q[1]
	if ok = lo == oldLo && hi == oldHi; ok {
		q[0], q[1] = newLo, newHi
	}
	return lo, hi, ok
}
