package vehicle

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Op is an operation of the kernel that is measured.
type Op struct {
	Name, Meaning string
	Ops           int // in a batch
	begin         func() (op func() error, end func(), err error)
}

// List gives them in the order in which they run.
func List() []Op {
	return []Op{
		{"linux/getpid", "getpid, a system call that does nothing", 1000, plain(func() error { unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0); return nil })},
		{"linux/write", "a byte is written to /dev/null", 1000, writeNull},
		{"linux/clock", "clock_gettime of the monotonic clock, by the vDSO where the kernel lets it", 1000, plain(readClock)},
		{"linux/mprotect", "a page is made read-only and writable again", 200, protect},
		{"linux/mmap", "16 pages are mapped, touched and unmapped", 50, plain(mapTouch)},
		{"linux/pipe", "a byte goes to another process through a pipe, and one comes back", 100, pipes},
		{"linux/fork", "a process is made that ends at once, and is waited for", 20, plain(forkWait)},
	}
}

func readClock() error {
	if time.Now().IsZero() {
		return errors.New("there is no time")
	}
	return nil
}

func plain(op func() error) func() (func() error, func(), error) {
	return func() (func() error, func(), error) { return op, func() {}, nil }
}

func writeNull() (func() error, func(), error) {
	fd, err := unix.Open("/dev/null", unix.O_WRONLY, 0)
	b := []byte{0}
	return func() error { _, err := unix.Write(fd, b); return err }, func() { _ = unix.Close(fd) }, err
}

const pageSize = 4096

func protect() (func() error, func(), error) {
	m, err := unix.Mmap(-1, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, nil, err
	}
	m[0] = 1
	return func() error {
		return errors.Join(unix.Mprotect(m, unix.PROT_READ), unix.Mprotect(m, unix.PROT_READ|unix.PROT_WRITE))
	}, func() { _ = unix.Munmap(m) }, nil
}

func mapTouch() error {
	const pages = 16
	m, err := unix.Mmap(-1, 0, pages*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	for i := range pages {
		m[i*pageSize] = 1
	}
	return unix.Munmap(m)
}

func forkWait() error {
	pid, e := forkExit()
	if e != 0 {
		return e
	}
	return await(int(pid))
}

func await(pid int) error {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return err
		}
	}
}

// pipes starts the process at the other end.
func pipes() (func() error, func(), error) {
	var there, back [2]int
	if err := errors.Join(unix.Pipe(there[:]), unix.Pipe(back[:])); err != nil {
		return nil, nil, err
	}
	pid, e := forkAnswer(uintptr(there[0]), uintptr(back[1]), uintptr(there[1]))
	if e != 0 {
		return nil, nil, e
	}
	_ = errors.Join(unix.Close(there[0]), unix.Close(back[1]))
	b := []byte{0}
	op := func() error {
		if _, err := unix.Write(there[1], b); err != nil {
			return err
		}
		_, err := unix.Read(back[0], b)
		return err
	}
	return op, func() { _ = errors.Join(unix.Close(there[1]), unix.Close(back[0]), await(int(pid))) }, nil
}
