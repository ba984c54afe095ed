// Package vcpu is the loop of one virtual CPU: it runs the engine and is the only place where an exit is decided.
//
// What lives here: the exit switch, platform MSRs and CPUID, interrupt injection, halting and timers, counting by cause. What does not:
// what a hypercall does (hypervisor/hypercall), how instructions are executed (engine).
//
// The path through it: Loop.Step expires timers, injects what is due, runs the engine, handles the exit and says whether
// the vCPU goes on, waits, or has ended. Run calls Step on a thread of its own; a Scheduler interleaves several loops on one thread in virtual time.
// A64Loop is the same for arm64, where interrupts, timers and start-up are the engine's: what is left are calls, and the line of the event
// channel upcall (line.go), which a Watcher lowers.
//
// Lock order: Loop.mu is a leaf; it guards requests from other goroutines.
package vcpu
