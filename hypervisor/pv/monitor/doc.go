// Package monitor is the code that runs in ring 0 of a PV guest's virtual machine, under the guest's kernel, which runs in ring 3: the
// entries for exceptions, SYSCALL and injected interrupts, and the way back. It is emitted by x86/asm, one image for all vCPUs and a
// page of its own for each.
//
// What lives here: the machine code, where things lie in the guest's address space (layout.go), descriptor tables. What does not: what an exception or a
// hypercall means (pv, hypercall, vcpu).
//
// The path through it: an entry pushes a frame as Xen's cpu_user_regs, and leaves for the hypervisor, which finds the frame at a fixed
// place, changes it, says in the block what else is to be done (another page table, GS to be swapped), and enters again; the way out does that and returns to
// the guest by IRET.
//
// The monitor runs with interrupts off and trusts nothing of the guest but that the processor keeps it in ring 3. What a guest can do to it
// (its frames are in no table of the guest's, but a guest may map what it likes) it does to itself: the virtual machine is the wall.
package monitor
