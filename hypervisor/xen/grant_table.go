// Facts of Xen public/grant_table.h.

package xen

// Reserved entries.
const (
	GNTTAB_NR_RESERVED_ENTRIES = 8
	GNTTAB_RESERVED_CONSOLE    = 0
	GNTTAB_RESERVED_XENSTORE   = 1
)

// Entry types and flags.
const (
	GTF_invalid            = 0
	GTF_permit_access      = 1
	GTF_accept_transfer    = 1 << 1
	GTF_transitive         = 3
	GTF_type_mask          = 3
	GTF_readonly           = 1 << 2
	GTF_reading            = 1 << 3
	GTF_writing            = 1 << 4
	GTF_PWT                = 1 << 5
	GTF_PCD                = 1 << 6
	GTF_PAT                = 1 << 7
	GTF_sub_page           = 1 << 8
	GTF_transfer_committed = 1 << 2
	GTF_transfer_completed = 1 << 3
)

// Grant table operations.
const (
	GNTTABOP_map_grant_ref     = 0
	GNTTABOP_unmap_grant_ref   = 1
	GNTTABOP_setup_table       = 2
	GNTTABOP_dump_table        = 3
	GNTTABOP_transfer          = 4
	GNTTABOP_copy              = 5
	GNTTABOP_query_size        = 6
	GNTTABOP_unmap_and_replace = 7
	GNTTABOP_set_version       = 8
	GNTTABOP_get_status_frames = 9
	GNTTABOP_get_version       = 10
	GNTTABOP_swap_grant_ref    = 11
	GNTTABOP_cache_flush       = 12
)

// Copy flags.
const (
	GNTCOPY_source_gref = 1
	GNTCOPY_dest_gref   = 1 << 1
)

// Cache flush operations.
const (
	GNTTAB_CACHE_CLEAN       = 1
	GNTTAB_CACHE_INVAL       = 2
	GNTTAB_CACHE_SOURCE_GREF = 2147483648
)

// Map flags.
const (
	GNTMAP_device_map      = 1
	GNTMAP_host_map        = 1 << 1
	GNTMAP_readonly        = 1 << 2
	GNTMAP_application_map = 1 << 3
	GNTMAP_contains_pte    = 1 << 4
)

// Grant status codes, as int16.
const (
	GNTST_okay              GrantStatus = 0
	GNTST_general_error     GrantStatus = -1
	GNTST_bad_domain        GrantStatus = -2
	GNTST_bad_gntref        GrantStatus = -3
	GNTST_bad_handle        GrantStatus = -4
	GNTST_bad_virt_addr     GrantStatus = -5
	GNTST_bad_dev_addr      GrantStatus = -6
	GNTST_no_device_space   GrantStatus = -7
	GNTST_permission_denied GrantStatus = -8
	GNTST_bad_page          GrantStatus = -9
	GNTST_bad_copy_arg      GrantStatus = -10
	GNTST_address_too_big   GrantStatus = -11
	GNTST_eagain            GrantStatus = -12
	GNTST_no_space          GrantStatus = -13
)

// GnttabMapGrantRef is an argument of GNTTABOP_map_grant_ref (C: gnttab_map_grant_ref).
type GnttabMapGrantRef struct {
	HostAddr   uint64
	Flags      uint32
	Ref        uint32
	Dom        DomID
	Status     GrantStatus
	Handle     uint32
	DevBusAddr uint64
}

// Layout visits the fields of GnttabMapGrantRef in the order of the C struct.
func (s *GnttabMapGrantRef) Layout(c *Codec) {
	c.U64(&s.HostAddr)
	c.U32(&s.Flags)
	c.U32(&s.Ref)
	c.Dom(&s.Dom)
	c.Status(&s.Status)
	c.U32(&s.Handle)
	c.U64(&s.DevBusAddr)
}

// GnttabUnmapGrantRef is an argument of GNTTABOP_unmap_grant_ref (C: gnttab_unmap_grant_ref).
type GnttabUnmapGrantRef struct {
	HostAddr   uint64
	DevBusAddr uint64
	Handle     uint32
	Status     GrantStatus
}

// Layout visits the fields of GnttabUnmapGrantRef in the order of the C struct.
func (s *GnttabUnmapGrantRef) Layout(c *Codec) {
	c.U64(&s.HostAddr)
	c.U64(&s.DevBusAddr)
	c.U32(&s.Handle)
	c.Status(&s.Status)
}

// GnttabSetupTable is the argument of GNTTABOP_setup_table (C: gnttab_setup_table).
type GnttabSetupTable struct {
	Dom       DomID
	NrFrames  uint32
	Status    GrantStatus
	FrameList uint64
}

// Layout visits the fields of GnttabSetupTable in the order of the C struct.
func (s *GnttabSetupTable) Layout(c *Codec) {
	c.Dom(&s.Dom)
	c.U32(&s.NrFrames)
	c.Status(&s.Status)
	c.Long(&s.FrameList)
}

// GnttabCopy is an argument of GNTTABOP_copy. Source and Dest are a grant reference or a frame, as Flags say (C: gnttab_copy).
type GnttabCopy struct {
	Source       uint64
	SourceDom    DomID
	SourceOffset uint16
	Dest         uint64
	DestDom      DomID
	DestOffset   uint16
	Len          uint16
	Flags        uint16
	Status       GrantStatus
}

// Layout visits the fields of GnttabCopy in the order of the C struct.
func (s *GnttabCopy) Layout(c *Codec) {
	c.Long(&s.Source)
	c.Dom(&s.SourceDom)
	c.U16(&s.SourceOffset)
	c.PadLong()
	c.Long(&s.Dest)
	c.Dom(&s.DestDom)
	c.U16(&s.DestOffset)
	c.PadLong()
	c.U16(&s.Len)
	c.U16(&s.Flags)
	c.Status(&s.Status)
}

// GnttabQuerySize is the argument of GNTTABOP_query_size (C: gnttab_query_size).
type GnttabQuerySize struct {
	Dom         DomID
	NrFrames    uint32
	MaxNrFrames uint32
	Status      GrantStatus
}

// Layout visits the fields of GnttabQuerySize in the order of the C struct.
func (s *GnttabQuerySize) Layout(c *Codec) {
	c.Dom(&s.Dom)
	c.U32(&s.NrFrames)
	c.U32(&s.MaxNrFrames)
	c.Status(&s.Status)
}

// GnttabSetVersion is the argument of GNTTABOP_set_version (C: gnttab_set_version).
type GnttabSetVersion struct {
	Version uint32
}

// Layout visits the fields of GnttabSetVersion in the order of the C struct.
func (s *GnttabSetVersion) Layout(c *Codec) {
	c.U32(&s.Version)
}

// GnttabGetVersion is the argument of GNTTABOP_get_version (C: gnttab_get_version).
type GnttabGetVersion struct {
	Dom     DomID
	Version uint32
}

// Layout visits the fields of GnttabGetVersion in the order of the C struct.
func (s *GnttabGetVersion) Layout(c *Codec) {
	c.Dom(&s.Dom)
	c.Skip(2)
	c.U32(&s.Version)
}

// GnttabSwapGrantRef is an argument of GNTTABOP_swap_grant_ref (C: gnttab_swap_grant_ref).
type GnttabSwapGrantRef struct {
	RefA   uint32
	RefB   uint32
	Status GrantStatus
}

// Layout visits the fields of GnttabSwapGrantRef in the order of the C struct.
func (s *GnttabSwapGrantRef) Layout(c *Codec) {
	c.U32(&s.RefA)
	c.U32(&s.RefB)
	c.Status(&s.Status)
}
