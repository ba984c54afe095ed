package abi

import (
	"gozen/benches/guest/abi"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// grants2 uses entries of version 2: a whole page, a part of one, and a grant of a grant.
func grants2(p *abi.Prog) func(*guest) {
	dom := ownDomid(p)
	gt, r0 := table(p)
	setVersion := func(v uint32) abi.Addr {
		return p.Call(grantOp, xen.GNTTABOP_set_version, p.Struct(&xen.GnttabSetVersion{Version: v}), 1)
	}
	status0 := p.NewPage()
	early := add(p, xen.XENMAPSPACE_grant_table, xen.XENMAPIDX_grant_table_status, status0>>12, 0)
	r1 := setVersion(2)
	r2 := add(p, xen.XENMAPSPACE_grant_table, xen.XENMAPIDX_grant_table_status, status0>>12, 0)
	src, dst, at := p.NewPage(), p.NewPage(), p.NewPage()
	p.SetBytes(src, []byte("granted!"))
	entry := func(ref uint64, flags uint16, word uint32, page abi.Addr) {
		e := gt + 16*ref
		p.Copy(2, e+2, dom)
		p.Set32(e+4, word)
		p.Set(e+8, page>>12)
		p.MovI(asm.RAX, uint64(flags))
		p.Store(2, p.Mem(e), asm.RAX)
	}
	entry(9, xen.GTF_permit_access, 0, src)
	entry(10, xen.GTF_permit_access|xen.GTF_sub_page, 0x20<<16|0x100, src)
	entry(11, xen.GTF_transitive, 0, 0)
	mapping := func(ref uint32) (arg, result abi.Addr) {
		arg = p.Struct(&xen.GnttabMapGrantRef{HostAddr: at, Flags: xen.GNTMAP_host_map, Ref: ref})
		p.Copy(2, arg+16, dom)
		return arg, p.Call(grantOp, xen.GNTTABOP_map_grant_ref, arg, 1)
	}
	m, r3 := mapping(9)
	seen, marks, flags := p.KeepBytes(at, 8), p.KeepBytes(status0+16, 8), p.KeepBytes(gt+16*9, 2)
	busy := setVersion(1)
	u := p.Struct(&xen.GnttabUnmapGrantRef{HostAddr: at})
	p.Copy(4, u+16, m+20)
	r4 := p.Call(grantOp, xen.GNTTABOP_unmap_grant_ref, u, 1)
	after := p.KeepBytes(status0+16, 8)
	part, r5 := mapping(10)
	copied := func(ref uint64, off, n uint16) abi.Addr {
		c := p.Struct(&xen.GnttabCopy{Source: ref, SourceOffset: off, Dest: dst >> 12, DestDom: self, Len: n, Flags: xen.GNTCOPY_source_gref})
		p.Copy(2, c+8, dom)
		p.Call(grantOp, xen.GNTTABOP_copy, c, 1)
		return c + 36
	}
	inside, before, beyond, last := copied(10, 0x110, 0x10), copied(10, 0xff, 2), copied(10, 0x11f, 2), copied(10, 0x11f, 1)
	transitive := copied(11, 0, 8)
	frames := p.Call(grantOp, xen.GNTTABOP_get_status_frames, p.Words(4), 1)
	r6 := setVersion(1)
	gone := p.KeepBytes(gt+16*9, 8)
	return func(g *guest) {
		g.ok("calls", r0, r1, r2, r3, r4, r5, r6)
		g.fails("statuses of version 1", early, xen.EINVAL)
		g.fails("another version while a grant is mapped", busy, xen.EBUSY)
		g.fails("get_status_frames", frames, xen.ENOSYS)
		status(g, "map", m+18, xen.GNTST_okay)
		status(g, "unmap", u+20, xen.GNTST_okay)
		status(g, "map of a part", part+18, xen.GNTST_general_error)
		status(g, "copy of a part", inside, xen.GNTST_okay)
		status(g, "copy of its last byte", last, xen.GNTST_okay)
		status(g, "copy before a part", before, xen.GNTST_general_error)
		status(g, "copy beyond a part", beyond, xen.GNTST_general_error)
		status(g, "copy of a grant of a grant", transitive, xen.GNTST_general_error)
		if s := string(g.bytes(seen, 8)); s != "granted!" {
			g.t.Errorf("the mapping shows %q", s)
		}
		if w := g.u64(marks); w != (xen.GTF_reading|xen.GTF_writing)<<16 || g.u64(after) != 0 || g.u32(flags)&0xffff != xen.GTF_permit_access {
			g.t.Errorf("statuses %#x, then %#x; flags %#x", w, g.u64(after), g.u32(flags)&0xffff)
		}
		if w := g.u64(gone); w != 0 {
			g.t.Errorf("an entry outlives the change of version: %#x", w)
		}
		if g.m.Memory().HostPage(guestmem.GFN(status0>>12)) != nil {
			g.t.Error("the page of statuses is still there")
		}
	}
}
