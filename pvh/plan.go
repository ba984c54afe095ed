package pvh

import (
	"fmt"

	"gozen/hypervisor/acpi"
	"gozen/hypervisor/apic"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Places below 4 GiB, as Xen 4.17's libxl has them (tools/include/xenguest.h, libacpi).
const (
	lowRAMEnd    = 0xfc000000 // RAM below 4 GiB ends here at the latest; the ACPI tables follow
	specialBase  = 0xfeff8000
	specialSize  = 8 * guestmem.PageSize
	highRAMStart = 1 << 32

	// XenstoreGFN and ConsoleGFN are the frames of the xenstore and console rings (HVM_PARAM_STORE_PFN,
	// HVM_PARAM_CONSOLE_PFN). IdentPTGFN is the special page Xen keeps for its identity page table.
	XenstoreGFN guestmem.GFN = specialBase>>12 + 4
	IdentPTGFN  guestmem.GFN = specialBase>>12 + 6
	ConsoleGFN  guestmem.GFN = specialBase>>12 + 7
)

// Limits of a plan.
const (
	// MinMemory is the least RAM a domain can have: nothing useful fits in less.
	MinMemory = 1 << 20
	// MaxMemory is the most RAM a domain can have, so that it ends below the 46-bit address limit.
	MaxMemory = 1 << 45
	// MaxVCPUs is the most vCPUs the ACPI tables and the APIC id scheme are made for.
	MaxVCPUs = 512
)

// Config is what a plan is made from.
type Config struct {
	Memory uint64 // RAM in bytes; a multiple of the page size
	VCPUs  int
	// SleepPort gives the guest an ACPI S5 state: see acpi.Config. 0 for none, as under Xen.
	SleepPort uint16
}

// Plan is the memory layout of a PVH domain. It is not changed after NewPlan.
type Plan struct {
	// RAM lists what guestmem.New is to make: main memory, the pages of the ACPI tables and the special pages.
	RAM []guestmem.Range
	// E820 is the guest's memory map, in ascending order: for start info and XENMEM_memory_map.
	E820 []xen.HVMMemmapTableEntry
	// RSDP is where the ACPI tables start.
	RSDP guestmem.GPA

	lowEnd guestmem.GPA // end of RAM below 4 GiB
	tables []byte
}

// NewPlan lays out a domain.
func NewPlan(c Config) (*Plan, error) {
	if c.Memory < MinMemory || c.Memory > MaxMemory || c.Memory%guestmem.PageSize != 0 {
		return nil, fmt.Errorf("plan a PVH domain of %d bytes of memory: from %d MiB to %d MiB in whole pages are possible",
			c.Memory, uint64(MinMemory>>20), uint64(MaxMemory>>20))
	}
	if c.VCPUs < 1 || c.VCPUs > MaxVCPUs {
		return nil, fmt.Errorf("plan a PVH domain of %d vCPUs: from 1 to %d are possible", c.VCPUs, MaxVCPUs)
	}
	ids := make([]uint32, c.VCPUs)
	for i := range ids {
		ids[i] = apic.APICID(i)
	}
	tables, err := acpi.Build(acpi.Config{Base: lowRAMEnd, APICIDs: ids, SleepPort: c.SleepPort})
	if err != nil {
		return nil, fmt.Errorf("plan a PVH domain: %w", err)
	}
	p := &Plan{RSDP: lowRAMEnd, tables: tables}
	low := min(c.Memory, lowRAMEnd)
	p.lowEnd = guestmem.GPA(low)
	p.add(0, low, xen.XEN_HVM_MEMMAP_TYPE_RAM)
	p.add(lowRAMEnd, pageUp(uint64(len(tables))), xen.XEN_HVM_MEMMAP_TYPE_ACPI)
	p.add(specialBase, specialSize, xen.XEN_HVM_MEMMAP_TYPE_RESERVED)
	if c.Memory > low {
		p.add(highRAMStart, c.Memory-low, xen.XEN_HVM_MEMMAP_TYPE_RAM)
	}
	return p, nil
}

func (p *Plan) add(base, size uint64, typ uint32) {
	p.RAM = append(p.RAM, guestmem.Range{Base: guestmem.GPA(base), Size: size})
	p.E820 = append(p.E820, xen.HVMMemmapTableEntry{Addr: base, Size: size, Type: typ})
}

func pageUp(n uint64) uint64 { return (n + guestmem.PageSize - 1) &^ (guestmem.PageSize - 1) }
