package gnttab

import (
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// hostDom is the domain that backends on the host act as.
const hostDom = xen.DomID(0)

// Map takes a grant for a backend on the host and gives its page, writable if the grant allows and write
// asks. Each Map needs an Unmap with the same arguments. Errors wrap an xen.GrantStatus.
func (t *Table) Map(ref Ref, write bool) (*guestmem.Page, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, s := t.pin(ref, hostDom, write, true)
	if s != xen.GNTST_okay {
		return nil, fmt.Errorf("map grant %d of d%d: %w", ref, t.cfg.Dom, s)
	}
	page := a.page
	return &page, nil
}

// MapAll is Map for several grants: f gets the memory of each in turn. It gives how many it has taken, all or those before the first that failed.
func (t *Table) MapAll(refs []Ref, write bool, f func(i int, page []byte)) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, ref := range refs {
		a, s := t.pin(ref, hostDom, write, true)
		if s != xen.GNTST_okay {
			return i, fmt.Errorf("map grant %d of d%d: %w", ref, t.cfg.Dom, s)
		}
		f(i, a.page.Bytes())
	}
	return len(refs), nil
}

// UnmapAll is Unmap for several grants.
func (t *Table) UnmapAll(refs []Ref, write bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ref := range refs {
		_ = t.unmap(ref, write)
	}
}

// Unmap gives back what Map took. With write, the page counts as written to: an engine drops code that it decoded there.
func (t *Table) Unmap(ref Ref, write bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unmap(ref, write)
}

func (t *Table) unmap(ref Ref, write bool) error {
	if uint64(ref) >= uint64(len(t.active)) {
		return fmt.Errorf("unmap grant %d of d%d: %w", ref, t.cfg.Dom, xen.GNTST_bad_gntref)
	}
	a := &t.active[ref]
	if a.dom != hostDom || write && a.writers == 0 || !write && a.readers == 0 {
		return fmt.Errorf("unmap grant %d of d%d: %w", ref, t.cfg.Dom, xen.GNTST_bad_handle)
	}
	if write {
		t.wrote(a)
	}
	t.unpin(ref, write)
	return nil
}

// Wrote is for a page that stays mapped: it has been written to.
func (t *Table) Wrote(ref Ref) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if uint64(ref) < uint64(len(t.active)) && t.active[ref].pinned() {
		t.wrote(&t.active[ref])
	}
}

func (t *Table) wrote(a *active) {
	if samePage(t.cfg.Memory.HostPage(a.gfn), &a.page) {
		t.cfg.Memory.Wrote(a.gfn)
	}
}

// CopyFrom copies bytes at offset off of a granted page to p; CopyTo the other way. The range must lie
// within the page.
func (t *Table) CopyFrom(ref Ref, off uint32, p []byte) error { return t.hostCopy(ref, off, p, false) }

// CopyTo copies p to offset off of a granted page, which must be granted for writing.
func (t *Table) CopyTo(ref Ref, off uint32, p []byte) error { return t.hostCopy(ref, off, p, true) }

func (t *Table) hostCopy(ref Ref, off uint32, p []byte, write bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := xen.GNTST_bad_copy_arg
	if uint64(off)+uint64(len(p)) <= guestmem.PageSize {
		var a *active
		if a, s = t.pin(ref, hostDom, write, false); s == xen.GNTST_okay {
			var err error
			switch {
			case !a.covers(off, uint32(len(p))):
				err = fmt.Errorf("copy %d bytes at %d of grant %d of d%d: beyond what is granted: %w", len(p), off, ref, t.cfg.Dom, xen.GNTST_general_error)
			case write:
				err = t.write(a.gfn, &a.page, off, p)
			default:
				copy(p, a.page.Bytes()[off:])
			}
			t.unpin(ref, write)
			return err
		}
	}
	return fmt.Errorf("copy %d bytes at %d of grant %d of d%d: %w", len(p), off, ref, t.cfg.Dom, s)
}

// write copies p into a page of guest memory. It goes through the Memory while the page is still at its frame,
// so that an engine drops code it decoded there.
func (t *Table) write(g guestmem.GFN, page *guestmem.Page, off uint32, p []byte) error {
	if samePage(t.cfg.Memory.HostPage(g), page) {
		return t.cfg.Memory.Write(g.GPA()+guestmem.GPA(off), p)
	}
	copy(page.Bytes()[off:], p)
	return nil
}

// samePage says whether h is the host page behind p.
func samePage(h *[guestmem.PageSize]byte, p *guestmem.Page) bool {
	return h != nil && &h[0] == &p.Bytes()[0]
}
