package evtchn

import (
	"fmt"
	"sync"
	"sync/atomic"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// Port is an event channel of the domain. Port 0 is reserved.
type Port uint32

// MaxVCPUs is the largest number of vCPUs a Table serves (Xen: HVM_MAX_VCPUS).
const MaxVCPUs = 128

// VCPUInfo says where the vcpu_info of a vCPU lies: a shared page and a byte offset that is a multiple of 4.
type VCPUInfo struct {
	Page *guestmem.Page
	Off  uint32
}

// bucket is how many ports come into being at a time; a port in a bucket is valid even when it is free.
const bucket = 64

// Config describes the event channels of a domain. All but Polled is needed.
type Config struct {
	Dom    xen.DomID
	VCPUs  int
	Memory *guestmem.Memory
	Shared *guestmem.Page // shared_info
	// Info gives the first place of each vCPU's vcpu_info, VCPUs entries.
	Info []VCPUInfo
	// MaxPort is the highest port the domain may use (xl.cfg max_event_channels, 1023 by default).
	MaxPort Port
	// FIFO says whether EVTCHNOP_init_control succeeds. Without it the call answers -ENOSYS, as a Xen without FIFO
	// channels does, and guests stay with the 2-level ABI.
	FIFO bool
	ABI  xen.ABI
	// Notify is called, with no lock held, when a vCPU's evtchn_upcall_pending went from 0 to 1. It must not
	// block.
	Notify func(vcpu int)
	// Polled is called, with no lock held, when a port became pending while AddPoller counts somebody.
	Polled func()
	// Send, if set, raises a port on a vCPU with the 2-level ABI in our place, with no lock held; false means that it could not.
	Send func(port uint32, vcpu int) bool
	// TimerPort, if set, is told with the lock held which port VIRQ_TIMER of a vCPU is bound to, 0 for none. It must not block.
	TimerPort func(vcpu int, port uint32)
}

type state uint8

const (
	free state = iota
	reserved
	unbound
	interdomain
	virq
	ipi
)

// channel is one port. fn and host belong to ports whose other end is on the host.
type channel struct {
	state    state
	virq     uint8
	priority uint8
	lastPrio uint8
	pending  bool // FIFO: raised before its event word existed
	vcpu     uint16
	lastVCPU uint16
	remote   xen.DomID // unbound, interdomain
	peer     Port      // interdomain
	host     *HostPort
}

// Table is the event channels of one domain. All methods may be called from any goroutine.
type Table struct {
	cfg     Config
	layout  xen.SharedLayout
	pollers atomic.Int32

	mu        sync.Mutex
	chns      []channel
	firstFree Port // no port below it is free
	used      int
	virqPort  [][xen.NR_VIRQS]Port
	info      []VCPUInfo
	fifo      *fifo
	resetAt   Port
	listeners map[Port]func()
	nextHost  Port
}

// New makes the event channels of a domain, with the 2-level ABI.
func New(cfg Config) (*Table, error) {
	if cfg.VCPUs < 1 || cfg.VCPUs > MaxVCPUs || len(cfg.Info) != cfg.VCPUs {
		return nil, fmt.Errorf("event channels of d%d: %d vCPUs, %d vcpu_info places, at most %d", cfg.Dom, cfg.VCPUs,
			len(cfg.Info), MaxVCPUs)
	}
	if cfg.Memory == nil || cfg.Shared == nil || cfg.Notify == nil {
		return nil, fmt.Errorf("event channels of d%d: incomplete configuration", cfg.Dom)
	}
	if cfg.Polled == nil {
		cfg.Polled = func() {}
	}
	cfg.MaxPort = min(cfg.MaxPort, xen.EVTCHN_FIFO_NR_CHANNELS-1)
	t := &Table{
		cfg: cfg, layout: xen.Shared(cfg.ABI), chns: make([]channel, bucket), firstFree: 1,
		virqPort: make([][xen.NR_VIRQS]Port, cfg.VCPUs), info: append([]VCPUInfo(nil), cfg.Info...), nextHost: 1,
	}
	t.chns[0].state = reserved
	return t, nil
}

// SetABI changes the layout of the shared areas, as the guest changes from 32- to 64-bit code or back. Bits that are set stay where they are.
func (t *Table) SetABI(a xen.ABI) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg.ABI, t.layout = a, xen.Shared(a)
}

// FIFO reports whether the guest switched to the FIFO ABI.
func (t *Table) FIFO() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fifo != nil
}

// Used gives the number of ports that are not free, without port 0.
func (t *Table) Used() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

// AddPoller counts vCPUs that wait in SCHEDOP_poll; d is 1 or -1.
func (t *Table) AddPoller(d int32) { t.pollers.Add(d) }

// effect collects what must be called once the lock is dropped.
type effect struct {
	vcpus  [MaxVCPUs / 64]uint64
	polled bool
	host   func()
	send   Port // to be raised by cfg.Send, on sendTo
	sendTo int
}

