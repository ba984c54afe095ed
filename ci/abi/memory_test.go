package abi

import (
	"gozen/benches/guest/abi"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

const (
	memoryOp = xen.HYPERVISOR_memory_op
	self     = xen.DOMID_SELF
)

// frames is a list of frame numbers in the guest's memory.
func frames(p *abi.Prog, list ...uint64) abi.Addr {
	a := p.Words(len(list))
	for i, g := range list {
		p.Set(a+8*uint64(i), g)
	}
	return a
}

func reserve(p *abi.Prog, op uint64, order uint32, list abi.Addr, n uint64) abi.Addr {
	return p.Call(memoryOp, op, p.Struct(&xen.MemoryReservation{ExtentStart: list, NrExtents: n, ExtentOrder: order, DomID: self}))
}

func memoryRows() []row {
	return []row{
		{name: "reservation", covers: []string{"memory_op/decrease_reservation", "memory_op/populate_physmap", "memory_op/current_reservation",
			"memory_op/maximum_reservation"}, guest: reservation},
		{name: "reservation of many", covers: []string{"memory_op/decrease_reservation", "memory_op/populate_physmap"}, guest: manyExtents},
		{name: "frame numbers", covers: []string{"memory_op/maximum_ram_page", "memory_op/maximum_gpfn", "memory_op/memory_map",
			"memory_op/get_sharing_freed_pages", "memory_op/get_sharing_shared_pages"}, guest: frameNumbers},
		{name: "add and remove", covers: []string{"memory_op/add_to_physmap", "memory_op/add_to_physmap_batch", "memory_op/remove_from_physmap"},
			guest: addRemove},
	}
}

// reservation gives two pages back and takes them again: they lose their content, and reads in between see nothing.
func reservation(p *abi.Prog) func(*guest) {
	page, other := p.NewPage(), p.NewPage()
	p.Set(page, 0x1111)
	dom := p.Struct(&xen.MemoryDomain{DomID: self})
	now := func() abi.Addr { return p.Call(memoryOp, xen.XENMEM_current_reservation, dom) }
	limit := p.Call(memoryOp, xen.XENMEM_maximum_reservation, dom)
	before := now()
	list := frames(p, page>>12, other>>12)
	down := reserve(p, xen.XENMEM_decrease_reservation, 0, list, 2)
	between := now()
	p.Load(8, asm.RAX, p.Mem(page))
	hole := p.Keep(asm.RAX)
	again := reserve(p, xen.XENMEM_decrease_reservation, 0, list, 2)
	up := reserve(p, xen.XENMEM_populate_physmap, 0, list, 2)
	after := now()
	p.Load(8, asm.RAX, p.Mem(page))
	fresh := p.Keep(asm.RAX)
	p.Set(page, 0x2222)
	outside := p.Call(memoryOp, xen.XENMEM_populate_physmap,
		p.Struct(&xen.MemoryReservation{ExtentStart: frames(p, 0x100000), NrExtents: 1, DomID: self}))
	beyond := reserve(p, xen.XENMEM_populate_physmap, 0, frames(p, 1<<50), 1)
	order := reserve(p, xen.XENMEM_populate_physmap, 10, list, 1)
	unreadable := reserve(p, xen.XENMEM_populate_physmap, 0, 1<<40, 1)
	noDom := p.Call(memoryOp, xen.XENMEM_current_reservation, p.Struct(&xen.MemoryDomain{DomID: 77}))
	fault := p.Call(memoryOp, xen.XENMEM_current_reservation, 1<<40)
	return func(g *guest) {
		g.within("pages", before, 24<<8, 24<<8+64)
		g.within("most pages", limit, g.u64(before), 24<<8+64)
		for what, w := range map[string][2]uint64{"decrease": {down, 2}, "second decrease": {again, 0}, "populate": {up, 2}, "pages between": {between, g.u64(before) - 2},
			"pages after": {after, g.u64(before)}, "a read of the hole": {hole, ^uint64(0)}, "a fresh page": {fresh, 0}, "a written page": {page, 0x2222},
			"populate outside RAM": {outside, 1}, "populate beyond everything": {beyond, 0}, "an order too large": {order, 0},
			"an unreadable list": {unreadable, 0}} {
			g.is(what, w[0], w[1])
		}
		g.fails("another domain", noDom, xen.ESRCH)
		g.fails("an unreadable argument", fault, xen.EFAULT)
	}
}

// manyExtents does more than one exit's work in each call.
func manyExtents(p *abi.Prog) func(*guest) {
	const first, n = 0x1000, 1000 // from 16 MiB on
	list := p.NewPage()
	p.NewPage()
	p.MovI(asm.RBX, list)
	p.Repeat(n, func() {
		p.Lea(8, asm.RAX, asm.At(asm.R15, first))
		p.Store(8, asm.Idx(asm.RBX, asm.R15, 8, 0), asm.RAX)
	})
	down := reserve(p, xen.XENMEM_decrease_reservation, 0, list, n)
	up := reserve(p, xen.XENMEM_populate_physmap, 0, list, n)
	return func(g *guest) {
		g.is("decrease", down, n)
		g.is("populate", up, n)
		if g.m.Memory().HostPage(guestmem.GFN(first+n-1)) == nil {
			g.t.Error("the last page is missing")
		}
	}
}

func frameNumbers(p *abi.Prog) func(*guest) {
	dom := p.Struct(&xen.MemoryDomain{DomID: self})
	ram := p.Call(memoryOp, xen.XENMEM_maximum_ram_page, 0)
	gpfn := p.Call(memoryOp, xen.XENMEM_maximum_gpfn, dom)
	buf := p.Words(64)
	arg := p.Struct(&xen.MemoryMap{NrEntries: 16, Buffer: buf})
	r := p.Call(memoryOp, xen.XENMEM_memory_map, arg)
	small := p.Struct(&xen.MemoryMap{NrEntries: 1, Buffer: buf + 400})
	one := p.Call(memoryOp, xen.XENMEM_memory_map, small)
	fault := p.Call(memoryOp, xen.XENMEM_memory_map, p.Struct(&xen.MemoryMap{NrEntries: 16, Buffer: 1 << 40}))
	freed := p.Call(memoryOp, xen.XENMEM_get_sharing_freed_pages, 0)
	shared := p.Call(memoryOp, xen.XENMEM_get_sharing_shared_pages, 0)
	return func(g *guest) {
		g.is("highest frame", gpfn, 0xfefff)
		g.is("frames", ram, 0xff000)
		g.ok("memory_map", r, one, freed, shared)
		if n := g.u32(arg); n != 3 {
			g.t.Errorf("%d entries, want 3", n)
		}
		if n := g.u32(small); n != 1 {
			g.t.Errorf("a small buffer got %d entries, want 1", n)
		}
		g.is("RAM base", buf, 0)
		g.is("RAM size", buf+8, 24<<20)
		g.is("ACPI base", buf+20, 0xfc000000)
		g.fails("an unwritable buffer", fault, xen.EFAULT)
	}
}

func add(p *abi.Prog, space uint32, idx, gpfn uint64, size uint16) abi.Addr {
	return p.Call(memoryOp, xen.XENMEM_add_to_physmap, p.Struct(&xen.AddToPhysmap{DomID: self, Size: size, Space: space, Idx: idx, GPFN: gpfn}))
}

// addRemove moves pages, one, a range and a batch, and maps shared info at two places one after the other.
func addRemove(p *abi.Prog) func(*guest) {
	var pages [8]abi.Addr
	for i := range pages {
		pages[i] = p.NewPage()
		p.Set(pages[i], 0x100+uint64(i))
	}
	gfn := func(i int) uint64 { return pages[i] >> 12 }
	one := add(p, xen.XENMAPSPACE_gmfn, gfn(0), gfn(1), 0)
	moved := p.KeepBytes(pages[1], 8)
	left := p.KeepBytes(pages[0], 8)
	span := add(p, xen.XENMAPSPACE_gmfn_range, gfn(2), gfn(4), 2)
	spanned := p.KeepBytes(pages[5], 8)
	errs := p.Words(2)
	batch := p.Call(memoryOp, xen.XENMEM_add_to_physmap_batch, p.Struct(&xen.AddToPhysmapBatch{DomID: self, Space: xen.XENMAPSPACE_gmfn, Size: 2,
		Idxs: frames(p, gfn(4), gfn(0)), GPFNs: frames(p, gfn(6), gfn(7)), Errs: errs}))
	batched := p.KeepBytes(pages[6], 8)
	remove := p.Call(memoryOp, xen.XENMEM_remove_from_physmap, p.Struct(&xen.RemoveFromPhysmap{DomID: self, GPFN: gfn(6)}))
	removed := p.KeepBytes(pages[6], 8)
	twice := p.Call(memoryOp, xen.XENMEM_remove_from_physmap, p.Struct(&xen.RemoveFromPhysmap{DomID: self, GPFN: gfn(6)}))
	info := add(p, xen.XENMAPSPACE_shared_info, 0, gfn(6), 0)
	first := p.KeepBytes(pages[6]+3072, 16)
	info2 := add(p, xen.XENMAPSPACE_shared_info, 0, gfn(7), 0)
	second := p.KeepBytes(pages[7]+3072, 16)
	gone := p.KeepBytes(pages[6], 8)
	foreign := add(p, xen.XENMAPSPACE_gmfn_foreign, 0, gfn(1), 0)
	mmio := add(p, xen.XENMAPSPACE_dev_mmio, 0, gfn(1), 0)
	bad := add(p, 99, 0, gfn(1), 0)
	return func(g *guest) {
		g.ok("add_to_physmap", one, span, batch, remove, info, info2)
		g.is("the moved page", moved, 0x100)
		g.is("where it was", left, ^uint64(0))
		g.is("the range's second page", spanned, 0x103)
		g.is("the batch's page", batched, 0x102)
		if e := int32(g.u32(errs + 4)); g.u32(errs) != 0 || e != -int32(xen.EINVAL) {
			g.t.Errorf("errors of the batch: %d and %d, want 0 and -EINVAL", g.u32(errs), e)
		}
		g.is("a removed page", removed, ^uint64(0))
		g.fails("a second removal", twice, xen.ENOENT)
		if string(g.bytes(first, 12)) != string(g.bytes(second, 12)) || g.u32(first+4) == 0 {
			g.t.Error("shared info is not the same at both places")
		}
		g.is("where shared info was", gone, ^uint64(0))
		g.fails("a foreign frame", foreign, xen.ENOSYS)
		g.fails("a device's frame", mmio, xen.EACCES)
		g.fails("an unknown space", bad, xen.EINVAL)
	}
}
