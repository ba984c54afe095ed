package hypercall

import (
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

func grantSubs() []sub {
	return []sub{
		{xen.GNTTABOP_map_grant_ref, "map_grant_ref", Partial, "the domain's own grants; read-only mappings can be written"},
		{xen.GNTTABOP_unmap_grant_ref, "unmap_grant_ref", Supported, ""},
		{xen.GNTTABOP_setup_table, "setup_table", Supported, ""},
		{xen.GNTTABOP_dump_table, "dump_table", None, "as for any HVM domain"},
		{xen.GNTTABOP_transfer, "transfer", None, "as for any HVM domain"},
		{xen.GNTTABOP_copy, "copy", Partial, "within the domain"},
		{xen.GNTTABOP_query_size, "query_size", Supported, ""},
		{xen.GNTTABOP_unmap_and_replace, "unmap_and_replace", None, "as for any HVM domain"},
		{xen.GNTTABOP_set_version, "set_version", Supported, "1 and 2"},
		{xen.GNTTABOP_get_status_frames, "get_status_frames", None, "as for any HVM domain: add_to_physmap maps them"},
		{xen.GNTTABOP_get_version, "get_version", Supported, ""},
		{xen.GNTTABOP_swap_grant_ref, "swap_grant_ref", Supported, ""},
		{xen.GNTTABOP_cache_flush, "cache_flush", None, "as for any HVM domain"},
	}
}

func (c *call) grantTableOp() uint64 {
	cmd, va, count := uint32(c.args[0]), c.args[1], uint32(c.args[2])
	switch cmd & 0xfff {
	case xen.GNTTABOP_query_size, xen.GNTTABOP_setup_table, xen.GNTTABOP_set_version, xen.GNTTABOP_get_version,
		xen.GNTTABOP_copy, xen.GNTTABOP_map_grant_ref, xen.GNTTABOP_unmap_grant_ref, xen.GNTTABOP_swap_grant_ref:
	default:
		return xen.ENOSYS.Ret()
	}
	if int32(count) < 0 || cmd>>xen.GNTTABOP_CONTINUE_SHIFT != 0 {
		return xen.EINVAL.Ret()
	}
	switch cmd {
	case xen.GNTTABOP_query_size:
		return c.grantQuery(va, count)
	case xen.GNTTABOP_setup_table:
		return c.grantSetup(va, count)
	case xen.GNTTABOP_set_version:
		return c.grantSetVersion(va)
	case xen.GNTTABOP_get_version:
		return c.grantGetVersion(va)
	}
	for i := uint32(0); i < count; i++ {
		if i != 0 && !c.spend() {
			c.args[1], c.args[2] = va, uint64(count-i)
			return c.again()
		}
		ret, size := c.grantEntry(cmd, va)
		if ret != 0 {
			return ret
		}
		va = c.elem(va, 1, uint64(size))
	}
	return 0
}

// grantEntry does one entry of a list and gives the entry's size. An error is one of the call, not the entry's status.
func (c *call) grantEntry(cmd uint32, va uint64) (ret uint64, size int) {
	switch cmd {
	case xen.GNTTABOP_map_grant_ref:
		ret = c.grantMap(va)
	case xen.GNTTABOP_unmap_grant_ref:
		ret = c.grantUnmap(va)
	case xen.GNTTABOP_copy:
		ret = c.grantCopy(va)
	default:
		ret = c.grantSwap(va)
	}
	return ret, c.n
}

// grantDom checks the domid of a call about a table.
func (c *call) grantDom(id xen.DomID) xen.GrantStatus {
	switch c.d.Self(id) {
	case 0:
		return xen.GNTST_okay
	case xen.EPERM:
		return xen.GNTST_permission_denied
	}
	return xen.GNTST_bad_domain
}

func (c *call) grantQuery(va uint64, count uint32) uint64 {
	if count != 1 {
		return xen.EINVAL.Ret()
	}
	var op xen.GnttabQuerySize
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if op.Status = c.grantDom(op.Dom); op.Status == xen.GNTST_okay {
		op.NrFrames, op.MaxNrFrames = c.d.Grants.Size()
	}
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) grantSetup(va uint64, count uint32) uint64 {
	if count != 1 {
		return xen.EINVAL.Ret()
	}
	var op xen.GnttabSetupTable
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if op.Status = c.grantDom(op.Dom); op.Status == xen.GNTST_okay {
		op.Status = c.d.Grants.Setup(op.NrFrames)
	}
	if op.Status == xen.GNTST_okay {
		for i := range op.NrFrames {
			if c.d.PV != nil && c.d.Grants.FrameAt(i) == gnttab.NoFrame { // a PV guest maps them by machine frame
				c.d.AddToPhysmap(xen.XENMAPSPACE_grant_table, uint64(i), c.d.PV.Grants+guestmem.GFN(i))
			}
			if !c.writeLong(op.FrameList, uint64(i), uint64(c.d.Grants.FrameAt(i))) {
				op.Status = xen.GNTST_bad_virt_addr
				break
			}
		}
	}
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) grantSetVersion(va uint64) uint64 {
	var op xen.GnttabSetVersion
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	err := c.d.Grants.SetVersion(op.Version)
	op.Version = c.d.Grants.Version()
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, err.Ret())
}

