package kvm

import (
	"encoding/binary"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/x86"
)

// Places of the registers in struct kvm_regs, by their numbers in instructions.
var regPlace = [16]int{x86.RAX: 0, x86.RBX: 8, x86.RCX: 16, x86.RDX: 24, x86.RSI: 32, x86.RDI: 40, x86.RSP: 48, x86.RBP: 56,
	x86.R8: 64, x86.R9: 72, x86.R10: 80, x86.R11: 88, x86.R12: 96, x86.R13: 104, x86.R14: 112, x86.R15: 120}

const syncRIP = 128

// loadRegs takes the general registers from the shared page, storeRegs puts them back.
func (c *VCPU) loadRegs() {
	for i, p := range &regPlace {
		c.gpr[i] = binary.NativeEndian.Uint64(c.run[runSync+p:])
	}
}

func (c *VCPU) storeRegs() {
	for i, p := range &regPlace {
		binary.NativeEndian.PutUint64(c.run[runSync+p:], c.gpr[i])
	}
	c.set64(runDirty, syncRegs)
}

// The argument registers of a hypercall, as the host hands them over.
var (
	callRegs64 = [6]int{x86.RDI, x86.RSI, x86.RDX, x86.R10, x86.R8, x86.R9}
	callRegs32 = [6]int{x86.RBX, x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.RBP}
)

// loadCall takes number and arguments of an intercepted hypercall.
func (c *VCPU) loadCall() {
	to := &callRegs64
	if c.u32(hcallLongMode) == 0 {
		to = &callRegs32
	}
	c.gpr[x86.RAX] = c.u64(hcallInput)
	for i, r := range to {
		c.gpr[r] = c.u64(hcallParams + 8*i)
	}
}

// loadSregs reads the system registers once after each run.
func (c *VCPU) loadSregs() {
	if c.srValid {
		return
	}
	if err := request(c.fd, kvmGetSregs, &c.sr); err != nil {
		c.note(fail("read system registers", err))
	}
	c.srValid = true
}

func (c *VCPU) storeSregs() {
	if err := request(c.fd, kvmSetSregs, &c.sr); err != nil {
		c.note(fail("write system registers", err))
	}
}

// settle finishes an instruction whose exit was answered but that has not been left (Documentation/virt/kvm/api.rst, 5: "complete the
// operation by re-entering the guest with immediate_exit").
func (c *VCPU) settle() {
	switch c.pending {
	case callByPort:
		c.storeRegs()
	case callByXen:
		c.set64(hcallResult, c.gpr[x86.RAX])
	default:
		return
	}
	c.pending = nothing
	atomic.OrUint32(c.immediate, immediateBit)
	_, _, e := unix.RawSyscall(unix.SYS_IOCTL, uintptr(c.fd), kvmRun, 0)
	atomic.AndUint32(c.immediate, ^uint32(immediateBit))
	if e != unix.EINTR {
		c.note(fail("finish a hypercall", e))
	}
	c.srValid = false
}

var stateMSRs = [...]uint32{x86.MSRSTAR, x86.MSRLSTAR, x86.MSRCSTAR, x86.MSRSFMASK, x86.MSRKernelGSBase, x86.MSRSysenterCS,
	x86.MSRSysenterESP, x86.MSRSysenterEIP, x86.MSRPAT, x86.MSRTSCAux, x86.MSRMiscEnable, x86.MSRSpecCtrl}

func msrPlaces(s *x86.State) [len(stateMSRs)]*uint64 {
	return [...]*uint64{&s.STAR, &s.LSTAR, &s.CSTAR, &s.SFMASK, &s.KernelGSBase, &s.SysenterCS, &s.SysenterESP, &s.SysenterEIP,
		&s.PAT, &s.TSCAux, &s.MiscEnable, &s.SpecCtrl}
}

