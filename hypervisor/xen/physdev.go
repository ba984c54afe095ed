// Facts of Xen public/physdev.h.

package xen

// Physical device operations.
const (
	PHYSDEVOP_eoi                = 12
	PHYSDEVOP_pirq_eoi_gmfn_v1   = 17
	PHYSDEVOP_pirq_eoi_gmfn_v2   = 28
	PHYSDEVOP_irq_status_query   = 5
	PHYSDEVOP_set_iopl           = 6
	PHYSDEVOP_set_iobitmap       = 7
	PHYSDEVOP_apic_read          = 8
	PHYSDEVOP_apic_write         = 9
	PHYSDEVOP_alloc_irq_vector   = 10
	PHYSDEVOP_free_irq_vector    = 11
	PHYSDEVOP_map_pirq           = 13
	PHYSDEVOP_unmap_pirq         = 14
	PHYSDEVOP_manage_pci_add     = 15
	PHYSDEVOP_manage_pci_remove  = 16
	PHYSDEVOP_restore_msi        = 19
	PHYSDEVOP_manage_pci_add_ext = 20
	PHYSDEVOP_setup_gsi          = 21
	PHYSDEVOP_get_free_pirq      = 23
	PHYSDEVOP_pci_mmcfg_reserved = 24
	PHYSDEVOP_pci_device_add     = 25
	PHYSDEVOP_pci_device_remove  = 26
	PHYSDEVOP_restore_msi_ext    = 27
	PHYSDEVOP_prepare_msix       = 30
	PHYSDEVOP_release_msix       = 31
	PHYSDEVOP_dbgp_op            = 29
)
