// Package sample runs a guest of a dozen bytes whose exits are known, so that what counts exits can be tried on a host: it counts its own, and the
// counts of others have to be equal.
package sample

import "errors"

// The guest's port, and the address and the machine-specific register that it reads.
const (
	Port = 0x80
	Addr = 0x9000
	MSR  = 0x1b // IA32_APIC_BASE
)

// ErrNone says that there is no sample for the architecture of this host.
var ErrNone = errors.New("there is no sample guest for this architecture")

// Counts is what the vCPU's own loop has seen.
type Counts struct {
	Runs    uint64 // KVM_RUN, all of them
	Ports   uint64 // writes of one byte to Port
	MMIO    uint64 // reads of one byte at Addr
	MSRs    uint64 // reads of MSR, which the host's kernel answers itself
	Signals uint64 // runs that a signal ended
}
