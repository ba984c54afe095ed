// Package testbed runs programs on emulated machines that have hardware virtualization, under a stock Debian kernel with its KVM, on any
// machine: SVM and ARM VHE in QEMU, VT-x in Bochs. Everything there comes from Debian packages.
//
// What lives here: the emulated hosts, their initial RAM disk, and bringing results back. What does not: what runs there (the jobs in the
// tests of this package and the benchmarks).
//
// The path through it: need.go gets emulators, kernels and modules; disk.go and init.go make the initial RAM disk whose /init runs the jobs; qemu.go
// and bochs.go start the emulator, whose first serial port is the console of the host kernel and whose second carries the jobs' output,
// their exit statuses and the files they leave (stream.go), both as files that follow.go reads as they grow; run.go ties it together.
package testbed
