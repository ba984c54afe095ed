package guestmem

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const hugePage = 2 << 20

// mapping is one host mmap that backs guest frames. The kernel hands out the memory, never the Go
// heap, so the collector neither moves nor scans it.
type mapping struct {
	raw   []byte // as mmap gave it, for munmap
	bytes []byte // the part used, congruent with the guest address modulo 2 MiB
	base  GPA
}

func mapAnonymous(base GPA, size uint64) (mapping, error) {
	raw, err := unix.Mmap(-1, 0, int(size)+hugePage, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return mapping{}, fmt.Errorf("map %d MiB of guest memory: %w", size>>20, err)
	}
	addr := uintptr(unsafe.Pointer(&raw[0]))
	off := (uintptr(base) - addr) & (hugePage - 1)
	return mapping{raw: raw, bytes: raw[off : off+uintptr(size)], base: base}, nil
}

func (m *Memory) addRAM(r Range) error {
	if r.Size == 0 || r.Base&(PageSize-1) != 0 || r.Size&(PageSize-1) != 0 || r.Size > 1<<46 ||
		(r.Base+GPA(r.Size)).GFN() > maxGFN || r.Base+GPA(r.Size) < r.Base {
		return fmt.Errorf("ram range %#x+%#x: %w", uint64(r.Base), r.Size, ErrRange)
	}
	mp, err := mapAnonymous(r.Base, r.Size)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mappings = append(m.mappings, mp)
	m.ram = append(m.ram, r)
	first := r.Base.GFN()
	for i := uint64(0); i < r.Size/PageSize; i++ {
		if m.HostPage(first+GFN(i)) != nil {
			return fmt.Errorf("ram range %#x+%#x overlaps another: %w", uint64(r.Base), r.Size, ErrRange)
		}
		// The slice spans size bytes, so page i lies wholly inside it.
		m.set(first+GFN(i), (*[PageSize]byte)(unsafe.Pointer(&mp.bytes[i*PageSize])))
	}
	return nil
}

// Close gives all memory back to the host. No engine may run the guest any more.
func (m *Memory) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mp := range m.mappings {
		_ = unix.Munmap(mp.raw)
	}
	m.mappings = nil
	m.chunks.Store(&chunkTable{high: map[uint64]*chunk{}})
}

// Release gives the page at frame g back to the host (balloon: XENMEM_decrease_reservation) and unmaps
// the frame. A later Populate finds it zeroed. It reports whether there was a page.
func (m *Memory) Release(g GFN) bool {
	m.mu.Lock()
	h := m.HostPage(g)
	if h != nil {
		m.set(g, nil)
	}
	ram := m.ramPage(g)
	m.mu.Unlock()
	if h == nil {
		return false
	}
	m.changed(g, 1)
	if ram != nil && ram == h {
		_ = unix.Madvise(unsafe.Slice(&ram[0], PageSize), unix.MADV_DONTNEED)
	}
	return true
}

// Populate puts a zeroed page at frame g if nothing is there (XENMEM_populate_physmap): the RAM
// that belongs there, or fresh memory outside all ranges.
func (m *Memory) Populate(g GFN) error {
	if g >= maxGFN {
		return fmt.Errorf("populate frame %#x: %w", uint64(g), ErrRange)
	}
	m.mu.Lock()
	if m.HostPage(g) != nil {
		m.mu.Unlock()
		return nil
	}
	p := m.ramPage(g)
	if p == nil {
		mp, err := mapAnonymous(g.GPA(), PageSize)
		if err != nil {
			m.mu.Unlock()
			return err
		}
		m.mappings = append(m.mappings, mp)
		p = (*[PageSize]byte)(unsafe.Pointer(&mp.bytes[0]))
	}
	m.set(g, p)
	m.mu.Unlock()
	m.changed(g, 1)
	return nil
}

// ramPage gives the page that a mapping keeps for frame g; the caller holds mu.
func (m *Memory) ramPage(g GFN) *[PageSize]byte {
	for _, mp := range m.mappings {
		if a := g.GPA(); a >= mp.base && a-mp.base < GPA(len(mp.bytes)) {
			return (*[PageSize]byte)(unsafe.Pointer(&mp.bytes[a-mp.base]))
		}
	}
	return nil
}

// HostRanges gives the host address ranges [start, end) that back the guest.
func (m *Memory) HostRanges() [][2]uintptr {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out [][2]uintptr
	for _, mp := range m.mappings {
		start := uintptr(unsafe.Pointer(&mp.raw[0]))
		out = append(out, [2]uintptr{start, start + uintptr(len(mp.raw))})
	}
	return out
}
