package hypercall

import (
	"runtime"

	"gozen/hypervisor/domain"
	"gozen/hypervisor/xen"
)

func versionSubs() []sub {
	return []sub{
		{xen.XENVER_version, "version", Supported, "4.17"},
		{xen.XENVER_extraversion, "extraversion", Supported, extraVersion},
		{xen.XENVER_compile_info, "compile_info", Supported, ""},
		{xen.XENVER_capabilities, "capabilities", Supported, ""},
		{xen.XENVER_changeset, "changeset", Supported, ""},
		{xen.XENVER_platform_parameters, "platform_parameters", Supported, ""},
		{xen.XENVER_get_features, "get_features", Supported, "those of a PVH domain: 0x00012305"},
		{xen.XENVER_pagesize, "pagesize", Supported, ""},
		{xen.XENVER_guest_handle, "guest_handle", Supported, ""},
		{xen.XENVER_commandline, "commandline", Refused, `"<denied>", as Xen tells unprivileged domains`},
		{xen.XENVER_build_id, "build_id", Refused, priv},
	}
}

// What the guest is told. Interface and version are Xen 4.17's; the extra version says who answers.
const (
	extraVersion = ".0-gozen"
	capabilities = "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "
	changeset    = "gozen"
	denied       = "<denied>"

	virtStart64 = 0xffff800000000000 // HYPERVISOR_VIRT_START
	virtStart32 = 0xf5800000

	// features of submap 0 for a PVH domain without PIRQs.
	features = 1<<xen.XENFEAT_memory_op_vnode_supported | 1<<xen.XENFEAT_writable_page_tables |
		1<<xen.XENFEAT_auto_translated_physmap | 1<<xen.XENFEAT_hvm_safe_pvclock |
		1<<xen.XENFEAT_hvm_callback_vector | 1<<xen.XENFEAT_not_direct_mapped

	// The same for a PV domain.
	featuresPV = 1<<xen.XENFEAT_pae_pgdir_above_4gb | 1<<xen.XENFEAT_mmu_pt_update_preserve_ad | 1<<xen.XENFEAT_highmem_assist |
		1<<xen.XENFEAT_gnttab_map_avail_bits | 1<<xen.XENFEAT_memory_op_vnode_supported | 1<<xen.XENFEAT_direct_mapped

	// The same for arm64: SMCCC calls work, and what x86 has more is missing.
	capabilitiesA64 = "xen-3.0-aarch64 "
	virtStartA64    = 0x00200000
	featuresA64     = 1<<xen.XENFEAT_memory_op_vnode_supported | 1<<xen.XENFEAT_writable_page_tables |
		1<<xen.XENFEAT_auto_translated_physmap | 1<<xen.XENFEAT_ARM_SMCCC_supported | 1<<xen.XENFEAT_not_direct_mapped

	pageSize = 4096
)

func (c *call) xenVersion() uint64 {
	va := c.args[1]
	switch uint32(c.args[0]) {
	case xen.XENVER_version:
		return domain.VersionMajor<<16 | domain.VersionMinor
	case xen.XENVER_extraversion:
		return c.putString(va, extraVersion, 16)
	case xen.XENVER_compile_info:
		c.fresh(64 + 16 + 32 + 32)
		copy(c.v.Scratch[:63], runtime.Version())
		copy(c.v.Scratch[64:], "gozen")
		return c.store(va, 0)
	case xen.XENVER_capabilities:
		if c.abi == xen.ABIA64 {
			return c.putString(va, capabilitiesA64, 1024)
		}
		return c.putString(va, capabilities, 1024)
	case xen.XENVER_changeset:
		return c.putString(va, changeset, 64)
	case xen.XENVER_platform_parameters:
		p := xen.PlatformParameters{VirtStart: virtStart64}
		switch c.abi {
		case xen.ABI32:
			p.VirtStart = virtStart32
		case xen.ABIA64:
			p.VirtStart = virtStartA64
		}
		e := c.fresh(c.abi.LongSize())
		p.Layout(&e)
		return c.store(va, 0)
	case xen.XENVER_get_features:
		return c.versionFeatures(va)
	case xen.XENVER_pagesize:
		if va != 0 {
			return xen.EINVAL.Ret()
		}
		return pageSize
	case xen.XENVER_guest_handle:
		c.fresh(len(c.d.UUID))
		copy(c.v.Scratch[:], c.d.UUID[:])
		return c.store(va, 0)
	case xen.XENVER_commandline:
		return c.putString(va, denied, len(denied)+1)
	case xen.XENVER_build_id:
		return xen.EPERM.Ret()
	}
	return xen.ENOSYS.Ret()
}

// putString writes s to a char array of n bytes, zero-padded.
func (c *call) putString(va uint64, s string, n int) uint64 {
	c.fresh(n)
	copy(c.v.Scratch[:n-1], s)
	return c.store(va, 0)
}

func (c *call) versionFeatures(va uint64) uint64 {
	var f xen.FeatureInfo
	k := c.sizer()
	if f.Layout(&k); !c.load(&k, va) {
		return efault
	}
	f.Layout(&k)
	if f.SubmapIdx != 0 {
		return xen.EINVAL.Ret()
	}
	f.Submap = features
	switch {
	case c.abi == xen.ABIA64:
		f.Submap = featuresA64
	case c.d.PV != nil:
		f.Submap = featuresPV
	}
	e := c.encoder()
	f.Layout(&e)
	return c.store(va, 0)
}
