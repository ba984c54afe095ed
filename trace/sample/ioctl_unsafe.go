//go:build amd64

package sample

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// result makes a request whose argument is a number.
func result(fd int, req, arg uintptr) (int, unix.Errno) {
	n, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, arg)
	return int(n), e
}

func ioctl(fd int, req, arg uintptr) unix.Errno {
	_, e := result(fd, req, arg)
	return e
}

// structure makes a request whose argument is the structure in b, which has the size that req says; the kernel keeps no pointer to it.
func structure(fd int, req uintptr, b []byte) error {
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, uintptr(unsafe.Pointer(&b[0])))
	if e != 0 {
		return e
	}
	return nil
}

// setMemory makes mem the guest's memory at address 0. It was mapped by mmap, so it does not move, and stays until the machine is closed.
func setMemory(vm int, mem []byte) error {
	var r [32]byte // slot, flags, guest address, size, address of ours
	binary.LittleEndian.PutUint64(r[16:], uint64(len(mem)))
	binary.LittleEndian.PutUint64(r[24:], uint64(uintptr(unsafe.Pointer(&mem[0]))))
	return structure(vm, kvmSetMemory, r[:])
}
