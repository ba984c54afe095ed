package build

import (
	"fmt"
	"io"
	"strings"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/config"
	"gozen/hypervisor/hvm"
	"gozen/hypervisor/image"
	"gozen/hypervisor/xen"
	"gozen/pvh"
)

// makeHVM builds all parts of an HVM domain in order.
func (m *Machine) makeHVM() error {
	if err := m.checkHVM(); err != nil {
		return err
	}
	if m.sys != nil {
		m.sys.Ahead()
	}
	uuid, err := parseUUID(m.cfg.UUID)
	if err != nil {
		return err
	}
	plan, err := hvm.NewPlan(hvm.PlanConfig{Memory: m.cfg.MemoryMiB << 20, VCPUs: m.vcpus(), UUID: uuid, Serial: m.cfg.Serial, NoHPET: m.cfg.NoHPET})
	if err != nil {
		return err
	}
	if err := m.newMemory(plan.RAM); err != nil {
		return err
	}
	if err := m.special(hvm.XenstoreGFN, hvm.ConsoleGFN, hvm.IdentPTGFN); err != nil {
		return err
	}
	if err := m.loadHVM(plan); err != nil {
		return err
	}
	m.rings = rings{console: hvm.ConsoleGFN, xenstore: hvm.XenstoreGFN}
	m.boot.IDTR.Limit = 0xffff // as in make
	if err := m.newVM(); err != nil {
		return err
	}
	if err := m.newDomain(plan.E820); err != nil {
		return err
	}
	if err := m.platform(); err != nil {
		return err
	}
	if err := m.makeVCPUs(); err != nil {
		return err
	}
	m.loops[0].APIC.VirtualWire()
	return m.makeBackends()
}

// checkHVM refuses what an HVM domain cannot have yet.
func (m *Machine) checkHVM() error {
	if m.sys != nil && !m.sys.Hardware {
		return &config.Error{Field: "engine", What: "an HVM domain cannot run on this host's KVM (" + m.sys.Name + ")",
			Why: "there is no hardware virtualization behind it, and it is not known to run real mode", Fix: `use engine="soft"`}
	}
	return nil
}

// loadHVM loads the kernel, or the firmware of a domain without.
func (m *Machine) loadHVM(plan *hvm.Plan) error {
	if m.cfg.Kernel == "" {
		return m.loadBIOS(plan)
	}
	k, initrd, done, err := m.images()
	if err != nil {
		return err
	}
	defer done()
	s, err := plan.Load(m.mem, k, initrd, m.cfg.Cmdline)
	if err != nil {
		return err
	}
	m.boot = *s
	return m.pathsHVM(k)
}

// pathsHVM chooses the ways between the guest and us.
func (m *Machine) pathsHVM(k *image.Kernel) error {
	if m.sys == nil {
		m.paths = pvh.SoftPaths()
		return nil
	}
	return m.openHVM(k)
}

func (m *Machine) loadBIOS(plan *hvm.Plan) error {
	f, err := m.open("bios_path_override", m.cfg.BIOS())
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, hvm.MaxBIOS+1))
	if err != nil {
		return fmt.Errorf("read firmware: %w", err)
	}
	s, err := plan.LoadBIOS(m.mem, f.Name(), b)
	if err != nil {
		return err
	}
	m.boot = *s
	return m.pathsHVM(nil)
}

// platform makes the domain's devices.
func (m *Machine) platform() error {
	disks, cds := m.ideDisks()
	var log lineWriter
	c := hvm.Config{Now: m.dom.Clock.Now, Wall: m.wall(), Bus: m, Kick: func() { m.dom.VCPUs[0].Kick() },
		PlatformPCI: !m.cfg.NoPlatformPCI, NoHPET: m.cfg.NoHPET,
		Disks: disks, CDs: cds, CDFirst: strings.HasPrefix(m.cfg.Boot, "d"), Memory: m.mem, Log: func(b byte) { log.put(b, consoleIO{m.opts.Log}) },
		PowerOff: func() { m.dom.Shutdown(xen.SHUTDOWN_poweroff) }, Reset: func() { m.dom.Shutdown(xen.SHUTDOWN_reboot) }}
	if m.cfg.Serial {
		m.typed = &typed{room: make(chan struct{}, 1)}
		var one [1]byte // serialised by the platform
		c.Serial = func(b byte) { one[0] = b; _, _ = m.opts.ConsoleOut.Write(one[:]) }
		c.SerialRoom = m.typed.more
	}
	m.pc = hvm.New(c)
	return nil
}

// lineWriter makes lines of letters.
type lineWriter struct{ line []byte }

// maxLine is where a line without end is cut.
const maxLine = 256

func (l *lineWriter) put(b byte, w io.Writer) {
	l.line = append(l.line, b)
	if b == '\n' || len(l.line) >= maxLine {
		_, _ = w.Write(l.line)
		l.line = l.line[:0]
	}
}

// EOI implements apic.EOIBus.
func (m *Machine) EOI(vector uint8) {
	if m.pc != nil {
		m.pc.EOI(vector)
	}
}

// typed carries what is typed at the domain's console: to its serial port while the guest listens there, else to the PV console.
type typed struct {
	pc   *hvm.Platform
	con  *backend.Console
	room chan struct{}
}

// Write gives input to the guest; see backend.Console.
func (t *typed) Write(p []byte) (int, error) {
	if n, ok := t.pc.Type(p); ok {
		return n, nil
	}
	return t.con.Write(p)
}

// InputRoom gives a channel on which a value arrives when there may be room for more input.
func (t *typed) InputRoom() <-chan struct{} {
	if t.pc.Listening() {
		return t.room
	}
	return t.con.InputRoom()
}

// more is called when the serial port has room.
func (t *typed) more() {
	select {
	case t.room <- struct{}{}:
	default:
	}
}
