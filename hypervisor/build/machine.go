package build

import (
	"fmt"
	"sync"
	"time"

	"gozen/hypervisor/apic"
	"gozen/hypervisor/backend"
	"gozen/hypervisor/bootloader"
	"gozen/hypervisor/clock"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/kvm"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hvm"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
	"gozen/hypervisor/xenstore"
	"gozen/pvh"
)

// Machine is a domain that is built. It implements control.Machine.
type Machine struct {
	cfg   config.Domain
	opts  control.Options
	mem   *guestmem.Memory
	dom   *domain.Domain
	sys   *kvm.System // nil with the software CPU
	vm    engine.VM
	host  domain.HostEvents // nil unless the host delivers events
	name  string            // of the engine
	paths pvh.Paths
	why   string

	cpus                   []cpu         // loops, or those of a64
	loops                  []*vcpu.Loop  // x86 only
	a64                    *a64Machine   // arm64 only
	pc                     *hvm.Platform // HVM only
	rings                  rings
	begin                  func() // lets vCPU 0 go
	end                    func() // called when all vCPUs have stopped
	store                  *xenstore.Store
	devices                sync.Mutex // guards disks and nics once the guest runs
	sizes                  sync.Once  // starts the look at sizes of disks
	disks                  []*guestDisk
	nics                   []*guestNIC
	profiling              sync.Mutex        // one profile at a time; guards symbols
	symbols                names             // of the guest's kernel, once a profile has found them
	entry                  *bootloader.Entry // what was chosen from the first disk; nil without a boot loader
	console                *backend.Console
	typed                  *typed        // of a domain with a serial port
	input                  backend.Input // what is typed goes there
	storeBE                *backend.Xenstore
	pty                    *backend.PTY
	hyper                  [guestmem.PageSize]byte
	pv                     *pv.Machine     // PV domains only
	leaves                 []x86.CPUIDLeaf // of a PV domain on KVM
	storePort, consolePort uint32          // the event channels of the rings
	sched                  *vcpu.Scheduler // deterministic mode only
	boot                   x86.State
	src                    clock.Source

	mu      sync.Mutex
	started bool
	paused  bool
	ended   bool
	reason  control.Reason
	timings []control.Timing
	done    chan struct{}
	running sync.WaitGroup
}

// New builds the domain, paused.
func New(cfg config.Domain, opts control.Options) (*Machine, error) {
	m := &Machine{cfg: cfg, opts: opts, done: make(chan struct{}), paused: true, end: func() {}}
	if err := m.assemble(); err != nil {
		m.release()
		return nil, err
	}
	m.mark("built")
	return m, nil
}

// assemble opens the disks, which may say what is started, and then builds what the kernel needs.
func (m *Machine) assemble() error {
	if err := m.openDisks(); err != nil {
		return err
	}
	if err := m.openNICs(); err != nil {
		return err
	}
	if err := m.chooseEntry(); err != nil {
		return err
	}
	isA64, err := m.isA64()
	if err != nil {
		return err
	}
	if !isA64 {
		if err := m.pickEngine(); err != nil {
			return err
		}
	}
	switch typ := m.cfg.Type; {
	case isA64 && typ == config.PVH:
		return m.makeA64()
	case !isA64 && typ == config.PV:
		return m.makePV()
	case !isA64 && typ == config.HVM:
		return m.makeHVM()
	case typ != config.PVH:
		return &config.Error{Field: "type", What: fmt.Sprintf("a %s domain cannot be built here", typ),
			Why: "arm64 guests are type=\"pvh\" only", Fix: "use type=\"pvh\""}
	}
	return m.make()
}

// make builds all parts in order.
func (m *Machine) make() error {
	if m.sys != nil {
		m.sys.Ahead()
	}
	plan, err := pvh.NewPlan(pvh.Config{Memory: m.cfg.MemoryMiB << 20, VCPUs: m.vcpus(), SleepPort: sleepPort})
	if err != nil {
		return err
	}
	if err := m.newMemory(plan.RAM); err != nil {
		return err
	}
	if err := m.special(pvh.XenstoreGFN, pvh.ConsoleGFN, pvh.IdentPTGFN); err != nil {
		return err
	}
	boot, err := m.load(plan)
	if err != nil {
		return err
	}
	m.rings = rings{console: pvh.ConsoleGFN, xenstore: pvh.XenstoreGFN}
	m.boot = boot.State
	m.boot.IDTR.Limit = 0xffff // not empty, so that TripleFault can tell a reboot from a kernel without IDT
	if err := m.newVM(); err != nil {
		return err
	}
	if err := m.newDomain(plan.E820); err != nil {
		return err
	}
	if err := m.makeVCPUs(); err != nil {
		return err
	}
	if err := m.makeBackends(); err != nil {
		return err
	}
	return nil
}

// cpu is a vCPU's loop, of either architecture.
type cpu interface {
	Run() error
	Stop()
	Pause(on bool)
	AwaitPause()
	CPUTime() time.Duration
	State() uint32
	Thread() int
	Instructions() uint64
	Counters() *vcpu.Counts
}

// rings are the frames of the console and xenstore rings.
type rings struct{ console, xenstore guestmem.GFN }

