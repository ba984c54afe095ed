package gnttab

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Version 2 of the table has entries of 16 bytes, with frame numbers of 64 bits and grants of a part of a page, which can be copied but not mapped. Marks
// of use are not in the entry but in an array of statuses (public/grant_table.h). Its transitive grants, of what another domain has granted, lead nowhere: the
// only other domain is the host, which grants nothing.

const (
	statusPerPage   = guestmem.PageSize / xen.GrantStatusSize
	framesPerStatus = statusPerPage / (guestmem.PageSize / xen.GrantEntry2Size)
)

// entrySize gives the size of an entry, perFrame how many a frame has; the caller holds mu, as for all that follow.
func (t *Table) entrySize() uint32 {
	if t.version == 2 {
		return xen.GrantEntry2Size
	}
	return xen.GrantEntrySize
}

func (t *Table) perFrame() uint32 { return guestmem.PageSize / t.entrySize() }

// growStatus makes as many pages of statuses as the table's frames need.
func (t *Table) growStatus() bool {
	for len(t.status)*framesPerStatus < len(t.frames) {
		p, err := t.cfg.Memory.NewPage()
		if err != nil {
			return false
		}
		t.status, t.statusAt = append(t.status, p), append(t.statusAt, NoFrame)
	}
	return true
}

// frame reads the frame of an entry, putFrame writes it.
func (t *Table) frame(p *guestmem.Page, off uint32) guestmem.GFN {
	if t.version == 2 {
		return guestmem.GFN(p.Load64(off + xen.GrantEntry2Frame))
	}
	return guestmem.GFN(p.Load32(off + xen.GrantEntryFrame))
}

func (t *Table) putFrame(p *guestmem.Page, off uint32, g guestmem.GFN) {
	if t.version == 2 {
		p.Store64(off+xen.GrantEntry2Frame, uint64(g))
		return
	}
	p.Store32(off+xen.GrantEntryFrame, uint32(g))
}

// part gives the part of a page that an entry grants.
func (t *Table) part(p *guestmem.Page, off uint32) (start, length uint32) {
	if t.version == 2 && p.Load32(off)&xen.GTF_sub_page != 0 {
		w := p.Load32(off + xen.GrantEntry2PageOff)
		return w & 0xffff, w >> 16
	}
	return 0, guestmem.PageSize
}

// marks gives the word that holds the marks of use of an entry, and how far up they are in it.
func (t *Table) marks(ref Ref) (p *guestmem.Page, off, shift uint32) {
	if t.version == 2 {
		at := uint32(ref%statusPerPage) * xen.GrantStatusSize
		return t.status[ref/statusPerPage], at &^ 3, at & 3 * 8
	}
	p, off, _ = t.entry(ref)
	return p, off + xen.GrantEntryFlags, 0
}

// unmark takes marks of use away.
func (t *Table) unmark(ref Ref, bits uint32) {
	p, off, shift := t.marks(ref)
	p.And32(off, ^(bits << shift))
}

// Version gives the version of the table (GNTTABOP_get_version).
func (t *Table) Version() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version
}

// SetVersion is GNTTABOP_set_version: all entries go, but for the reserved ones, which are translated (Xen common/grant_table.c).
func (t *Table) SetVersion(v uint32) xen.Errno {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case v != 1 && v != 2:
		return xen.EINVAL
	case v > t.cfg.MaxVersion:
		return xen.ENOSYS // as a Xen that knows no versions
	case v == t.version:
		return 0
	}
	for i := range t.active[xen.GNTTAB_NR_RESERVED_ENTRIES:] {
		if t.active[xen.GNTTAB_NR_RESERVED_ENTRIES+i].pinned() {
			return xen.EBUSY
		}
	}
	reserved, err := t.reserved()
	if err != 0 {
		return err
	}
	was := t.version
	if t.version = v; !t.growStatus() {
		t.version = was
		return xen.ENOMEM
	}
	for _, p := range t.frames {
		wipe(p)
	}
	for i, e := range reserved {
		t.restore(Ref(i), e)
	}
	if v == 1 {
		t.dropStatus()
	}
	users := t.active[:xen.GNTTAB_NR_RESERVED_ENTRIES]
	t.active = make([]active, uint32(len(t.frames))*t.perFrame())
	copy(t.active, users)
	return 0
}

// dropStatus gives the pages of statuses up, and takes them out of the guest's memory.
func (t *Table) dropStatus() {
	for _, g := range t.statusAt {
		if g != NoFrame {
			t.cfg.Memory.Unmap(g)
		}
	}
	t.status, t.statusAt = nil, nil
}

func wipe(p *guestmem.Page) {
	for off := uint32(0); off < guestmem.PageSize; off += 8 {
		p.Store64(off, 0)
	}
}

// saved is what of a reserved entry outlives a change of version. flags has the marks of use.
type saved struct {
	flags uint32
	dom   xen.DomID
	gfn   guestmem.GFN
}

const inUse = xen.GTF_reading | xen.GTF_writing

// reserved reads the reserved entries; ERANGE says that one of version 2 has no form in version 1.
func (t *Table) reserved() (out [xen.GNTTAB_NR_RESERVED_ENTRIES]saved, err xen.Errno) {
	for i := range out {
		p, off, _ := t.entry(Ref(i))
		w := p.Load32(off)
		e := saved{flags: w & 0xffff, dom: xen.DomID(w >> 16), gfn: t.frame(p, off)}
		if t.version == 2 {
			mp, moff, shift := t.marks(Ref(i))
			e.flags = e.flags&^inUse | mp.Load32(moff)>>shift&inUse
			switch typ := w & xen.GTF_type_mask; {
			case typ == xen.GTF_transitive, typ == xen.GTF_permit_access && e.gfn>>32 != 0:
				return out, xen.ERANGE
			case typ != xen.GTF_permit_access:
				e = saved{}
			}
		}
		out[i] = e
	}
	return out, 0
}

// restore writes a reserved entry in the table's version.
func (t *Table) restore(ref Ref, e saved) {
	p, off, _ := t.entry(ref)
	t.putFrame(p, off, e.gfn)
	flags := e.flags
	if t.version == 2 {
		mp, moff, shift := t.marks(ref)
		mp.Or32(moff, e.flags&inUse<<shift)
		flags &^= inUse
	}
	p.Store32(off, flags|uint32(e.dom)<<16)
}
