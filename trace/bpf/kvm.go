package bpf

import "runtime"

// The names of the probes of KVM.
const (
	ProbeExit      = "kvm_exit"
	ProbeEntry     = "kvm_entry"
	ProbeUserExit  = "kvm_userspace_exit"
	ProbePort      = "kvm_pio"
	ProbeMMIO      = "kvm_mmio"
	ProbeMSR       = "kvm_msr"
	ProbePageFault = "kvm_page_fault"
	ProbeInterrupt = "kvm_inj_virq"
	ProbeWakeup    = "kvm_vcpu_wakeup"
	ProbeRun       = "kvm_run"
	ProbeDelay     = "sched_delay"
)

// kvmRun is the number of the ioctl KVM_RUN.
const kvmRun = 0xae80

// Tracepoints that more than one probe looks at.
const (
	userspaceExit = "kvm:kvm_userspace_exit"
	schedSwitch   = "sched:sched_switch"
)

// exitKeys names what tells the cause of a kvm_exit: on x86 whose numbers they are (1 VT-x, 2 SVM) and the number, on arm64 what happened and
// the class of the exception.
func exitKeys(arch string) []string {
	if arch == "arm64" {
		return []string{"ret", "esr_ec"}
	}
	return []string{"isa", "exit_reason"}
}

// KVM gives the probes of what the host's kernel does for vCPUs. Not every kernel has all of them.
func KVM() []Probe { return kvm(runtime.GOARCH) }

func kvm(arch string) []Probe {
	at := func(event string) Point { return Point{Tracepoint: "kvm:" + event} }
	return []Probe{
		{Name: ProbeExit, Count: &Count{At: at("kvm_exit"), Keys: exitKeys(arch)}},
		{Name: ProbeEntry, Count: &Count{At: at("kvm_entry")}},
		{Name: ProbeUserExit, Count: &Count{At: at("kvm_userspace_exit"), Keys: []string{"reason", "errno"}}},
		{Name: ProbePort, Count: &Count{At: at("kvm_pio"), Keys: []string{"rw", "port"}}},
		{Name: ProbeMMIO, Count: &Count{At: at("kvm_mmio"), Keys: []string{"type", "gpa"}}},
		{Name: ProbeMSR, Count: &Count{At: at("kvm_msr"), Keys: []string{"write", "ecx"}}},
		{Name: ProbePageFault, Count: &Count{At: at("kvm_page_fault")}},
		{Name: ProbeInterrupt, Count: &Count{At: at("kvm_inj_virq"), Keys: []string{"vector"}}},
		{Name: ProbeWakeup, Spread: &Spread{At: at("kvm_vcpu_wakeup"), Value: "ns", Keys: []string{"waited"}}},
		{Name: ProbeRun, Latency: &Latency{
			Start: []Point{{Tracepoint: "syscalls:sys_enter_ioctl", Where: []Cond{{Field: "cmd", Value: kvmRun}}}},
			End:   Point{Tracepoint: userspaceExit},
			Keys:  []string{"reason", "errno"},
		}},
		// A thread waits for a CPU from when it is woken, or from when it is taken off although it could go on (state 0; higher bits than the
		// states' say that it was preempted).
		{Name: ProbeDelay, Latency: &Latency{
			Start: []Point{
				{Tracepoint: "sched:sched_wakeup", Thread: "pid"},
				{Tracepoint: schedSwitch, Thread: "prev_pid", Where: []Cond{{Field: "prev_state", Mask: 0xff}}},
			},
			End: Point{Tracepoint: schedSwitch, Thread: "next_pid"},
		}},
	}
}
