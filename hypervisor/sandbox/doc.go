// Package sandbox confines the process it runs in: no new privileges, no capabilities, Landlock, resource limits and a
// system-call filter, on all threads and for good. It knows nothing of domains; control/process says what files are needed.
//
// Path: Enter -> limits, privileges, Landlock (landlock.go), then the filter: rules.go is the table of allowed
// calls, filter.go compiles it to classic BPF, install_unsafe.go loads it. Cgroups are made by the parent (cgroup.go).
//
// A forbidden call is not carried out. The kernel delivers SIGSYS instead, whose handler (trap_*.s) prints one line that names the call,
// and kills the process. A thread that an attacker controls does not get around that: the handler is machine code in read-only pages which the
// filter lets nobody unmap or protect, it needs nothing that can be written but the signal frame, replacing it or touching its signal
// is a call that kills without a word, blocking the signal makes the kernel kill, and the handler is used once:
// the second forbidden call kills wherever it comes from.
package sandbox
