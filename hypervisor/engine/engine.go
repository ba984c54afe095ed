package engine

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// VM is one virtual machine: its memory and its vCPUs.
type VM interface {
	// NewVCPU makes vCPU number id (0 first) in the reset state of a processor (SDM 3A 9.1.1).
	NewVCPU(id int) (VCPU, error)
	Memory() *guestmem.Memory
	// Close frees what the VM holds, not the guest memory. No vCPU may be running.
	Close() error
}

// VCPU is one virtual processor.
type VCPU interface {
	// Run executes guest instructions until something needs the hypervisor and says what in e. Answers to
	// the previous exit (values read by IN, RDMSR, MMIO) are taken from e when Run is called again.
	// An error is the engine's own failure, not the guest's.
	Run(e *Exit) error
	// Kick makes a Run that is under way, or the next one, return soon with ExitKick.
	Kick()
	// Get copies the whole state out; Set replaces it. Neither is for the exit path.
	Get(*x86.State)
	Set(*x86.State) error
	// Regs gives the general registers for hypercalls: it stays valid for the life of the vCPU, and may be written
	// between runs.
	Regs() *[16]uint64
	// Inject delivers an external interrupt at the start of the next Run. Only legal when the last
	// exit said Interruptible.
	Inject(vector uint8)
	// InjectNMI delivers a non-maskable interrupt as soon as the architecture allows.
	InjectNMI()
	// InjectFault raises an exception in the guest at the start of the next Run, at the instruction that
	// exited (ExitRDMSR and ExitWRMSR answer #GP so).
	InjectFault(x86.Fault)
	// Interruptible reports whether an external interrupt could be injected now.
	Interruptible() bool
	// Paging gives the control registers that address translation depends on.
	Paging() (cr0, cr3, cr4, efer uint64)
	// CR8 and SetCR8 are the task priority as the CPU holds it.
	CR8() uint8
	SetCR8(uint8)
	// WantWindow asks for an ExitWindow as soon as the vCPU can take an external interrupt.
	WantWindow(bool)
	// Long, CPL: the mode of the instruction that exited.
	Mode() Mode
	// Instructions gives the number of guest instructions finished so far, or 0 where the engine cannot count.
	Instructions() uint64
}

// Mode says how the vCPU was executing when it exited.
type Mode struct {
	Long bool  // 64-bit mode (not compatibility mode)
	CPL  uint8 // current privilege level
}

// Kind is the reason of an exit.
type Kind uint8

// The kinds of exit.
const (
	ExitNone      Kind = iota
	ExitKick           // Kick was called, or a time slice ended
	ExitSignal         // the host interrupted the run: a timer of the vCPU, or the Go runtime
	ExitIO             // IN or OUT: Port, Size, Write, Data
	ExitMMIO           // access to an address that no page backs: GPA, Size, Write, Data
	ExitHypercall      // VMCALL or VMMCALL: registers in Regs; the instruction is finished
	ExitRDMSR          // MSR the engine does not keep: fill Data, or InjectFault
	ExitWRMSR          // Data holds the value
	ExitCPUID          // fill Regs; leaf in rax, subleaf in rcx; the instruction is finished
	ExitHLT            // HLT with interrupts on or off: see Interruptible
	ExitWindow         // asked for by WantWindow
	ExitShutdown       // triple fault
	ExitEOI            // reserved for engines with an interrupt chip of their own
	ExitDebug          // a host breakpoint or single step
	ExitInternal       // the engine met something it cannot execute: Reason, bytes in Insn
	ExitSMCCC          // arm64: a call by the SMC calling convention that is not Xen's: function in Data, registers by X
	numKinds
)

// NumKinds is the number of exit kinds, for counters.
const NumKinds = int(numKinds)

var kindNames = [NumKinds]string{"none", "kick", "signal", "io", "mmio", "hypercall", "rdmsr", "wrmsr", "cpuid",
	"hlt", "window", "shutdown", "eoi", "debug", "internal", "smccc"}

// String gives the kind's name as counters print it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Exit says why a vCPU stopped, and carries the answer back. It is reused: no allocation on the exit path.
type Exit struct {
	Kind  Kind
	Write bool
	Size  uint8 // 1, 2, 4 or 8 bytes
	Port  uint16
	MSR   uint32
	GPA   guestmem.GPA
	// Data is the value written, or the place for the answer. Little-endian in the low Size bytes.
	Data uint64
	// Interruptible: an external interrupt could be injected now.
	Interruptible bool
	// RIP of the instruction that exited (of the next one where the kind says it is finished).
	RIP    uint64
	Reason string // ExitInternal: what happened, for people
	Insn   [15]byte
	InsnN  uint8
}

// Chip is a VCPU whose local APIC may be the host's own. Then HLT, INIT, startup IPIs, task priority and interrupt windows are its business
// alone and do not exit; Inject, Interruptible, WantWindow and CR8 mean nothing.
type Chip interface {
	// HasChip says whether it is so.
	HasChip() bool
	// Halt makes the next Run wait for an interrupt, as HLT does.
	Halt()
	// Timers says whether the host keeps the guest's timers, too.
	Timers() bool
	// Raise delivers the callback vector, which has no EOI. Any goroutine. It is lost if the guest has disabled its APIC; Reopen,
	// on the vCPU's goroutine, enables it again.
	Raise()
	Reopen()
	// Fire requests a vector at the vCPU's APIC, as a message-signalled interrupt does. Any goroutine.
	Fire(vector uint8)
}

// Timed is an engine that counts instructions exactly and can stop at a count.
type Timed interface {
	// SetLimit makes Run return with ExitKick as soon as n instructions have finished in all; 0 for no limit.
	SetLimit(n uint64)
}

// DirtyLogger is a VM that can note which frames the guest writes to. Its methods may be called from any goroutine.
type DirtyLogger interface {
	// StartDirtyLog begins an empty log.
	StartDirtyLog() error
	// CollectDirty calls f for runs of frames from first on with those written to since the last call: bit i%64 of word i/64 is frame
	// first+i. A frame may be named that was not written to, but not the other way round.
	CollectDirty(f func(first guestmem.GFN, bitmap []uint64)) error
	StopDirtyLog() error
}