func (c *call) grantGetVersion(va uint64) uint64 {
	var op xen.GnttabGetVersion
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	if err := c.d.Self(op.Dom); err != 0 {
		return err.Ret()
	}
	op.Version = c.d.Grants.Version()
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

// own says whether a domid of a map names this domain by its number; DOMID_SELF does not count there.
func (c *call) own(id xen.DomID) bool { return id == c.d.ID }

func (c *call) grantMap(va uint64) uint64 {
	var op xen.GnttabMapGrantRef
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	switch {
	case c.own(op.Dom):
		var h gnttab.Handle
		h, op.Status = c.d.Grants.MapGuest(gnttab.Ref(op.Ref), op.Flags, guestmem.GPA(op.HostAddr).GFN())
		if op.Status == xen.GNTST_okay {
			op.Handle, op.DevBusAddr = uint32(h), 0
		}
	case op.Dom == 0:
		op.Status = xen.GNTST_bad_gntref // domain 0 is the host, which grants nothing
	default:
		op.Status = xen.GNTST_bad_domain
	}
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) grantUnmap(va uint64) uint64 {
	var op xen.GnttabUnmapGrantRef
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	op.Status = c.d.Grants.UnmapGuest(gnttab.Handle(op.Handle), guestmem.GPA(op.HostAddr).GFN())
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) grantSwap(va uint64) uint64 {
	var op xen.GnttabSwapGrantRef
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	op.Status = c.d.Grants.Swap(gnttab.Ref(op.RefA), gnttab.Ref(op.RefB))
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) grantCopy(va uint64) uint64 {
	var op xen.GnttabCopy
	k := c.sizer()
	if op.Layout(&k); !c.load(&k, va) {
		return efault
	}
	op.Layout(&k)
	src, s := c.copyEnd(op.Source, op.SourceDom, op.SourceOffset, op.Flags&xen.GNTCOPY_source_gref != 0)
	if s == xen.GNTST_okay {
		var dst gnttab.CopyEnd
		dst, s = c.copyEnd(op.Dest, op.DestDom, op.DestOffset, op.Flags&xen.GNTCOPY_dest_gref != 0)
		if s == xen.GNTST_okay {
			s = c.d.Grants.CopyGuest(src, dst, op.Len)
		}
	}
	op.Status = s
	e := c.encoder()
	op.Layout(&e)
	return c.store(va, 0)
}

func (c *call) copyEnd(u uint64, dom xen.DomID, off uint16, ref bool) (gnttab.CopyEnd, xen.GrantStatus) {
	e := gnttab.CopyEnd{IsRef: ref, Ref: gnttab.Ref(u), GFN: guestmem.GFN(u), Offset: off}
	switch {
	case dom != xen.DOMID_SELF && !ref:
		return e, xen.GNTST_permission_denied
	case dom == 0:
		return e, xen.GNTST_bad_gntref
	case dom != xen.DOMID_SELF && !c.own(dom):
		return e, xen.GNTST_bad_domain
	}
	return e, xen.GNTST_okay
}
