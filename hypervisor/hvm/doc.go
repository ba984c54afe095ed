// Package hvm is an HVM domain's PC: its platform, its memory map, its firmware tables, and how it is entered.
//
// What lives here: Platform (the devices of hvm/isa, hvm/pci and hvm/ide on their ports and interrupt lines, an IO-APIC, an HPET), Plan (memory
// map, ACPI and SMBIOS tables, and what Xen's hvmloader does before it starts firmware or a kernel), the state of the first vCPU.
// What does not: devices' registers (hvm/isa, hvm/pci, hvm/ide), local APICs (apic), the vCPU loop (vcpu), wiring to a domain (build).
//
// The path through it: build makes a Plan, loads kernel or firmware with it, and makes a Platform. A vCPU's loop hands port and memory accesses
// without a page to Port and MMIO; the loop of vCPU 0 also asks ExtINT for an interrupt of the 8259s, tells Upcall whether an event waits,
// and calls Expire when Deadline has come.
//
// Lock order: Platform.mu stands before the locks of local APICs and of vCPUs: interrupt commands and kicks leave with it held, and whoever takes
// them must not call back.
package hvm
