package domain

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"gozen/hypervisor/clock"
	"gozen/hypervisor/evtchn"
	"gozen/hypervisor/gnttab"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv"
	"gozen/hypervisor/xen"
)

// Defaults of xl.cfg, used for zero fields of a Config.
const (
	DefaultMaxEventChannels = 1023
	DefaultMaxGrantFrames   = 64
)

// Config describes a domain that New makes. Memory holds the guest's RAM already.
type Config struct {
	ID     xen.DomID
	UUID   [16]byte
	Name   string
	Memory *guestmem.Memory
	VCPUs  int
	// MaxPages is the most pages the guest may have (xl.cfg maxmem); 0 for what Memory holds now.
	MaxPages uint64
	// MaxEventChannels is the highest event channel port, MaxGrantFrames the largest grant table; 0 for xl's defaults.
	MaxEventChannels, MaxGrantFrames uint32
	// MaxGrantVersion is the highest version of the grant table that the guest may choose; 0 for 2.
	MaxGrantVersion uint32
	// FIFO lets the guest use FIFO event channels.
	FIFO bool
	// UpcallVector offers per-vCPU upcall vectors in CPUID (leaf 4 EAX bit 6). The hypercall works either way.
	UpcallVector bool
	// ABI is that of the shared areas until the guest shows what it is: see Latch.
	ABI xen.ABI
	// Host delivers events and timers itself, if it is not nil; FIFO has to be false then.
	Host    HostEvents
	Source  clock.Source
	Wall    time.Time // the time of day now, as the guest shall see it
	TSCMode uint32    // as CPUID leaf 3 tells it: 0 default, 1 always emulate, 2 native
	// E820 is the memory map the domain was built with (XENMEM_memory_map).
	E820 []xen.HVMMemmapTableEntry
	// PV is the PV part of a PV domain's machine, nil for other domains. Its memory behind the guest's RAM is not the guest's.
	PV *pv.Machine
	// Console takes what the guest writes with HYPERVISOR_console_io; nil refuses the call, as a release build of Xen does.
	Console io.Writer
	// OnShutdown is called once, with no lock held, when the domain shuts down or crashes. It must not block.
	OnShutdown func(Shutdown)
}

// Domain is one domain. Exported fields do not change after New; all methods may be called from any
// goroutine.
type Domain struct {
	ID     xen.DomID
	UUID   [16]byte
	Name   string
	Memory *guestmem.Memory
	Events *evtchn.Table
	Grants *gnttab.Table
	Clock  *clock.Clock
	VCPUs  []*VCPU
	E820   []xen.HVMMemmapTableEntry
	PV     *pv.Machine // nil unless it is a PV domain

	abi        atomic.Uint32 // of the shared areas: see width.go
	console    io.Writer
	onShutdown func(Shutdown)
	host       HostEvents
	tscMode    uint32
	offerUpc   bool
	shared     *guestmem.Page
	noInfo     *guestmem.Page // vcpu_info of vCPUs that shared_info has no room for
	callback   atomic.Uint32  // HVM_PARAM_CALLBACK_IRQ: callbackValid | vector
	line       atomic.Uint64  // or its value, if that names an interrupt line
	assist     atomic.Uint64
	pages      atomic.Int64
	maxPages   int64
	maxGFN     atomic.Uint64
	down       atomic.Bool // shut down or crashed

	mu       sync.Mutex
	params   [xen.HVM_NR_PARAMS]uint64
	sharedAt guestmem.GFN // where shared_info is mapped
	extra    map[guestmem.GFN]struct{}
	ended    Shutdown
	code     int16 // SCHEDOP_shutdown_code, -1 if none
	watchdog [2]atomic.Uint64
}

// New makes a domain with all vCPUs down. The caller sets each VCPU's hooks, then brings vCPU 0 up.
func New(cfg Config) (*Domain, error) {
	if cfg.MaxEventChannels == 0 {
		cfg.MaxEventChannels = DefaultMaxEventChannels
	}
	if cfg.MaxGrantFrames == 0 {
		cfg.MaxGrantFrames = DefaultMaxGrantFrames
	}
	if cfg.Memory == nil || cfg.Source == nil || cfg.VCPUs < 1 || cfg.VCPUs > evtchn.MaxVCPUs {
		return nil, fmt.Errorf("domain %d: needs memory, a time source and 1 to %d vCPUs, not %d", cfg.ID, evtchn.MaxVCPUs, cfg.VCPUs)
	}
	d := &Domain{ID: cfg.ID, UUID: cfg.UUID, Name: cfg.Name, Memory: cfg.Memory, E820: cfg.E820, PV: cfg.PV,
		console: cfg.Console, onShutdown: cfg.OnShutdown, tscMode: cfg.TSCMode, offerUpc: cfg.UpcallVector,
		sharedAt: gnttab.NoFrame, code: -1, extra: map[guestmem.GFN]struct{}{}}
	d.abi.Store(uint32(cfg.ABI))
	if d.host = cfg.Host; d.host == nil {
		d.host = noHost{}
	}
	d.pages.Store(int64(cfg.Memory.Backed()))
	if d.PV != nil {
		d.pages.Add(-int64(d.PV.Hidden.Size >> 12))
	}
	d.maxPages = int64(cfg.MaxPages)
	if cfg.MaxPages == 0 {
		d.maxPages = d.pages.Load()
	}
	for _, r := range cfg.Memory.RAM() {
		d.sawFrame((r.Base + guestmem.GPA(r.Size-1)).GFN())
	}
	var err error
	if d.Clock, err = clock.New(cfg.Source, cfg.Wall); err != nil {
		return nil, fmt.Errorf("domain %d: %w", cfg.ID, err)
	}
	if err = d.makeShared(cfg); err != nil {
		return nil, fmt.Errorf("domain %d: %w", cfg.ID, err)
	}
	return d, nil
}

