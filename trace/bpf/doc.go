// Package bpf counts what the host's kernel does for vCPUs, by small eBPF programs at tracepoints that it makes itself: no compiler, no
// object files, no BTF.
//
// Path: a Probe is data (Count, Spread, Latency); Programs makes instructions of it, with the offsets of fields from a Format that was read
// from tracefs (tracefs.go) of the kernel that runs; Open loads them, Session.Follow says whose events count, Start attaches, Stop detaches,
// Read gives the figures. kvm.go has the probes of KVM and of the scheduler, hist.go the shape of histograms.
//
// Not here: domains and tables (perfctl), what a host can do (trace/doctor). A Session belongs to one goroutine.
package bpf
