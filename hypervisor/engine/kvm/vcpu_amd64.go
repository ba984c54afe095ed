package kvm

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// VCPU implements engine.VCPU.
type VCPU struct {
	*thread
	vm *VM
	id int

	gpr     [16]uint64 // valid after a hypercall, until the next run
	pending pending
	left    uint32 // elements left of a string of port accesses
	at      int    // where in the shared page the present one lies
	step    int

	sr       sregs
	srValid  bool
	window   bool
	injected bool // Inject was called since the last run
	ready    bool // as of the last exit or Set: an interrupt could be injected

	todoMu sync.Mutex // guards todo: what the vCPU's own thread is to do
	todo   []func(*VCPU)

	callPort uint16 // of hypercalls, 0 for none

	own uint8 // the vCPU's own upcall vector, 0 for none
	err error // of a request between two runs; the next Run reports it
}

// pending says what the last exit waits for.
type pending uint8

const (
	nothing pending = iota
	portIn
	portOut
	mmioIn
	callByPort // GPRs go back
	callByXen  // the result goes back
	msrRead
	msrWritten
)

func (c *VCPU) setUp() error {
	if err := c.setCPUID(); err != nil {
		return err
	}
	e := enableCap{cap: capEnforcePVCPUID, args: [4]uint64{1}}
	if err := request(c.fd, kvmEnableCap, &e); err != nil {
		return fail("hide KVM's own interface", err)
	}
	c.set64(runValid, syncRegs)
	if c.HasChip() {
		if err := c.setUpChip(); err != nil {
			return err
		}
		if c.vm.cfg.Chip == ChipXen {
			c.setXen(xenVCPUID, uint64(c.id)) // the host's own choice is 0 for all
		}
	}
	if c.err != nil {
		return c.err
	}
	return c.setTSC()
}

func (c *VCPU) setCPUID() error {
	leaves := c.vm.cfg.CPUID(c.id)
	if len(leaves) > cpuidTableSize {
		return fmt.Errorf("%d CPUID leaves are more than the %d that fit", len(leaves), cpuidTableSize)
	}
	t := &cpuidTable{n: uint32(len(leaves))}
	for i, l := range leaves {
		t.list[i] = cpuidEntry{function: l.Leaf, index: l.Sub, eax: l.A, ebx: l.B, ecx: l.C, edx: l.D}
		if l.Indexed {
			t.list[i].flags = cpuidIndexed
		}
	}
	if err := request(c.fd, kvmSetCPUID2, t); err != nil {
		return fail("set CPUID", err)
	}
	return nil
}

// setTSC gives every vCPU the same offset, so that guests see one counter. Without the attribute the host adjusts counters that
// are written alike, and the offset is measured.
func (c *VCPU) setTSC() error {
	off := c.vm.offset
	a := deviceAttr{group: vcpuTSCGroup, attr: vcpuTSCOffset, addr: address(&off)}
	err := request(c.fd, kvmSetDeviceAttr, &a)
	keep(&off)
	if err == nil {
		return nil
	}
	if c.id == 0 {
		m := &msrs{n: 1}
		m.list[0].index = x86.MSRTSC
		before := rdtsc()
		if _, err := ioctl(c.fd, kvmGetMSRs, addr(m)); err != nil {
			return fail("read the guest's time-stamp counter", err)
		}
		c.vm.offset = m.list[0].data - before - (rdtsc()-before)/2
	}
	return nil
}

// Run implements engine.VCPU. The way of a write to a port, and into the guest after it, is written out: as many instructions as others
// have calls (bench-svm compares the round trip with C).
func (c *VCPU) Run(e *engine.Exit) error {
	if c.err != nil {
		return c.err
	}
	if err := c.vm.err.Load(); err != nil {
		return *err
	}
	if c.pending == portOut && c.left <= 1 {
		c.pending = nothing
	} else if c.pending != nothing && c.answer(e) {
		return nil
	}
	for {
		c.srValid, c.injected = false, false
		c.inside.Store(true)
		out, err := exited, error(nil)
		if c.raw && c.asks.Load() == 0 {
			r := rawIoctl(uintptr(c.fd), kvmRun, 0)
			c.inside.Store(false)
			c.ready = c.page[runReady] != 0 && c.page[runIF] != 0
			e.Interruptible = c.ready
			if r == 0 && c.plainWrite(e) {
				return nil
			}
			if r != 0 {
				out, err = c.interrupted(unix.Errno(-r))
			}
		} else {
			if c.asks.Load()&askWork != 0 {
				c.catchUp()
			}
			out, err = c.enter()
			c.ready = c.page[runReady] != 0 && c.page[runIF] != 0
			e.Interruptible = c.ready
		}
		switch {
		case err != nil:
			c.failed(e, err)
		case out == kickedIt:
			e.Kind, e.RIP = engine.ExitKick, c.u64(runSync+syncRIP)
		case out == signaled:
			e.Kind, e.RIP = engine.ExitSignal, c.u64(runSync+syncRIP)
		case !c.exited(e):
			continue
		}
		return nil
	}
}

