package disk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// NBD is an image that another process serves: a client of the NBD protocol (NetworkBlockDevice's doc/proto.md, fixed newstyle negotiation and simple
// replies). Many requests are under way at a time on one connection.
type NBD struct {
	name     string
	conn     net.Conn
	size     int64
	flags    uint16
	readOnly bool
	max      int // bytes of one request

	send   sync.Mutex // held while a request is written
	header [nbdRequestSize]byte
	parts  net.Buffers

	mu      sync.Mutex
	waiting map[uint64]*nbdCall
	last    uint64 // cookie
	err     error  // why there are no answers any more
}

// nbdCall is a request that waits for its reply.
type nbdCall struct {
	into [][]byte // of a read
	done chan error
}

// Numbers of the protocol.
const (
	nbdMagic        = 0x4e42444d41474943 // "NBDMAGIC"
	nbdOptMagic     = 0x49484156454f5054 // "IHAVEOPT"
	nbdOptReply     = 0x0003e889045565a9
	nbdRequestMagic = 0x25609513
	nbdReplyMagic   = 0x67446698

	nbdFixedNewstyle = 1
	nbdNoZeroes      = 2
	nbdOptGo         = 7
	nbdInfoExport    = 0
	nbdInfoBlockSize = 3
	nbdRepAck        = 1
	nbdRepInfo       = 3
	nbdRepError      = 1 << 31

	nbdFlagReadOnly = 1 << 1
	nbdFlagFlush    = 1 << 2
	nbdFlagTrim     = 1 << 5

	nbdRead  = 0
	nbdWrite = 1
	nbdDisc  = 2
	nbdFlush = 3
	nbdTrim  = 4

	nbdRequestSize = 28
	nbdReplySize   = 16
	nbdMaxOption   = 64 << 10 // bytes of an answer in the negotiation
	nbdMaxRequest  = 32 << 20 // bytes, where the server says nothing else
	nbdMaxTrim     = 1 << 30  // bytes of one request, a multiple of any block
)

// NewNBD makes an image of a connection to a server, which belongs to it from then on, also on an error. It takes the server's default export.
func NewNBD(f *os.File, readOnly bool) (*NBD, error) {
	name := f.Name()
	conn, err := net.FileConn(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", name, err)
	}
	n := &NBD{name: name, conn: conn, readOnly: readOnly, max: nbdMaxRequest, waiting: map[uint64]*nbdCall{}}
	r := bufio.NewReaderSize(conn, 64<<10)
	if err := n.negotiate(r); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("disk %s: %w", name, err)
	}
	go n.receive(r)
	return n, nil
}

// errGone is a server that ended the connection.
var errGone = errors.New("the process that reads the image has ended")

// explainNBD makes an error of the connection understandable.
func explainNBD(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) {
		return errGone
	}
	return err
}

func (n *NBD) negotiate(r io.Reader) error {
	be := binary.BigEndian
	hello := make([]byte, 18)
	if _, err := io.ReadFull(r, hello); err != nil {
		return explainNBD(err)
	}
	flags := be.Uint16(hello[16:])
	if be.Uint64(hello) != nbdMagic || be.Uint64(hello[8:]) != nbdOptMagic || flags&nbdFixedNewstyle == 0 {
		return errors.New("this is not an NBD server that negotiates (fixed newstyle)")
	}
	ask := be.AppendUint32(nil, uint32(flags&(nbdFixedNewstyle|nbdNoZeroes)))
	ask = be.AppendUint64(ask, nbdOptMagic)
	ask = be.AppendUint32(ask, nbdOptGo)
	ask = be.AppendUint32(ask, 8)
	ask = be.AppendUint32(ask, 0) // the export's name: the default one
	ask = be.AppendUint16(ask, 1)
	ask = be.AppendUint16(ask, nbdInfoBlockSize)
	if _, err := n.conn.Write(ask); err != nil {
		return explainNBD(err)
	}
	known := false
	for {
		var head [20]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return explainNBD(err)
		}
		kind, length := be.Uint32(head[12:]), be.Uint32(head[16:])
		if be.Uint64(head[:]) != nbdOptReply || be.Uint32(head[8:]) != nbdOptGo || length > nbdMaxOption {
			return errors.New("the NBD server's answer makes no sense")
		}
		data := make([]byte, length)
		if _, err := io.ReadFull(r, data); err != nil {
			return explainNBD(err)
		}
		switch {
		case kind == nbdRepAck && known:
			return nil
		case kind == nbdRepInfo:
			had, err := n.info(data)
			if err != nil {
				return err
			}
			known = known || had
		case kind&nbdRepError != 0:
			return fmt.Errorf("the NBD server refuses: %q", data)
		default:
			return errors.New("the NBD server's answer makes no sense")
		}
	}
}