func (m *Machine) vcpus() int { return max(m.cfg.VCPUs, m.cfg.MaxVCPUs, 1) }

// special backs the pages that Xen gives a guest outside its RAM.
func (m *Machine) special(frames ...guestmem.GFN) error {
	for _, g := range frames {
		if err := m.mem.Populate(g); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) load(plan *pvh.Plan) (*pvh.Boot, error) {
	k, initrd, done, err := m.images()
	if err != nil {
		return nil, err
	}
	defer done()
	b, err := plan.Load(m.mem, k, initrd, m.cfg.Cmdline)
	if err != nil {
		return nil, err
	}
	if m.sys == nil {
		m.paths = pvh.SoftPaths()
		return b, nil
	}
	return b, m.openHypercalls(k, b)
}

func (m *Machine) newDomain(e820 []xen.HVMMemmapTableEntry) error {
	uuid, err := parseUUID(m.cfg.UUID)
	if err != nil {
		return err
	}
	m.dom, err = domain.New(domain.Config{
		ID: xen.DomID(m.opts.Domid), UUID: uuid, Name: m.cfg.Name, Memory: m.mem, VCPUs: m.vcpus(),
		MaxPages: max(m.cfg.MaxMemoryMiB, m.cfg.MemoryMiB)<<8 + 64, MaxEventChannels: m.cfg.MaxEventChannels,
		MaxGrantFrames: m.cfg.MaxGrantFrames, MaxGrantVersion: uint32(m.cfg.MaxGrantVersion), FIFO: m.fifo(), UpcallVector: m.sys == nil, Host: m.host, ABI: xen.ABI64, PV: m.pv, Source: m.src, Wall: m.wall(),
		TSCMode: uint32(m.cfg.TSCMode), E820: e820, Console: consoleIO{m.opts.Log}, OnShutdown: m.onShutdown,
	})
	return err
}

// fifo says whether the guest may have FIFO event channels: not where the host delivers events, which knows the 2-level arrays only.
func (m *Machine) fifo() bool { return m.paths.APIC != pvh.APICHostXen }

func (m *Machine) makeVCPUs() error {
	for i := range m.vcpus() {
		cpu, err := m.vm.NewVCPU(i)
		if err != nil {
			return err
		}
		l := vcpu.New(i, cpu, m.dom, apic.New(i, m), m, m.tsc)
		if m.pc != nil {
			l.Board = m.pc
		}
		m.loops, m.cpus = append(m.loops, l), append(m.cpus, l)
	}
	m.begin = func() { m.loops[0].Start(&m.boot) }
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
	conPage, err := m.mem.PageAt(m.rings.console)
	if err != nil {
		return err
	}
	storePage, err := m.mem.PageAt(m.rings.xenstore)
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
	m.console, m.input = con, con
	if m.typed != nil {
		m.typed.pc, m.typed.con, m.input = m.pc, con, m.typed
	}
	tty := ""
	if pty, err := backend.OpenPTY(); err == nil {
		m.pty, tty = pty, pty.Path()
		pty.Serve(m.opts.ConsoleOut.Subscribe(0), m.input)
	}
	err = m.store.AddDomain(xenstore.Domain{ID: m.dom.ID, Name: m.cfg.Name, UUID: m.cfg.UUID, Type: string(m.cfg.Type), VCPUs: m.vcpus(),
		MaxMemKiB: max(m.cfg.MaxMemoryMiB, m.cfg.MemoryMiB) << 10, MemoryKiB: m.cfg.MemoryMiB << 10,
		StorePort: uint32(storePort.Port()), StoreRef: uint64(m.rings.xenstore), ConsolePort: uint32(conPort.Port()),
		ConsoleRef: uint64(m.rings.console), TTY: tty, Started: m.wall()})
	if err != nil {
		return err
	}
	be = backend.NewXenstore(backend.XenstoreConfig{Page: storePage, Store: m.store, Domain: m.dom.ID,
		Notify: func() { storePort.Notify() }, OnCorrupt: corrupt("xenstore"), Wake: m.pollWake()})
	m.storeBE = be
	if m.cfg.Deterministic {
		m.sched.Devices = []func(){con.Poll, be.Poll}
	}
	m.storePort, m.consolePort = uint32(storePort.Port()), uint32(conPort.Port())
	d := m.dom
	d.SetParam(xen.HVM_PARAM_STORE_PFN, uint64(m.rings.xenstore))
	d.SetParam(xen.HVM_PARAM_STORE_EVTCHN, uint64(storePort.Port()))
	d.SetParam(xen.HVM_PARAM_CONSOLE_PFN, uint64(m.rings.console))
	d.SetParam(xen.HVM_PARAM_CONSOLE_EVTCHN, uint64(conPort.Port()))
	if m.a64 == nil {
		d.SetParam(xen.HVM_PARAM_IDENT_PT, uint64(pvh.IdentPTGFN.GPA()))
	}
	if err := m.offerDisks(); err != nil {
		return err
	}
	if err := m.offerNICs(); err != nil {
		return err
	}
	m.opts.ConsoleOut.OnFirst(func() { m.mark("first-console-byte") })
	return nil
}
