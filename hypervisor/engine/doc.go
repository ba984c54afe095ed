// Package engine is the contract between the hypervisor and what executes guest instructions:
// a software CPU or the host's KVM.
//
// An Engine makes VMs, a VM has guest memory and VCPUs, a VCPU runs until an Exit. The
// contract is small; what only some engines can do is a small second interface, asserted once.
// What an exit means is the business of hypervisor/vcpu.
//
// A64VM and A64VCPU are the contract for arm64 guests, which bring their interrupt controller and timers along.
//
// One goroutine, locked to its thread, owns a VCPU and calls every method but Kick; Kick
// may be called from anywhere at any time.
package engine
