package hvm

import (
	"gozen/hypervisor/apic"
	"gozen/hypervisor/hvm/isa"
	"gozen/hypervisor/hvm/pci"
)

// How PCI interrupt pins reach the controllers, as in Xen (arch/x86/hvm/irq.c, hvm_pci_intx_gsi and hvm_pci_intx_link).
const (
	firstPCIPin = 16
	timerPin    = 2 // of the IO-APIC, where ISA interrupt 0 is
	sciIRQ      = 9
)

// GSI gives the IO-APIC's pin of a device's interrupt pin (0 is INTA), and link the ISA bridge's.
func GSI(dev, pin int) int { return (dev*4+dev/8+pin)&31 + firstPCIPin }

func link(dev, pin int) int { return (dev + pin) & 3 }

// routes joins interrupt lines: a pin is high as long as anyone drives it.
type routes struct {
	pic    *isa.PIC
	io     *apic.IOAPIC
	bridge *pci.Function
	isa    [16]int
	pins   [apic.IOAPICPins]int
	links  [4]int  // drivers of each link
	routed [4]int8 // the ISA interrupt that each link drives now, -1 for none
}

// pin counts a driver of an IO-APIC pin in or out.
func (r *routes) pin(n int, high bool) {
	r.pins[n] += delta(high)
	r.io.Set(n, r.pins[n] > 0)
}

// line counts a driver of an ISA interrupt in or out.
func (r *routes) line(irq int, high bool) {
	r.isa[irq] += delta(high)
	up := r.isa[irq] > 0
	r.pic.Set(irq, up)
	if irq == 0 {
		r.io.Set(timerPin, up)
	} else if irq != timerPin {
		r.pin(irq, high)
	}
}

func delta(high bool) int {
	if high {
		return 1
	}
	return -1
}

// device gives the line of one ISA device, which may be driven to the level it has.
func (r *routes) device(irq int) isa.Line {
	was := false
	return func(high bool) {
		if high != was {
			was = high
			r.line(irq, high)
		}
	}
}

// intx is a change of a PCI device's interrupt pin.
func (r *routes) intx(dev, pin int, high bool) {
	r.pin(GSI(dev, pin), high)
	n := link(dev, pin)
	r.links[n] += delta(high)
	r.relink()
}

// relink makes the links drive the ISA interrupts that the bridge says.
func (r *routes) relink() {
	for n := range r.links {
		want := int8(-1)
		if irq, ok := r.bridge.Link(n); ok && r.links[n] > 0 {
			want = int8(irq)
		}
		if was := r.routed[n]; want != was {
			r.routed[n] = want
			if was >= 0 {
				r.line(int(was), false)
			}
			if want >= 0 {
				r.line(int(want), true)
			}
		}
	}
}
