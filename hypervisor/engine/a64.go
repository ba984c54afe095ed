package engine

import (
	"gozen/hypervisor/a64"
	"gozen/hypervisor/guestmem"
)

// A64VM is one virtual machine of arm64 vCPUs, with an interrupt controller of the engine's own.
type A64VM interface {
	// NewVCPU makes vCPU number id (0 first). All but number 0 are off until the guest starts them by PSCI.
	NewVCPU(id int) (A64VCPU, error)
	// Ready is called once, after the last NewVCPU and before anything runs.
	Ready() error
	Memory() *guestmem.Memory
	// Close frees what the VM holds, not the guest memory. No vCPU may be running.
	Close() error
}

// A64VCPU is one arm64 vCPU. Its timers, its interrupt controller and PSCI are the engine's. The rules of VCPU hold: one goroutine
// calls every method but Kick and SetUpcall.
//
// What Exit says: ExitHypercall is HVC with Xen's tag; ExitSMCCC any other HVC or SMC that is not PSCI; ExitShutdown is PSCI's SYSTEM_OFF
// or SYSTEM_RESET, with PowerOff or PowerReset in Data; ExitMMIO, ExitKick, ExitSignal and ExitInternal are as for VCPU. An instruction that
// exits by a call is finished.
type A64VCPU interface {
	Run(e *Exit) error
	Kick()
	Get(*a64.State) error
	Set(*a64.State) error
	// X and SetX access general register n (0 to 30). An error ends the next Run.
	X(n int) uint64
	SetX(n int, v uint64)
	// Translation gives the registers that stage 1 translation depends on, as they are now.
	Translation() *a64.Translation
	// SetUpcall sets the level of the event channel upcall's interrupt line. Any goroutine.
	SetUpcall(level bool) error
	// Online says whether the guest has the vCPU started.
	Online() bool
}

// What ExitShutdown of an A64VCPU says in Data.
const (
	PowerOff   = 1
	PowerReset = 2
	PowerCrash = 3
)
