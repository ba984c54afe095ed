// Package abi builds guests of a page or two that use Xen's interface and keep what came back in memory, where a test reads it after
// the guest's end.
//
// Path: Build wraps package tiny; Prog collects the guest's code: prog.go has data and hypercalls, interrupt.go the descriptor table and
// handlers, xen.go what several guests set up: shared info, event channels, rings; smp.go starts further vCPUs.
package abi