// fire unlocks the table and makes the calls an operation asked for.
func (t *Table) fire(e *effect) {
	t.mu.Unlock()
	for i, w := range e.vcpus {
		for b := 0; w != 0; b, w = b+1, w>>1 {
			if w&1 != 0 {
				t.cfg.Notify(i*64 + b)
			}
		}
	}
	if e.send != 0 && !t.cfg.Send(uint32(e.send), e.sendTo) {
		t.mu.Lock()
		var f effect
		t.twoLevelSetPending(e.sendTo, e.send, &f)
		t.fire(&f)
	}
	if e.polled && t.pollers.Load() != 0 {
		t.cfg.Polled()
	}
	if e.host != nil {
		e.host()
	}
}

// get gives a port's channel, or nil if the port never existed.
func (t *Table) get(p Port) *channel {
	if p >= Port(len(t.chns)) {
		return nil
	}
	return &t.chns[p]
}

// limit gives the number of ports the present ABI has.
func (t *Table) limit() Port {
	if t.fifo != nil {
		return xen.EVTCHN_FIFO_NR_CHANNELS
	}
	return Port(t.layout.Channels)
}

// alloc takes the lowest free port and gives it the default priority.
func (t *Table) alloc() (Port, *channel, xen.Errno) {
	p := t.firstFree
	skipped := Port(0)
	for ; ; p++ {
		if p > t.cfg.MaxPort || p >= t.limit() {
			return 0, nil, xen.ENOSPC
		}
		if p >= Port(len(t.chns)) {
			t.chns = append(t.chns, make([]channel, bucket)...)
			break
		}
		if t.chns[p].state == free {
			if !t.busy(p) {
				break
			}
			if skipped == 0 {
				skipped = p
			}
		}
	}
	t.firstFree = p + 1
	if skipped != 0 {
		t.firstFree = skipped
	}
	c := &t.chns[p]
	last, vcpu := c.lastPrio, c.lastVCPU
	*c = channel{priority: xen.EVTCHN_FIFO_PRIORITY_DEFAULT, lastPrio: last, lastVCPU: vcpu}
	t.used++
	return p, c, 0
}

func (t *Table) timerPort(vcpu int, p Port) {
	if t.cfg.TimerPort != nil {
		t.cfg.TimerPort(vcpu, uint32(p))
	}
}

// release makes a port free. Its queue of last use is kept: the event may still be linked there.
func (t *Table) release(p Port, c *channel) {
	t.clearPending(p)
	if c.state == virq && c.virq == xen.VIRQ_TIMER {
		t.timerPort(int(c.vcpu), 0)
	}
	if c.host != nil {
		c.host.dead.Store(true)
	}
	*c = channel{lastPrio: c.lastPrio, lastVCPU: c.lastVCPU}
	t.firstFree = min(t.firstFree, p)
	t.used--
}

func (t *Table) setPending(vcpu int, p Port, e *effect) {
	if t.fifo != nil {
		t.fifoSetPending(vcpu, p, e)
		return
	}
	if t.cfg.Send != nil && e.send == 0 {
		e.send, e.sendTo, e.polled = p, vcpu, true
		return
	}
	t.twoLevelSetPending(vcpu, p, e)
}

// markUpcall sets evtchn_upcall_pending and notes the vCPU if it was clear.
func (t *Table) markUpcall(vcpu int, e *effect) {
	in := t.info[vcpu]
	if in.Page.Or32(in.Off+xen.VCPUInfoUpcallPending, 1)&0xff == 0 {
		e.vcpus[vcpu/64] |= 1 << (vcpu % 64)
	}
}

func (t *Table) clearPending(p Port) {
	if t.fifo == nil {
		t.twoLevelClearPending(p)
		return
	}
	t.chns[p].pending = false
	if pg, off, ok := t.fifo.word(p); ok {
		pg.And32(off, ^uint32(fifoPending))
	}
}

// busy says whether a free port cannot be used again yet, since the guest still has it on a queue.
func (t *Table) busy(p Port) bool {
	if t.fifo == nil {
		return false
	}
	pg, off, ok := t.fifo.word(p)
	return ok && pg.Load32(off)&fifoLinked != 0
}

// MoveVCPUInfo makes vcpu_info of a vCPU lie somewhere else from now on (VCPUOP_register_vcpu_info). The old content moves
// along, or the new place starts zeroed with the upcall masked if the vCPU had none (fresh). Everything
// is marked pending, as Xen does, so that nothing is lost.
func (t *Table) MoveVCPUInfo(vcpu int, to VCPUInfo, fresh bool) {
	t.mu.Lock()
	from := t.info[vcpu]
	for i := uint32(0); i < t.layout.InfoSize; i += 4 {
		w := uint32(0)
		if !fresh {
			w = from.Page.Load32(from.Off + i)
		} else if i == 0 && t.cfg.ABI.HasMask() {
			w = 1 << (8 * xen.VCPUInfoUpcallMask)
		}
		to.Page.Store32(to.Off+i, w)
	}
	t.info[vcpu] = to
	for i := uint32(0); i < t.layout.WordBits/8; i += 4 {
		to.Page.Store32(to.Off+t.layout.PendingSel+i, ^uint32(0))
	}
	to.Page.And32(to.Off, ^uint32(0xff))
	var e effect
	t.markUpcall(vcpu, &e)
	t.fire(&e)
}
