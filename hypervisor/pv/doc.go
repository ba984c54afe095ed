// Package pv is what a PV domain has and other domains have not: page tables that the guest's kernel shows to the processor itself, by
// hypercall; a kernel in ring 3; traps and callbacks that are delivered by frames on the guest's stack; the loader.
//
// What lives here: the domain's part of the machine (Machine: the monitor's memory, page-table types), a vCPU's (VCPU), the rules of mmu_update,
// of frames and of descriptors, and the loader. What does not: the code in ring 0 (pv/monitor), decoding of hypercalls (hypercall), exits (vcpu).
//
// Machine frames are guest frames: a PV guest's machine address is a guest-physical address of its virtual machine, and physical-to-machine is the
// identity. The virtual machine isolates the guest, so page tables are checked for the sake of Xen's interface, not of ours.
//
// The path through it: the vCPU loop finds an entry's frame with VCPU.Load, lets a hypercall or a trap change it, and gives it back with Store.
//
// Lock order: MMU.mu is a leaf. A VCPU belongs to its vCPU's goroutine.
package pv
