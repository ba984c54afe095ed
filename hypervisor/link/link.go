// Package link is the host's side of a network device, below every device of a guest: an open file that carries one Ethernet frame in each read and write,
// with what is left to do on it before it. Such files are the queues of a tap, and sockets to a process with a network in it.
package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Header says what is left to do on a frame: struct virtio_net_hdr (linux/virtio_net.h).
type Header struct {
	Flags, GSOType                         uint8
	HdrLen, GSOSize, CsumStart, CsumOffset uint16
}

// HeaderSize is the length of a Header in a file, in bytes.
const HeaderSize = 10

// Put writes a header as it is in a file.
func (h Header) Put(b []byte) {
	b[0], b[1] = h.Flags, h.GSOType
	for i, v := range [4]uint16{h.HdrLen, h.GSOSize, h.CsumStart, h.CsumOffset} {
		binary.LittleEndian.PutUint16(b[2+2*i:], v)
	}
}

// Get reads one.
func (h *Header) Get(b []byte) {
	le := binary.LittleEndian
	*h = Header{b[0], b[1], le.Uint16(b[2:]), le.Uint16(b[4:]), le.Uint16(b[6:]), le.Uint16(b[8:])}
}

// Errors of a Queue.
var (
	ErrFull    = errors.New("the other side does not take the frame")
	ErrEmpty   = errors.New("there is no frame")
	ErrStopped = errors.New("the queue is stopped")
	ErrLong    = errors.New("the frame is too long")
)

// sendTime is how long a frame may wait for the other side.
const sendTime = 100 * time.Millisecond

// Queue is one such file. One goroutine sends, one receives.
type Queue struct {
	f       *os.File
	fd      uintptr // of f, which lives as long
	raw     syscall.RawConn
	in, out transfer
}

// transfer is a frame on its way, and what moves it: a function of the runtime's poller.
type transfer struct {
	header [HeaderSize]byte
	list   []unix.Iovec
	room   int // of the list, in bytes
	n      int
	err    error
	move   func(fd uintptr) bool
}

// NewQueue makes a queue of an open file, which belongs to it from then on, also on an error.
func NewQueue(f *os.File) (*Queue, error) {
	q, err := newQueue(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("link %s: %w", f.Name(), err)
	}
	return q, nil
}

func newQueue(f *os.File) (*Queue, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	g := os.NewFile(uintptr(fd), f.Name()) // takes part in polling, as it is non-blocking
	raw, err := g.SyscallConn()
	if err == nil {
		err = g.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = g.Close()
		return nil, err
	}
	_ = f.Close()
	q := &Queue{f: g, fd: uintptr(fd), raw: raw}
	q.in.move = func(fd uintptr) bool { return q.in.do(unix.SYS_READV, fd) }
	q.out.move = func(fd uintptr) bool { return q.out.do(unix.SYS_WRITEV, fd) }
	return q, nil
}

// Send sends one frame. It waits a little for the other side if that is busy, and then gives ErrFull.
func (q *Queue) Send(h Header, parts [][]byte) error {
	h.Put(q.out.header[:])
	q.out.set(parts)
	if q.out.do(unix.SYS_WRITEV, q.fd) {
		return q.out.err
	}
	_ = q.f.SetWriteDeadline(time.Now().Add(sendTime))
	if err := q.raw.Write(q.out.move); err != nil {
		return ErrFull
	}
	return q.out.err
}

// Receive takes the next frame into parts, one after the other, and gives its length. Without wait it gives ErrEmpty where there is none; with it it waits until
// Stop, and then gives ErrStopped. A frame that fills parts to the end counts as too long: ErrLong.
func (q *Queue) Receive(h *Header, parts [][]byte, wait bool) (int, error) {
	q.in.set(parts)
	if !q.in.do(unix.SYS_READV, q.fd) {
		if !wait {
			return 0, ErrEmpty
		}
		if err := q.raw.Read(q.in.move); err != nil {
			return 0, ErrStopped
		}
	}
	switch n := q.in.n; {
	case q.in.err != nil:
		return 0, q.in.err
	case n == 0:
		return 0, ErrStopped // the other side has gone
	case n == q.in.room:
		return 0, ErrLong
	case n < HeaderSize:
		return 0, nil
	default:
		h.Get(q.in.header[:])
		return n - HeaderSize, nil
	}
}

// Stop wakes Receive, and has it give ErrStopped until Start.
func (q *Queue) Stop() { _ = q.f.SetReadDeadline(time.Unix(1, 0)) }

// Start lets Receive wait again.
func (q *Queue) Start() { _ = q.f.SetReadDeadline(time.Time{}) }

// Close gives the file back.
func (q *Queue) Close() error { return q.f.Close() }
