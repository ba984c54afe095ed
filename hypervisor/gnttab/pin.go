package gnttab

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// pin takes one use of a grant for domain dom and gives its page (Xen common/grant_table.c). mapping says that the page will be mapped, not
// copied. The caller holds mu.
func (t *Table) pin(ref Ref, dom xen.DomID, write, mapping bool) (*active, xen.GrantStatus) {
	p, off, ok := t.entry(ref)
	if !ok {
		return nil, xen.GNTST_bad_gntref
	}
	a := &t.active[ref]
	if a.pinned() && a.dom != dom {
		return nil, xen.GNTST_general_error
	}
	if !a.pinned() || write && a.writers == 0 {
		if s := mark(p, off, a.pinned(), dom, write, mapping); s != xen.GNTST_okay {
			return nil, s
		}
		if !a.pinned() {
			g := guestmem.GFN(p.Load32(off + xen.GrantEntryFrame))
			page, err := t.cfg.Memory.PageAt(g)
			if err != nil {
				p.And32(off, ^uint32(xen.GTF_reading|xen.GTF_writing))
				return nil, xen.GNTST_bad_page
			}
			a.dom, a.gfn, a.page = dom, g, page
		}
	}
	if write {
		a.writers++
	} else {
		a.readers++
	}
	return a, xen.GNTST_okay
}

// mark sets GTF_reading (and GTF_writing) in an entry, if it grants dom that.
func mark(p *guestmem.Page, off uint32, pinned bool, dom xen.DomID, write, mapping bool) xen.GrantStatus {
	mask := uint32(xen.GTF_type_mask)
	if mapping {
		mask |= xen.GTF_sub_page
	}
	for range casTries {
		w := p.Load32(off + xen.GrantEntryFlags)
		if !pinned && (w&mask != xen.GTF_permit_access || xen.DomID(w>>16) != dom) {
			return xen.GNTST_general_error
		}
		n := w | xen.GTF_reading
		if write {
			if w&xen.GTF_readonly != 0 {
				return xen.GNTST_general_error
			}
			n |= xen.GTF_writing
		}
		if p.CAS32(off+xen.GrantEntryFlags, w, n) {
			return xen.GNTST_okay
		}
	}
	return xen.GNTST_general_error
}

// unpin gives one use back and clears the marks that no user needs; the caller holds mu.
func (t *Table) unpin(ref Ref, write bool) {
	a := &t.active[ref]
	if write {
		a.writers--
	} else {
		a.readers--
	}
	clear := uint32(0)
	if !a.pinned() {
		clear = xen.GTF_reading
		a.page = nil
	}
	if write && a.writers == 0 {
		clear |= xen.GTF_writing
	}
	if clear != 0 {
		p, off, _ := t.entry(ref)
		p.And32(off+xen.GrantEntryFlags, ^clear)
	}
}
