// Facts of Xen public/arch-x86/cpuid.h.

package xen

// Xen CPUID leaves.
const (
	XEN_CPUID_FIRST_LEAF                      = 0x40000000
	XEN_CPUID_SIGNATURE_EBX                   = 0x566e6558
	XEN_CPUID_SIGNATURE_ECX                   = 0x65584d4d
	XEN_CPUID_SIGNATURE_EDX                   = 0x4d4d566e
	XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD = 1
	XEN_HVM_CPUID_APIC_ACCESS_VIRT            = 1
	XEN_HVM_CPUID_X2APIC_VIRT                 = 1 << 1
	XEN_HVM_CPUID_IOMMU_MAPPINGS              = 1 << 2
	XEN_HVM_CPUID_VCPU_ID_PRESENT             = 1 << 3
	XEN_HVM_CPUID_DOMID_PRESENT               = 1 << 4
	XEN_HVM_CPUID_EXT_DEST_ID                 = 1 << 5
	XEN_HVM_CPUID_UPCALL_VECTOR               = 1 << 6
	XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK      = 255
	XEN_CPUID_MAX_NUM_LEAVES                  = 5
)
