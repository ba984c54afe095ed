package guestmem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
)

// PageSize is the size of a guest frame in bytes.
const PageSize = 4096

const (
	pageShift  = 12
	chunkShift = 9 // frames per 2 MiB chunk, as a power of two
	chunkLen   = 1 << chunkShift
	// maxGFN bounds the frame numbers a Memory accepts: a 46-bit physical address space.
	maxGFN = GFN(1) << 34
)

// GPA is a guest-physical address in bytes.
type GPA uint64

// GFN is a guest frame number: GPA >> 12.
type GFN uint64

// GFN gives the frame that a lies in.
func (a GPA) GFN() GFN { return GFN(a >> pageShift) }

// GPA gives the address of the first byte of frame g.
func (g GFN) GPA() GPA { return GPA(g << pageShift) }

// ErrUnmapped is returned (wrapped, with the address) by accesses to a guest-physical
// address that no page backs.
var ErrUnmapped = errors.New("no memory there")

// ErrRange is returned when a range overflows or lies beyond the physical address space.
var ErrRange = errors.New("address range is not valid")

// Range is a run of guest-physical addresses, [Base, Base+Size), page-aligned.
type Range struct {
	Base GPA
	Size uint64
}

// Memory is the physical memory of one guest. All methods may be called from any
// goroutine. Data races between guest and host accesses to the same bytes are the
// guest's own affair: they tear like on real hardware and harm nobody else.
type Memory struct {
	mu       sync.Mutex
	chunks   atomic.Pointer[chunkTable]
	mappings []mapping
	onChange []func(first GFN, n uint64)
	onWrite  atomic.Pointer[func(GFN)]
	backed   int64 // frames with a page
	ram      []Range
}

// chunkTable maps gfn>>9 to a chunk; it is copied when it grows, so readers need no lock.
type chunkTable struct {
	low  []*chunk
	high map[uint64]*chunk // beyond the dense part
}

// chunk is 2 MiB of frames. One that lies wholly in a RAM range, and in which nothing was changed yet, has no table of pages: they lie behind
// one another from base on. That keeps the map of a large guest small, and quick to make.
type chunk struct {
	base  *[chunkLen * PageSize]byte // nil where there is always a table
	pages atomic.Pointer[pageTable]
}

type pageTable [chunkLen]atomic.Pointer[[PageSize]byte]

// page gives the page of frame i of the chunk, or nil.
func (c *chunk) page(i GFN) *[PageSize]byte {
	if t := c.pages.Load(); t != nil {
		return t[i].Load()
	}
	if c.base == nil {
		return nil
	}
	return (*[PageSize]byte)(c.base[i*PageSize:])
}

// table gives the chunk's table, making it first; the caller holds Memory.mu.
func (c *chunk) table() *pageTable {
	t := c.pages.Load()
	if t == nil {
		t = &pageTable{}
		for i := range t {
			t[i].Store(c.page(GFN(i)))
		}
		c.pages.Store(t)
	}
	return t
}

const denseChunks = 1 << 13 // the first 16 GiB are looked up without a map

// New makes a Memory whose ram ranges are backed by zeroed private anonymous memory,
// aligned so that guest and host addresses agree modulo 2 MiB. Host memory is taken when
// first touched. Ranges must be page-aligned and must not overlap.
func New(ram []Range) (*Memory, error) { return NewBacked(ram, Backing{}) }

// NewBacked is New with another backing.
func NewBacked(ram []Range, b Backing) (*Memory, error) {
	m := &Memory{}
	m.chunks.Store(&chunkTable{high: map[uint64]*chunk{}})
	for _, r := range ram {
		if err := m.addRAM(r, b); err != nil {
			m.Close()
			return nil, err
		}
	}
	return m, nil
}

// OnChange registers f, called after frames [first, first+n) were mapped, unmapped or
// replaced. f must not call back into Memory's mapping methods. Register before the
// guest runs.
func (m *Memory) OnChange(f func(first GFN, n uint64)) {
	m.mu.Lock()
	m.onChange = append(m.onChange, f)
	m.mu.Unlock()
}

// OnWrite registers f, called after the host wrote to a frame with Write. An engine that keeps decoded
// code uses it to drop what it decoded there. Only one f; register before the guest runs.
func (m *Memory) OnWrite(f func(GFN)) { m.onWrite.Store(&f) }

// Wrote tells the engine that the host wrote to a frame otherwise than with Write.
func (m *Memory) Wrote(g GFN) {
	if f := m.onWrite.Load(); f != nil {
		(*f)(g)
	}
}

func (m *Memory) changed(first GFN, n uint64) {
	m.mu.Lock()
	fs := m.onChange
	m.mu.Unlock()
	for _, f := range fs {
		f(first, n)
	}
}

func (m *Memory) chunkOf(g GFN) *chunk {
	t := m.chunks.Load()
	i := uint64(g) >> chunkShift
	if i < uint64(len(t.low)) {
		return t.low[i]
	}
	if i >= denseChunks {
		return t.high[i]
	}
	return nil
}