// plainWrite translates an exit if it is a single write to a port, and no hypercall.
func (c *VCPU) plainWrite(e *engine.Exit) bool {
	head := c.u64(ioDirection) // direction, size, port, count
	port, at := uint16(head>>16), c.u32(ioOffset)
	if *c.reason != exitIO || head&^(0xffffff<<8) != 1<<32|1 || port == c.callPort || int(at)+4 > len(c.run) {
		return false
	}
	e.Kind, e.Write, e.Size, e.Port = engine.ExitIO, true, uint8(head>>8), port
	e.Data = uint64(binary.NativeEndian.Uint32(c.run[at:])) & (1<<(8*(head>>8&7)) - 1)
	e.RIP = c.u64(runSync + syncRIP)
	c.left, c.pending = 1, portOut
	return true
}

// answer gives the guest what the last exit asked for; true when the next element of a string is due first.
func (c *VCPU) answer(e *engine.Exit) bool {
	was := c.pending
	c.pending = nothing
	switch was {
	case portIn:
		putLE(c.run[c.at:c.at+c.step], e.Data)
		fallthrough
	case portOut:
		if c.left > 1 {
			c.left--
			c.at += c.step
			c.element(e)
			c.pending = was
			return true
		}
	case mmioIn:
		putLE(c.run[mmioData:mmioData+8], e.Data)
	case callByPort:
		c.storeRegs()
	case callByXen:
		c.set64(hcallResult, c.gpr[x86.RAX])
	case msrRead:
		c.set64(msrData, e.Data)
	}
	return false
}

// exited translates an exit; false is one that was dealt with here.
func (c *VCPU) exited(e *engine.Exit) bool {
	e.RIP = c.u64(runSync + syncRIP)
	switch reason := atomic.LoadUint32(c.reason); reason {
	case exitIO:
		c.port(e)
	case exitMMIO:
		e.Kind, e.GPA, e.Size = engine.ExitMMIO, guestmem.GPA(c.u64(mmioAddr)), uint8(min(c.u32(mmioLen), 8))
		if e.Write = c.page[mmioWrite] != 0; e.Write {
			e.Data = getLE(c.run[mmioData : mmioData+int(e.Size)])
		} else {
			c.pending = mmioIn
		}
	case exitHLT:
		e.Kind = engine.ExitHLT
	case exitIRQWindow:
		e.Kind = engine.ExitWindow
	case exitRDMSR, exitWRMSR:
		return c.msr(e, reason == exitWRMSR)
	case exitXen:
		c.loadCall()
		e.Kind, c.pending = engine.ExitHypercall, callByXen
	case exitShutdown:
		e.Kind = engine.ExitShutdown
	case exitDebug:
		e.Kind = engine.ExitDebug
	case exitIntr:
		e.Kind = engine.ExitSignal
	default:
		c.internal(e, reason)
	}
	return true
}

func (c *VCPU) port(e *engine.Exit) {
	e.Write = c.page[ioDirection] != 0
	e.Size = c.page[ioSize]
	e.Port = uint16(c.u32(ioSize) >> 8)
	c.left, c.step = c.u32(ioCount), int(e.Size)
	c.at = int(c.u64(ioOffset))
	if e.Port == c.callPort && e.Port != 0 && e.Write && e.Size == 1 && c.left == 1 {
		c.loadRegs()
		e.Kind, c.pending = engine.ExitHypercall, callByPort
		return
	}
	c.pending = portIn
	if e.Write {
		c.pending = portOut
	}
	c.element(e)
}

// element is one access of a string.
func (c *VCPU) element(e *engine.Exit) {
	e.Kind = engine.ExitIO
	if !e.Write {
		return
	}
	switch p := c.run[c.at : c.at+c.step]; len(p) {
	case 1:
		e.Data = uint64(p[0])
	case 2:
		e.Data = uint64(binary.NativeEndian.Uint16(p))
	case 4:
		e.Data = uint64(binary.NativeEndian.Uint32(p))
	}
}

