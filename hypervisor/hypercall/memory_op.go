package hypercall

import (
	"encoding/binary"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/xen"
)

func memorySubs() []sub {
	return []sub{
		{xen.XENMEM_increase_reservation, "increase_reservation", Refused, "allocates nothing, as pages without a frame are of no use: 0 extents done"},
		{xen.XENMEM_decrease_reservation, "decrease_reservation", Supported, ""},
		{xen.XENMEM_maximum_ram_page, "maximum_ram_page", Supported, "the guest's own, not the host's"},
		{xen.XENMEM_current_reservation, "current_reservation", Supported, ""},
		{xen.XENMEM_maximum_reservation, "maximum_reservation", Supported, ""},
		{xen.XENMEM_machphys_mfn_list, "machphys_mfn_list", None, notPVH},
		{xen.XENMEM_populate_physmap, "populate_physmap", Supported, "at most 4096 pages outside the RAM of the start"},
		{xen.XENMEM_add_to_physmap, "add_to_physmap", Supported, "shared_info, grant_table, gmfn, gmfn_range"},
		{xen.XENMEM_memory_map, "memory_map", Supported, ""},
		{xen.XENMEM_machine_memory_map, "machine_memory_map", None, "as for any HVM domain"},
		{xen.XENMEM_exchange, "exchange", None, notPVH},
		{xen.XENMEM_machphys_mapping, "machphys_mapping", None, "as for any HVM domain"},
		{xen.XENMEM_set_memory_map, "set_memory_map", Refused, "the map of the start stays"},
		{xen.XENMEM_maximum_gpfn, "maximum_gpfn", Supported, ""},
		{xen.XENMEM_remove_from_physmap, "remove_from_physmap", Supported, ""},
		{xen.XENMEM_set_pod_target, "set_pod_target", Refused, priv},
		{xen.XENMEM_get_pod_target, "get_pod_target", Refused, priv},
		{xen.XENMEM_get_sharing_freed_pages, "get_sharing_freed_pages", Supported, "0"},
		{xen.XENMEM_get_sharing_shared_pages, "get_sharing_shared_pages", Supported, "0"},
		{xen.XENMEM_paging_op, "paging_op", Refused, priv},
		{xen.XENMEM_access_op, "access_op", Refused, priv},
		{xen.XENMEM_sharing_op, "sharing_op", Refused, priv},
		{xen.XENMEM_add_to_physmap_batch, "add_to_physmap_batch", Supported, "as add_to_physmap; no foreign frames"},
		{xen.XENMEM_claim_pages, "claim_pages", Refused, priv},
		{xen.XENMEM_machphys_compat_mfn_list, "machphys_compat_mfn_list", None, notPVH},
		{xen.XENMEM_get_vnumainfo, "get_vnumainfo", Refused, "no virtual NUMA: -EOPNOTSUPP"},
		{xen.XENMEM_reserved_device_memory_map, "reserved_device_memory_map", None, "no pass-through"},
		{xen.XENMEM_acquire_resource, "acquire_resource", Refused, priv},
	}
}

// maxExtents is the longest list whose progress fits beside the command.
const maxExtents = 0xffffffff >> xen.MEMOP_EXTENT_SHIFT

func (c *call) memoryOp() uint64 {
	op, start := c.args[0]&63, c.args[0]>>xen.MEMOP_EXTENT_SHIFT
	va := c.args[1]
	switch op {
	case xen.XENMEM_increase_reservation, xen.XENMEM_decrease_reservation, xen.XENMEM_populate_physmap:
		return c.memReservation(op, start, va)
	case xen.XENMEM_add_to_physmap:
		return c.memAdd(start, va)
	case xen.XENMEM_add_to_physmap_batch:
		return c.memAddBatch(start, va)
	}
	if start != 0 {
		return xen.EINVAL.Ret()
	}
	switch op {
	case xen.XENMEM_maximum_ram_page:
		return uint64(c.d.MaxGFN()) + 1
	case xen.XENMEM_current_reservation, xen.XENMEM_maximum_reservation, xen.XENMEM_maximum_gpfn:
		return c.memAsk(op, va)
	case xen.XENMEM_remove_from_physmap:
		return c.memRemove(va)
	case xen.XENMEM_memory_map:
		return c.memMap(va)
	case xen.XENMEM_machphys_mapping:
		return c.memMachphys(va)
	case xen.XENMEM_get_sharing_freed_pages, xen.XENMEM_get_sharing_shared_pages:
		return 0
	case xen.XENMEM_get_vnumainfo:
		return xen.EOPNOTSUPP.Ret()
	case xen.XENMEM_claim_pages, xen.XENMEM_set_memory_map, xen.XENMEM_set_pod_target, xen.XENMEM_get_pod_target,
		xen.XENMEM_paging_op, xen.XENMEM_access_op, xen.XENMEM_sharing_op, xen.XENMEM_acquire_resource:
		return xen.EPERM.Ret()
	}
	return xen.ENOSYS.Ret()
}

