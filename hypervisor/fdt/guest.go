package fdt

import (
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Guest is what the tree of a domain says.
type Guest struct {
	VersionMajor, VersionMinor int // of Xen
	VCPUs                      int
	MPIDR                      func(vcpu int) uint64
	RAM                        []guestmem.Range
	Cmdline                    string
	Initrd                     guestmem.Range // Size 0 for none
	GICD, GICR                 guestmem.Range
	GrantTable                 guestmem.Range
	RandomSeed                 []byte // for the guest's random number generator; nil for none
}

// gicHandle is the phandle of the interrupt controller, as libxl numbers it.
const gicHandle = 65000

// Cells of an interrupt specifier (Linux bindings/interrupt-controller/arm,gic.yaml): its type, and low level for all CPUs, as Xen
// describes each PPI. The polarity means nothing to a virtual GIC; that it is a level does.
const (
	gicPPI   = 1
	ppiFirst = 16
	levelLow = 0xf<<8 | 8
)

func ppi(irq uint32) []uint32 { return []uint32{gicPPI, irq - ppiFirst, levelLow} }

func ppis(irqs ...uint32) (cells []uint32) {
	for _, i := range irqs {
		cells = append(cells, ppi(i)...)
	}
	return cells
}

// Build makes the blob.
func (g *Guest) Build() ([]byte, error) {
	var w Writer
	w.Begin("")
	w.Strings("model", fmt.Sprintf("XENVM-%d.%d", g.VersionMajor, g.VersionMinor))
	w.Strings("compatible", fmt.Sprintf("xen,xenvm-%d.%d", g.VersionMajor, g.VersionMinor), "xen,xenvm")
	w.Cells("interrupt-parent", gicHandle)
	w.Cells("#address-cells", 2)
	w.Cells("#size-cells", 2)
	g.chosen(&w)
	g.cpus(&w)
	w.Begin("psci")
	w.Strings("compatible", "arm,psci-1.0", "arm,psci-0.2")
	w.Strings("method", "hvc")
	w.End()
	for _, r := range g.RAM {
		w.Begin(fmt.Sprintf("memory@%x", uint64(r.Base)))
		w.Strings("device_type", "memory")
		w.Wide("reg", uint64(r.Base), r.Size)
		w.End()
	}
	w.Begin(fmt.Sprintf("interrupt-controller@%x", uint64(g.GICD.Base)))
	w.Strings("compatible", "arm,gic-v3")
	w.Cells("#interrupt-cells", 3)
	w.Cells("#address-cells", 0)
	w.Empty("interrupt-controller")
	w.Wide("reg", uint64(g.GICD.Base), g.GICD.Size, uint64(g.GICR.Base), g.GICR.Size)
	w.Cells("linux,phandle", gicHandle)
	w.Cells("phandle", gicHandle)
	w.End()
	w.Begin("timer")
	w.Strings("compatible", "arm,armv8-timer")
	w.Cells("interrupts", ppis(xen.GUEST_TIMER_PHYS_S_PPI, xen.GUEST_TIMER_PHYS_NS_PPI, xen.GUEST_TIMER_VIRT_PPI)...)
	w.End()
	w.Begin("hypervisor")
	w.Strings("compatible", fmt.Sprintf("xen,xen-%d.%d", g.VersionMajor, g.VersionMinor), "xen,xen")
	w.Wide("reg", uint64(g.GrantTable.Base), g.GrantTable.Size)
	w.Cells("interrupts", ppi(xen.GUEST_EVTCHN_PPI)...)
	w.End()
	w.End()
	return w.Finish()
}

func (g *Guest) chosen(w *Writer) {
	w.Begin("chosen")
	w.Strings("bootargs", g.Cmdline)
	if g.Initrd.Size > 0 {
		w.Wide("linux,initrd-start", uint64(g.Initrd.Base))
		w.Wide("linux,initrd-end", uint64(g.Initrd.Base)+g.Initrd.Size)
	}
	if g.RandomSeed != nil {
		w.Bytes("rng-seed", g.RandomSeed)
	}
	w.End()
}

func (g *Guest) cpus(w *Writer) {
	w.Begin("cpus")
	w.Cells("#address-cells", 1)
	w.Cells("#size-cells", 0)
	for i := range g.VCPUs {
		w.Begin(fmt.Sprintf("cpu@%x", g.MPIDR(i)))
		w.Strings("device_type", "cpu")
		w.Strings("compatible", "arm,armv8")
		w.Strings("enable-method", "psci")
		w.Cells("reg", uint32(g.MPIDR(i)))
		w.End()
	}
	w.End()
}
