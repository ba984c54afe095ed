// Package pci is the PCI bus of an HVM domain: configuration space by mechanism 1, functions with base address registers, the chips of an
// i440FX board, and the Xen platform device.
//
// What lives here: what a guest reads and writes in configuration space, where BARs put a function's ranges, who drives which interrupt pin.
// What does not: how pins reach interrupt controllers (hvm.Platform), what lies behind a BAR of another package's device (ide).
//
// The path through it: hvm.Platform makes a Bus, adds functions, and puts the Bus on ports 0xcf8 to 0xcff. A BAR is an iobus.Range that the
// function moves and switches when the guest writes to the BAR or to the command register.
//
// Nothing here has a lock: the Platform serialises.
package pci
