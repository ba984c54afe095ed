package disk

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vectors keeps memory for lists of pieces.
var vectors = sync.Pool{New: func() any { return new([]unix.Iovec) }}

// transfer makes one system call of the preadv family for slices, where neighbours are one piece.
func transfer(call uintptr, fd int, p [][]byte, off int64, flags uintptr) (int, error) {
	list := vectors.Get().(*[]unix.Iovec)
	v := (*list)[:0]
	end := uintptr(0)
	for _, b := range p {
		if len(b) == 0 {
			continue
		}
		at := uintptr(unsafe.Pointer(&b[0]))
		if at == end {
			v[len(v)-1].Len += uint64(len(b))
		} else if len(v) == maxVec {
			break
		} else {
			v = append(v, unix.Iovec{Base: &b[0], Len: uint64(len(b))})
		}
		end = at + uintptr(len(b))
	}
	if len(v) == 0 {
		vectors.Put(list)
		return 0, nil
	}
	n, _, e := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&v[0])), uintptr(len(v)), uintptr(off), 0, flags)
	clear(v)
	*list = v
	vectors.Put(list)
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
