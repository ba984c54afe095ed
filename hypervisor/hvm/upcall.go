package hvm

import (
	"sync/atomic"

	"gozen/hypervisor/apic"
	"gozen/hypervisor/xen"
)

// upcall is the interrupt line by which a guest is told of events.
type upcall struct {
	via  atomic.Uint64
	high atomic.Bool
}

// Upcall drives the line that via, a value of HVM_PARAM_CALLBACK_IRQ, names: high as long as an event is pending on the first vCPU (Xen
// arch/x86/hvm/irq.c, hvm_set_callback_irq_level). 0 is no line. The first vCPU's goroutine calls it; it costs two loads when nothing has
// changed.
func (p *Platform) Upcall(via uint64, pending bool) {
	u := &p.upcall
	if u.via.Load() == via && u.high.Load() == pending {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if was := u.via.Swap(via); was != via && u.high.Swap(false) {
		p.drive(was, false)
	}
	if u.high.Swap(pending) != pending {
		p.drive(via, pending)
	}
	p.settle()
}

// Kinds of HVM_PARAM_CALLBACK_IRQ that name lines (public/hvm/params.h).
const (
	viaGSI = xen.HVM_PARAM_CALLBACK_TYPE_GSI
	viaPCI = xen.HVM_PARAM_CALLBACK_TYPE_PCI_INTX
)

// drive drives the line that via names, if it names one.
func (p *Platform) drive(via uint64, high bool) {
	switch via >> 56 {
	case viaGSI:
		switch n := int(via & 0xff); {
		case n == 0 || n == timerPin || n >= apic.IOAPICPins:
		case n < 16:
			p.routes.line(n, high)
		default:
			p.routes.pin(n, high)
		}
	case viaPCI: // device in bits 11 to 15, pin in bits 0 and 1
		p.routes.intx(int(via>>11&31), int(via&3), high)
	}
}
