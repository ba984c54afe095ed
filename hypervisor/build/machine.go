package build

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"gozen/hypervisor/apic"
	"gozen/hypervisor/backend"
	"gozen/hypervisor/clock"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/image"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
	"gozen/hypervisor/xenstore"
	"gozen/pvh"
)

// Machine is a domain that is built. It implements control.Machine.
type Machine struct {
	cfg  config.Domain
	opts control.Options
	mem  *guestmem.Memory
	dom  *domain.Domain
	vm   engine.VM
	why  string

	loops   []*vcpu.Loop
	store   *xenstore.Store
	console *backend.Console
	storeBE *backend.Xenstore
	pty     *backend.PTY
	hyper   [guestmem.PageSize]byte
	sched   *vcpu.Scheduler // deterministic mode only
	boot    x86.State
	src     clock.Source

	mu      sync.Mutex
	started bool
	paused  bool
	ended   bool
	reason  control.Reason
	timings []control.Timing
	done    chan struct{}
	running sync.WaitGroup
}

var errEngine = errors.New("engine not available in this build; use --engine soft")

// New builds the domain, paused.
func New(cfg config.Domain, opts control.Options) (*Machine, error) {
	m := &Machine{cfg: cfg, opts: opts, done: make(chan struct{}), paused: true}
	if err := m.pickEngine(); err != nil {
		return nil, err
	}
	if cfg.Type != config.PVH {
		return nil, &config.Error{Field: "type", What: fmt.Sprintf("a %s domain cannot be built yet", cfg.Type),
			Why: "only type=\"pvh\" is supported so far", Fix: "use a kernel with a PVH entry and type=\"pvh\""}
	}
	if err := m.make(); err != nil {
		m.release()
		return nil, err
	}
	m.mark("built")
	return m, nil
}

func (m *Machine) pickEngine() error {
	switch m.cfg.Engine {
	case config.EngineSoft:
		m.why = "asked for"
	case config.EngineAuto, "":
		m.why = "built in; hardware virtualization through KVM is not used yet"
	default:
		return &config.Error{Field: "engine", What: fmt.Sprintf("no engine %q", m.cfg.Engine), Why: errEngine.Error(), Fix: "--engine soft"}
	}
	return nil
}

// make builds all parts in order.
func (m *Machine) make() error {
	plan, err := pvh.NewPlan(pvh.Config{Memory: m.cfg.MemoryMiB << 20, VCPUs: m.vcpus(), SleepPort: sleepPort})
	if err != nil {
		return err
	}
	if m.mem, err = guestmem.New(plan.RAM); err != nil {
		return err
	}
	if err := m.special(); err != nil {
		return err
	}
	boot, err := m.load(plan)
	if err != nil {
		return err
	}
	m.boot = boot.State
	m.boot.IDTR.Limit = 0xffff // not empty, so that TripleFault can tell a reboot from a kernel without IDT
	if err := m.makeDomain(plan); err != nil {
		return err
	}
	if err := m.makeVCPUs(); err != nil {
		return err
	}
	if err := m.makeBackends(); err != nil {
		return err
	}
	// Unpacking windows of the kernel loader are garbage now; the process is to stay small.
	debug.FreeOSMemory()
	return nil
}

func (m *Machine) vcpus() int { return max(m.cfg.VCPUs, m.cfg.MaxVCPUs, 1) }

