package pvh

import (
	"crypto/rand"
	"fmt"
	"strings"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/fdt"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
	"gozen/hypervisor/xen"
)

// Places in the physical address space of an arm64 guest: Xen's (public/arch-arm.h, tools/libs/guest/xg_dom_arm.c), but for the
// distributor, which KVM wants at a multiple of 64 KiB. A guest knows them from its device tree.
const (
	A64GICD     = xen.GUEST_GICV3_GICD_BASE &^ 0xffff
	A64GICDSize = xen.GUEST_GICV3_GICD_SIZE
	A64GICR     = xen.GUEST_GICV3_GICR0_BASE
	A64GICRSize = xen.GUEST_GICV3_GICR0_SIZE

	// A64ConsoleGFN and A64XenstoreGFN are the frames of the rings.
	A64ConsoleGFN  guestmem.GFN = xen.GUEST_MAGIC_BASE >> 12
	A64XenstoreGFN guestmem.GFN = A64ConsoleGFN + 1
	a64MagicPages               = 4
	a64Bank0                    = guestmem.GPA(xen.GUEST_RAM0_BASE)
	a64ModulesAt                = a64Bank0 + 128<<20 // where device tree and initrd go if there is room
	a64Align                    = 2 << 20
	seedSize                    = 128
)

// A64MaxMemory is the most RAM an arm64 domain can have.
const A64MaxMemory = xen.GUEST_RAM0_SIZE + xen.GUEST_RAM1_SIZE

// A64Plan is the memory layout of an arm64 domain. It is not changed after NewA64Plan.
type A64Plan struct {
	// RAM lists the banks that the guest is told of; All lists what guestmem.New is to make: the banks and Xen's special pages.
	RAM, All []guestmem.Range
	VCPUs    int
}

// A64Config is what an arm64 plan is made from.
type A64Config struct {
	Memory uint64 // RAM in bytes; a multiple of the page size
	VCPUs  int
}

// NewA64Plan lays out a domain.
func NewA64Plan(c A64Config) (*A64Plan, error) {
	if c.Memory < MinMemory || c.Memory > A64MaxMemory || c.Memory%guestmem.PageSize != 0 {
		return nil, fmt.Errorf("plan an arm64 domain of %d bytes of memory: from %d MiB to %d MiB in whole pages are possible",
			c.Memory, uint64(MinMemory>>20), uint64(A64MaxMemory>>20))
	}
	if c.VCPUs < 1 || c.VCPUs > xen.GUEST_MAX_VCPUS {
		return nil, fmt.Errorf("plan an arm64 domain of %d vCPUs: from 1 to %d are possible", c.VCPUs, xen.GUEST_MAX_VCPUS)
	}
	p := &A64Plan{VCPUs: c.VCPUs}
	low := min(c.Memory, xen.GUEST_RAM0_SIZE)
	p.RAM = []guestmem.Range{{Base: a64Bank0, Size: low}}
	if c.Memory > low {
		p.RAM = append(p.RAM, guestmem.Range{Base: xen.GUEST_RAM1_BASE, Size: c.Memory - low})
	}
	p.All = append([]guestmem.Range{{Base: A64ConsoleGFN.GPA(), Size: a64MagicPages * guestmem.PageSize}}, p.RAM...)
	return p, nil
}

// A64Boot says what LoadA64 did.
type A64Boot struct {
	State  a64.State // of vCPU 0
	Kernel guestmem.Range
	Initrd guestmem.Range // Size 0 without one
	Tree   guestmem.Range
}

// Load puts kernel, initrd (nil for none) and device tree into mem, which was made from p.All, and gives the state vCPU 0 starts in.
func (p *A64Plan) Load(mem *guestmem.Memory, k *image.A64Image, initrd *Initrd, cmdline string) (*A64Boot, error) {
	if len(cmdline) > MaxCommandLine || strings.ContainsRune(cmdline, 0) {
		return nil, fmt.Errorf("kernel command line of %d bytes: at most %d, without NUL, are possible", len(cmdline), MaxCommandLine)
	}
	entry, end, err := k.Load(mem, a64Bank0)
	if err != nil {
		return nil, err
	}
	b := &A64Boot{Kernel: guestmem.Range{Base: entry, Size: uint64(end - entry)}}
	if err := p.placeModules(b, initrd); err != nil {
		return nil, err
	}
	if err := initrd.Load(mem, b.Initrd.Base); err != nil {
		return nil, err
	}
	tree, err := p.tree(b.Initrd, cmdline)
	if err != nil {
		return nil, err
	}
	if err := mem.Write(b.Tree.Base, tree); err != nil {
		return nil, fmt.Errorf("write device tree: %w", err)
	}
	b.Tree.Size = uint64(len(tree))
	b.State = a64.State{PC: uint64(entry), PSTATE: a64.PSTATEBoot}
	b.State.X[0] = uint64(b.Tree.Base)
	b.State.SCTLR = a64.SCTLRBoot
	return b, nil
}

// placeModules finds room for initrd and device tree, the tree behind the initrd: 128 MiB into the first bank, or else as high as possible
// in it, as libxl does. The tree has 2 MiB of its own, which is what Linux maps of it.
func (p *A64Plan) placeModules(b *A64Boot, initrd *Initrd) error {
	size := uint64(0)
	name := "the device tree"
	if initrd != nil {
		if size, name = uint64(initrd.Size), "ramdisk "+initrd.Name; initrd.Size < 0 {
			size = 1 << 62
		}
	}
	floor := (b.Kernel.Base + guestmem.GPA(b.Kernel.Size) + a64Align - 1) &^ (a64Align - 1)
	top := p.RAM[0].Base + guestmem.GPA(p.RAM[0].Size)
	room := uint64(0)
	if floor < top {
		room = uint64(top - floor)
	}
	if size > room || (size+a64Align-1)&^(a64Align-1)+fdt.MaxSize > room {
		return fmt.Errorf("%s: %d KiB do not fit: behind the kernel, which ends at %#x, the domain's memory has room for %d KiB; give it more with memory=",
			name, (size+fdt.MaxSize)>>10, uint64(floor), room>>10)
	}
	both := guestmem.GPA((size+a64Align-1)&^(a64Align-1) + fdt.MaxSize)
	at := (top - both) &^ (a64Align - 1)
	if floor <= a64ModulesAt && a64ModulesAt+both <= top {
		at = a64ModulesAt
	}
	if at < floor {
		at = floor
	}
	if size > 0 {
		b.Initrd = guestmem.Range{Base: at, Size: size}
	}
	b.Tree.Base = at + both - fdt.MaxSize
	return nil
}

func (p *A64Plan) tree(initrd guestmem.Range, cmdline string) ([]byte, error) {
	g := fdt.Guest{VersionMajor: 4, VersionMinor: 17, VCPUs: p.VCPUs, MPIDR: a64.MPIDR, RAM: p.RAM, Cmdline: cmdline, Initrd: initrd,
		GICD: guestmem.Range{Base: A64GICD, Size: A64GICDSize}, GICR: guestmem.Range{Base: A64GICR, Size: A64GICRSize},
		GrantTable: guestmem.Range{Base: xen.GUEST_GNTTAB_BASE, Size: xen.GUEST_GNTTAB_SIZE}, RandomSeed: make([]byte, seedSize)}
	if _, err := rand.Read(g.RandomSeed); err != nil {
		return nil, fmt.Errorf("seed for the guest's random numbers: %w", err)
	}
	return g.Build()
}
