package guestmem

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Page is one host page shared with a guest: shared info, a grant frame, a ring. Its
// accessors are atomic, since the guest works on the same words. Offsets are bytes and must
// be multiples of the word size and inside the page; anything else is our bug and panics.
type Page struct{ b *[PageSize]byte }

// NewPage makes a zeroed page outside guest RAM, owned by m (freed by m.Close).
func (m *Memory) NewPage() (*Page, error) {
	mp, err := mapAnonymous(0, PageSize)
	if err != nil {
		return nil, err
	}
	// Not entered into mappings' search: base is kept out of reach of home.
	mp.base = GPA(maxGFN) << pageShift
	m.mu.Lock()
	m.mappings = append(m.mappings, mp)
	m.mu.Unlock()
	return &Page{(*[PageSize]byte)(unsafe.Pointer(&mp.bytes[0]))}, nil
}

// PageAt gives the page behind frame g for atomic access, or an error if there is none. It stays valid
// until Close: a guest that remaps the frame only loses sight of it.
func (m *Memory) PageAt(g GFN) (*Page, error) {
	h := m.HostPage(g)
	if h == nil {
		return nil, fmt.Errorf("frame %#x: %w", uint64(g), ErrUnmapped)
	}
	return &Page{h}, nil
}

// Look is PageAt for who only looks: it allocates nothing.
func (m *Memory) Look(g GFN) (Page, bool) {
	h := m.HostPage(g)
	return Page{h}, h != nil
}

func (p *Page) p32(off uint32) *uint32 {
	if off&3 != 0 {
		panic("guestmem: misaligned word")
	}
	return (*uint32)(unsafe.Pointer(&p.b[off]))
}

func (p *Page) p64(off uint32) *uint64 {
	if off&7 != 0 {
		panic("guestmem: misaligned word")
	}
	return (*uint64)(unsafe.Pointer(&p.b[off]))
}

// Load32 reads the 32-bit word at byte offset off.
func (p *Page) Load32(off uint32) uint32 { return atomic.LoadUint32(p.p32(off)) }

// Store32 writes the 32-bit word at byte offset off.
func (p *Page) Store32(off, v uint32) { atomic.StoreUint32(p.p32(off), v) }

// CAS32 compares and swaps the 32-bit word at byte offset off.
func (p *Page) CAS32(off, old, new uint32) bool {
	return atomic.CompareAndSwapUint32(p.p32(off), old, new)
}

// Or32 sets bits and gives the old value.
func (p *Page) Or32(off, mask uint32) uint32 { return atomic.OrUint32(p.p32(off), mask) }

// And32 keeps the bits in mask and gives the old value.
func (p *Page) And32(off, mask uint32) uint32 { return atomic.AndUint32(p.p32(off), mask) }

// Load64 reads the 64-bit word at byte offset off.
func (p *Page) Load64(off uint32) uint64 { return atomic.LoadUint64(p.p64(off)) }

// Store64 writes the 64-bit word at byte offset off.
func (p *Page) Store64(off uint32, v uint64) { atomic.StoreUint64(p.p64(off), v) }

// CAS64 compares and swaps the 64-bit word at byte offset off.
func (p *Page) CAS64(off uint32, old, new uint64) bool {
	return atomic.CompareAndSwapUint64(p.p64(off), old, new)
}

// Or64 sets bits and gives the old value.
func (p *Page) Or64(off uint32, mask uint64) uint64 { return atomic.OrUint64(p.p64(off), mask) }

// And64 keeps the bits in mask and gives the old value.
func (p *Page) And64(off uint32, mask uint64) uint64 { return atomic.AndUint64(p.p64(off), mask) }

// Load8 reads one byte.
func (p *Page) Load8(off uint32) byte {
	return byte(atomic.LoadUint32((*uint32)(unsafe.Pointer(&p.b[off&^3]))) >> (8 * (off & 3)))
}

// Store8 writes one byte, leaving its neighbours as they are.
func (p *Page) Store8(off uint32, v byte) {
	w := (*uint32)(unsafe.Pointer(&p.b[off&^3]))
	sh := 8 * (off & 3)
	for {
		old := atomic.LoadUint32(w)
		if atomic.CompareAndSwapUint32(w, old, old&^(0xff<<sh)|uint32(v)<<sh) {
			return
		}
	}
}

// Bytes gives the page's bytes for plain copies (ring payloads). The guest may change them at any time:
// copy once, then check, then use.
func (p *Page) Bytes() []byte { return p.b[:] }