// Get implements engine.VCPU.
func (c *VCPU) Get(s *x86.State) {
	c.settle()
	*s = x86.State{}
	var r regs
	if err := request(c.fd, kvmGetRegs, &r); err != nil {
		c.note(fail("read registers", err))
	}
	s.GPR = [16]uint64{r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
		r.r[0], r.r[1], r.r[2], r.r[3], r.r[4], r.r[5], r.r[6], r.r[7]}
	s.RIP, s.RFLAGS = r.rip, r.rflags
	c.loadSregs()
	c.getSregs(s)
	for i, p := range msrPlaces(s) {
		m := msrs{n: 1}
		m.list[0].index = stateMSRs[i]
		if n, err := ioctl(c.fd, kvmGetMSRs, addr(&m)); err == nil && n == 1 {
			*p = m.list[0].data
		}
		keep(&m)
	}
	var d debugRegs
	if err := request(c.fd, kvmGetDebugRegs, &d); err != nil {
		c.note(fail("read debug registers", err))
	}
	copy(s.DR[:4], d.db[:])
	s.DR[6], s.DR[7] = d.dr6, d.dr7
	s.TSCOffset = c.vm.offset
	c.getEvents(s)
	c.getFX(s)
}

func (c *VCPU) getSregs(s *x86.State) {
	r := &c.sr
	for i, from := range []*segment{x86.ES: &r.es, x86.CS: &r.cs, x86.SS: &r.ss, x86.DS: &r.ds, x86.FS: &r.fs, x86.GS: &r.gs} {
		s.Seg[i] = from.get()
	}
	s.TR, s.LDTR = r.tr.get(), r.ldt.get()
	s.GDTR, s.IDTR = x86.Table{Base: r.gdt.base, Limit: r.gdt.limit}, x86.Table{Base: r.idt.base, Limit: r.idt.limit}
	s.CR0, s.CR2, s.CR3, s.CR4, s.CR8 = r.cr0, r.cr2, r.cr3, r.cr4, r.cr8
	s.EFER, s.APICBase = r.efer, r.apicBase
}

func (g *segment) get() x86.Segment {
	b := func(v uint8, n uint) uint32 { return uint32(v) << n }
	return x86.Segment{Selector: g.selector, Base: g.base, Limit: g.limit, Attr: b(g.typ, 0) | b(g.s, 4) | b(g.dpl, 5) | b(g.present, 7) |
		b(g.avl, 12) | b(g.l, 13) | b(g.db, 14) | b(g.g, 15) | b(g.unuse, 16)}
}

func (g *segment) set(s *x86.Segment) {
	b := func(n uint) uint8 { return uint8(s.Attr>>n) & 1 }
	*g = segment{base: s.Base, limit: s.Limit, selector: s.Selector, typ: uint8(s.Attr & x86.AttrType), s: b(4), dpl: s.DPL(), present: b(7),
		avl: b(12), l: b(13), db: b(14), g: b(15), unuse: b(16)}
}

func (c *VCPU) getEvents(s *x86.State) {
	var v vcpuEvents
	if err := request(c.fd, kvmGetVCPUEvents, &v); err != nil {
		c.note(fail("read events", err))
		return
	}
	s.STIShadow, s.MovSSShadow = v.interrupt.shadow&shadowSTI != 0, v.interrupt.shadow&shadowMovSS != 0
	s.NMIBlocked = v.nmi.masked != 0
	switch {
	case v.exception.injected != 0:
		s.PendingValid, s.PendingVector = true, v.exception.nr
		s.PendingHasError, s.PendingError = v.exception.hasError != 0, v.exception.errorCode
	case v.nmi.injected != 0:
		s.PendingValid, s.PendingVector = true, x86.VectorNMI
	case v.interrupt.injected != 0 && v.interrupt.soft == 0:
		s.PendingValid, s.PendingVector = true, v.interrupt.nr
	}
}

// Set implements engine.VCPU.
func (c *VCPU) Set(s *x86.State) error {
	c.settle()
	c.pending, c.injected = nothing, false

	c.err = nil
	for _, step := range []func(*x86.State) error{c.setSregs, c.setFX, c.setMSRs, c.setDebug, c.setRegs, c.setEvents} {
		if err := step(s); err != nil {
			return err
		}
	}
	if c.HasChip() {
		c.Reopen()
	}
	c.ready = s.RFLAGS&x86.FlagIF != 0 && !s.STIShadow && !s.MovSSShadow && !s.PendingValid
	return nil
}

