// Package host watches domains from the side of the host's kernel: which exits their vCPUs make, what for, how long KVM_RUN takes, and how long
// vCPUs wait for a CPU.
//
// Path: Watch loads the probes of trace/bpf, follows the processes of domains for a while, joins the figures of threads with the vCPUs that they
// run, and gives a Result, which is data. What this host does not tell stands in Result.Silent, with the reason; it is never a zero. Not here: tables
// (perfctl).
package host
