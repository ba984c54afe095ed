package vcpu

import (
	"fmt"
	"runtime"
	"sync/atomic"

	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/x86/paging"
	"gozen/hypervisor/xen"
)

// What is different for a vCPU of a PV domain: what its monitor leaves for, and how events come in.

// MonitorPort is where a PV guest's monitor leaves for the hypervisor: by OUT, which only ring 0 may execute there.
const MonitorPort = 0xe7

// pvState is a loop's part of that.
type pvState struct {
	*pv.VCPU
	guest  atomic.Uint64 // odd while the vCPU is in the guest, or about to be
	inside bool          // the monitor waits for its frame to be given back
	flush  bool          // the TLB is to be flushed as soon as the vCPU is in the monitor
	// The last page fault that the tables do not account for: once it may be an old entry in the TLB.
	spurious struct{ rip, addr uint64 }
}

// pvPending is what comes before an entry: events are delivered by a frame where the vCPU is in its monitor, and bring it there where it is not.
func (l *Loop) pvPending() {
	p := &l.pv
	p.flush = l.V.TakeFlush() || p.flush
	due := l.V.EventDue() && p.Event.Address != 0
	if due {
		l.idle = false
		if l.poll {
			l.V.EndPoll()
			l.poll = false
		}
	}
	if p.inside {
		if l.idle {
			return
		}
		if p.flush {
			p.Flush()
			p.flush = false
		}
		if due {
			l.Counts.Upcalls.Add(1)
			l.pvEnter(p.Bounce(l, l.V, p.Event.Address, true, nil), "event callback")
		}
		l.pvLoadDebug()
		p.Store()
		p.inside = false
		return
	}
	if !due && !p.flush {
		l.Eng.WantWindow(false)
		return
	}
	if !l.Eng.Interruptible() {
		l.Eng.WantWindow(true)
		return
	}
	l.Eng.WantWindow(false)
	l.Eng.Inject(monitor.EventVector)
}

// pvOutside implements domain.VCPU.Outside.
func (l *Loop) pvOutside() {
	for n := l.pv.guest.Load(); n&1 == 1 && l.pv.guest.Load() == n; {
		runtime.Gosched()
	}
}

// pvEnter ends the domain if a frame could not be made.
func (l *Loop) pvEnter(ok bool, what string) {
	if !ok {
		r := &l.pv.Regs
		l.plat.Crashed(l.ID, fmt.Sprintf("the guest's kernel cannot be entered for its %s: rip %#x rsp %#x, kernel stack %#x", what, r[monitor.RIP], r[monitor.RSP], l.pv.KernelSP))
	}
}

// pvLoadDebug loads debug registers that the guest has set.
func (l *Loop) pvLoadDebug() {
	if !l.pv.DebugSet {
		return
	}
	l.pv.DebugSet = false
	var s x86.State
	l.Eng.Get(&s)
	for _, n := range []int{0, 1, 2, 3, 6, 7} {
		s.DR[n] = l.pv.Debug[n]
	}
	s.DR[6], s.DR[7] = s.DR[6]|0xffff0ff0, s.DR[7]&^0x2000|0x400
	if err := l.Eng.Set(&s); err != nil {
		l.plat.Crashed(l.ID, err.Error())
	}
}

// pvExit handles what the monitor has left for.
func (l *Loop) pvExit() {
	p := &l.pv
	p.Load()
	p.inside = true
	r := &p.Regs
	vec := r[monitor.Vector]
	if p.Nested {
		l.pvBadFrame()
		return
	}
	switch vec {
	case monitor.EventVector:
	case monitor.Syscall, monitor.Syscall32:
		r[monitor.RCX] = r[monitor.RIP]
		l.pvSyscall(vec == monitor.Syscall32)
	case x86.VectorPF:
		l.pvFault(p.CR2, uint32(r[monitor.Error]))
	case x86.VectorGP:
		if !l.pvEmulate(uint32(r[monitor.Error])) {
			l.pvDeliver(vec)
		}
	case vectorInt80:
		if t := &p.Traps[vec]; t.Address == 0 || !p.Kernel && t.Flags&3 < 3 { // it may not be called: as any other software interrupt
			r[monitor.RIP] -= 2
			r[monitor.Error], vec = vectorInt80<<3|codeIDT, x86.VectorGP
		}
		l.pvDeliver(vec)
	case x86.VectorUD:
		if !l.pvForcedCPUID() {
			l.pvDeliver(vec)
		}
	case x86.VectorNM:
		if p.TS {
			p.SetTS(false)
		}
		l.pvDeliver(vec)
	case x86.VectorDB:
		var s x86.State
		l.Eng.Get(&s)
		p.Debug[6] = s.DR[6]
		l.pvDeliver(vec)
	case x86.VectorDF, x86.VectorMC:
		l.plat.Crashed(l.ID, fmt.Sprintf("exception %d in the PV monitor, rip %#x", vec, r[monitor.RIP]))
	default:
		l.pvDeliver(vec)
	}
}

