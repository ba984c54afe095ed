package gnttab

import (
	"fmt"
	"sync"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Ref is a grant reference: the index of an entry in the table.
type Ref uint32

// Handle names a mapping made by GNTTABOP_map_grant_ref.
type Handle uint32

const (
	// maxMaps bounds the mappings a guest may hold of its own grants (Xen: max_maptrack_frames x 256).
	maxMaps = 1024 * 256
	// casTries bounds the compare-and-swaps against a guest that keeps changing an entry.
	casTries = 5
)

// Config describes a grant table.
type Config struct {
	Dom    xen.DomID
	Memory *guestmem.Memory
	// MaxFrames is the largest size of the table in pages (xl.cfg max_grant_frames, 64 by default).
	MaxFrames uint32
	// MaxVersion is the highest version of entries that the guest may choose (xl.cfg max_grant_version); 0 for 2.
	MaxVersion uint32
}

// active is what Xen knows about an entry in use.
type active struct {
	readers, writers uint32
	dom              xen.DomID // who uses it
	gfn              guestmem.GFN
	page             guestmem.Page // while pinned
	start, length    uint32        // the part of the page that is granted
}

func (a *active) pinned() bool { return a.readers+a.writers != 0 }

// covers says whether n bytes at off of the page are granted.
func (a *active) covers(off, n uint32) bool { return off >= a.start && off+n <= a.start+a.length }

// mapping is a loopback mapping by the guest.
type mapping struct {
	used     bool
	readonly bool
	ref      Ref
	at       guestmem.GFN
	page     *guestmem.Page
}

// Table is the grant table of one domain. All methods may be called from any goroutine.
type Table struct {
	cfg Config

	mu     sync.Mutex
	frames []*guestmem.Page
	at     []guestmem.GFN // where each frame is mapped, NoFrame if nowhere
	// Version 2 has the marks of use in pages of their own, with a status for each entry.
	version  uint32
	status   []*guestmem.Page
	statusAt []guestmem.GFN
	active   []active
	maps     []mapping
	spare    []Handle
}

// NoFrame stands for "mapped nowhere" (Xen: INVALID_GFN).
const NoFrame = guestmem.GFN(^uint64(0))

// New makes a grant table of one frame.
func New(cfg Config) (*Table, error) {
	if cfg.Memory == nil || cfg.MaxFrames == 0 || cfg.MaxFrames > 4096 {
		return nil, fmt.Errorf("grant table of d%d: %d frames, want 1 to 4096", cfg.Dom, cfg.MaxFrames)
	}
	if cfg.MaxVersion == 0 {
		cfg.MaxVersion = 2
	}
	t := &Table{cfg: cfg, version: 1}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.grow(1) {
		return nil, fmt.Errorf("grant table of d%d: no memory", cfg.Dom)
	}
	return t, nil
}

// grow makes the table n frames large; the caller holds mu.
func (t *Table) grow(n uint32) bool {
	for uint32(len(t.frames)) < n {
		p, err := t.cfg.Memory.NewPage()
		if err != nil {
			return false
		}
		t.frames = append(t.frames, p)
		t.at = append(t.at, NoFrame)
		t.active = append(t.active, make([]active, t.perFrame())...)
	}
	return t.version == 1 || t.growStatus()
}

// Size gives the present and the largest number of frames (GNTTABOP_query_size).
func (t *Table) Size() (frames, limit uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return uint32(len(t.frames)), t.cfg.MaxFrames
}

// Setup makes the table at least n frames large (GNTTABOP_setup_table).
func (t *Table) Setup(n uint32) xen.GrantStatus {
	if n > t.cfg.MaxFrames {
		return xen.GNTST_general_error
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.grow(n) {
		return xen.GNTST_general_error
	}
	return xen.GNTST_okay
}

// FrameAt gives the guest frame where table frame i is mapped, NoFrame if nowhere.
func (t *Table) FrameAt(i uint32) guestmem.GFN {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i >= uint32(len(t.at)) {
		return NoFrame
	}
	return t.at[i]
}

// index takes XENMAPIDX_grant_table_status out of an index of XENMAPSPACE_grant_table, and gives how many frames of entries the table needs for
// it. ok is false for a page that the table cannot have. The caller holds mu.
func (t *Table) index(i uint64) (at uint64, status bool, frames uint32, ok bool) {
	if t.version == 1 || i&xen.XENMAPIDX_grant_table_status == 0 {
		return i, false, uint32(i) + 1, i < uint64(t.cfg.MaxFrames)
	}
	i &^= xen.XENMAPIDX_grant_table_status
	if i < uint64(len(t.status)) {
		return i, true, 0, true // a small table has a page for more than it holds
	}
	return i, true, uint32(i+1) * framesPerStatus, i < uint64(t.cfg.MaxFrames/framesPerStatus)
}

// CanMap says whether MapFrame takes an index.
func (t *Table) CanMap(i uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _, _, ok := t.index(i)
	return ok
}

// MapFrame notes that table frame i, or a page of statuses, appears at guest frame g from now on, growing the table as far as it may
// (XENMAPSPACE_grant_table). It gives the page, and the guest frame where it was before.
func (t *Table) MapFrame(i uint64, g guestmem.GFN) (p *guestmem.Page, was guestmem.GFN, err xen.Errno) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, status, frames, ok := t.index(i)
	if !ok {
		return nil, NoFrame, xen.EINVAL
	}
	if !t.grow(frames) {
		return nil, NoFrame, xen.ENOMEM
	}
	if status {
		was, t.statusAt[i] = t.statusAt[i], g
		return t.status[i], was, 0
	}
	was, t.at[i] = t.at[i], g
	return t.frames[i], was, 0
}

// Unhook notes that guest frame g no longer shows a page of the table, and reports whether it did.
func (t *Table) Unhook(g guestmem.GFN) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.shows(g)
	if at != nil {
		*at = NoFrame
	}
	return at != nil
}

