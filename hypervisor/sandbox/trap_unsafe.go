package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lines is the address of the iovec array that the signal handler hands to the kernel. It is set once, before the filter
// is in place. Another value makes the kernel's writev fail, and the process dies nameless.
//
//lint:ignore U1000 trap_*.s reads it
var lines uintptr

// trap is the signal handler.
//
//lint:ignore U1000 trap_*.s defines and names it
func trap()

// trapPC gives its address.
func trapPC() uintptr

// iovecSize is the size of struct iovec; the handler multiplies by it.
const iovecSize = int(unsafe.Sizeof(unix.Iovec{}))

// sigaction is the kernel's struct sigaction (asm/signal.h), the same on both architectures.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// Flags of sigaction(2) that golang.org/x/sys/unix has not: linux asm-generic/signal-defs.h, asm/signal.h.
const (
	saSiginfo   = 0x4
	saOnStack   = 0x08000000
	saResetHand = 0x80000000
	saRestorer  = 0x04000000
)

// catchForbidden installs the handler of forbidden calls. From then on every SIGSYS ends the process.
func catchForbidden() error {
	var text []byte
	var ends [lineCount]int
	for i := range ends {
		text = append(text, line(i)...)
		ends[i] = len(text)
	}
	// The table lives outside the Go heap, read-only, for the life of the process.
	mem, err := unix.Mmap(-1, 0, lineCount*iovecSize+len(text), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return fmt.Errorf("names of system calls: %w", err)
	}
	// The mapping is page-aligned and begins with lineCount iovecs; the text fits behind them.
	vecs := unsafe.Slice((*unix.Iovec)(unsafe.Pointer(&mem[0])), lineCount)
	body := mem[lineCount*iovecSize:]
	copy(body, text)
	start := 0
	for i, end := range ends {
		vecs[i] = unix.Iovec{Base: &body[start], Len: uint64(end - start)}
		start = end
	}
	if err := unix.Mprotect(mem, unix.PROT_READ); err != nil {
		return fmt.Errorf("names of system calls: %w", err)
	}
	lines = uintptr(unsafe.Pointer(&mem[0]))
	// The handler runs once, with every signal blocked. It does not return, so its own address serves as restorer, which
	// amd64 wants to be there.
	sa := sigaction{handler: trapPC(), flags: saSiginfo | saOnStack | saResetHand | saRestorer, restorer: trapPC(), mask: ^uint64(0)}
	if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGSYS), uintptr(unsafe.Pointer(&sa)), 0, 8, 0, 0); e != 0 {
		return fmt.Errorf("handler of forbidden system calls: %w", e)
	}
	return nil
}