// info takes up what the server tells of the export; known says that it was its size.
func (n *NBD) info(data []byte) (known bool, err error) {
	be := binary.BigEndian
	switch {
	case len(data) == 12 && be.Uint16(data) == nbdInfoExport:
		size := be.Uint64(data[2:])
		if size > 1<<62 {
			return false, fmt.Errorf("the NBD server tells a size of %d bytes", size)
		}
		if size < SectorSize {
			return false, errors.New("it is empty")
		}
		n.size = int64(size) &^ (SectorSize - 1)
		n.flags = be.Uint16(data[10:])
		if n.flags&nbdFlagReadOnly != 0 && !n.readOnly {
			return false, errors.New("it can only be read")
		}
		return true, nil
	case len(data) == 14 && be.Uint16(data) == nbdInfoBlockSize:
		if least := be.Uint32(data[2:]); least > SectorSize {
			return false, fmt.Errorf("it has blocks of %d bytes, not %d", least, SectorSize)
		}
		n.max = int(min(max(be.Uint32(data[10:])&^(SectorSize-1), SectorSize), nbdMaxRequest))
	}
	return false, nil
}

// receive hands out replies until the connection ends. Only it touches what reads are read into.
func (n *NBD) receive(r *bufio.Reader) {
	var err error
	for err == nil {
		err = n.reply(r)
	}
	_ = n.conn.Close()
	err = fmt.Errorf("disk %s: %w", n.name, explainNBD(err))
	n.mu.Lock()
	n.err = err
	waiting := n.waiting
	n.waiting = nil
	n.mu.Unlock()
	for _, c := range waiting {
		c.done <- err
	}
}

// reply takes one reply; an error ends the connection.
func (n *NBD) reply(r *bufio.Reader) error {
	be := binary.BigEndian
	head, err := r.Peek(nbdReplySize)
	if err != nil {
		return err
	}
	magic, code, cookie := be.Uint32(head), be.Uint32(head[4:]), be.Uint64(head[8:])
	_, _ = r.Discard(nbdReplySize)
	if magic != nbdReplyMagic {
		return errors.New("the NBD server's reply makes no sense")
	}
	n.mu.Lock()
	c := n.waiting[cookie]
	delete(n.waiting, cookie)
	n.mu.Unlock()
	if c == nil {
		return errors.New("the NBD server replies to what was not asked")
	}
	if code != 0 {
		c.done <- syscall.Errno(code) // the protocol's numbers are Linux's
		return nil
	}
	for _, b := range c.into {
		if _, err := io.ReadFull(r, b); err != nil {
			c.done <- fmt.Errorf("disk %s: %w", n.name, explainNBD(err))
			return err
		}
	}
	c.done <- nil
	return nil
}

// do makes a request of at most max bytes, with the bytes to write or the room to read into, and waits for the reply.
func (n *NBD) do(kind uint16, off int64, length int, out, in [][]byte) error {
	c := &nbdCall{into: in, done: make(chan error, 1)}
	n.mu.Lock()
	if n.err != nil {
		defer n.mu.Unlock()
		return n.err
	}
	n.last++
	cookie := n.last
	n.waiting[cookie] = c
	n.mu.Unlock()

	n.send.Lock()
	err := n.request(kind, cookie, off, length, out)
	n.send.Unlock()
	if err != nil {
		_ = n.conn.Close() // a piece of it may be on its way: receive ends, and answers all
	}
	return <-c.done
}

