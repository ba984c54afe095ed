// Package clock is Xen time for one domain: the pvclock record, the wall clock, run states and timers.
//
// System time is defined by the guest's own TSC through the pvclock record: every vCPU gets the same record, so that a guest may
// trust XEN_PVCLOCK_TSC_STABLE_BIT and read the time in its vDSO, and timers of the host compare with exactly
// the number that the guest computes.
//
// What lives here: the arithmetic and the layouts. What does not: where the areas lie in guest memory and
// what a timer raises (domain).
//
// The path through it: build makes a Clock over a Source (host time, or virtual time counted in instructions);
// the domain writes its Record where the guest registered areas; Timers say when the vCPU must next be woken.
//
// Lock order: Clock.mu and the atomics of Timers are leaves.
package clock
