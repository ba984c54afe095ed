package hvm

import (
	"fmt"

	"gozen/hypervisor/acpi"
	"gozen/hypervisor/apic"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Places below 4 GiB, as Xen 4.17's hvmloader and libxl have them (tools/firmware/hvmloader/config.h, tools/include/xenguest.h).
const (
	lowRAMEnd    = pciWindow // RAM below 4 GiB ends here at the latest
	videoHole    = 0xa0000
	biosArea     = 0xc0000
	tablesBase   = 0xfc000000
	specialBase  = 0xfeff8000
	specialSize  = 8 * guestmem.PageSize
	highRAMStart = 1 << 32
	rsdpAt       = 0xea020
	smbiosAt     = 0xf0000 // where operating systems look for it

	// XenstoreGFN and ConsoleGFN are the frames of the xenstore and console rings, IdentPTGFN the page Xen keeps for its identity page table.
	XenstoreGFN guestmem.GFN = specialBase>>12 + 4
	IdentPTGFN  guestmem.GFN = specialBase>>12 + 6
	ConsoleGFN  guestmem.GFN = specialBase>>12 + 7
)

// Limits of a plan.
const (
	MinMemory = 2 << 20
	MaxMemory = 1 << 45
	MaxVCPUs  = 128
)

// PlanConfig is what a plan is made from.
type PlanConfig struct {
	Memory uint64 // RAM in bytes; a multiple of the page size
	VCPUs  int
	UUID   [16]byte
	// Serial says that there is a serial port, NoHPET that there is no HPET.
	Serial, NoHPET bool
}

// Plan is the memory layout of an HVM domain. It is not changed after NewPlan.
type Plan struct {
	// RAM lists what guestmem.New is to make.
	RAM []guestmem.Range
	// E820 is the guest's memory map, in ascending order.
	E820 []xen.HVMMemmapTableEntry

	lowEnd       guestmem.GPA // end of RAM below 4 GiB
	tables       []byte       // at tablesBase: ACPI and SMBIOS
	rsdp         []byte
	rsdpIn, smIn uint32 // where RSDP and SMBIOS are in there
	c            PlanConfig
}

// NewPlan lays out a domain.
func NewPlan(c PlanConfig) (*Plan, error) {
	if c.Memory < MinMemory || c.Memory > MaxMemory || c.Memory%guestmem.PageSize != 0 {
		return nil, fmt.Errorf("plan an HVM domain of %d bytes of memory: from %d MiB to %d MiB in whole pages are possible",
			c.Memory, uint64(MinMemory>>20), uint64(MaxMemory>>20))
	}
	if c.VCPUs < 1 || c.VCPUs > MaxVCPUs {
		return nil, fmt.Errorf("plan an HVM domain of %d vCPUs: from 1 to %d are possible", c.VCPUs, MaxVCPUs)
	}
	ids := make([]uint32, c.VCPUs)
	for i := range ids {
		ids[i] = apic.APICID(i)
	}
	p := &Plan{c: c}
	p.layTables(ids)
	low := min(c.Memory, lowRAMEnd)
	p.lowEnd = guestmem.GPA(low)
	ram := func(base, end uint64) {
		p.RAM = append(p.RAM, guestmem.Range{Base: guestmem.GPA(base), Size: end - base})
	}
	entry := func(base, end uint64, typ uint32) {
		p.E820 = append(p.E820, xen.HVMMemmapTableEntry{Addr: base, Size: end - base, Type: typ})
	}
	ram(0, videoHole)
	ram(biosArea, low)
	ram(tablesBase, tablesBase+(uint64(len(p.tables))+guestmem.PageSize-1)&^(guestmem.PageSize-1))
	ram(specialBase, specialBase+specialSize)
	entry(0, lowUsable, xen.XEN_HVM_MEMMAP_TYPE_RAM)
	entry(lowUsable, videoHole, xen.XEN_HVM_MEMMAP_TYPE_RESERVED)
	entry(rsdpAt&^0xffff, 1<<20, xen.XEN_HVM_MEMMAP_TYPE_RESERVED)
	entry(1<<20, low, xen.XEN_HVM_MEMMAP_TYPE_RAM)
	entry(tablesBase, highRAMStart, xen.XEN_HVM_MEMMAP_TYPE_RESERVED)
	if c.Memory > low {
		ram(highRAMStart, highRAMStart+c.Memory-low)
		entry(highRAMStart, highRAMStart+c.Memory-low, xen.XEN_HVM_MEMMAP_TYPE_RAM)
	}
	return p, nil
}

// lowUsable is where the RAM ends that a guest may use below the video memory.
const lowUsable = 0x9e000

// layTables makes the tables that lie at tablesBase.
func (p *Plan) layTables(ids []uint32) {
	b, xsdt := tables(p.c, ids, tablesBase)
	a := acpi.Area{Base: tablesBase, Bytes: b}
	p.rsdp = acpi.RSDP(xsdt)
	p.rsdpIn = uint32(a.Add(p.rsdp))
	p.smIn = uint32(a.Add(nil))
	a.Add(smbios(p.c, p.smIn))
	p.tables = a.Bytes
}

// piece is bytes that go to a place in memory.
type piece struct {
	what string
	at   guestmem.GPA
	b    []byte
}

func write(mem *guestmem.Memory, pieces ...piece) error {
	for _, t := range pieces {
		if err := mem.Write(t.at, t.b); err != nil {
			return fmt.Errorf("write %s: %w", t.what, err)
		}
	}
	return nil
}

// firmware writes what firmware leaves behind: ACPI and SMBIOS tables, where operating systems look for them.
func (p *Plan) firmware(mem *guestmem.Memory) error {
	return write(mem, piece{"tables", tablesBase, p.tables}, piece{"RSDP", rsdpAt, p.rsdp}, piece{"SMBIOS tables", smbiosAt, smbios(p.c, smbiosAt)})
}