// makeShared makes the shared pages, the vCPUs and the tables that need them.
func (d *Domain) makeShared(cfg Config) (err error) {
	if d.shared, err = d.Memory.NewPage(); err != nil {
		return err
	}
	if d.noInfo, err = d.Memory.NewPage(); err != nil {
		return err
	}
	layout := d.layout()
	infos := make([]evtchn.VCPUInfo, cfg.VCPUs)
	for i := range infos {
		infos[i] = evtchn.VCPUInfo{Page: d.noInfo}
		if i < layout.InfoCount {
			infos[i] = evtchn.VCPUInfo{Page: d.shared, Off: uint32(i) * layout.InfoSize}
		}
		d.VCPUs = append(d.VCPUs, newVCPU(d, i, infos[i]))
		if d.PV != nil {
			d.VCPUs[i].PV = d.PV.VCPUs[i]
		}
	}
	d.Events, err = evtchn.New(evtchn.Config{Dom: d.ID, VCPUs: cfg.VCPUs, Memory: d.Memory, Shared: d.shared, Info: infos,
		MaxPort: evtchn.Port(cfg.MaxEventChannels), FIFO: cfg.FIFO, ABI: cfg.ABI, Notify: d.notifyUpcall, Polled: d.wakePollers, Send: cfg.send(), TimerPort: d.host.TimerPort})
	if err != nil {
		return err
	}
	d.Grants, err = gnttab.New(gnttab.Config{Dom: d.ID, Memory: d.Memory, MaxFrames: cfg.MaxGrantFrames, MaxVersion: cfg.MaxGrantVersion})
	if err != nil {
		return err
	}
	d.UpdateTime()
	return nil
}

// send gives the host's way to raise a port, nil if it has none.
func (c *Config) send() func(port uint32, vcpu int) bool {
	if c.Host == nil {
		return nil
	}
	return c.Host.Send
}

// UpdateTime writes the wall clock and all pvclock records that lie in shared pages: at the start, and after Clock.Anchor
// or SetWall. Records registered by guest-virtual address follow when their vCPU next calls UpdateTime of its own.
func (d *Domain) UpdateTime() {
	d.Clock.WriteWall(d.shared, d.layout())
	for _, v := range d.VCPUs {
		v.staleTime.Store(true)
		d.writeTime(*v.info.Load())
	}
}

// writeTime brings the pvclock record of a vcpu_info up to date, on architectures where Xen keeps one.
func (d *Domain) writeTime(in evtchn.VCPUInfo) {
	if d.ABI().HasTime() {
		d.Clock.WriteTime(in.Page, in.Off+d.layout().InfoTime)
	}
}

// Shared gives the shared_info page.
func (d *Domain) Shared() *guestmem.Page { return d.shared }

// SharedAt gives the guest frame where shared_info is mapped, gnttab.NoFrame if nowhere.
func (d *Domain) SharedAt() guestmem.GFN {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sharedAt
}

// VCPU gives vCPU id, or nil if there is none.
func (d *Domain) VCPU(id uint32) *VCPU {
	if id >= uint32(len(d.VCPUs)) {
		return nil
	}
	return d.VCPUs[id]
}

// Self checks the domid of a call that may only name the caller: 0 for DOMID_SELF and the domain's own id, EPERM for
// domain 0, ESRCH for anything else.
func (d *Domain) Self(id xen.DomID) xen.Errno {
	switch id {
	case xen.DOMID_SELF, d.ID:
		return 0
	case 0:
		return xen.EPERM
	}
	return xen.ESRCH
}

// Console gives the writer for HYPERVISOR_console_io, or nil.
func (d *Domain) Console() io.Writer { return d.console }

// SetAssist turns a vm_assist type on or off. PVH and HVM domains have one: VMASST_TYPE_runstate_update_flag.
func (d *Domain) SetAssist(typ uint64, on bool) xen.Errno {
	if typ != xen.VMASST_TYPE_runstate_update_flag {
		return xen.EINVAL
	}
	if on {
		d.assist.Or(1 << typ)
	} else {
		d.assist.And(^uint64(1 << typ))
	}
	return 0
}

// Assist says whether a vm_assist type is on.
func (d *Domain) Assist(typ uint) bool { return d.assist.Load()>>typ&1 != 0 }
