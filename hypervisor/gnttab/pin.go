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
		s := xen.GNTST_okay
		if t.version == 2 {
			s = t.mark2(ref, a.pinned(), dom, write, mapping)
		} else {
			s = mark(p, off, a.pinned(), dom, write, mapping)
		}
		if s != xen.GNTST_okay {
			return nil, s
		}
		if !a.pinned() {
			g := t.frame(p, off)
			page, ok := t.cfg.Memory.Look(g)
			if !ok {
				t.unmark(ref, inUse)
				return nil, xen.GNTST_bad_page
			}
			a.dom, a.gfn, a.page = dom, g, page
			a.start, a.length = t.part(p, off)
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
	for range casTries {
		w := p.Load32(off + xen.GrantEntryFlags)
		if !grants(w, pinned, dom, write, mapping) {
			return xen.GNTST_general_error
		}
		n := w | xen.GTF_reading
		if write {
			n |= xen.GTF_writing
		}
		if p.CAS32(off+xen.GrantEntryFlags, w, n) {
			return xen.GNTST_okay
		}
	}
	return xen.GNTST_general_error
}

// grants says whether the first word of an entry, flags and domid, allows what is wanted. Type and domain of an entry in use were looked at before.
func grants(w uint32, pinned bool, dom xen.DomID, write, mapping bool) bool {
	mask := uint32(xen.GTF_type_mask)
	if mapping {
		mask |= xen.GTF_sub_page
	}
	if !pinned && (w&mask != xen.GTF_permit_access || xen.DomID(w>>16) != dom) {
		return false
	}
	return !write || w&xen.GTF_readonly == 0
}

// mark2 is mark for version 2: the mark comes first, and then the entry is looked at again, since the guest takes a grant back in the other
// order.
func (t *Table) mark2(ref Ref, pinned bool, dom xen.DomID, write, mapping bool) xen.GrantStatus {
	p, off, _ := t.entry(ref)
	if !grants(p.Load32(off), pinned, dom, write, mapping) {
		return xen.GNTST_general_error
	}
	bits := uint32(xen.GTF_reading)
	if write {
		bits |= xen.GTF_writing
	}
	mp, moff, shift := t.marks(ref)
	mp.Or32(moff, bits<<shift)
	if grants(p.Load32(off), pinned, dom, write, mapping) {
		return xen.GNTST_okay
	}
	if pinned {
		bits = xen.GTF_writing // somebody reads on
	}
	t.unmark(ref, bits)
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
		a.page = guestmem.Page{}
	}
	if write && a.writers == 0 {
		clear |= xen.GTF_writing
	}
	if clear != 0 {
		t.unmark(ref, clear)
	}
}
