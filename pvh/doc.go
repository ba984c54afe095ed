// Package pvh is the plan of a PVH domain: what its memory looks like, where kernel, initrd and tables go, and the state
// its first vCPU starts in (docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h of Xen).
//
// What lives here: memory map, loading, ACPI placement, entry state. What does not: reading kernel files (image), the
// tables themselves (acpi), what runs the domain (vcpu, build).
//
// The path through it: NewPlan turns size and vCPU count into RAM ranges (for guestmem.New) and the guest's memory map;
// Plan.Load puts kernel, start info, initrd and ACPI tables into that memory and gives the entry state.
//
// The map is that of Xen 4.17's libxl, since guests know it: RAM from 0 to at most 0xfc000000, ACPI tables there, Xen's
// eight special pages below 0xff000000, the rest of RAM from 4 GiB up. As under Xen, 0xa0000-0xfffff is RAM too: guests that
// look for firmware tables there read zeros without an exit.
//
// An A64Plan does the same for arm64: Xen's memory map for ARM, an Image, and a device tree.
package pvh
