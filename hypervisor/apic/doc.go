// Package apic is the local APIC of a vCPU, as xAPIC (memory-mapped) and x2APIC (MSRs), for every engine that has no
// interrupt controller of its own, and the IO-APIC of an HVM domain.
//
// What lives here: request and service registers, priorities, the local vector table, the timer in one-shot, periodic and TSC-deadline
// mode, interrupt commands; the IO-APIC's redirection table. What does not: delivery into the CPU (hypervisor/vcpu asks Pending, then calls Accept).
//
// The path through it: a vCPU's loop reads and writes registers, asks Pending before each run, and Deadline for its timer; other
// vCPUs deliver with Fire. Times are TSC ticks.
//
// Lock order: LAPIC.mu is a leaf. Send and EOI of a Bus are called without it. An IOAPIC has no lock: its owner serialises.
package apic