func (c *VCPU) setSregs(s *x86.State) error {
	c.srValid = false
	c.loadSregs()
	r := &c.sr
	for i, to := range []*segment{x86.ES: &r.es, x86.CS: &r.cs, x86.SS: &r.ss, x86.DS: &r.ds, x86.FS: &r.fs, x86.GS: &r.gs} {
		to.set(&s.Seg[i])
	}
	r.tr.set(&s.TR)
	r.ldt.set(&s.LDTR)
	r.gdt, r.idt = dtable{base: s.GDTR.Base, limit: s.GDTR.Limit}, dtable{base: s.IDTR.Base, limit: s.IDTR.Limit}
	r.cr0, r.cr2, r.cr3, r.cr4, r.cr8, r.efer = s.CR0, s.CR2, s.CR3, s.CR4, s.CR8, s.EFER
	r.bitmap = [4]uint64{}
	if err := request(c.fd, kvmSetSregs, r); err != nil {
		return fail("write system registers", err)
	}
	c.SetCR8(uint8(s.CR8))
	return nil
}

// setMSRs writes those that the host has; SPEC_CTRL, TSC_AUX and MISC_ENABLE may be absent.
func (c *VCPU) setMSRs(s *x86.State) error {
	for i, p := range msrPlaces(s) {
		m := msrs{n: 1}
		m.list[0] = msrEntry{index: stateMSRs[i], data: *p}
		n, err := ioctl(c.fd, kvmSetMSRs, addr(&m))
		keep(&m)
		if err != nil {
			return fail("write MSRs", err)
		}
		if n != 1 && *p != 0 && i < len(stateMSRs)-2 {
			return fail("write MSRs", unix.EINVAL)
		}
	}
	return nil
}

func (c *VCPU) setDebug(s *x86.State) error {
	d := debugRegs{dr6: s.DR[6], dr7: s.DR[7]}
	copy(d.db[:], s.DR[:4])
	if err := request(c.fd, kvmSetDebugRegs, &d); err != nil {
		return fail("write debug registers", err)
	}
	return nil
}

func (c *VCPU) setRegs(s *x86.State) error {
	g := &s.GPR
	r := regs{rax: g[x86.RAX], rbx: g[x86.RBX], rcx: g[x86.RCX], rdx: g[x86.RDX], rsi: g[x86.RSI], rdi: g[x86.RDI], rsp: g[x86.RSP],
		rbp: g[x86.RBP], rip: s.RIP, rflags: s.RFLAGS}
	copy(r.r[:], g[x86.R8:])
	c.gpr = *g
	if err := request(c.fd, kvmSetRegs, &r); err != nil {
		return fail("write registers", err)
	}
	return nil
}

func (c *VCPU) setEvents(s *x86.State) error {
	v := vcpuEvents{flags: eventNMIPending | eventShadow}
	v.interrupt.shadow = bit(s.STIShadow)*shadowSTI | bit(s.MovSSShadow)*shadowMovSS
	v.nmi.masked = bit(s.NMIBlocked)
	switch {
	case !s.PendingValid:
	case s.PendingVector == x86.VectorNMI:
		v.nmi.injected = 1
	case s.PendingVector < 32:
		v.exception.injected, v.exception.nr = 1, s.PendingVector
		v.exception.hasError, v.exception.errorCode = bit(s.PendingHasError), s.PendingError
	default:
		v.interrupt.injected, v.interrupt.nr = 1, s.PendingVector
	}
	if err := request(c.fd, kvmSetVCPUEvents, &v); err != nil {
		return fail("write events", err)
	}
	mp := uint32(mpRunnable)
	if err := request(c.fd, kvmSetMPState, &mp); err != nil {
		return fail("make the vCPU runnable", err)
	}
	return nil
}
