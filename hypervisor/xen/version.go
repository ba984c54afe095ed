// Facts of Xen public/version.h.

package xen

// xen_version commands.
const (
	XENVER_version             = 0
	XENVER_extraversion        = 1
	XENVER_compile_info        = 2
	XENVER_capabilities        = 3
	XENVER_changeset           = 4
	XENVER_platform_parameters = 5
	XENVER_get_features        = 6
	XENVER_pagesize            = 7
	XENVER_guest_handle        = 8
	XENVER_commandline         = 9
	XENVER_build_id            = 10
)

// FeatureInfo is the argument of XENVER_get_features (C: xen_feature_info).
type FeatureInfo struct {
	SubmapIdx uint32
	Submap    uint32
}

// Layout visits the fields of FeatureInfo in the order of the C struct.
func (s *FeatureInfo) Layout(c *Codec) {
	c.U32(&s.SubmapIdx)
	c.U32(&s.Submap)
}

// PlatformParameters is the argument of XENVER_platform_parameters (C: xen_platform_parameters).
type PlatformParameters struct {
	VirtStart uint64
}

// Layout visits the fields of PlatformParameters in the order of the C struct.
func (s *PlatformParameters) Layout(c *Codec) {
	c.Long(&s.VirtStart)
}
