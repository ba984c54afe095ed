// Facts of Xen public/arch-x86/hvm/start_info.h.

package xen

// PVH start of day.
const (
	XEN_HVM_START_MAGIC_VALUE    = 0x336ec578
	XEN_HVM_MEMMAP_TYPE_RAM      = 1
	XEN_HVM_MEMMAP_TYPE_RESERVED = 2
	XEN_HVM_MEMMAP_TYPE_ACPI     = 3
	XEN_HVM_MEMMAP_TYPE_NVS      = 4
	XEN_HVM_MEMMAP_TYPE_UNUSABLE = 5
	XEN_HVM_MEMMAP_TYPE_DISABLED = 6
	XEN_HVM_MEMMAP_TYPE_PMEM     = 7
)

// HVMStartInfo is what rBX points to at a PVH kernel's entry (C: hvm_start_info).
type HVMStartInfo struct {
	Magic         uint32
	Version       uint32
	Flags         uint32
	NrModules     uint32
	ModlistPAddr  uint64
	CmdlinePAddr  uint64
	RSDPPAddr     uint64
	MemmapPAddr   uint64
	MemmapEntries uint32
	Reserved      uint32
}

// Layout visits the fields of HVMStartInfo in the order of the C struct.
func (s *HVMStartInfo) Layout(c *Codec) {
	c.U32(&s.Magic)
	c.U32(&s.Version)
	c.U32(&s.Flags)
	c.U32(&s.NrModules)
	c.U64(&s.ModlistPAddr)
	c.U64(&s.CmdlinePAddr)
	c.U64(&s.RSDPPAddr)
	c.U64(&s.MemmapPAddr)
	c.U32(&s.MemmapEntries)
	c.U32(&s.Reserved)
}

// HVMModlistEntry describes one module (C: hvm_modlist_entry).
type HVMModlistEntry struct {
	PAddr        uint64
	Size         uint64
	CmdlinePAddr uint64
	Reserved     uint64
}

// Layout visits the fields of HVMModlistEntry in the order of the C struct.
func (s *HVMModlistEntry) Layout(c *Codec) {
	c.U64(&s.PAddr)
	c.U64(&s.Size)
	c.U64(&s.CmdlinePAddr)
	c.U64(&s.Reserved)
}

// HVMMemmapTableEntry is one entry of the memory map (C: hvm_memmap_table_entry).
type HVMMemmapTableEntry struct {
	Addr     uint64
	Size     uint64
	Type     uint32
	Reserved uint32
}

// Layout visits the fields of HVMMemmapTableEntry in the order of the C struct.
func (s *HVMMemmapTableEntry) Layout(c *Codec) {
	c.U64(&s.Addr)
	c.U64(&s.Size)
	c.U32(&s.Type)
	c.U32(&s.Reserved)
}
