package domain

import (
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// maxExtra bounds the pages a guest may populate outside the RAM it was built with: each costs the host
// a mapping of its own.
const maxExtra = 4096

// Pages gives the number of pages the domain has, and MaxPages how many it may have.
func (d *Domain) Pages() uint64 { return uint64(max(d.pages.Load(), 0)) }

// MaxPages gives the most pages the domain may have (XENMEM_maximum_reservation).
func (d *Domain) MaxPages() uint64 { return uint64(d.maxPages) }

// MaxGFN gives the highest guest frame ever mapped (XENMEM_maximum_gpfn).
func (d *Domain) MaxGFN() guestmem.GFN { return guestmem.GFN(d.maxGFN.Load()) }

// sawFrame keeps MaxGFN.
func (d *Domain) sawFrame(g guestmem.GFN) {
	for {
		m := d.maxGFN.Load()
		if uint64(g) <= m || d.maxGFN.CompareAndSwap(m, uint64(g)) {
			return
		}
	}
}

// inRAM says whether frame g belongs to the RAM the domain was built with.
func (d *Domain) inRAM(g guestmem.GFN) bool {
	for _, r := range d.Memory.RAM() {
		if a := g.GPA(); a >= r.Base && uint64(a-r.Base) < r.Size {
			return true
		}
	}
	return false
}

// Populate puts a page at frame g (XENMEM_populate_physmap).
func (d *Domain) Populate(g guestmem.GFN) xen.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.populate(g)
}

func (d *Domain) populate(g guestmem.GFN) xen.Errno {
	if d.Memory.HostPage(g) != nil {
		return 0
	}
	if d.pages.Load() >= d.maxPages {
		return xen.ENOMEM
	}
	extra := !d.inRAM(g)
	if extra && len(d.extra) >= maxExtra {
		return xen.ENOMEM
	}
	if d.Memory.Populate(g) != nil {
		return xen.ENOMEM
	}
	if extra {
		d.extra[g] = struct{}{}
	}
	d.pages.Add(1)
	d.sawFrame(g)
	return 0
}

// Remove takes the page at frame g away: RAM goes back to the host (XENMEM_decrease_reservation,
// XENMEM_remove_from_physmap), a shared page is only unhooked.
func (d *Domain) Remove(g guestmem.GFN) xen.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.remove(g)
}

func (d *Domain) remove(g guestmem.GFN) xen.Errno {
	switch {
	case d.Memory.HostPage(g) == nil:
		return xen.ENOENT
	case d.special(g):
		d.Memory.Unmap(g)
		return 0
	}
	if d.Memory.Release(g) {
		d.pages.Add(-1)
	}
	return 0
}

// special unhooks shared_info or a grant table frame from frame g and reports whether one was there.
func (d *Domain) special(g guestmem.GFN) bool {
	if g == d.sharedAt {
		d.sharedAt = gnttab.NoFrame
		d.sharedMoved()
		return true
	}
	return d.Grants.Unhook(g)
}

// AddToPhysmap makes a page appear at frame g (XENMEM_add_to_physmap): shared_info, a grant table frame, or a page that moves from
// frame idx. RAM that was at g goes back to the host, as on Xen. A special page appears at one
// frame only: it leaves the old one.
func (d *Domain) AddToPhysmap(space uint32, idx uint64, g guestmem.GFN) xen.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch space {
	case xen.XENMAPSPACE_shared_info:
		if idx != 0 || !validFrame(g) {
			return xen.EINVAL
		}
		was := d.sharedAt
		d.hook(d.shared, was, g)
		d.sharedAt = g
		d.sharedMoved()
		return 0
	case xen.XENMAPSPACE_grant_table:
		if !d.Grants.CanMap(idx) || !validFrame(g) {
			return xen.EINVAL
		}
		d.clearFrame(g)
		p, was, err := d.Grants.MapFrame(idx, g)
		if err != 0 {
			return err
		}
		d.hook(p, was, g)
		return 0
	case xen.XENMAPSPACE_gmfn:
		if d.ABI() == xen.ABIA64 {
			return xen.ENOSYS
		}
		return d.move(guestmem.GFN(idx), g)
	}
	return xen.EINVAL
}

// validFrame says whether a frame number is one that guest memory can have.
func validFrame(g guestmem.GFN) bool { return g < 1<<34 }

// clearFrame empties frame g for a page to come.
func (d *Domain) clearFrame(g guestmem.GFN) { _ = d.remove(g) }

// hook maps a special page at frame g and takes it away from where it was.
func (d *Domain) hook(p *guestmem.Page, was, g guestmem.GFN) {
	if was == g {
		return
	}
	d.clearFrame(g)
	if was != gnttab.NoFrame {
		d.Memory.Unmap(was)
	}
	_ = d.Memory.Map(g, p) // g was checked
	d.sawFrame(g)
}

// move moves the page at frame from to frame to, by copying: the page's place on the host belongs to its frame.
func (d *Domain) move(from, to guestmem.GFN) xen.Errno {
	src := d.Memory.HostPage(from)
	if src == nil || !validFrame(to) {
		return xen.EINVAL
	}
	if from == to {
		return 0
	}
	if from == d.sharedAt || d.Grants.Shows(from) {
		return xen.EINVAL
	}
	content := *src
	d.clearFrame(from)
	d.clearFrame(to)
	if err := d.populate(to); err != 0 {
		_ = d.populate(from)
		to, from = from, to
		_ = d.Memory.Write(to.GPA(), content[:])
		return err
	}
	if d.Memory.Write(to.GPA(), content[:]) != nil {
		return xen.EINVAL
	}
	return 0
}
