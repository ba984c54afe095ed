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
	// pieces say how it is backed; none is plain anonymous memory.
	pieces []piece
}

func mapAnonymous(base GPA, size uint64) (mapping, error) {
	raw, err := unix.Mmap(-1, 0, int(size)+hugePage, unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return mapping{}, fmt.Errorf("map %d MiB of guest memory: %w", size>>20, (&piece{}).failed(err))
	}
	addr := uintptr(unsafe.Pointer(&raw[0]))
	off := (uintptr(base) - addr) & (hugePage - 1)
	if size >= hugePage {
		_ = unix.Madvise(raw, unix.MADV_HUGEPAGE) // where the host leaves the choice to us: second-level walks are shorter, and faults fewer
	}
	return mapping{raw: raw, bytes: raw[off : off+uintptr(size)], base: base}, nil
}

func (m *Memory) addRAM(r Range, b Backing) error {
	if r.Size == 0 || r.Base&(PageSize-1) != 0 || r.Size&(PageSize-1) != 0 || r.Size > 1<<46 ||
		(r.Base+GPA(r.Size)).GFN() > maxGFN || r.Base+GPA(r.Size) < r.Base {
		return fmt.Errorf("ram range %#x+%#x: %w", uint64(r.Base), r.Size, ErrRange)
	}
	mp, err := mapRAM(r.Base, r.Size, b)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mappings = append(m.mappings, mp)
	m.ram = append(m.ram, r)
	first, n := r.Base.GFN(), r.Size/PageSize
	var whole []*chunk
	for i := uint64(0); i < n; {
		g := first + GFN(i)
		if g&(chunkLen-1) == 0 && n-i >= chunkLen && m.chunkOf(g) == nil {
			// The slice spans size bytes, so the chunk lies wholly inside it.
			whole = append(whole, &chunk{base: (*[chunkLen * PageSize]byte)(unsafe.Pointer(&mp.bytes[i*PageSize]))})
			i += chunkLen
			continue
		}
		if m.HostPage(g) != nil {
			return fmt.Errorf("ram range %#x+%#x overlaps another: %w", uint64(r.Base), r.Size, ErrRange)
		}
		// So does page i.
		m.set(g, (*[PageSize]byte)(unsafe.Pointer(&mp.bytes[i*PageSize])))
		i++
	}
	if len(whole) > 0 { // whole chunks follow one another, behind at most one that is not
		m.addChunks(uint64(first+chunkLen-1)>>chunkShift, whole...)
		m.backed += int64(len(whole)) * chunkLen
	}
	return nil
}

// Close gives all memory back to the host. No engine may run the guest any more.
func (m *Memory) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mp := range m.mappings {
		mp.close()
	}
	m.mappings = nil
	m.chunks.Store(&chunkTable{high: map[uint64]*chunk{}})
}

// Release gives the page at frame g back to the host (balloon: XENMEM_decrease_reservation) and unmaps
// the frame. A later Populate finds it zeroed. A part of a huge page (Backing.Huge) only loses its content. It reports whether there was a page.
func (m *Memory) Release(g GFN) bool {
	m.mu.Lock()
	h := m.HostPage(g)
	if h != nil {
		m.set(g, nil)
	}
	home, ram := m.home(g)
	m.mu.Unlock()
	if h == nil {
		return false
	}
	m.changed(g, 1)
	if ram != nil && ram == h {
		home.drop(ram)
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
	_, p := m.home(g)
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

// home gives the page that a mapping keeps for frame g, and the mapping; the caller holds mu.
func (m *Memory) home(g GFN) (mapping, *[PageSize]byte) {
	for _, mp := range m.mappings {
		if a := g.GPA(); a >= mp.base && a-mp.base < GPA(len(mp.bytes)) {
			return mp, (*[PageSize]byte)(unsafe.Pointer(&mp.bytes[a-mp.base]))
		}
	}
	return mapping{}, nil
}

// Span gives the n bytes at guest-physical address a for a loader to fill, before the guest runs. ok is false unless they are all mapped, and
// lie behind one another on the host.
func (m *Memory) Span(a GPA, n uint64) (p []byte, ok bool) {
	if n == 0 || checkRange(a, int(n)) != nil || (a+GPA(n)-1).GFN() >= maxGFN {
		return nil, false
	}
	first := m.HostPage(a.GFN())
	if first == nil {
		return nil, false
	}
	for g := a.GFN() + 1; g <= (a + GPA(n) - 1).GFN(); g++ {
		if c := m.Chunk(g); c != nil && uintptr(unsafe.Pointer(c)) == uintptr(unsafe.Pointer(first))+uintptr(g-a.GFN())*PageSize {
			g += chunkLen - 1
			continue
		}
		h := m.HostPage(g)
		if h == nil || uintptr(unsafe.Pointer(h)) != uintptr(unsafe.Pointer(first))+uintptr(g-a.GFN())*PageSize {
			return nil, false
		}
	}
	// Every page was seen to lie behind the one before.
	return unsafe.Slice(&first[0], uint64(a&(PageSize-1))+n)[a&(PageSize-1):], true
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
