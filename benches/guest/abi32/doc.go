// Package abi32 is package abi for 32-bit kernels: guests of a page or two that use Xen's interface with its 32-bit structs, under 32-bit or PAE paging, and
// keep what came back in memory, where a test reads it after the guest's end.
//
// Path: Build wraps tiny.Image32; Prog collects the guest's code: prog.go has data and hypercalls, event.go the shared page, interrupts and rings.
package abi32
