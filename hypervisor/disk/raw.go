package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// SectorSize is the unit of all offsets and lengths.
const SectorSize = 512

// Raw is an image that holds the sectors one after the other. The rest of a file's last, partial sector reads as zeros.
type Raw struct {
	f        *os.File
	fd       int
	size     atomic.Int64
	readOnly bool
	inMemory bool // a file of a file system that is nowhere else: nothing is waited for
}

// NewRaw makes an image of an open file, which belongs to it from then on, also on an error. Nobody else may write to the file meanwhile: it is
// locked against other domains.
func NewRaw(f *os.File, readOnly bool) (*Raw, error) {
	r, err := newRaw(f, readOnly)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("disk %s: %w", f.Name(), err)
	}
	return r, nil
}

func newRaw(f *os.File, readOnly bool) (*Raw, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := st.Size()
	switch {
	case st.Mode().Type() == os.ModeDevice: // a block device
		if size, err = f.Seek(0, io.SeekEnd); err != nil {
			return nil, fmt.Errorf("find its size: %w", err)
		}
	case !st.Mode().IsRegular():
		return nil, errors.New("it is neither a regular file nor a block device")
	}
	if size == 0 {
		return nil, errors.New("it is empty")
	}
	how := unix.LOCK_EX
	if readOnly {
		how = unix.LOCK_SH
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, errors.New("another domain has it (or another program locks it); two that write to it would destroy its file system")
	} else if err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOLCK) {
		return nil, fmt.Errorf("lock it: %w", err)
	}
	r := &Raw{f: f, fd: int(f.Fd()), readOnly: readOnly, inMemory: st.Mode().IsRegular() && inMemory(f)}
	r.size.Store(sectors(size))
	return r, nil
}

// sectors rounds a length up to sectors.
func sectors(n int64) int64 { return (n + SectorSize - 1) &^ (SectorSize - 1) }

// Refresh looks whether the file or device has got another size, and says whether it has. One without anything left keeps the size it had.
func (r *Raw) Refresh() (bool, error) {
	st, err := r.f.Stat()
	if err != nil {
		return false, err
	}
	size := st.Size()
	if st.Mode().Type() == os.ModeDevice {
		if size, err = r.f.Seek(0, io.SeekEnd); err != nil {
			return false, err
		}
	}
	if size = sectors(size); size == 0 {
		return false, nil
	}
	return r.size.Swap(size) != size, nil
}

// inMemory says that a file lies in memory only. Such file systems do not know RWF_NOWAIT.
func inMemory(f *os.File) bool {
	var st unix.Statfs_t
	err := unix.Fstatfs(int(f.Fd()), &st)
	return err == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}

// Size is in bytes, a multiple of SectorSize.
func (r *Raw) Size() int64 { return r.size.Load() }

// ReadOnly says that writes are refused.
func (r *Raw) ReadOnly() bool { return r.readOnly }

var errBeyond = errors.New("beyond the end of the disk")

// ReadAt reads sectors.
func (r *Raw) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > r.Size()-int64(len(p)) {
		return 0, errBeyond
	}
	n, err := r.f.ReadAt(p, off)
	if errors.Is(err, io.EOF) { // of a file that is no multiple of a sector, or was cut off
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

// WriteAt writes sectors. They are on stable storage after Sync.
func (r *Raw) WriteAt(p []byte, off int64) (int, error) {
	if r.readOnly {
		return 0, os.ErrPermission
	}
	if off < 0 || off > r.Size()-int64(len(p)) {
		return 0, errBeyond
	}
	return r.f.WriteAt(p, off)
}

// ReadVec reads sectors into the slices in turn.
func (r *Raw) ReadVec(p [][]byte, off int64) error {
	_, err := r.vec(unix.SYS_PREADV2, p, off, 0)
	return err
}

// ReadNow is ReadVec for sectors that the page cache has; false where it has not.
func (r *Raw) ReadNow(p [][]byte, off int64) (bool, error) {
	return r.now(unix.SYS_PREADV2, p, off)
}

// WriteVec writes the slices in turn. They are on stable storage after Sync.
func (r *Raw) WriteVec(p [][]byte, off int64) error {
	if r.readOnly {
		return os.ErrPermission
	}
	short, err := r.vec(unix.SYS_PWRITEV2, p, off, 0)
	if short {
		return io.ErrShortWrite
	}
	return err
}

// WriteNow is WriteVec where the page cache has room and nothing is to be waited for; false where it is not so. Some of it may have been written then.
func (r *Raw) WriteNow(p [][]byte, off int64) (bool, error) {
	if r.readOnly {
		return false, os.ErrPermission
	}
	return r.now(unix.SYS_PWRITEV2, p, off)
}

// now is vec, without a wait.
func (r *Raw) now(call uintptr, p [][]byte, off int64) (bool, error) {
	flags := uintptr(unix.RWF_NOWAIT)
	if r.inMemory {
		flags = 0
	}
	short, err := r.vec(call, p, off, flags)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EOPNOTSUPP) || short && call == unix.SYS_PWRITEV2 {
		return false, nil
	}
	return err == nil, err
}

// vec goes on until all is done. What lies behind the end of the file is zero; short reports that there was such.
func (r *Raw) vec(call uintptr, p [][]byte, off int64, flags uintptr) (short bool, err error) {
	all := 0
	for _, b := range p {
		all += len(b)
	}
	if off < 0 || off > r.Size()-int64(all) {
		return false, errBeyond
	}
	for all > 0 {
		n, err := transfer(call, r.fd, p, off, flags)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false, err
		}
		if n == 0 { // of a file that is no multiple of a sector, or was cut off
			for _, b := range p {
				clear(b)
			}
			return true, nil
		}
		off, all = off+int64(n), all-n
		p = rest(p, n)
	}
	return false, nil
}

// maxVec is how many pieces the kernel takes at once (IOV_MAX).
const maxVec = 1024

// rest gives what is left of slices after n bytes.
func rest(p [][]byte, n int) [][]byte {
	for n > 0 && n >= len(p[0]) {
		n -= len(p[0])
		p = p[1:]
	}
	if n > 0 {
		p = append([][]byte{p[0][n:]}, p[1:]...)
	}
	return p
}

// Discard forgets sectors: the file system gets the space back, and they read as zeros. Where it cannot, they stay.
func (r *Raw) Discard(off, n int64) error {
	if r.readOnly {
		return os.ErrPermission
	}
	if off < 0 || n < 0 || off > r.Size()-n {
		return errBeyond
	}
	if n == 0 {
		return nil
	}
	err := unix.Fallocate(int(r.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// Sync returns when everything that was written is on stable storage.
func (r *Raw) Sync() error { return unix.Fdatasync(int(r.f.Fd())) }

// Close gives the file back.
func (r *Raw) Close() error { return r.f.Close() }
