// Command kvm makes a virtual machine with one processor and says what it found. It fails where KVM does not work.
package main

import (
	"fmt"
	"os"
	"syscall"
)

// Linux include/uapi/linux/kvm.h.
const (
	getAPIVersion = 0xae00
	createVM      = 0xae01
	createVCPU    = 0xae41
)

func main() {
	fd, err := syscall.Open("/dev/kvm", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		fail("open /dev/kvm", err)
	}
	fmt.Printf("KVM API %d\n", ioctl("KVM_GET_API_VERSION", fd, getAPIVersion))
	vm := ioctl("KVM_CREATE_VM", fd, createVM)
	ioctl("KVM_CREATE_VCPU", vm, createVCPU)
	fmt.Println("a virtual machine with a processor was made")
}

func ioctl(name string, fd int, op uintptr) int {
	n, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), op, 0)
	if errno != 0 {
		fail(name, errno)
	}
	return int(n)
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	os.Exit(1)
}
