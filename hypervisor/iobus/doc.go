// Package iobus routes a guest's port and memory-mapped accesses to devices.
//
// What lives here: ranges, their order, accesses wider than a register. What does not: any device, and pages that memory backs.
//
// The path through it: build and the devices register ranges with Add; Read and Write find the range of an access. A range added
// earlier hides later ones at the same place, so that nothing a guest moves (a PCI BAR) hides a fixed device.
//
// A Bus has no lock: whoever owns the devices (hvm.Platform) serialises accesses.
package iobus