// maxOrder is the largest extent an unprivileged domain may ask for (Xen: CONFIG_DOMU_MAX_ORDER).
const maxOrder = 9

// memReservation gives the number of extents done, which is also its only way to report an error.
func (c *call) memReservation(op, start, va uint64) uint64 {
	var r xen.MemoryReservation
	k := c.sizer()
	if r.Layout(&k); !c.load(&k, va) {
		return start
	}
	r.Layout(&k)
	if r.NrExtents > maxExtents || start >= r.NrExtents || c.d.Self(r.DomID) != 0 || r.ExtentOrder > maxOrder ||
		op == xen.XENMEM_increase_reservation {
		return start
	}
	i := start
	for ; i < r.NrExtents; i++ {
		if i != start && c.work <= 0 {
			c.args[0] = op | i<<xen.MEMOP_EXTENT_SHIFT
			return c.again()
		}
		c.work -= 1 << r.ExtentOrder
		g, ok := c.readLong(r.ExtentStart, i)
		if !ok || !c.memExtent(op, g, r.ExtentOrder) {
			break
		}
	}
	return i
}

// memExtent populates or frees the frames of one extent and reports whether all could be.
func (c *call) memExtent(op, first uint64, order uint32) bool {
	for j := range uint64(1) << order {
		g := guestmem.GFN(first + j)
		err := xen.Errno(0)
		if op == xen.XENMEM_populate_physmap {
			err = c.d.Populate(g)
		} else {
			err = c.d.Remove(g)
		}
		if err != 0 {
			return false
		}
	}
	return true
}

func (c *call) memAsk(op, va uint64) uint64 {
	var m xen.MemoryDomain
	k := c.sizer()
	if m.Layout(&k); !c.load(&k, va) {
		return efault
	}
	m.Layout(&k)
	if err := c.d.Self(m.DomID); err != 0 {
		return err.Ret()
	}
	switch op {
	case xen.XENMEM_current_reservation:
		return c.d.Pages()
	case xen.XENMEM_maximum_reservation:
		return c.d.MaxPages()
	}
	return uint64(c.d.MaxGFN())
}

func (c *call) memRemove(va uint64) uint64 {
	var r xen.RemoveFromPhysmap
	k := c.sizer()
	if r.Layout(&k); !c.load(&k, va) {
		return efault
	}
	r.Layout(&k)
	if err := c.d.Self(r.DomID); err != 0 {
		return err.Ret()
	}
	return c.d.Remove(guestmem.GFN(r.GPFN)).Ret()
}

// allOnes is INVALID_GFN in the guest's ABI.
func (c *call) allOnes(g uint64) bool {
	return g == ^uint64(0) || c.abi == xen.ABI32 && g == 0xffffffff
}

func (c *call) memAdd(start, va uint64) uint64 {
	if start > 0xffff {
		return xen.EDOM.Ret()
	}
	var a xen.AddToPhysmap
	k := c.sizer()
	if a.Layout(&k); !c.load(&k, va) {
		return efault
	}
	a.Layout(&k)
	if a.Space == xen.XENMAPSPACE_gmfn_foreign {
		return xen.ENOSYS.Ret()
	}
	if err := c.d.Self(a.DomID); err != 0 {
		return err.Ret()
	}
	switch {
	case a.Space == xen.XENMAPSPACE_dev_mmio:
		return xen.EACCES.Ret()
	case c.allOnes(a.GPFN):
		return xen.EINVAL.Ret()
	case a.Space == xen.XENMAPSPACE_gmfn_range:
		return c.memAddRange(&a, start)
	}
	return c.d.AddToPhysmap(a.Space, a.Idx, guestmem.GFN(a.GPFN)).Ret()
}

