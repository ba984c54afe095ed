//go:build linux && amd64

// Command anchor keeps virtual machines alive on an emulated host: one with local APICs in the kernel and one without, each with a processor. A
// kernel patches its own code when the first of a kind is made and when the last one goes; QEMU 7.2 and Bochs, which translate or cache code, do not
// always survive that ("Oops: int3", or a host that stands still).
package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Linux include/uapi/linux/kvm.h.
const (
	createVM     = 0xae01
	createVCPU   = 0xae41
	enableCap    = 0x4068aea3
	xenConfig    = 0x4038ae7a
	capSplitChip = 121
)

func main() {
	fd, err := syscall.Open("/dev/kvm", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		fmt.Fprintln(os.Stderr, "anchor:", err)
		os.Exit(1)
	}
	for _, chip := range []bool{false, true} {
		vm := ioctl(fd, createVM, 0)
		if chip {
			arg := [13]uint64{capSplitChip}
			ioctl(vm, enableCap, uintptr(unsafe.Pointer(&arg)))
			xen := [7]uint64{2 | 0x40000000<<32} // interception of hypercalls, where the kernel has it
			ioctl(vm, xenConfig, uintptr(unsafe.Pointer(&xen)))
		}
		ioctl(vm, createVCPU, 0)
	}
	for {
		time.Sleep(time.Hour)
	}
}

// ioctl makes a request; what a host lacks is not missed.
func ioctl(fd int, op, arg uintptr) int {
	n, _, _ := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), op, arg)
	return int(n)
}
