package build

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/config"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/image"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/xen"
	"gozen/pvh"
)

// a64Machine is what only an arm64 domain has.
type a64Machine struct {
	vm      engine.A64VM
	loops   []*vcpu.A64Loop
	watcher *vcpu.Watcher
}

func (a *a64Machine) close() {
	if a.vm != nil {
		_ = a.vm.Close()
	}
}

// isA64 says whether the kernel is for arm64, and refuses one that this host cannot run. What is wrong with any other kernel
// is for its own loader to say.
func (m *Machine) isA64() (bool, error) {
	name := m.cfg.Kernel
	switch {
	case m.entry != nil:
		name = m.entry.Kernel.Path
	case name == "":
		return false, nil
	}
	k, err := m.a64Kernel()
	if errors.Is(err, image.ErrNotA64) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_ = k.Close()
	if runtime.GOARCH != "arm64" {
		return false, &config.Error{Field: "kernel", What: fmt.Sprintf("%s is an arm64 kernel (%s)", name, k.Container),
			Why: "it needs an arm64 host with KVM; this one is " + runtime.GOARCH, Fix: "use an x86-64 kernel"}
	}
	return true, nil
}

// makeA64 builds all parts of an arm64 domain in order.
func (m *Machine) makeA64() error {
	if m.cfg.Engine == config.EngineSoft || m.cfg.Deterministic || m.cfg.Interleaved {
		return &config.Error{Field: "engine", What: "an arm64 kernel cannot run on the software CPU", Why: "that one is an x86-64 CPU",
			Fix: `engine="kvm", without deterministic or interleaved mode`}
	}
	m.a64, m.paths = &a64Machine{}, pvh.A64Paths()
	plan, err := pvh.NewA64Plan(pvh.A64Config{Memory: m.cfg.MemoryMiB << 20, VCPUs: m.vcpus()})
	if err != nil {
		return err
	}
	if err := m.newMemory(plan.All); err != nil {
		return err
	}
	boot, err := m.loadA64(plan)
	if err != nil {
		return err
	}
	m.rings = rings{console: pvh.A64ConsoleGFN, xenstore: pvh.A64XenstoreGFN}
	if err := m.a64Domain(); err != nil {
		return err
	}
	if err := m.a64VCPUs(&boot.State); err != nil {
		return err
	}
	if err := m.makeBackends(); err != nil {
		return err
	}
	return nil
}

func (m *Machine) loadA64(plan *pvh.A64Plan) (*pvh.A64Boot, error) {
	k, err := m.a64Kernel()
	if err != nil {
		return nil, err
	}
	defer k.Close()
	initrd, done, err := m.initrd()
	if err != nil {
		return nil, err
	}
	defer done()
	return plan.Load(m.mem, k, initrd, m.cfg.Cmdline)
}

func (m *Machine) a64Domain() error {
	uuid, err := parseUUID(m.cfg.UUID)
	if err != nil {
		return err
	}
	m.src = hostTime{time.Now()}
	m.dom, err = domain.New(domain.Config{
		ID: xen.DomID(m.opts.Domid), UUID: uuid, Name: m.cfg.Name, Memory: m.mem, VCPUs: m.vcpus(),
		MaxPages: max(m.cfg.MaxMemoryMiB, m.cfg.MemoryMiB)<<8 + 64, MaxEventChannels: m.cfg.MaxEventChannels,
		MaxGrantFrames: m.cfg.MaxGrantFrames, MaxGrantVersion: uint32(m.cfg.MaxGrantVersion), FIFO: true, ABI: xen.ABIA64, Source: m.src, Wall: m.wall(),
		Console: consoleIO{m.opts.Log}, OnShutdown: m.onShutdown,
	})
	if err == nil {
		m.dom.SetParam(xen.HVM_PARAM_CALLBACK_IRQ, a64Callback)
	}
	return err
}

// a64Callback is how Xen describes the upcall: a PPI, level-triggered and active low.
const a64Callback = xen.HVM_PARAM_CALLBACK_TYPE_PPI<<56 | 2<<8 | xen.GUEST_EVTCHN_PPI

func (m *Machine) a64VCPUs(boot *a64.State) error {
	a := m.a64
	if err := m.newA64VM(); err != nil {
		return err
	}
	for i := range m.vcpus() {
		c, err := a.vm.NewVCPU(i)
		if err != nil {
			return err
		}
		l := vcpu.NewA64(i, c, m.dom, m)
		a.loops, m.cpus = append(a.loops, l), append(m.cpus, l)
	}
	if err := a.vm.Ready(); err != nil {
		return err
	}
	if err := a.loops[0].Eng.Set(boot); err != nil {
		return err
	}
	var err error
	if a.watcher, err = vcpu.NewWatcher(a.loops); err != nil {
		return err
	}
	m.begin = a.watcher.Start
	m.end = a.watcher.Stop
	return nil
}

// crashed ends the domain with what is known of the vCPU. The vCPU's own goroutine calls it, or one that follows its end.
func (a *a64Machine) crashed(d *domain.Domain, id int, why string) {
	var s a64.State
	if err := a.loops[id].Eng.Get(&s); err != nil {
		d.CrashDetail(id, why, fmt.Sprintf("vcpu %d: %v", id, err))
		return
	}
	d.CrashDetail(id, why, dumpA64(id, &s))
}

// dumpA64 formats a vCPU's registers for people.
func dumpA64(id int, s *a64.State) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vcpu %d\npc %016x pstate %08x sp_el0 %016x sp_el1 %016x\n", id, s.PC, s.PSTATE, s.SPEL0, s.SPEL1)
	for i, x := range s.X {
		sep := " "
		if i%4 == 3 {
			sep = "\n"
		}
		fmt.Fprintf(&b, "x%-2d %016x%s", i, x, sep)
	}
	fmt.Fprintf(&b, "\nelr %016x spsr %08x esr %08x far %016x vbar %016x\n", s.ELR, s.SPSR, s.ESR, s.FAR, s.VBAR)
	fmt.Fprintf(&b, "sctlr %016x tcr %016x ttbr0 %016x ttbr1 %016x", s.SCTLR, s.TCR, s.TTBR0, s.TTBR1)
	return b.String()
}