// msr translates an MSR exit. What the host knows and refuses is #GP without asking; registers of the APIC are refused because the host
// has none.
func (c *VCPU) msr(e *engine.Exit, write bool) bool {
	e.MSR, e.Data = c.u32(msrIndex), c.u64(msrData)
	c.page[msrError] = 0
	if c.u32(msrReason) == msrExitInval && e.MSR-x86.MSRX2APIC >= 0x100 {
		c.page[msrError] = 1
		return false
	}
	e.Kind, c.pending = engine.ExitRDMSR, msrRead
	if write {
		e.Kind, c.pending = engine.ExitWRMSR, msrWritten
	}
	return true
}

// failed is a KVM_RUN that came back with an error.
func (c *VCPU) failed(e *engine.Exit, err error) {
	e.Kind, e.Reason = engine.ExitInternal, runFailure(err)
}

// internal says what the host could not do.
func (c *VCPU) internal(e *engine.Exit, reason uint32) {
	e.Kind, e.InsnN, e.Reason = engine.ExitInternal, 0, c.exitFailure(reason)
	if reason != exitInternalError || c.u32(failSuberror) != internalEmulate {
		return
	}
	e.Reason += ": the host cannot emulate this instruction"
	if c.u32(failNData) >= 1 && c.u64(failData)&flagInsnBytes != 0 {
		e.InsnN = min(c.run[failInsnSize], uint8(len(e.Insn)))
		copy(e.Insn[:e.InsnN], c.run[failInsnBytes:])
		e.Reason += fmt.Sprintf(": % x", e.Insn[:e.InsnN])
	}
}

// Inject implements engine.VCPU.
func (c *VCPU) Inject(vector uint8) {
	n := uint32(vector)
	if err := request(c.fd, kvmInterrupt, &n); err != nil {
		c.note(fail("inject an interrupt", err))
	}
	c.injected = true
}

// InjectNMI implements engine.VCPU.
func (c *VCPU) InjectNMI() {
	if _, err := ioctl(c.fd, kvmNMI, 0); err != nil {
		c.note(fail("inject an NMI", err))
	}
}

func (c *VCPU) note(err error) {
	if c.err == nil {
		c.err = err
	}
}

// InjectFault implements engine.VCPU.
func (c *VCPU) InjectFault(f x86.Fault) {
	if c.pending == msrRead || c.pending == msrWritten {
		c.page[msrError] = 1 // the host raises #GP
		return
	}
	if f.Vector == x86.VectorPF {
		c.loadSregs()
		c.sr.cr2 = f.Addr
		c.storeSregs()
	}
	var v vcpuEvents
	if err := request(c.fd, kvmGetVCPUEvents, &v); err != nil {
		c.note(fail("raise an exception", err))
		return
	}
	v.exception.injected, v.exception.nr, v.exception.errorCode = 1, f.Vector, f.Error
	v.exception.hasError = bit(f.HasError)
	v.flags = 0
	if err := request(c.fd, kvmSetVCPUEvents, &v); err != nil {
		c.note(fail("raise an exception", err))
	}
}

// Interruptible implements engine.VCPU.
func (c *VCPU) Interruptible() bool { return c.ready && !c.injected }

// WantWindow implements engine.VCPU.
func (c *VCPU) WantWindow(on bool) {
	if on == c.window {
		return
	}
	c.window = on
	if on {
		atomic.OrUint32(c.immediate, windowBit)
	} else {
		atomic.AndUint32(c.immediate, ^uint32(windowBit))
	}
}

// windowBit is request_interrupt_window in the first word of kvm_run.
const windowBit = 1 << (8 * runIRQWindow)

// CR8 implements engine.VCPU.
func (c *VCPU) CR8() uint8 { return c.page[runCR8] }

// SetCR8 implements engine.VCPU.
func (c *VCPU) SetCR8(v uint8) { c.set64(runCR8, uint64(v)) }

// Regs implements engine.VCPU.
func (c *VCPU) Regs() *[16]uint64 { return &c.gpr }

// Instructions implements engine.VCPU: KVM does not count them.
func (c *VCPU) Instructions() uint64 { return 0 }

// Paging implements engine.VCPU.
func (c *VCPU) Paging() (cr0, cr3, cr4, efer uint64) {
	c.loadSregs()
	return c.sr.cr0, c.sr.cr3, c.sr.cr4, c.sr.efer
}

// Mode implements engine.VCPU.
func (c *VCPU) Mode() engine.Mode {
	if c.pending == callByXen {
		return engine.Mode{Long: c.u32(hcallLongMode) != 0, CPL: uint8(c.u32(hcallCPL))}
	}
	c.loadSregs()
	return engine.Mode{Long: c.sr.efer&x86.EFERLMA != 0 && c.sr.cs.l != 0, CPL: c.sr.ss.dpl}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func putLE(b []byte, v uint64) {
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
}

func getLE(b []byte) (v uint64) {
	for i := range b {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}
