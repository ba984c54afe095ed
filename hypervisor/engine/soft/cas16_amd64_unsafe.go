//go:build amd64

package soft

import "unsafe"

//go:noescape
func cmpxchg16b(p unsafe.Pointer, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64, ok bool)

// cas16 compares and exchanges 16 bytes at p, which is aligned to 16 and lies in guest memory, and gives what was there.
func (vm *VM) cas16(p unsafe.Pointer, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64, ok bool) {
	return cmpxchg16b(p, oldLo, oldHi, newLo, newHi)
}
