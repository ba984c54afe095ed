// Package vehicle measures operations of a Linux kernel from its first process: the same kernel boots as a PV, PVH or HVM guest, and
// what its system calls cost there is what users of the mode feel. It prints the lines of package gauge.
//
// A program that calls Main when Wanted says so is the guest's /init; perfctl is one, so that it can put itself into a RAM disk and needs no
// compiler. Path: Initramfs and Cmdline make what the kernel is started with; Main reads its environment, which the kernel makes of the
// command line; ops.go has the operations.
package vehicle