// pvBadFrame: a fault of the monitor's own. Where it returns to the guest, the guest's kernel gave it a frame that the processor refuses, perhaps one that a process
// had made up, and hears of it; elsewhere the guest's kernel has spoilt its own stack.
func (l *Loop) pvBadFrame() {
	r := &l.pv.Regs
	var b [2]byte
	if l.ReadVirt(r[monitor.RIP], b[:]) == nil && string(b[:]) == iretq {
		var s x86.State
		l.Eng.Get(&s)
		if l.pv.Failsafe(l, l.V, s.Seg[x86.DS].Selector, s.Seg[x86.ES].Selector, s.Seg[x86.FS].Selector, s.Seg[x86.GS].Selector) {
			return
		}
	}
	l.plat.Crashed(l.ID, fmt.Sprintf("exception %d (error code %#x) in the PV monitor at %#x: the guest gave a frame or selectors that cannot be used", r[monitor.Vector],
		r[monitor.Error], r[monitor.RIP]))
}

// vectorInt80 is Linux's for 32-bit system calls.
const vectorInt80 = 0x80

// iretq is the instruction by which the monitor returns.
const iretq = "\x48\xcf"

func (l *Loop) pvSyscall(compat bool) {
	p := &l.pv
	switch {
	case p.Kernel:
		l.pvCall()
		return
	case compat && p.Syscall32.Address != 0:
		l.pvEnter(p.Bounce(l, l.V, p.Syscall32.Address, p.Syscall32.Mask, nil), "32-bit system call")
	case !compat && p.Syscall.Address != 0:
		l.pvEnter(p.Bounce(l, l.V, p.Syscall.Address, p.Syscall.Mask, nil), "system call")
	default:
		l.pvDeliver(x86.VectorUD)
		return
	}
	p.Regs[monitor.RFLAGS] &^= x86.FlagDF // as SYSCALL itself does on a processor whose kernel asks for it
}

// pvCall does a hypercall of the guest's kernel, or goes on with it.
func (l *Loop) pvCall() {
	r := hypercall.CallPV(l.Dom, l.V)
	l.again = r.Again
	if r.Block {
		l.idle, l.poll = true, l.V.Polling()
	}
}

// hasErrorCode are the exceptions that push one.
const hasErrorCode = 1<<8 | 1<<10 | 1<<11 | 1<<12 | 1<<13 | 1<<14 | 1<<17 | 1<<21

// pvDeliver hands an exception to the guest.
func (l *Loop) pvDeliver(vec uint64) {
	p := &l.pv
	var code *uint32
	if vec < 32 && hasErrorCode>>vec&1 == 1 {
		c := uint32(p.Regs[monitor.Error])
		code = &c
	}
	if vec > 255 || !p.Deliver(l, l.V, uint8(vec), code) {
		r := &p.Regs
		l.plat.Crashed(l.ID, fmt.Sprintf("the guest's kernel does not take exception %d (error code %#x) at rip %#x rsp %#x", vec, r[monitor.Error], r[monitor.RIP], r[monitor.RSP]))
	}
}

