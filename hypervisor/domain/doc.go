// Package domain is the state of one domain and of its vCPUs, as far as Xen keeps it: identity, memory map
// changes, event channels, grants, time, HVM parameters, vcpu_info places, timers, run states, and how it
// ended.
//
// What lives here: rules that join several subsystems (a vcpu_info that moves, a shared page that replaces
// RAM, an upcall that becomes an interrupt). What does not: decoding hypercalls (hypercall), running guest
// code (vcpu), building (build).
//
// The path through it: build calls New and sets each VCPU's hooks; the vCPU loop calls hypercall.Call, then looks at
// TakeUpcallVector, CallbackVector, NextDeadline and Expire; whoever raises an event ends in
// notifyUpcall, which kicks the vCPU.
//
// Lock order, outermost first:
//
//	Domain.mu > evtchn.Table.mu > gnttab.Table.mu > guestmem.Memory.mu
//	VCPU.runMu, clock.Clock.mu: leaves
//
// No hook (Kick, Start, OnShutdown, a host port's function) is called with a lock held. Kick may be called from any goroutine at any time; Start from the
// goroutine of the vCPU that made the hypercall.
package domain