// Shows says whether guest frame g shows a page of the table.
func (t *Table) Shows(g guestmem.GFN) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shows(g) != nil
}

func (t *Table) shows(g guestmem.GFN) *guestmem.GFN {
	for _, list := range [][]guestmem.GFN{t.at, t.statusAt} {
		for i := range list {
			if list[i] == g {
				return &list[i]
			}
		}
	}
	return nil
}

// Grant writes an entry that lets domain dom use guest frame g, as the toolstack does for the reserved entries
// (GNTTAB_RESERVED_CONSOLE, GNTTAB_RESERVED_XENSTORE).
func (t *Table) Grant(ref Ref, dom xen.DomID, g guestmem.GFN) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, off, ok := t.entry(ref)
	if !ok || g > 0xffffffff {
		return fmt.Errorf("grant %d of d%d for frame %#x: %w", ref, t.cfg.Dom, uint64(g), xen.GNTST_bad_gntref)
	}
	t.putFrame(p, off, g)
	p.Store32(off+xen.GrantEntryFlags, xen.GTF_permit_access|uint32(dom)<<16)
	return nil
}

// entry gives the place of an entry; the caller holds mu.
func (t *Table) entry(ref Ref) (*guestmem.Page, uint32, bool) {
	if uint64(ref) >= uint64(len(t.active)) {
		return nil, 0, false
	}
	n := Ref(t.perFrame())
	return t.frames[ref/n], uint32(ref%n) * t.entrySize(), true
}

// Swap exchanges two entries that are not in use (GNTTABOP_swap_grant_ref).
func (t *Table) Swap(a, b Ref) xen.GrantStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	pa, oa, oka := t.entry(a)
	pb, ob, okb := t.entry(b)
	switch {
	case !oka || !okb:
		return xen.GNTST_bad_gntref
	case a == b:
		return xen.GNTST_okay
	case t.active[a].pinned() || t.active[b].pinned():
		return xen.GNTST_eagain
	}
	for i := uint32(0); i < t.entrySize(); i += 8 {
		ea, eb := pa.Load64(oa+i), pb.Load64(ob+i)
		pa.Store64(oa+i, eb)
		pb.Store64(ob+i, ea)
	}
	return xen.GNTST_okay
}

// InUse gives the number of entries that somebody has mapped.
func (t *Table) InUse() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for i := range t.active {
		if t.active[i].pinned() {
			n++
		}
	}
	return n
}
