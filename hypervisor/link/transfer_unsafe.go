package link

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// set lists the header and the parts of a frame.
func (t *transfer) set(parts [][]byte) {
	clear(t.list)
	t.list = append(t.list[:0], unix.Iovec{Base: &t.header[0], Len: HeaderSize})
	t.room = HeaderSize
	for _, p := range parts {
		if len(p) > 0 {
			t.list = append(t.list, unix.Iovec{Base: &p[0], Len: uint64(len(p))})
			t.room += len(p)
		}
	}
}

// do makes the system call; false: it would have to wait.
func (t *transfer) do(call, fd uintptr) bool {
	for {
		n, _, e := unix.Syscall(call, fd, uintptr(unsafe.Pointer(&t.list[0])), uintptr(len(t.list)))
		switch e {
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		case 0:
			t.n, t.err = int(n), nil
		default:
			t.n, t.err = 0, e
		}
		return true
	}
}