// request writes one; the caller holds send.
func (n *NBD) request(kind uint16, cookie uint64, off int64, length int, out [][]byte) error {
	be := binary.BigEndian
	h := n.header[:]
	be.PutUint32(h, nbdRequestMagic)
	be.PutUint16(h[4:], 0)
	be.PutUint16(h[6:], kind)
	be.PutUint64(h[8:], cookie)
	be.PutUint64(h[16:], uint64(off))
	be.PutUint32(h[24:], uint32(length))
	n.parts = append(append(n.parts[:0], h), out...)
	rest := n.parts
	_, err := rest.WriteTo(n.conn) // eats rest
	clear(n.parts[:cap(n.parts)])
	return err
}

// vec cuts a list into requests.
func (n *NBD) vec(p [][]byte, off int64, do func(p [][]byte, off int64, length int) error) error {
	all := 0
	for _, b := range p {
		all += len(b)
	}
	if off < 0 || off > n.size-int64(all) {
		return errBeyond
	}
	for all > 0 {
		length := min(all, n.max)
		if err := do(first(p, length), off, length); err != nil {
			return err
		}
		off, all = off+int64(length), all-length
		p = rest(p, length)
	}
	return nil
}

// first gives the first n bytes of slices.
func first(p [][]byte, n int) [][]byte {
	for i, b := range p {
		if n <= len(b) {
			if i == len(p)-1 && n == len(b) {
				return p
			}
			return append(append([][]byte(nil), p[:i]...), b[:n])
		}
		n -= len(b)
	}
	return p
}

// Size is in bytes, a multiple of SectorSize; what is left of a last, partial sector is not there.
func (n *NBD) Size() int64 { return n.size }

// ReadOnly says that writes are refused.
func (n *NBD) ReadOnly() bool { return n.readOnly }

// ReadVec reads sectors into the slices in turn.
func (n *NBD) ReadVec(p [][]byte, off int64) error {
	return n.vec(p, off, func(p [][]byte, off int64, length int) error { return n.do(nbdRead, off, length, nil, p) })
}

// WriteVec writes the slices in turn. They are on stable storage after Sync.
func (n *NBD) WriteVec(p [][]byte, off int64) error {
	if n.readOnly {
		return os.ErrPermission
	}
	return n.vec(p, off, func(p [][]byte, off int64, length int) error { return n.do(nbdWrite, off, length, p, nil) })
}

// ReadAt reads sectors.
func (n *NBD) ReadAt(p []byte, off int64) (int, error) {
	if err := n.ReadVec([][]byte{p}, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteAt writes sectors. They are on stable storage after Sync.
func (n *NBD) WriteAt(p []byte, off int64) (int, error) {
	if err := n.WriteVec([][]byte{p}, off); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Discard forgets sectors, where the server can.
func (n *NBD) Discard(off, length int64) error {
	switch {
	case n.readOnly:
		return os.ErrPermission
	case off < 0 || length < 0 || off > n.size-length:
		return errBeyond
	case n.flags&nbdFlagTrim == 0:
		return nil
	}
	for length > 0 {
		some := min(length, nbdMaxTrim)
		if err := n.do(nbdTrim, off, int(some), nil, nil); err != nil {
			return err
		}
		off, length = off+some, length-some
	}
	return nil
}

// Sync returns when everything that was written is on stable storage.
func (n *NBD) Sync() error {
	if n.readOnly || n.flags&nbdFlagFlush == 0 {
		return nil
	}
	return n.do(nbdFlush, 0, 0, nil, nil)
}

// closeTime is how long a server may take to take the last request.
const closeTime = time.Second

// Close ends the connection; requests that are under way fail.
func (n *NBD) Close() error {
	_ = n.conn.SetWriteDeadline(time.Now().Add(closeTime))
	n.send.Lock()
	_ = n.request(nbdDisc, 0, 0, 0, nil) // the server has done what came before when it takes this
	n.send.Unlock()
	return n.conn.Close()
}
