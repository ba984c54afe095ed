package build

import (
	"gozen/hypervisor/apic"
	"gozen/hypervisor/engine/kvm"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/image"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/cpuid"
	"gozen/pvh"
)

// newKVM makes the machine on the host's KVM.
func (m *Machine) newKVM() error {
	supported, err := m.sys.SupportedCPUID()
	if err != nil {
		return err
	}
	c := kvm.Config{Memory: m.mem, Intercept: m.paths.Hypercalls == pvh.HypercallIntercept, Chip: chips[m.paths.APIC]}
	insn := []byte{0xe6, hypercallPort} // out %al, $hypercallPort
	if c.Intercept {
		insn = []byte(hypercall.VMMCALL)
		if m.sys.Name == "kvm-intel" {
			insn = []byte(hypercall.VMCALL)
		}
	} else if m.pv == nil {
		c.HypercallPort = hypercallPort
	}
	m.hyper = hypercall.Page(insn)
	c.CPUID = func(id int) []x86.CPUIDLeaf {
		p := cpuid.Processor{APICID: apic.APICID(id), VCPUs: m.vcpus()}
		leaves := cpuid.Host(supported, p, m.sys.TSCStable, m.dom.VCPUs[id].XenLeaf)
		if m.pv != nil {
			for i, l := range leaves {
				r := cpuid.PV(l.Leaf, l.Sub, cpuid.Regs{A: l.A, B: l.B, C: l.C, D: l.D})
				leaves[i].A, leaves[i].B, leaves[i].C, leaves[i].D = r.A, r.B, r.C, r.D
			}
			m.leaves = append(m.leaves[:0:0], leaves...) // for the CPUID that a PV guest asks Xen for
		}
		return leaves
	}
	vm, err := m.sys.New(c)
	if err != nil {
		return err
	}
	m.vm, m.src = vm, vm
	if c.Chip != kvm.ChipNone {
		m.host = vm
	}
	return nil
}

var chips = map[string]kvm.ChipMode{pvh.APICHost: kvm.ChipHost, pvh.APICHostXen: kvm.ChipXen}

func (m *Machine) hostFacts() pvh.HostFacts {
	x := m.sys.Xen
	return pvh.HostFacts{Intercept: x.Intercept, Deliver: x.SharedInfo && x.TwoLevel && x.Send, Chip: m.sys.SplitChip && m.sys.AutoEOI && m.sys.SignalMSI}
}

// openHypercalls chooses the paths, and lets a kernel without a hypercall page reach us on a host that keeps VMCALL and VMMCALL for itself.
func (m *Machine) openHypercalls(k *image.Kernel, b *pvh.Boot) error {
	return m.choosePaths(k, m.hostFacts(), b.Notes)
}

// openHVM is openHypercalls for an HVM domain, whose local APICs are ours: they belong to its IO-APIC and 8259s. k is nil where firmware starts
// a kernel that nobody has seen.
func (m *Machine) openHVM(k *image.Kernel) error {
	f := m.hostFacts()
	f.Chip, f.Deliver = false, false
	var n image.Notes
	if k != nil {
		var err error
		if n, err = k.Notes(); err != nil {
			return err
		}
	}
	if err := m.choosePaths(k, f, n); err != nil {
		return err
	}
	m.paths.Why[len(m.paths.Why)-1] = "local APICs are ours, with the IO-APIC and the 8259s"
	return nil
}

func (m *Machine) choosePaths(k *image.Kernel, f pvh.HostFacts, n image.Notes) error {
	m.paths = pvh.Choose(f, n)
	if m.paths.Hypercalls != pvh.HypercallPatch {
		return nil
	}
	if k != nil {
		if t, ok := pvh.FindThunks(m.mem, k); ok {
			return t.Patch(m.mem, hypercallPort)
		}
	}
	m.paths.NoThunks()
	m.opts.Warn("this host keeps VMCALL and VMMCALL for itself, and the kernel has no pair of hypercall functions to be patched: it must use a hypercall page")
	return nil
}
