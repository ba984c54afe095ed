package pv

import (
	"encoding/binary"

	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// Virt is guest memory at guest-virtual addresses, with the rights of the guest's kernel and through its tables.
type Virt interface {
	ReadVirt(va uint64, p []byte) error
	WriteVirt(va uint64, p []byte) error
}

// Info is the vCPU's vcpu_info as far as frames need it.
type Info interface {
	// Masked is evtchn_upcall_mask, and SetMasked sets it.
	Masked() bool
	SetMasked(bool)
	// SetCR2 sets arch.cr2.
	SetCR2(uint64)
}

const (
	flagTF = 1 << 8
	flagIF = 1 << 9
	flagNT = 1 << 14
	flagRF = 1 << 16
	flagVM = 1 << 17
	flagAC = 1 << 18
	iopl   = 3 << 12
)

// kernelCS is the code segment in which the guest's kernel runs, kernelSS its stack segment.
const (
	kernelCS = xen.FLAT_RING3_CS64
	kernelSS = xen.FLAT_RING3_SS64
)

// Bounce makes the guest enter its kernel at a handler, by a frame on its kernel's stack as Xen makes it: rcx, r11, the error code if there is one, rip,
// cs with the event mask above it, rflags, rsp, ss. false: the stack cannot be written to.
func (v *VCPU) Bounce(mem Virt, in Info, to uint64, mask bool, code *uint32) bool {
	r := &v.Regs
	sp, cs := r[monitor.RSP], r[monitor.CS]
	fromKernel := v.Kernel
	if !fromKernel {
		v.Toggle()
		sp = v.KernelSP
	} else {
		cs &^= 3
	}
	sp &^= 15
	b, n := &v.buf, 0
	push := func(w uint64) {
		binary.LittleEndian.PutUint64(b[n:], w)
		n += 8
	}
	push(r[monitor.RCX])
	push(r[monitor.R11])
	if code != nil {
		push(uint64(*code))
	}
	push(r[monitor.RIP])
	masked := uint64(0)
	flags := r[monitor.RFLAGS] &^ (flagIF | iopl)
	if in.Masked() {
		masked = 1
	} else {
		flags |= flagIF
	}
	push(cs&0xffff | masked<<32)
	push(flags)
	push(r[monitor.RSP])
	push(r[monitor.SS])
	sp -= uint64(n)
	if mem.WriteVirt(sp, b[:n]) != nil {
		return false
	}
	if mask {
		in.SetMasked(true)
	}
	r[monitor.RSP], r[monitor.SS], r[monitor.CS], r[monitor.RIP] = sp, kernelSS, kernelCS, to
	r[monitor.RFLAGS] = r[monitor.RFLAGS]&^(flagTF|flagNT|flagRF|flagVM|flagAC|iopl) | flagIF | x86.FlagOne
	return x86.Canonical(to)
}

// Failsafe makes the guest enter its failsafe callback: it told its kernel to return to where the processor does not go. The frame is as Bounce's, with the selectors of ds,
// es, fs and gs between r11 and rip. at is where the monitor's stack holds what it tried to return to.
func (v *VCPU) Failsafe(mem Virt, in Info, ds, es, fs, gs uint16) bool {
	at := v.Regs[monitor.RSP] & (pageSize - 1) &^ 7
	if v.FailsafeTo.Address == 0 || at > pageSize-5*8 {
		return false
	}
	copy(v.Regs[monitor.RIP:monitor.FrameWords], v.words[at/8:at/8+5])
	if !v.Bounce(mem, in, v.FailsafeTo.Address, v.FailsafeTo.Mask, nil) {
		return false
	}
	// Bounce wrote rcx and r11 first: they move down to make room.
	sp := v.Regs[monitor.RSP] - 4*8
	var b [6 * 8]byte
	for i, w := range []uint64{v.Regs[monitor.RCX], v.Regs[monitor.R11], uint64(ds), uint64(es), uint64(fs), uint64(gs)} {
		binary.LittleEndian.PutUint64(b[8*i:], w)
	}
	v.Regs[monitor.RSP] = sp
	return mem.WriteVirt(sp, b[:]) == nil
}

// Deliver makes the guest take an exception or software interrupt. false: it has no handler for it, or no stack.
func (v *VCPU) Deliver(mem Virt, in Info, vector uint8, code *uint32) bool {
	t := &v.Traps[vector]
	if t.Address == 0 {
		return false
	}
	return v.Bounce(mem, in, t.Address, t.Flags&xen.TI_IF != 0, code)
}

// DeliverFault delivers a page fault.
func (v *VCPU) DeliverFault(mem Virt, in Info, addr uint64, code uint32) bool {
	in.SetCR2(addr)
	code &^= pfUser
	if !v.Kernel {
		code |= pfUser
	}
	return v.Deliver(mem, in, x86.VectorPF, &code)
}

// pfUser is the bit of a page fault's error code that says that a process did it.
const pfUser = 1 << 2

// Iret is HYPERVISOR_iret: the kernel goes back to what a frame on its stack says. false: there is no such frame.
func (v *VCPU) Iret(mem Virt, in Info) bool {
	b := &v.buf
	if mem.ReadVirt(v.Regs[monitor.RSP], b[:]) != nil {
		return false
	}
	var f xen.IretContext
	k := xen.Decoder(xen.ABI64, b[:])
	f.Layout(&k)
	r := &v.Regs
	if f.CS&3 == 3 {
		if v.UserRoot == 0 {
			return false
		}
		v.Toggle()
	}
	r[monitor.RIP], r[monitor.CS] = f.RIP, f.CS&0xffff|3
	r[monitor.RFLAGS] = f.RFLAGS&^(iopl|flagVM|flagNT) | flagIF | x86.FlagOne
	r[monitor.RSP], r[monitor.SS] = f.RSP, f.SS&0xffff|3
	r[monitor.RAX] = f.RAX
	if f.Flags&xen.VGCF_in_syscall == 0 {
		r[monitor.R11], r[monitor.RCX] = f.R11, f.RCX
	}
	in.SetMasked(f.RFLAGS&flagIF == 0)
	return true
}
