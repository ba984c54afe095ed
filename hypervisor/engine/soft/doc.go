// Package soft is the software x86-64 CPU: an engine in pure Go that runs guests on any host.
//
// What lives here: pre-decoded basic blocks keyed by guest physical page (block.go), the dispatch loop with the hot
// instructions in one switch (run.go), the other instructions in one file per family (alu.go, shift.go,
// string.go ...), the paging TLB (mmu.go, tlb_unsafe.go), events and privilege changes (event.go, iret.go, system.go).
// What does not: devices, the local APIC, MSRs of the platform, hypercalls: those are exits.
//
// The path through it: Run delivers a pending event, looks up the block at RIP (itlb, then
// the block table, else decode), executes its instructions one by one and goes on to the next block, by a chain or
// through the jump cache, until something needs the hypervisor.
//
// An instruction handler returns false when it did not finish: it has set c.stop and, for a fault,
// c.fault. Nothing the guest can see may have changed by then, save what the manual says (REP progress).
//
// Flags are lazy: flags.go says how.
//
// Lock order: VM.mu is a leaf. A vCPU's state belongs to its thread.
package soft
