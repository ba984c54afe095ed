package kvm

import (
	"fmt"
	"sync/atomic"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/a64/paging"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Run implements engine.A64VCPU.
func (c *VCPU) Run(e *engine.Exit) error {
	if c.reading {
		c.reading = false
		putLE(c.run[mmioData:mmioData+8], e.Data)
	}
	for {
		if c.err != nil {
			return c.err
		}
		if err := c.vm.err.Load(); err != nil {
			return *err
		}
		out, err := c.enter()
		switch {
		case err != nil:
			c.failed(e, err)
		case out == kickedIt:
			c.online.Store(c.mpState() != mpStateStopped)
			e.Kind = engine.ExitKick
		case out == signaled:
			e.Kind = engine.ExitSignal
		case !c.exited(e):
			continue
		}
		return nil
	}
}

// exited translates an exit; false is one that was dealt with here.
func (c *VCPU) exited(e *engine.Exit) bool {
	switch reason := atomic.LoadUint32(c.reason); reason {
	case exitHypercall:
		e.Kind, e.Data = engine.ExitSMCCC, c.u64(hcallNumber)
		if c.u64(hcallFlags)&hcallSMC == 0 && c.isXen() {
			e.Kind = engine.ExitHypercall
		}
		c.online.Store(true)
	case exitMMIO:
		e.Kind, e.GPA, e.Size = engine.ExitMMIO, guestmem.GPA(c.u64(mmioAddr)), uint8(min(c.u32(mmioLen), 8))
		if e.Write = c.run[mmioWrite] != 0; e.Write {
			e.Data = getLE(c.run[mmioData : mmioData+int(e.Size)])
		} else {
			c.reading = true
		}
	case exitNISV:
		c.abort()
		return false
	case exitSystemEvent:
		e.Kind = engine.ExitShutdown
		switch c.u32(eventType) {
		case eventShutdown:
			e.Data = engine.PowerOff
		case eventReset:
			e.Data = engine.PowerReset
		case eventCrash:
			e.Data = engine.PowerCrash
		default:
			c.internal(e, reason)
		}
	case exitIntr:
		e.Kind = engine.ExitSignal
	case exitDebug:
		e.Kind = engine.ExitDebug
	default:
		c.internal(e, reason)
	}
	return true
}

// tagCache remembers instructions that were found to be hypercalls, by address: the guest's kernel has a dozen. A guest that replaces
// one by another kind of call gets a hypercall's answer from it.
type tagCache [8]uint64

// isXen says whether the call that exited is HVC with Xen's tag. The exit tells no immediate; the instruction lies before PC.
func (c *VCPU) isXen() bool {
	pc := c.get(regPC) - 4
	slot := &c.tags[pc>>2&7]
	if *slot == pc {
		return true
	}
	var b [4]byte
	if paging.Copy(c.vm.mem, c.Translation(), pc, b[:], false) != nil {
		return false
	}
	imm, ok := a64.HVCImmediate(uint32(getLE(b[:])))
	if !ok || imm != xen.XEN_HYPERCALL_TAG {
		return false
	}
	*slot = pc
	return true
}

// abort answers an access to nothing, by an instruction that the host cannot decode, with an external abort.
func (c *VCPU) abort() {
	if err := request(c.fd, kvmSetVCPUEvents, &vcpuEvents{dabtPending: 1}); err != nil {
		c.note(fail("raise an external abort", err))
	}
}

// failed is a KVM_RUN that came back with an error.
func (c *VCPU) failed(e *engine.Exit, err error) {
	e.Kind, e.Reason = engine.ExitInternal, runFailure(err)
}

// internal says what the host could not do.
func (c *VCPU) internal(e *engine.Exit, reason uint32) {
	e.Kind, e.Reason = engine.ExitInternal, c.exitFailure(reason)
	if reason == exitSystemEvent {
		e.Reason = fmt.Sprintf("KVM system event %d, which gozen does not know", c.u32(eventType))
	}
}

func (c *VCPU) note(err error) {
	if c.err == nil {
		c.err = err
	}
}

// SetUpcall implements engine.A64VCPU.
func (c *VCPU) SetUpcall(level bool) error {
	l := irqLevel{irq: irqTypePPI | uint32(c.id&0xff)<<16 | uint32(c.id>>8)<<28 | c.vm.cfg.UpcallPPI}
	if level {
		l.level = 1
	}
	if err := request(c.vm.fd, kvmIRQLine, &l); err != nil {
		return fail("set the upcall's line", err)
	}
	return nil
}

// Online implements engine.A64VCPU: as of the last exit or kick.
func (c *VCPU) Online() bool { return c.online.Load() }

func (c *VCPU) mpState() uint32 {
	var s uint32
	if err := request(c.fd, kvmGetMPState, &s); err != nil {
		return mpStateRunnable
	}
	return s
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
