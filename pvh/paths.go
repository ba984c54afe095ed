package pvh

import (
	"gozen/hypervisor/image"
)

// HostFacts is what matters of a host for the ways between it and a guest.
type HostFacts struct {
	Intercept bool // VMCALL and VMMCALL of the guest can be had
	Deliver   bool // the host delivers 2-level events, upcalls and timers of Xen guests itself
	Chip      bool // it has local APICs, and interrupts of them that end by themselves
}

// Paths are the ways that were chosen for a domain, and why. They are shown by xl list -l.
type Paths struct {
	Hypercalls string // intercept, page (OUT in the hypercall page), patch (OUT in the kernel's own functions), or exit
	APIC       string // ours, host, host with Xen events, or host GICv3
	Events     string // 2-level, or fifo where the guest asks for it
	Upcall     string // by whom the callback vector is injected
	Timer      string // by whom timers are kept
	Why        []string
}

// The values of Paths that others compare.
const (
	HypercallIntercept = "intercept"
	HypercallPage      = "page"
	HypercallPatch     = "patch"
	HypercallExit      = "exit"
	APICOurs           = "ours"
	APICHost           = "host"
	APICHostXen        = "host with Xen events"
	APICHostGIC        = "host GICv3"
)

const fifoIfAsked = "fifo, if the guest asks for it"

// SoftPaths are the ways of a domain on the software CPU.
func SoftPaths() Paths {
	return Paths{Hypercalls: HypercallExit, APIC: APICOurs, Events: fifoIfAsked, Upcall: "gozen", Timer: "gozen",
		Why: []string{"the software CPU hands VMCALL and VMMCALL over, and has no interrupt controller of its own"}}
}

// PVPaths are the ways of a PV domain: its monitor catches what its kernel does.
func PVPaths() Paths {
	return Paths{Hypercalls: "monitor: SYSCALL from ring 3", APIC: "none", Events: fifoIfAsked, Upcall: "gozen, by a frame on the kernel's stack", Timer: "gozen",
		Why: []string{"a PV kernel runs in ring 3, under a monitor in ring 0 of its virtual machine"}}
}

// A64Paths are the ways of an arm64 domain.
func A64Paths() Paths {
	return Paths{Hypercalls: HypercallExit, APIC: APICHostGIC, Events: fifoIfAsked, Upcall: "host, by a PPI that gozen raises and lowers", Timer: "host",
		Why: []string{"the host hands HVC over (SMCCC filter); its GICv3 and its architected timers are the guest's"}}
}

// NoThunks corrects the choice for a kernel whose hypercall functions were not found.
func (p *Paths) NoThunks() {
	p.Hypercalls = HypercallPage
	p.Why[0] = "the host keeps VMCALL and VMMCALL for itself, and the kernel has no hypercall functions that could be patched: it must set up a hypercall page, which can hold OUT"
}

// Choose decides by the host's abilities and the kernel's notes.
func Choose(h HostFacts, n image.Notes) Paths {
	p := Paths{Events: fifoIfAsked, APIC: APICOurs, Upcall: "gozen", Timer: "gozen"}
	why := func(s string) { p.Why = append(p.Why, s) }
	switch {
	case h.Intercept:
		p.Hypercalls = HypercallIntercept
		why("the host hands VMCALL and VMMCALL over (CONFIG_KVM_XEN)")
	case n.Has(image.NoteHypercallPage):
		p.Hypercalls = HypercallPage
		why("the host keeps VMCALL and VMMCALL for itself; the kernel has a hypercall page, which can hold OUT")
	default:
		p.Hypercalls = HypercallPatch
		why("the host keeps VMCALL and VMMCALL for itself, and the kernel has no hypercall page: its two hypercall functions become OUT")
	}
	switch {
	case !h.Chip:
		why("the callback vector has no EOI, and this host's local APICs have no interrupts without: they are ours")
	case h.Intercept && h.Deliver:
		p.APIC, p.Events, p.Upcall, p.Timer = APICHostXen, "2-level", "host", "host"
		why("the host delivers 2-level events, upcalls and timers without leaving the kernel, which FIFO channels would prevent")
	default:
		p.APIC, p.Upcall = APICHost, "host"
		why("the host has no Xen events; its local APICs take the callback vector, as an interrupt that ends by itself")
	}
	return p
}
