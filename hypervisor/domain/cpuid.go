package domain

import "gozen/hypervisor/xen"

// The version of Xen's interface that a guest is told: 4.17.
const (
	VersionMajor = 4
	VersionMinor = 17
)

// XenMSR is the MSR that CPUID leaf 2 names for installing a hypercall page.
const XenMSR = 0x40000000

// XenLeaf answers CPUID for the hypervisor leaves from 0x40000000 on; ok is false for leaves that Xen does not
// have (Xen arch/x86/traps.c, public/arch-x86/cpuid.h). Any goroutine.
func (v *VCPU) XenLeaf(leaf, sub uint32) (a, b, c, d uint32, ok bool) {
	if leaf < xen.XEN_CPUID_FIRST_LEAF || leaf > xen.XEN_CPUID_FIRST_LEAF+xen.XEN_CPUID_MAX_NUM_LEAVES {
		return 0, 0, 0, 0, false
	}
	switch leaf - xen.XEN_CPUID_FIRST_LEAF {
	case 0:
		a = xen.XEN_CPUID_FIRST_LEAF + xen.XEN_CPUID_MAX_NUM_LEAVES
		b, c, d = xen.XEN_CPUID_SIGNATURE_EBX, xen.XEN_CPUID_SIGNATURE_ECX, xen.XEN_CPUID_SIGNATURE_EDX
	case 1:
		a = VersionMajor<<16 | VersionMinor
	case 2:
		a, b = 1, XenMSR
	case 3:
		a, b, c, d = v.Dom.timeLeaf(sub)
	case 4:
		if sub == 0 {
			a = xen.XEN_HVM_CPUID_IOMMU_MAPPINGS | xen.XEN_HVM_CPUID_VCPU_ID_PRESENT | xen.XEN_HVM_CPUID_DOMID_PRESENT
			if v.Dom.offerUpc {
				a |= xen.XEN_HVM_CPUID_UPCALL_VECTOR
			}
			b, c = uint32(v.ID), uint32(v.Dom.ID)
		}
	}
	return a, b, c, d, true
}

// timeLeaf is leaf 3: what the TSC is like, how it scales, and how fast the host's runs.
func (d *Domain) timeLeaf(sub uint32) (eax, ebx, ecx, edx uint32) {
	const safe, rdtscp = 1 << 1, 1 << 2
	khz := uint32(d.Clock.TSCHz() / 1000)
	switch sub {
	case 0:
		return safe | rdtscp, d.tscMode, khz, 1 // first incarnation
	case 1:
		s := d.Clock.Scale()
		return 0, 0, s.Mul, uint32(int32(s.Shift))
	case 2:
		return khz, 0, 0, 0
	}
	return 0, 0, 0, 0
}