// HostPage gives the host page behind frame g, or nil. The page stays readable
// and writable until Close, even after the frame was unmapped.
func (m *Memory) HostPage(g GFN) *[PageSize]byte {
	c := m.chunkOf(g)
	if c == nil {
		return nil
	}
	return c.page(g & (chunkLen - 1))
}

// set stores p at frame g; the caller holds mu.
func (m *Memory) set(g GFN, p *[PageSize]byte) {
	c := m.chunkOf(g)
	if c == nil {
		c = &chunk{}
		m.addChunks(uint64(g)>>chunkShift, c)
	}
	was := c.table()[g&(chunkLen-1)].Swap(p)
	if was == nil && p != nil {
		m.backed++
	}
	if was != nil && p == nil {
		m.backed--
	}
}

// Chunk gives the 2 MiB of frames that begin at g, if they lie behind one another on the host as RAM always did, else nil.
func (m *Memory) Chunk(g GFN) *[chunkLen * PageSize]byte {
	if g&(chunkLen-1) != 0 {
		return nil
	}
	c := m.chunkOf(g)
	if c == nil || c.pages.Load() != nil {
		return nil
	}
	return c.base
}

// addChunks enters chunks from number i on; the caller holds mu.
func (m *Memory) addChunks(i uint64, cs ...*chunk) {
	old := m.chunks.Load()
	next := &chunkTable{low: old.low, high: old.high}
	if i < denseChunks {
		next.low = make([]*chunk, max(len(old.low), int(min(i+uint64(len(cs)), denseChunks))))
		copy(next.low, old.low)
	}
	if i+uint64(len(cs)) > denseChunks {
		next.high = maps.Clone(old.high)
	}
	for k, c := range cs {
		if n := i + uint64(k); n < denseChunks {
			next.low[n] = c
		} else {
			next.high[n] = c
		}
	}
	m.chunks.Store(next)
}

// Map puts page p at frame g, in place of what was there (an overlay: shared info,
// a grant table frame).
func (m *Memory) Map(g GFN, p *Page) error {
	if g >= maxGFN {
		return fmt.Errorf("map frame %#x: %w", uint64(g), ErrRange)
	}
	m.mu.Lock()
	m.set(g, p.b)
	m.mu.Unlock()
	m.changed(g, 1)
	return nil
}

// Unmap takes away whatever is at frame g. RAM under it is not given back to the host: see Release.
func (m *Memory) Unmap(g GFN) {
	m.mu.Lock()
	if m.chunkOf(g) != nil {
		m.set(g, nil)
	}
	m.mu.Unlock()
	m.changed(g, 1)
}

// Backed gives the number of frames that have a page now.
func (m *Memory) Backed() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(m.backed)
}

// RAM lists the ranges the Memory was made with.
func (m *Memory) RAM() []Range { return append([]Range(nil), m.ram...) }

func checkRange(a GPA, n int) error {
	if n < 0 || uint64(a)+uint64(n) < uint64(a) {
		return fmt.Errorf("%d bytes at %#x: %w", n, uint64(a), ErrRange)
	}
	return nil
}

// Read copies len(p) bytes from guest-physical address a. Nothing is promised about p's
// content after an error.
func (m *Memory) Read(a GPA, p []byte) error {
	if err := checkRange(a, len(p)); err != nil {
		return err
	}
	for len(p) > 0 {
		h := m.HostPage(a.GFN())
		if h == nil {
			return fmt.Errorf("read at %#x: %w", uint64(a), ErrUnmapped)
		}
		n := copy(p, h[a&(PageSize-1):])
		p, a = p[n:], a+GPA(n)
	}
	return nil
}

// Write copies p to guest-physical address a. Pages before a hole are written even when an error
// is returned.
func (m *Memory) Write(a GPA, p []byte) error {
	if err := checkRange(a, len(p)); err != nil {
		return err
	}
	for len(p) > 0 {
		h := m.HostPage(a.GFN())
		if h == nil {
			return fmt.Errorf("write at %#x: %w", uint64(a), ErrUnmapped)
		}
		n := copy(h[a&(PageSize-1):], p)
		m.Wrote(a.GFN())
		p, a = p[n:], a+GPA(n)
	}
	return nil
}

// Read32 reads a little-endian 32-bit word.
func (m *Memory) Read32(a GPA) (uint32, error) {
	var b [4]byte
	err := m.Read(a, b[:])
	return binary.LittleEndian.Uint32(b[:]), err
}

// Read64 reads a little-endian 64-bit word.
func (m *Memory) Read64(a GPA) (uint64, error) {
	var b [8]byte
	err := m.Read(a, b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// Write64 writes a little-endian 64-bit word.
func (m *Memory) Write64(a GPA, v uint64) error {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	return m.Write(a, b[:])
}