func (c *call) memAddRange(a *xen.AddToPhysmap, start uint64) uint64 {
	size := uint64(a.Size)
	if size < start {
		return xen.EILSEQ.Ret()
	}
	if a.GPFN+size < a.GPFN || a.Idx+size < a.Idx {
		return xen.EOVERFLOW.Ret()
	}
	for i := start; i < size; i++ {
		if i != start && !c.spend() {
			c.args[0] = xen.XENMEM_add_to_physmap | i<<xen.MEMOP_EXTENT_SHIFT
			return c.again()
		}
		if err := c.d.AddToPhysmap(xen.XENMAPSPACE_gmfn, a.Idx+i, guestmem.GFN(a.GPFN+i)); err != 0 {
			return err.Ret()
		}
	}
	return 0
}

func (c *call) memAddBatch(start, va uint64) uint64 {
	if start > 0xffff {
		return xen.EDOM.Ret()
	}
	var a xen.AddToPhysmapBatch
	k := c.sizer()
	if a.Layout(&k); !c.load(&k, va) {
		return efault
	}
	a.Layout(&k)
	if a.Space == xen.XENMAPSPACE_gmfn_range {
		return xen.EOPNOTSUPP.Ret()
	}
	if err := c.d.Self(a.DomID); err != 0 {
		return err.Ret()
	}
	size := uint64(a.Size)
	switch {
	case a.Space == xen.XENMAPSPACE_dev_mmio:
		return xen.EACCES.Ret()
	case size < start, size == start && start != 0:
		return xen.EILSEQ.Ret()
	}
	for i := start; i < size; i++ {
		if i != start && !c.spend() {
			c.args[0] = xen.XENMEM_add_to_physmap_batch | i<<xen.MEMOP_EXTENT_SHIFT
			return c.again()
		}
		if ret := c.memAddOne(&a, i); ret != 0 {
			return ret
		}
	}
	return 0
}

func (c *call) memAddOne(a *xen.AddToPhysmapBatch, i uint64) uint64 {
	idx, ok1 := c.readLong(a.Idxs, i)
	g, ok2 := c.readLong(a.GPFNs, i)
	if !ok1 || !ok2 {
		return efault
	}
	if c.allOnes(g) {
		return xen.EINVAL.Ret()
	}
	err := xen.ESRCH // no foreign frames: there are no other domains here
	if a.Space != xen.XENMAPSPACE_gmfn_foreign {
		err = c.d.AddToPhysmap(uint32(a.Space), idx, guestmem.GFN(g))
	}
	if !c.writeWord(a.Errs, i, err.Ret(), 4) {
		return efault
	}
	return 0
}

// memMachphys tells a PV guest where the machine-to-physical table is.
func (c *call) memMachphys(va uint64) uint64 {
	if c.d.PV == nil {
		return xen.ENOSYS.Ret()
	}
	b := c.v.Scratch[:24]
	c.n = len(b)
	binary.LittleEndian.PutUint64(b, monitor.M2P)
	binary.LittleEndian.PutUint64(b[8:], monitor.M2P+c.d.PV.M2PFrames()*8)
	binary.LittleEndian.PutUint64(b[16:], c.d.PV.M2PFrames()-1)
	return c.store(va, 0)
}

// e820Size is the size of an entry of the BIOS call's format: two 64-bit words and a 32-bit type.
const e820Size = 20

func (c *call) memMap(va uint64) uint64 {
	var m xen.MemoryMap
	k := c.sizer()
	if m.Layout(&k); !c.load(&k, va) {
		return efault
	}
	m.Layout(&k)
	if len(c.d.E820) == 0 {
		return xen.ENOSYS.Ret()
	}
	m.NrEntries = min(m.NrEntries, uint32(len(c.d.E820)))
	b := c.v.Scratch[64 : 64+e820Size]
	for i := range uint64(m.NrEntries) {
		e := &c.d.E820[i]
		binary.LittleEndian.PutUint64(b, e.Addr)
		binary.LittleEndian.PutUint64(b[8:], e.Size)
		binary.LittleEndian.PutUint32(b[16:], e.Type)
		if c.v.Virt.WriteVirt(c.elem(m.Buffer, i, e820Size), b) != nil {
			return efault
		}
	}
	e := c.encoder()
	m.Layout(&e)
	return c.store(va, 0)
}
