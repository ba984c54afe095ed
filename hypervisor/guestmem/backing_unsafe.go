package guestmem

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Backing says what lies behind a guest's RAM. The zero value is private anonymous memory, which the host gives when it is first touched and
// takes back on Release.
type Backing struct {
	// Huge takes 2 MiB pages of the host's pool (hugetlbfs) for all RAM that makes whole ones, at once: the guest never meets an
	// empty pool. Release does not give them back.
	Huge bool
	// Shared maps files in memory (memfd), which other mappings may share: see Segments. They can be neither cut nor grown.
	Shared bool
	// Populate takes all RAM from the host at once.
	Populate bool
}

// ErrHugePages is returned (wrapped) when the host's pool has too few free 2 MiB pages.
var ErrHugePages = errors.New("the host has too few free huge pages of 2 MiB")

// ErrNoMemory is returned (wrapped) when the host refuses memory.
var ErrNoMemory = errors.New("the host is out of memory, or a limit is reached")

// Segment is guest RAM in a shared file.
type Segment struct {
	Range
	FD int // of the Memory: valid until Close
}

// piece is a part of a mapping that is backed in one way.
type piece struct {
	off, size uint64 // in the mapping's bytes
	huge      bool
	fd        int // -1 unless shared
}

// plan cuts a range into what its backing treats alike.
func (b Backing) plan(base GPA, size uint64) []piece {
	head := min(uint64(-base)&(hugePage-1), size)
	whole := (size - head) &^ (hugePage - 1)
	if !b.Huge || whole == 0 {
		return []piece{{size: size, fd: -1}}
	}
	var out []piece
	for _, p := range []piece{{0, head, false, -1}, {head, whole, true, -1}, {head + whole, size - head - whole, false, -1}} {
		if p.size > 0 {
			out = append(out, p)
		}
	}
	return out
}

// mapRAM maps a range of RAM, congruent like mapAnonymous.
func mapRAM(base GPA, size uint64, b Backing) (mapping, error) {
	mp, err := mapAnonymous(base, size)
	if err != nil {
		return mp, err
	}
	mp.pieces = b.plan(base, size)
	for i := range mp.pieces {
		if err := mp.back(&mp.pieces[i], b); err != nil {
			mp.close()
			return mapping{}, err
		}
	}
	return mp, nil
}

// back puts a piece's memory in the place of the anonymous memory there.
func (mp *mapping) back(p *piece, b Backing) (err error) {
	flags := unix.MAP_FIXED | unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	if p.huge {
		flags |= unix.MAP_HUGETLB | unix.MAP_HUGE_2MB // without MAP_NORESERVE: an empty pool shows here
	}
	if b.Shared {
		if p.fd, err = memfd(p.size, p.huge); err != nil {
			return fmt.Errorf("make a file of %d MiB for guest memory: %w", p.size>>20, p.failed(err))
		}
		flags = unix.MAP_FIXED | unix.MAP_SHARED
	}
	if p.huge || b.Shared {
		// Within the mapping's own bytes, which nothing uses yet.
		_, err = unix.MmapPtr(p.fd, 0, unsafe.Pointer(&mp.bytes[p.off]), uintptr(p.size), unix.PROT_READ|unix.PROT_WRITE, flags)
		if err != nil {
			return fmt.Errorf("map %d MiB of guest memory: %w", p.size>>20, p.failed(err))
		}
	}
	if p.huge || b.Populate {
		return p.populate(mp.bytes[p.off : p.off+p.size])
	}
	return nil
}

// failed says what an error of the host means for a piece.
func (p *piece) failed(err error) error {
	switch {
	case !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.EFAULT) && !errors.Is(err, unix.ENOSPC):
		return err
	case p.huge:
		return fmt.Errorf("%w (%w)", ErrHugePages, err)
	}
	return fmt.Errorf("%w (%w)", ErrNoMemory, err)
}

// memfd makes a file of fixed size in memory.
func memfd(size uint64, huge bool) (int, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	if huge {
		flags |= unix.MFD_HUGETLB | unix.MFD_HUGE_2MB
	}
	fd, err := unix.MemfdCreate("gozen-guest", flags)
	if err != nil {
		return -1, err
	}
	err = unix.Ftruncate(fd, int64(size))
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// populateStep is how much the kernel is asked for at a time, so that a signal does not wait for all of it.
const populateStep = 64 << 20

// populate has the host give all pages of b. What would be a SIGBUS at a touch is an error here.
func (p *piece) populate(b []byte) error {
	for done := 0; done < len(b); {
		part := b[done:min(done+populateStep, len(b))]
		switch err := unix.Madvise(part, unix.MADV_POPULATE_WRITE); {
		case err == nil:
			done += len(part)
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case errors.Is(err, unix.EINVAL):
			return fmt.Errorf("take guest memory from the host at once: %w (MADV_POPULATE_WRITE, Linux 5.14)", err)
		default:
			return fmt.Errorf("take guest memory from the host: it gave %d of %d MiB: %w", done>>20, len(b)>>20, p.failed(err))
		}
	}
	return nil
}

// drop gives a page of the mapping back to the host, or at least empties it.
func (mp *mapping) drop(page *[PageSize]byte) {
	off := uint64(uintptr(unsafe.Pointer(page)) - uintptr(unsafe.Pointer(&mp.bytes[0])))
	for _, p := range mp.pieces {
		if off < p.off || off-p.off >= p.size {
			continue
		}
		switch {
		case p.huge:
			clear(page[:]) // a huge page cannot be given back in parts
			return
		case p.fd >= 0:
			if unix.Madvise(page[:], unix.MADV_REMOVE) != nil {
				clear(page[:])
			}
			return
		}
	}
	_ = unix.Madvise(page[:], unix.MADV_DONTNEED)
}

func (mp *mapping) close() {
	_ = unix.Munmap(mp.raw)
	for _, p := range mp.pieces {
		if p.fd >= 0 {
			_ = unix.Close(p.fd)
		}
	}
}

// Segments lists the guest's RAM in shared files, each from the file's beginning; none unless Backing.Shared.
func (m *Memory) Segments() (out []Segment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mp := range m.mappings {
		for _, p := range mp.pieces {
			if p.fd >= 0 {
				out = append(out, Segment{Range{mp.base + GPA(p.off), p.size}, p.fd})
			}
		}
	}
	return out
}

// HugePages gives the number of 2 MiB pages that RAM with Backing.Huge takes.
func HugePages(ram []Range) (n uint64) {
	for _, r := range ram {
		for _, p := range (Backing{Huge: true}).plan(r.Base, r.Size) {
			if p.huge {
				n += p.size / hugePage
			}
		}
	}
	return n
}

// PoolPath is where the host tells of its pool of 2 MiB pages (Documentation/admin-guide/mm/hugetlbpage.rst).
const PoolPath = "/sys/kernel/mm/hugepages/hugepages-2048kB"

// Pool gives the number of 2 MiB pages in the host's pool, and how many of them nobody has taken or reserved.
func Pool() (all, free uint64, err error) {
	var v [3]uint64
	for i, n := range []string{"nr_hugepages", "free_hugepages", "resv_hugepages"} {
		b, err := os.ReadFile(PoolPath + "/" + n)
		if err != nil {
			return 0, 0, err
		}
		if _, err := fmt.Sscan(string(b), &v[i]); err != nil {
			return 0, 0, err
		}
	}
	return v[0], v[1] - min(v[1], v[2]), nil
}