// special backs the pages that Xen gives a guest outside its RAM.
func (m *Machine) special() error {
	for _, g := range []guestmem.GFN{pvh.XenstoreGFN, pvh.ConsoleGFN, pvh.IdentPTGFN} {
		if err := m.mem.Populate(g); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) load(plan *pvh.Plan) (*pvh.Boot, error) {
	k, err := image.OpenFile(m.cfg.Kernel)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	var initrd *pvh.Initrd
	if m.cfg.Ramdisk != "" {
		i, f, err := pvh.OpenInitrd(m.cfg.Ramdisk)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		initrd = i
	}
	return plan.Load(m.mem, k, initrd, m.cfg.Cmdline)
}

func (m *Machine) makeDomain(plan *pvh.Plan) error {
	uuid, err := parseUUID(m.cfg.UUID)
	if err != nil {
		return err
	}
	var e820 []xen.HVMMemmapTableEntry
	for _, e := range plan.E820 {
		e820 = append(e820, xen.HVMMemmapTableEntry{Addr: e.Addr, Size: e.Size, Type: e.Type})
	}
	m.dom, err = domain.New(domain.Config{
		ID: xen.DomID(m.opts.Domid), UUID: uuid, Name: m.cfg.Name, Memory: m.mem, VCPUs: m.vcpus(),
		MaxPages: max(m.cfg.MaxMemoryMiB, m.cfg.MemoryMiB)<<8 + 64, MaxEventChannels: m.cfg.MaxEventChannels,
		MaxGrantFrames: m.cfg.MaxGrantFrames, FIFO: true, UpcallVector: true, ABI: xen.ABI64, Source: m.source(), Wall: m.wall(),
		TSCMode: uint32(m.cfg.TSCMode), E820: e820, Console: consoleIO{m.opts.Log}, OnShutdown: m.onShutdown,
	})
	return err
}

func (m *Machine) makeVCPUs() error {
	var err error
	if m.vm, err = soft.New(m.softConfig()); err != nil {
		return err
	}
	m.hyper = hypercall.Page([]byte(hypercall.VMMCALL))
	for i := range m.vcpus() {
		cpu, err := m.vm.NewVCPU(i)
		if err != nil {
			return err
		}
		l := vcpu.New(i, cpu, m.dom, apic.New(i, m), m, m.tsc)
		m.loops = append(m.loops, l)
	}
	if m.sched != nil {
		m.sched.Own(m.loops)
	}
	return nil
}

// pollWake gives what makes a deterministic run look at its backends, nil where they run by themselves.
func (m *Machine) pollWake() func() {
	if !m.cfg.Deterministic {
		return nil
	}
	return m.sched.Kick
}

func (m *Machine) makeBackends() error {
	m.store = xenstore.New(xenstore.Quota{})
	conPage, err := m.mem.PageAt(pvh.ConsoleGFN)
	if err != nil {
		return err
	}
	storePage, err := m.mem.PageAt(pvh.XenstoreGFN)
	if err != nil {
		return err
	}
	var con *backend.Console
	var be *backend.Xenstore
	storePort, err := m.dom.Events.AllocHost(func() { be.Kick() })
	if err != nil {
		return err
	}
	conPort, err := m.dom.Events.AllocHost(func() { con.Kick() })
	if err != nil {
		return err
	}
	corrupt := func(what string) func(error) {
		return func(err error) { m.dom.Crash(0, fmt.Sprintf("%s ring: %v", what, err), nil) }
	}
	con = backend.NewConsole(backend.ConsoleConfig{Page: conPage, Out: m.opts.ConsoleOut, Notify: func() { conPort.Notify() },
		OnCorrupt: corrupt("console"), Wake: m.pollWake()})
	m.console = con
	tty := ""
	if pty, err := backend.OpenPTY(); err == nil {
		m.pty, tty = pty, pty.Path()
		pty.Serve(m.opts.ConsoleOut.Subscribe(0), con)
	}
	err = m.store.AddDomain(xenstore.Domain{ID: m.dom.ID, Name: m.cfg.Name, UUID: m.cfg.UUID, Type: string(m.cfg.Type), VCPUs: m.vcpus(),
		MaxMemKiB: max(m.cfg.MaxMemoryMiB, m.cfg.MemoryMiB) << 10, MemoryKiB: m.cfg.MemoryMiB << 10,
		StorePort: uint32(storePort.Port()), StoreRef: uint64(pvh.XenstoreGFN), ConsolePort: uint32(conPort.Port()),
		ConsoleRef: uint64(pvh.ConsoleGFN), TTY: tty, Started: m.wall()})
	if err != nil {
		return err
	}
	be = backend.NewXenstore(backend.XenstoreConfig{Page: storePage, Store: m.store, Domain: m.dom.ID,
		Notify: func() { storePort.Notify() }, OnCorrupt: corrupt("xenstore"), Wake: m.pollWake()})
	m.storeBE = be
	if m.cfg.Deterministic {
		m.sched.Devices = []func(){con.Poll, be.Poll}
	}
	d := m.dom
	d.SetParam(xen.HVM_PARAM_STORE_PFN, uint64(pvh.XenstoreGFN))
	d.SetParam(xen.HVM_PARAM_STORE_EVTCHN, uint64(storePort.Port()))
	d.SetParam(xen.HVM_PARAM_CONSOLE_PFN, uint64(pvh.ConsoleGFN))
	d.SetParam(xen.HVM_PARAM_CONSOLE_EVTCHN, uint64(conPort.Port()))
	d.SetParam(xen.HVM_PARAM_IDENT_PT, uint64(pvh.IdentPTGFN.GPA()))
	m.opts.ConsoleOut.OnFirst(func() { m.mark("first-console-byte") })
	return nil
}
