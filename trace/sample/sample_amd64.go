package sample

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// code is the guest, in real mode at address 0:
//
//	out %al,$0x80; mov 0x9000,%al; mov $0x1b,%ecx; rdmsr; jmp 0
const code = "\xe6\x80" + "\xa0\x00\x90" + "\x66\xb9\x1b\x00\x00\x00" + "\x0f\x32" + "\xeb\xf1"

// Requests and constants of linux/kvm.h.
const (
	kvmCreateVM      = 0xae01
	kvmVCPUMmapSize  = 0xae04
	kvmCreateVCPU    = 0xae41
	kvmSetMemory     = 0x4020ae46
	kvmRun           = 0xae80
	kvmSetRegs       = 0x4090ae82
	kvmGetSregs      = 0x8138ae83
	kvmSetSregs      = 0x4138ae84
	exitIO, exitMMIO = 2, 6
	regsSize         = 18 * 8
	sregsSize        = 312
	runExitReason    = 8
	runIO            = 32 // direction, size, port, count
	runMMIO          = 32 // address, data, length, write
	pageSize         = 4096
)

// Run lets a vCPU write its port n times, on the calling goroutine's thread. begin is told the id of that thread before the guest runs; nil: nobody.
func Run(n int, begin func(thread int)) (c Counts, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	m, err := open()
	if err != nil {
		return c, err
	}
	defer m.close()
	if begin != nil {
		begin(unix.Gettid())
	}
	for c.Ports < uint64(n) {
		e := ioctl(m.vcpu, kvmRun, 0)
		c.Runs++
		if e == unix.EINTR || e == unix.EAGAIN {
			c.Signals++
			continue
		}
		if e != 0 {
			return c, fmt.Errorf("KVM_RUN: %w", e)
		}
		if err := m.exit(&c); err != nil {
			return c, err
		}
	}
	return c, nil
}

// machine is a VM with one page and one vCPU.
type machine struct {
	sys, vm, vcpu int
	mem, run      []byte
}

func open() (m *machine, err error) {
	m = &machine{sys: -1, vm: -1, vcpu: -1}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.sys, err = unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return m, fmt.Errorf("/dev/kvm: %w", err)
	}
	if m.vm, err = number(m.sys, kvmCreateVM, 0); err != nil {
		return m, fmt.Errorf("make a virtual machine: %w", err)
	}
	if m.mem, err = unix.Mmap(-1, 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err != nil {
		return m, fmt.Errorf("memory of the guest: %w", err)
	}
	copy(m.mem, code)
	if err = setMemory(m.vm, m.mem); err != nil {
		return m, fmt.Errorf("memory of the guest: %w", err)
	}
	if m.vcpu, err = number(m.vm, kvmCreateVCPU, 0); err != nil {
		return m, fmt.Errorf("make a vCPU: %w", err)
	}
	size, err := number(m.sys, kvmVCPUMmapSize, 0)
	if err != nil {
		return m, fmt.Errorf("size of a vCPU's shared page: %w", err)
	}
	if m.run, err = unix.Mmap(m.vcpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return m, fmt.Errorf("shared page of the vCPU: %w", err)
	}
	return m, m.reset()
}

// reset puts the vCPU to address 0 in real mode.
func (m *machine) reset() error {
	var sregs [sregsSize]byte
	if err := structure(m.vcpu, kvmGetSregs, sregs[:]); err != nil {
		return fmt.Errorf("read registers: %w", err)
	}
	binary.LittleEndian.PutUint64(sregs[0:], 0)  // cs.base
	binary.LittleEndian.PutUint16(sregs[12:], 0) // cs.selector
	if err := structure(m.vcpu, kvmSetSregs, sregs[:]); err != nil {
		return fmt.Errorf("set registers: %w", err)
	}
	var regs [regsSize]byte
	regs[17*8] = 2 // rflags; rip is 0
	if err := structure(m.vcpu, kvmSetRegs, regs[:]); err != nil {
		return fmt.Errorf("set registers: %w", err)
	}
	return nil
}

// exit counts one exit.
func (m *machine) exit(c *Counts) error {
	switch why := binary.LittleEndian.Uint32(m.run[runExitReason:]); why {
	case exitIO:
		if port := binary.LittleEndian.Uint16(m.run[runIO+2:]); port != Port {
			return fmt.Errorf("the sample guest wrote port %#x", port)
		}
		c.Ports++
	case exitMMIO:
		if at := binary.LittleEndian.Uint64(m.run[runMMIO:]); at != Addr {
			return fmt.Errorf("the sample guest read address %#x", at)
		}
		c.MMIO++
		c.MSRs++ // the read of the register comes next, before the guest can exit again
	default:
		return fmt.Errorf("the sample guest ended with exit %d", why)
	}
	return nil
}

func (m *machine) close() {
	for _, b := range [][]byte{m.run, m.mem} {
		if b != nil {
			_ = unix.Munmap(b)
		}
	}
	for _, fd := range []int{m.vcpu, m.vm, m.sys} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// number makes a request whose argument and answer are numbers.
func number(fd int, req, arg uintptr) (int, error) {
	for {
		n, e := result(fd, req, arg)
		if errors.Is(e, unix.EINTR) {
			continue
		}
		if e != 0 {
			return -1, e
		}
		return n, nil
	}
}
