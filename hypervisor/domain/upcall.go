package domain

import (
	"gozen/hypervisor/xen"
)

const callbackValid = 0x100

// setCallback takes a new value of HVM_PARAM_CALLBACK_IRQ: a vector, or an interrupt line, which only an HVM domain's platform has.
func (d *Domain) setCallback(via uint64) {
	c, line := uint32(0), via
	if d.ABI() == xen.ABIA64 {
		return // a PPI, fixed at the start
	}
	if via>>56 == xen.HVM_PARAM_CALLBACK_TYPE_VECTOR {
		c, line = callbackValid|uint32(uint8(via)), 0
	}
	d.line.Store(line)
	d.callback.Store(c)
	d.host.Callback(uint8(c))
}

// notifyUpcall is called when evtchn_upcall_pending of a vCPU went from 0 to 1.
func (d *Domain) notifyUpcall(vcpu int) {
	v := d.VCPUs[vcpu]
	if v.vector.Load() != 0 {
		v.edge.Store(true)
	}
	if v.Raise != nil {
		v.Raise()
		return
	}
	v.Kick()
}

// UpcallPending says whether evtchn_upcall_pending is set. HVM and PVH ignore evtchn_upcall_mask (Xen
// arch/x86/hvm/irq.c). Any goroutine.
func (v *VCPU) UpcallPending() bool {
	in := v.info.Load()
	return in.Page.Load8(in.Off+xen.VCPUInfoUpcallPending) != 0
}

// CallbackVector gives the vector of HVM_PARAM_CALLBACK_IRQ if an upcall by it is due: it is to be injected, with no LAPIC
// involved and no EOI to come, as soon as the guest takes interrupts, and again as long as the
// guest leaves evtchn_upcall_pending set.
func (v *VCPU) CallbackVector() (vector uint8, due bool) {
	if v.vector.Load() != 0 { // the vCPU has its own vector: hvm_set_callback_via is passed over (Xen arch/x86/hvm/irq.c)
		return 0, false
	}
	c := v.Dom.callback.Load()
	if c == 0 || !v.UpcallPending() {
		return 0, false
	}
	return uint8(c), true
}

// CallbackLine gives the interrupt line by which the vCPU is told of events, as HVM_PARAM_CALLBACK_IRQ names it, and whether it shall be high;
// 0 where there is none. Only the first vCPU has one.
func (v *VCPU) CallbackLine() (via uint64, high bool) {
	if via = v.Dom.line.Load(); via == 0 || v.ID != 0 || v.vector.Load() != 0 {
		return 0, false
	}
	return via, v.UpcallPending()
}

// TakeUpcallVector gives the vCPU's own upcall vector if an edge waits for it, and forgets the edge: the caller sets
// it in the LAPIC's IRR, if the LAPIC is enabled, and the guest sends an EOI.
func (v *VCPU) TakeUpcallVector() (vector uint8, due bool) {
	if !v.edge.Load() || !v.edge.Swap(false) {
		return 0, false
	}
	return uint8(v.vector.Load()), true
}

// SetUpcallVector is HVMOP_set_evtchn_upcall_vector. Like Xen it raises the vector once. (Linux then finds a stale request in an APIC that it
// has not set up yet, and reads all its registers 512 times in the hope that it goes away: where a read is an exit, own vectors are not offered.)
func (v *VCPU) SetUpcallVector(vector uint8) xen.Errno {
	if vector < 16 {
		return xen.EINVAL
	}
	v.vector.Store(uint32(vector))
	v.Dom.host.UpcallVector(v.ID, vector)
	v.edge.Store(true)
	v.Kick()
	return 0
}

// Upcall says how upcalls reach the vCPU: Own is its own vector through the LAPIC, Callback the domain's callback
// vector; 0 where not set. Any goroutine.
type Upcall struct{ Own, Callback uint8 }

// Upcall tells how upcalls reach the vCPU.
func (v *VCPU) Upcall() Upcall { return Upcall{uint8(v.vector.Load()), uint8(v.Dom.callback.Load())} }

// ResetUpcallVector forgets the vCPU's own vector, as a reset of the vCPU does.
func (v *VCPU) ResetUpcallVector() {
	v.vector.Store(0)
	v.edge.Store(false)
}

// RaiseNMI marks a non-maskable interrupt (VCPUOP_send_nmi). Any goroutine.
func (v *VCPU) RaiseNMI() {
	if !v.nmi.Swap(true) {
		v.Kick()
	}
}

// TakeNMI reports whether an NMI waits, and forgets it: the caller injects it.
func (v *VCPU) TakeNMI() bool { return v.nmi.Load() && v.nmi.Swap(false) }

// RequestFlush asks for a flush of the vCPU's TLB (HVMOP_flush_tlbs). Any goroutine.
func (v *VCPU) RequestFlush() {
	if !v.flush.Swap(true) {
		v.Kick()
	}
}

// TakeFlush reports whether a flush was asked for, and forgets it: the caller flushes before entering the guest.
func (v *VCPU) TakeFlush() bool { return v.flush.Load() && v.flush.Swap(false) }
