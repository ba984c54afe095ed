package vehicle

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Need is a device that an operation is about.
type Need string

// Devices.
const (
	Nothing Need = ""
	Disk    Need = "disk"
	Net     Need = "network"
)

// Op is an operation of the kernel that is measured.
type Op struct {
	Name, Meaning string
	Ops           int // in a batch
	Needs         Need
	Each          bool // each operation is timed by itself, and is a sample
	// begin gives a function that does the operation n times, and one for the end.
	begin func(*guest) (do func(n int) error, end func(), err error)
}

// List gives them in the order in which they run.
func List() []Op {
	return []Op{
		{Name: "linux/getpid", Meaning: "getpid, a system call that does nothing", Ops: 1000,
			begin: plain(func() error { unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0); return nil })},
		{Name: "linux/write", Meaning: "a byte is written to /dev/null", Ops: 1000, begin: again(writeNull)},
		{Name: "linux/clock", Meaning: "clock_gettime of the monotonic clock, by the vDSO where the kernel lets it", Ops: 1000, begin: plain(readClock)},
		{Name: "linux/mprotect", Meaning: "a page is made read-only and writable again", Ops: 200, begin: again(protect)},
		{Name: "linux/mmap", Meaning: "16 pages are mapped, touched and unmapped", Ops: 50, begin: plain(mapTouch)},
		{Name: "linux/pipe", Meaning: "a byte goes to another process through a pipe, and one comes back", Ops: 100, begin: again(pipes)},
		{Name: "linux/fork", Meaning: "a process is made that ends at once, and is waited for", Ops: 20, begin: plain(forkWait)},

		{Name: "block/read-4k", Meaning: "4 KiB are read from anywhere on a disk, past the guest's page cache", Ops: 32, Needs: Disk, Each: true, begin: onDisk(readBlocks)},
		{Name: "block/write-4k", Meaning: "4 KiB are written so", Ops: 32, Needs: Disk, Each: true, begin: onDisk(writeBlocks)},
		{Name: "block/read-4k-x32", Meaning: "the same read with 32 requests under way, for one of them", Ops: 512, Needs: Disk, begin: onDisk(deep(false))},
		{Name: "block/write-4k-x32", Meaning: "the same written with 32 requests under way, for one of them", Ops: 512, Needs: Disk, begin: onDisk(deep(true))},
		{Name: "block/read-1m", Meaning: "a MiB is read, one behind the other", Ops: 8, Needs: Disk, Each: true, begin: onDisk(readLarge)},
		{Name: "block/write-1m", Meaning: "a MiB is written, one behind the other", Ops: 8, Needs: Disk, Each: true, begin: onDisk(writeLarge)},

		{Name: "net/send", Meaning: "a MiB goes to the host by TCP", Ops: 4, Needs: Net, begin: onTCP(sendMiB)},
		{Name: "net/receive", Meaning: "a MiB comes from the host by TCP", Ops: 4, Needs: Net, begin: onTCP(receiveMiB)},
		{Name: "net/ping", Meaning: "a byte goes to the host by TCP, and one comes back", Ops: 32, Needs: Net, Each: true, begin: onTCP(ping)},
	}
}

func readClock() error {
	if time.Now().IsZero() {
		return errors.New("there is no time")
	}
	return nil
}

// plain is an operation that needs nothing.
func plain(op func() error) func(*guest) (func(int) error, func(), error) {
	return again(func() (func() error, func(), error) { return op, func() {}, nil })
}

// again does what begin gives as often as it is asked to.
func again(begin func() (op func() error, end func(), err error)) func(*guest) (func(int) error, func(), error) {
	return func(*guest) (func(int) error, func(), error) {
		op, end, err := begin()
		return func(n int) error {
			for range n {
				if err := op(); err != nil {
					return err
				}
			}
			return nil
		}, end, err
	}
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
