package abi

import (
	"gozen/benches/guest/abi"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

const grantOp = xen.HYPERVISOR_grant_table_op

func grantRows() []row {
	return []row{
		{name: "grant table", covers: []string{"grant_table_op/setup_table", "grant_table_op/query_size", "grant_table_op/set_version",
			"grant_table_op/get_version"}, guest: grantTable},
		{name: "grant map and copy", covers: []string{"grant_table_op/map_grant_ref", "grant_table_op/unmap_grant_ref", "grant_table_op/copy",
			"grant_table_op/swap_grant_ref"}, guest: grantMap},
		{name: "grants of version 2", covers: []string{"grant_table_op/set_version", "memory_op/add_to_physmap"}, guest: grants2},
	}
}

// ownDomid leaves the domain's number, from CPUID, in a word.
func ownDomid(p *abi.Prog) abi.Addr { return p.KeepCPUID(0x40000004, 0) + 16 }

// table maps grant frame 0 at a page.
func table(p *abi.Prog) (at, result abi.Addr) {
	at = p.NewPage()
	return at, add(p, xen.XENMAPSPACE_grant_table, 0, at>>12, 0)
}

func status(g *guest, what string, at abi.Addr, want xen.GrantStatus) {
	g.t.Helper()
	if got := xen.GrantStatus(uint16(g.u32(at))); got != want {
		g.t.Errorf("%s: status %d, want %d", what, got, want)
	}
}

func grantTable(p *abi.Prog) func(*guest) {
	q := p.Struct(&xen.GnttabQuerySize{Dom: self})
	r1 := p.Call(grantOp, xen.GNTTABOP_query_size, q, 1)
	list := p.Words(4)
	setup := p.Struct(&xen.GnttabSetupTable{Dom: self, NrFrames: 2, FrameList: list})
	r2 := p.Call(grantOp, xen.GNTTABOP_setup_table, setup, 1)
	big := p.Struct(&xen.GnttabSetupTable{Dom: self, NrFrames: 10000, FrameList: list})
	r3 := p.Call(grantOp, xen.GNTTABOP_setup_table, big, 1)
	q2 := p.Struct(&xen.GnttabQuerySize{Dom: self})
	r4 := p.Call(grantOp, xen.GNTTABOP_query_size, q2, 1)
	v1, v3 := p.Struct(&xen.GnttabSetVersion{Version: 1}), p.Struct(&xen.GnttabSetVersion{Version: 3})
	r5 := p.Call(grantOp, xen.GNTTABOP_set_version, v1, 1)
	bad := p.Call(grantOp, xen.GNTTABOP_set_version, v3, 1)
	get := p.Struct(&xen.GnttabGetVersion{Dom: self})
	r6 := p.Call(grantOp, xen.GNTTABOP_get_version, get, 1)
	two := p.Call(grantOp, xen.GNTTABOP_query_size, q, 2)
	fault := p.Call(grantOp, xen.GNTTABOP_query_size, 1<<40, 1)
	none := p.Call(grantOp, 77, q, 1)
	return func(g *guest) {
		g.ok("grant_table_op", r1, r2, r3, r4, r5, r6)
		var a, b xen.GnttabQuerySize
		g.decode(q, &a)
		g.decode(q2, &b)
		if a.MaxNrFrames != 64 || b.NrFrames != 2 || b.MaxNrFrames != 64 {
			g.t.Errorf("size %+v, then %+v", a, b)
		}
		status(g, "setup", setup+8, xen.GNTST_okay)
		var c xen.GnttabSetupTable
		if g.decode(big, &c); c.Status == xen.GNTST_okay {
			g.t.Error("10000 frames were taken")
		}
		if v := g.u32(get + 4); v != 1 || g.u32(v3) != 1 {
			g.t.Errorf("version %d, and %d after a refusal", v, g.u32(v3))
		}
		g.fails("version 3", bad, xen.EINVAL)
		g.fails("two queries", two, xen.EINVAL)
		g.fails("an unreadable argument", fault, xen.EFAULT)
		g.fails("operation 77", none, xen.ENOSYS)
	}
}

// grantMap grants two pages to itself, maps one at a free frame, copies by reference, and swaps the entries.
func grantMap(p *abi.Prog) func(*guest) {
	dom := ownDomid(p)
	gt, r0 := table(p)
	src, dst, at := p.NewPage(), p.NewPage(), p.NewPage()
	p.SetBytes(src, []byte("granted!"))
	entry := func(ref int, flags uint16, page abi.Addr) {
		e := gt + 8*uint64(ref)
		p.Copy(2, e+2, dom)
		p.Set32(e+4, uint32(page>>12))
		p.MovI(asm.RAX, uint64(flags))
		p.Store(2, p.Mem(e), asm.RAX)
	}
	entry(9, xen.GTF_permit_access, src)
	entry(10, xen.GTF_permit_access, dst)
	entry(11, xen.GTF_permit_access|xen.GTF_readonly, src)
	m := p.Struct(&xen.GnttabMapGrantRef{HostAddr: at, Flags: xen.GNTMAP_host_map, Ref: 9})
	p.Copy(2, m+16, dom)
	mapped := p.Call(grantOp, xen.GNTTABOP_map_grant_ref, m, 1)
	seen := p.KeepBytes(at, 8)
	p.SetBytes(at+8, []byte("through!"))
	inUse := p.KeepBytes(gt+72, 2)
	u := p.Struct(&xen.GnttabUnmapGrantRef{HostAddr: at})
	p.Copy(4, u+16, m+20)
	unmapped := p.Call(grantOp, xen.GNTTABOP_unmap_grant_ref, u, 1)
	u2 := p.Struct(&xen.GnttabUnmapGrantRef{HostAddr: at, Handle: 12345})
	again := p.Call(grantOp, xen.GNTTABOP_unmap_grant_ref, u2, 1)
	wrong := p.Struct(&xen.GnttabMapGrantRef{HostAddr: at, Flags: xen.GNTMAP_host_map, Ref: 9, Dom: 0x7000})
	other := p.Call(grantOp, xen.GNTTABOP_map_grant_ref, wrong, 1)
	unset := p.Struct(&xen.GnttabMapGrantRef{HostAddr: at, Flags: xen.GNTMAP_host_map, Ref: 40})
	p.Copy(2, unset+16, dom)
	badRef := p.Call(grantOp, xen.GNTTABOP_map_grant_ref, unset, 1)
	huge := p.Struct(&xen.GnttabMapGrantRef{HostAddr: at, Flags: xen.GNTMAP_host_map, Ref: 1 << 30})
	p.Copy(2, huge+16, dom)
	badRef2 := p.Call(grantOp, xen.GNTTABOP_map_grant_ref, huge, 1)
	// Two copies in one call: by reference, and one into a read-only grant.
	size := uint64(40)
	copies := p.Words(10)
	for i, c := range []xen.GnttabCopy{{Source: 9, Dest: 10, SourceOffset: 0, DestOffset: 0x100, Len: 16}, {Source: 10, Dest: 11, Len: 16}} {
		c.Flags = xen.GNTCOPY_source_gref | xen.GNTCOPY_dest_gref
		b := xen.Encode(xen.ABI64, &c)
		size = uint64(len(b))
		p.SetBytes(copies+size*uint64(i), b)
		p.Copy(2, copies+size*uint64(i)+8, dom)
		p.Copy(2, copies+size*uint64(i)+24, dom)
	}
	copied := p.Call(grantOp, xen.GNTTABOP_copy, copies, 2)
	swap := p.Struct(&xen.GnttabSwapGrantRef{RefA: 9, RefB: 10})
	swapped := p.Call(grantOp, xen.GNTTABOP_swap_grant_ref, swap, 1)
	now := p.KeepBytes(gt+76, 4)
	return func(g *guest) {
		g.ok("grant_table_op", r0, mapped, unmapped, again, other, badRef, badRef2, copied, swapped)
		status(g, "map", m+18, xen.GNTST_okay)
		status(g, "unmap", u+20, xen.GNTST_okay)
		status(g, "unmap of nothing", u2+20, xen.GNTST_bad_handle)
		status(g, "map of another domain", wrong+18, xen.GNTST_bad_domain)
		status(g, "map of an unset entry", unset+18, xen.GNTST_general_error)
		status(g, "map of an entry beyond the table", huge+18, xen.GNTST_bad_gntref)
		if s := string(g.bytes(seen, 8)); s != "granted!" {
			g.t.Errorf("the mapping shows %q", s)
		}
		if s := string(g.bytes(src, 16)); s != "granted!through!" {
			g.t.Errorf("the granted page holds %q", s)
		}
		if f := g.u32(inUse) & 0xffff; f != xen.GTF_permit_access|xen.GTF_reading|xen.GTF_writing {
			g.t.Errorf("flags while mapped %#x", f)
		}
		if f := g.u32(gt+72) & 0xffff; f != xen.GTF_permit_access {
			g.t.Errorf("flags at the end %#x", f)
		}
		if s := string(g.bytes(dst+0x100, 16)); s != "granted!through!" {
			g.t.Errorf("the copy is %q", s)
		}
		var c0, c1 xen.GnttabCopy
		g.decode(copies, &c0)
		g.decode(copies+size, &c1)
		if c0.Status != xen.GNTST_okay || c1.Status == xen.GNTST_okay {
			g.t.Errorf("copies: %d and, to a read-only grant, %d", c0.Status, c1.Status)
		}
		status(g, "swap", swap+8, xen.GNTST_okay)
		if f := g.u32(now); uint64(f) != dst>>12 {
			g.t.Errorf("entry 9 has frame %#x after the swap, want %#x", f, dst>>12)
		}
	}
}