// pvFault handles a page fault: one that our own upkeep of the tables explains, a write to a page table, or the guest's.
func (l *Loop) pvFault(addr uint64, code uint32) {
	p := &l.pv
	m := l.Dom.PV.MMU
	root := p.Root()
	if code&x86.PFPresent != 0 && m.Repair(root, addr) {
		p.FlushPage(addr)
		return
	}
	leaf, rights := m.Rights(root, addr)
	const write = x86.PFPresent | x86.PFWrite
	if p.Kernel && code&write == write && rights&(pv.Present|pv.Writable) == pv.Present {
		switch level := m.Level(leaf.GFN()); {
		case level == 1 && m.Open(root, addr):
			p.FlushPage(addr)
			return
		case level != 0 && l.pvTableWrite(addr):
			return
		}
	}
	if m.Allows(rights, code) {
		if s := (struct{ rip, addr uint64 }{p.Regs[monitor.RIP], addr}); s != p.spurious {
			p.spurious = s
			p.FlushPage(addr)
			return
		}
	}
	p.spurious.addr = 0
	if !p.DeliverFault(l, l.V, addr, code) {
		l.plat.Crashed(l.ID, fmt.Sprintf("the guest's kernel does not take a page fault at %#x (error code %#x), rip %#x rsp %#x", addr, code, p.Regs[monitor.RIP], p.Regs[monitor.RSP]))
	}
}

// pvCode reads the bytes of the instruction that stopped, as many as there are.
func (l *Loop) pvCode(b []byte) []byte {
	rip := l.pv.Regs[monitor.RIP]
	root := paging.Root{CR0: x86.CR0PG, CR3: uint64(l.pv.Root()), EFER: x86.EFERLMA}
	for n := len(b); n > 0; n-- {
		if paging.Copy(l.Dom.Memory, root, rip, b[:n], false) == nil {
			return b[:n]
		}
	}
	return nil
}

// forced is the prefix by which a guest asks for Xen's CPUID (public/arch-x86/xen.h, XEN_EMULATE_PREFIX), and the instruction.
const forced = "\x0f\x0bxen\x0f\xa2"

// pvForcedCPUID answers the CPUID that a guest asks Xen for, in kernel and process.
func (l *Loop) pvForcedCPUID() bool {
	var b [len(forced)]byte
	if string(l.pvCode(b[:])) != forced {
		return false
	}
	l.pvCPUID(len(forced))
	return true
}

func (l *Loop) pvCPUID(n int) {
	r := &l.pv.Regs
	a, b, c, d := l.plat.CPUID(l.ID, uint32(r[monitor.RAX]), uint32(r[monitor.RCX]))
	r[monitor.RAX], r[monitor.RBX], r[monitor.RCX], r[monitor.RDX] = uint64(a), uint64(b), uint64(c), uint64(d)
	r[monitor.RIP] += uint64(n)
}

// frameReg gives the places of the general registers in a frame, by their encoding.
var frameReg = [16]int{monitor.RAX, monitor.RCX, monitor.RDX, monitor.RBX, monitor.RSP, monitor.RBP, monitor.RSI, monitor.RDI,
	monitor.R8, monitor.R9, monitor.R10, monitor.R11, monitor.R12, monitor.R13, monitor.R14, monitor.R15}

// reg reads a register of an instruction's, with its size.
func (l *Loop) pvReg(n, size uint8) uint64 {
	if n >= decode.High8 {
		return l.pv.Regs[frameReg[n-decode.High8]] >> 8 & 0xff
	}
	if n >= 16 {
		return 0
	}
	return l.pv.Regs[frameReg[n]] & mask(size)
}

func mask(size uint8) uint64 { return ^uint64(0) >> (64 - 8*uint(size)) }

// setReg writes a register as an instruction of a size does (SDM 1 3.4.1.1).
func (l *Loop) pvSetReg(n, size uint8, v uint64) {
	shift := uint(0)
	if n >= decode.High8 {
		n, shift = n-decode.High8, 8
	}
	if n >= 16 {
		return
	}
	r := &l.pv.Regs[frameReg[n]]
	switch size {
	case 8:
		*r = v
	case 4:
		*r = v & 0xffffffff
	default:
		m := mask(size) << shift
		*r = *r&^m | v<<shift&m
	}
}

// pvInst decodes the instruction that stopped.
func (l *Loop) pvInst(in *decode.Inst) bool {
	var b [15]byte
	mode := decode.Mode64
	if cs := l.pv.Regs[monitor.CS]; cs == xen.FLAT_RING3_CS32 {
		mode = decode.Mode32
	}
	return decode.Decode(in, l.pvCode(b[:]), mode) == decode.OK
}
