package vehicle

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of this file go past Go's scheduler, which would give the processor to others and take it back around each of them. The memory that they
// are given is either mapped by hand or of the heap, where nothing moves, and is held by the caller until they end.

// transfer moves all of b from or to a file: by SYS_PREAD64 or SYS_PWRITE64.
func transfer(call uintptr, fd int, b []byte, at int64) error {
	for {
		n, _, e := unix.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(at), 0, 0)
		switch {
		case e == unix.EINTR:
		case e != 0:
			return e
		case int(n) != len(b):
			return fmt.Errorf("only %d bytes of %d", n, len(b))
		default:
			return nil
		}
	}
}

// some moves a part of b through a file: by SYS_READ or SYS_WRITE.
func some(call uintptr, fd int, b []byte) (int, error) {
	for {
		n, _, e := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return int(n), nil
	}
}

// iocb is struct iocb of linux/aio_abi.h (little-endian).
type iocb struct {
	data   uint64
	_, _   uint32 // aio_key, aio_rw_flags
	opcode uint16
	_      int16 // aio_reqprio
	fd     uint32
	buf    uint64
	size   uint64
	offset int64
	_      uint64
	_, _   uint32 // aio_flags, aio_resfd
}

// ioEvent is struct io_event.
type ioEvent struct {
	data, obj uint64
	res, res2 int64
}

// Opcodes: IOCB_CMD_PREAD, IOCB_CMD_PWRITE.
const (
	aioRead  = 0
	aioWrite = 1
)

// aio is a context of Linux's asynchronous I/O, with a number of requests.
type aio struct {
	context  uintptr
	requests []iocb
	list     []*iocb // what is submitted together
	done     []ioEvent
}

func newAIO(n int) (*aio, error) {
	a := &aio{requests: make([]iocb, n), list: make([]*iocb, 0, n), done: make([]ioEvent, n)}
	if _, _, e := unix.RawSyscall(unix.SYS_IO_SETUP, uintptr(n), uintptr(unsafe.Pointer(&a.context)), 0); e != 0 {
		return nil, fmt.Errorf("io_setup: %w", e)
	}
	return a, nil
}

func (a *aio) close() { _, _, _ = unix.RawSyscall(unix.SYS_IO_DESTROY, a.context, 0, 0) }

// set makes a request. b is not of the Go heap.
func (a *aio) set(i, fd int, write bool, b []byte, at int64) {
	code := uint16(aioRead)
	if write {
		code = aioWrite
	}
	a.requests[i] = iocb{data: uint64(i), opcode: code, fd: uint32(fd), buf: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))), size: uint64(len(b)), offset: at}
}

// offset gives where a request is.
func (a *aio) offset(i int) int64 { return a.requests[i].offset }

// submit begins requests.
func (a *aio) submit(which []int) error {
	a.list = a.list[:0]
	for _, i := range which {
		a.list = append(a.list, &a.requests[i])
	}
	if len(which) == 0 {
		return nil
	}
	n, _, e := unix.RawSyscall(unix.SYS_IO_SUBMIT, a.context, uintptr(len(a.list)), uintptr(unsafe.Pointer(unsafe.SliceData(a.list))))
	runtime.KeepAlive(a)
	if e != 0 || int(n) != len(which) {
		return fmt.Errorf("io_submit: %d of %d requests (%w)", n, len(which), e)
	}
	return nil
}

// await waits for at least one request, and appends those that ended.
func (a *aio) await(ended []int) ([]int, error) {
	for {
		n, _, e := unix.RawSyscall6(unix.SYS_IO_GETEVENTS, a.context, 1, uintptr(len(a.done)), uintptr(unsafe.Pointer(unsafe.SliceData(a.done))), 0, 0)
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			return nil, fmt.Errorf("io_getevents: %w", e)
		}
		for _, d := range a.done[:n] {
			if d.res != int64(a.requests[d.data].size) {
				return nil, fmt.Errorf("a request ended with %d", d.res)
			}
			ended = append(ended, int(d.data))
		}
		return ended, nil
	}
}
