// Package ide is the two IDE channels of a PIIX3 with up to four hard disks: programmed I/O and busmaster DMA (ATA/ATAPI-6, and the
// Programming Interface for Bus Master IDE Controller 1.0).
//
// What lives here: task files, commands, transfers. What does not: where data is kept (Disk, implemented by hypervisor/disk), ports and PCI
// functions (hvm.Platform, hvm/pci).
//
// The path through it: a guest writes a command to a Channel's ports; it is executed at once, and its data moves through a buffer by port
// accesses, or through guest memory when the busmaster is started. Each block ends with an interrupt.
//
// Nothing here has a lock: the Platform serialises, and waits for the disk. One command moves at most 32 MiB.
package ide
