// Package linux makes initial RAM disks for stock Linux kernels: a static busybox, an init script, and the /sbin/poweroff and
// /sbin/reboot that the kernel runs when the toolstack asks for a shutdown (control/shutdown in xenstore).
//
// Path: pick a script (Greeter, PowerOff, or another), Initramfs gives the archive. Benchmarks, demo and end-to-end tests share it.
package linux
