// Package vehicle measures operations of a Linux kernel from its first process: the same kernel boots as a PV, PVH or HVM guest, and
// what its system calls, its disk and its network cost there is what users of the mode feel. It prints the lines of package gauge.
//
// A program that calls Main when Wanted says so is the guest's /init; perfctl is one, so that it can put itself into a RAM disk and needs no
// compiler. Path: Initramfs and Spec.Cmdline make what the kernel is started with; Main reads its environment, which the kernel makes of the
// command line (spec.go), loads modules and waits for devices (device.go), and goes through the operations (run.go): those of the kernel alone are in ops.go,
// those of the disk in block.go, those of TCP in tcp.go. The host's end of TCP is package peer.
package vehicle
