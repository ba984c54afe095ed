// Facts of Xen public/memory.h.

package xen

// Memory operations.
const (
	XENMEM_increase_reservation       = 0
	XENMEM_decrease_reservation       = 1
	XENMEM_populate_physmap           = 6
	XENMEM_exchange                   = 11
	XENMEM_maximum_ram_page           = 2
	XENMEM_current_reservation        = 3
	XENMEM_maximum_reservation        = 4
	XENMEM_maximum_gpfn               = 14
	XENMEM_machphys_mfn_list          = 5
	XENMEM_machphys_compat_mfn_list   = 25
	XENMEM_machphys_mapping           = 12
	XENMEM_add_to_physmap             = 7
	XENMEM_add_to_physmap_batch       = 23
	XENMEM_remove_from_physmap        = 15
	XENMEM_memory_map                 = 9
	XENMEM_machine_memory_map         = 10
	XENMEM_set_memory_map             = 13
	XENMEM_set_pod_target             = 16
	XENMEM_get_pod_target             = 17
	XENMEM_get_sharing_freed_pages    = 18
	XENMEM_get_sharing_shared_pages   = 19
	XENMEM_paging_op                  = 20
	XENMEM_access_op                  = 21
	XENMEM_sharing_op                 = 22
	XENMEM_claim_pages                = 24
	XENMEM_reserved_device_memory_map = 27
	XENMEM_acquire_resource           = 28
	XENMEM_get_vnumainfo              = 26
)

// Source spaces of add_to_physmap.
const (
	XENMAPSPACE_shared_info  = 0
	XENMAPSPACE_grant_table  = 1
	XENMAPSPACE_gmfn         = 2
	XENMAPSPACE_gmfn_range   = 3
	XENMAPSPACE_gmfn_foreign = 4
	XENMAPSPACE_dev_mmio     = 5
)

// Memory flags.
const (
	XENMEMF_populate_on_demand = 1 << 16
	XENMEMF_exact_node_request = 1 << 17
	XENMEMF_vnode              = 1 << 18
)

// MemoryReservation is the argument of the reservation calls (C: xen_memory_reservation).
type MemoryReservation struct {
	ExtentStart uint64
	NrExtents   uint64
	ExtentOrder uint32
	MemFlags    uint32
	DomID       DomID
}

// Layout visits the fields of MemoryReservation in the order of the C struct.
func (s *MemoryReservation) Layout(c *Codec) {
	c.Long(&s.ExtentStart)
	c.Long(&s.NrExtents)
	c.U32(&s.ExtentOrder)
	c.U32(&s.MemFlags)
	c.Dom(&s.DomID)
}

// MemoryDomain is the argument of the calls that ask about a domain (C: xen_memory_domain).
type MemoryDomain struct {
	DomID DomID
}

// Layout visits the fields of MemoryDomain in the order of the C struct.
func (s *MemoryDomain) Layout(c *Codec) {
	c.Dom(&s.DomID)
}

// AddToPhysmap is the argument of XENMEM_add_to_physmap (C: xen_add_to_physmap).
type AddToPhysmap struct {
	DomID DomID
	Size  uint16
	Space uint32
	Idx   uint64
	GPFN  uint64
}

// Layout visits the fields of AddToPhysmap in the order of the C struct.
func (s *AddToPhysmap) Layout(c *Codec) {
	c.Dom(&s.DomID)
	c.U16(&s.Size)
	c.U32(&s.Space)
	c.Long(&s.Idx)
	c.Long(&s.GPFN)
}

// AddToPhysmapBatch is the argument of XENMEM_add_to_physmap_batch. The last three are guest addresses of arrays (C: xen_add_to_physmap_batch).
type AddToPhysmapBatch struct {
	DomID DomID
	Space uint16
	Size  uint16
	U     uint16
	Idxs  uint64
	GPFNs uint64
	Errs  uint64
}

// Layout visits the fields of AddToPhysmapBatch in the order of the C struct.
func (s *AddToPhysmapBatch) Layout(c *Codec) {
	c.Dom(&s.DomID)
	c.U16(&s.Space)
	c.U16(&s.Size)
	c.U16(&s.U)
	c.Long(&s.Idxs)
	c.Long(&s.GPFNs)
	c.Long(&s.Errs)
}

// RemoveFromPhysmap is the argument of XENMEM_remove_from_physmap (C: xen_remove_from_physmap).
type RemoveFromPhysmap struct {
	DomID DomID
	GPFN  uint64
}

// Layout visits the fields of RemoveFromPhysmap in the order of the C struct.
func (s *RemoveFromPhysmap) Layout(c *Codec) {
	c.Dom(&s.DomID)
	c.Long(&s.GPFN)
}

// MemoryMap is the argument of XENMEM_memory_map (C: xen_memory_map).
type MemoryMap struct {
	NrEntries uint32
	Buffer    uint64
}

// Layout visits the fields of MemoryMap in the order of the C struct.
func (s *MemoryMap) Layout(c *Codec) {
	c.U32(&s.NrEntries)
	c.Long(&s.Buffer)
}
