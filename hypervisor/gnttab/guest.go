package gnttab

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// MapGuest is GNTTABOP_map_grant_ref of the domain's own grant: the granted page appears at guest frame at as
// well. Grants of other domains are out of reach here: the caller refuses those. A read-only mapping is as writable as the
// granted page is to its owner, who is the same domain.
func (t *Table) MapGuest(ref Ref, flags uint32, at guestmem.GFN) (Handle, xen.GrantStatus) {
	switch {
	case flags&(xen.GNTMAP_device_map|xen.GNTMAP_host_map) == 0:
		return 0, xen.GNTST_bad_gntref
	case flags&(xen.GNTMAP_device_map|xen.GNTMAP_application_map|xen.GNTMAP_contains_pte) != 0:
		return 0, xen.GNTST_general_error
	}
	ro := flags&xen.GNTMAP_readonly != 0
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.handle()
	if !ok {
		return 0, xen.GNTST_no_space
	}
	a, s := t.pin(ref, t.cfg.Dom, !ro, true)
	var page guestmem.Page
	if s == xen.GNTST_okay {
		if page = a.page; t.cfg.Memory.Map(at, &page) != nil {
			t.unpin(ref, !ro)
			s = xen.GNTST_general_error
		}
	}
	if s != xen.GNTST_okay {
		t.spare = append(t.spare, h)
		return 0, s
	}
	t.maps[h] = mapping{used: true, readonly: ro, ref: ref, at: at, page: &page}
	return h, xen.GNTST_okay
}

func (t *Table) handle() (Handle, bool) {
	if n := len(t.spare); n > 0 {
		h := t.spare[n-1]
		t.spare = t.spare[:n-1]
		return h, true
	}
	if len(t.maps) >= maxMaps {
		return 0, false
	}
	t.maps = append(t.maps, mapping{})
	return Handle(len(t.maps) - 1), true
}

// UnmapGuest is GNTTABOP_unmap_grant_ref: it takes the mapping away from guest frame at. Nothing is left there.
func (t *Table) UnmapGuest(h Handle, at guestmem.GFN) xen.GrantStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	if uint64(h) >= uint64(len(t.maps)) || !t.maps[h].used {
		return xen.GNTST_bad_handle
	}
	m := t.maps[h]
	if m.at != at || !samePage(t.cfg.Memory.HostPage(at), m.page) {
		return xen.GNTST_general_error
	}
	t.cfg.Memory.Unmap(at)
	t.unpin(m.ref, !m.readonly)
	t.maps[h] = mapping{}
	t.spare = append(t.spare, h)
	return xen.GNTST_okay
}

// CopyEnd is one end of a GNTTABOP_copy: a grant of this domain, or a frame of its memory.
type CopyEnd struct {
	IsRef  bool
	Ref    Ref
	GFN    guestmem.GFN
	Offset uint16
}

// CopyGuest is GNTTABOP_copy within the domain, of n bytes.
func (t *Table) CopyGuest(src, dst CopyEnd, n uint16) xen.GrantStatus {
	if uint32(src.Offset)+uint32(n) > guestmem.PageSize || uint32(dst.Offset)+uint32(n) > guestmem.PageSize {
		return xen.GNTST_bad_copy_arg
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	from, _, s := t.claim(src, n, false)
	if s != xen.GNTST_okay {
		return s
	}
	defer t.drop(src, false)
	to, gfn, s := t.claim(dst, n, true)
	if s != xen.GNTST_okay {
		return s
	}
	defer t.drop(dst, true)
	if t.write(gfn, to, uint32(dst.Offset), from.Bytes()[src.Offset:src.Offset+n]) != nil {
		return xen.GNTST_bad_page
	}
	return xen.GNTST_okay
}

// claim takes n bytes of an end into use, until drop.
func (t *Table) claim(e CopyEnd, n uint16, write bool) (*guestmem.Page, guestmem.GFN, xen.GrantStatus) {
	if e.IsRef {
		a, s := t.pin(e.Ref, t.cfg.Dom, write, false)
		if s != xen.GNTST_okay {
			return nil, 0, s
		}
		if !a.covers(uint32(e.Offset), uint32(n)) {
			t.unpin(e.Ref, write)
			return nil, 0, xen.GNTST_general_error
		}
		page := a.page
		return &page, a.gfn, s
	}
	p, err := t.cfg.Memory.PageAt(e.GFN)
	if err != nil {
		return nil, 0, xen.GNTST_bad_page
	}
	return p, e.GFN, xen.GNTST_okay
}

func (t *Table) drop(e CopyEnd, write bool) {
	if e.IsRef {
		t.unpin(e.Ref, write)
	}
}
