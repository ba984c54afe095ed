package build

import (
	"gozen/hypervisor/config"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/xen"
	"gozen/pvh"
)

// makePV builds the parts of a PV domain in order.
func (m *Machine) makePV() error {
	if m.sys != nil {
		if !m.sys.Hardware {
			return &config.Error{Field: "engine", What: "a PV domain cannot run on this host's KVM (" + m.sys.Name + ")",
				Why: "it keeps shadows of the guest's page tables, and does not see what the hypervisor writes to them", Fix: `engine="soft"`}
		}
		m.sys.Ahead()
	}
	exit := []byte{0xe6, vcpu.MonitorPort} // out %al, $MonitorPort
	layout := pv.NewLayout(m.cfg.MemoryMiB<<20, m.vcpus(), m.grantFrames())
	if err := m.newMemory(layout.Ranges()); err != nil {
		return err
	}
	var err error
	if m.pv, err = pv.New(m.mem, layout, m.vcpus(), exit); err != nil {
		return err
	}
	boot, err := m.loadPV()
	if err != nil {
		return err
	}
	m.paths = pvh.PVPaths()
	m.rings = rings{console: boot.Console, xenstore: boot.Store}
	if err := m.newVM(); err != nil {
		return err
	}
	e820 := []xen.HVMMemmapTableEntry{{Size: layout.RAM.Size, Type: xen.XEN_HVM_MEMMAP_TYPE_RAM}}
	if err := m.newDomain(e820); err != nil {
		return err
	}
	if err := m.dom.AddToPhysmap(xen.XENMAPSPACE_shared_info, 0, layout.SharedInfo); err != 0 {
		return err
	}
	for _, v := range m.dom.VCPUs {
		v.SetMasked(true) // as the guest finds it at its start
		if v.ID < xen.XEN_LEGACY_MAX_VCPUS {
			v.PV.SetInfo(layout.SharedInfo, uint32(v.ID)*xen.VCPUInfoSize)
		}
	}
	if err := m.makeVCPUs(); err != nil {
		return err
	}
	if err := m.makeBackends(); err != nil {
		return err
	}
	m.boot = *m.pv.VCPUs[0].State()
	return boot.SetPorts(m.mem, m.storePort, m.consolePort)
}

func (m *Machine) grantFrames() int {
	if m.cfg.MaxGrantFrames != 0 {
		return int(m.cfg.MaxGrantFrames)
	}
	return 64
}

func (m *Machine) loadPV() (*pv.Boot, error) {
	k, initrd, done, err := m.images()
	if err != nil {
		return nil, err
	}
	defer done()
	return m.pv.Load(k, initrd, m.cfg.Cmdline)
}
