package vcpu

import (
	"runtime"
	"sync/atomic"
	"time"

	"gozen/hypervisor/apic"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/paging"
	"gozen/hypervisor/xen"
)

// Platform is what a loop asks of the machine around it.
type Platform interface {
	// Port does a port access; absent ports read all ones. size is 1, 2 or 4.
	Port(port uint16, size uint8, write bool, v uint32) uint32
	// CPUID fills the leaf's registers for a vCPU.
	CPUID(vcpu int, leaf, sub uint32) (a, b, c, d uint32)
	// HypercallPage gives the content of the hypercall page.
	HypercallPage() *[guestmem.PageSize]byte
	// Crashed is told why the guest cannot go on. It must end the domain.
	Crashed(vcpu int, why string)
	// TripleFault is told of a shutdown of the processor; it must end the domain.
	TripleFault(vcpu int)
}

// Board is the devices of an HVM domain, as far as a loop knows them. Methods may be called from any goroutine.
type Board interface {
	// MMIO does an access to memory that no page backs.
	MMIO(at guestmem.GPA, size uint8, write bool, v uint64) uint64
	// ExtINT reports whether the 8259s interrupt vCPU 0; lint0 tells that its local APIC lets them. Ack gives the vector, and takes it.
	ExtINT(lint0 bool) bool
	Ack() uint8
	// Upcall drives the interrupt line by which vCPU 0 is told of events.
	Upcall(via uint64, high bool)
	// Deadline gives the system time at which Expire has something to do. vCPU 0 sees to it.
	Deadline() uint64
	Expire(now uint64)
}

// Status says what a Step left behind.
type Status uint8

// The outcomes of a Step.
const (
	Running Status = iota // go on
	Waiting               // halted or blocked: nothing to do until a kick or the next deadline
	Ended                 // the domain is down, or Stop was called
)

// Loop drives one vCPU. Step and what it calls belong to one goroutine.
type Loop struct {
	ID   int
	Eng  engine.VCPU
	Dom  *domain.Domain
	V    *domain.VCPU
	APIC *apic.LAPIC

	// Board is nil for a domain without devices. Set it before anything runs.
	Board Board

	Counts Counts

	gate
	plat  Platform
	timed engine.Timed // nil unless the engine counts instructions
	chip  engine.Chip  // nil unless the local APIC is the host's
	exit  engine.Exit
	idle  bool // HLT or block: wait for an event
	poll  bool // waiting in SCHEDOP_poll
	nap   bool // and not for longer than pollNap
	again bool // a hypercall has work left
	began bool // the vCPU was up
	tsc   func() uint64
	insns atomic.Uint64
	tail  tail

	// Guarded by gate.mu.
	start   *x86.State // to load before running
	startUp bool
	initReq bool // INIT received: wait for SIPI
	sipi    int  // vector of a startup IPI, -1 none

	msrs  keptMSRs
	pv    pvState // of a PV domain's vCPU; its VCPU is nil for others
	pacer atomic.Pointer[pacer]

	observer atomic.Pointer[Observer]

	after func() // called when the engine has returned, before the exit is handled
}

// New makes a loop and connects it to its domain vCPU. tsc gives the guest's time-stamp counter.
func New(id int, eng engine.VCPU, d *domain.Domain, l *apic.LAPIC, p Platform, tsc func() uint64) *Loop {
	lp := &Loop{ID: id, Eng: eng, Dom: d, V: d.VCPUs[id], APIC: l, plat: p, tsc: tsc, sipi: -1}
	lp.timed, _ = eng.(engine.Timed)
	if c, ok := eng.(engine.Chip); ok && c.HasChip() {
		lp.chip = c
		lp.V.Raise = lp.raise
	}
	if lp.pv.VCPU = lp.V.PV; lp.pv.VCPU != nil {
		lp.V.Outside = lp.pvOutside
	}
	lp.V.Virt = lp
	lp.V.Kick = lp.Kick
	lp.V.Start = lp.Start
	lp.msrs.reset()
	lp.gate.set(eng)
	lp.idle = true
	return lp
}

// Start makes the vCPU run, with st loaded first unless it is nil. Any goroutine.
func (l *Loop) Start(st *x86.State) {
	l.mu.Lock()
	l.start, l.startUp = st, true
	l.mu.Unlock()
	l.Kick()
}

// Instructions gives the instructions finished as of the last exit. Any goroutine.
func (l *Loop) Instructions() uint64 { return l.insns.Load() }

// ReadVirt implements domain.VirtMem.
func (l *Loop) ReadVirt(va uint64, p []byte) error { return l.virt(va, p, false) }

// WriteVirt implements domain.VirtMem.
func (l *Loop) WriteVirt(va uint64, p []byte) error { return l.virt(va, p, true) }

// Translate implements domain.VirtMem.
func (l *Loop) Translate(va uint64) (guestmem.GPA, error) {
	return paging.Translate(l.Dom.Memory, l.root(), va, true)
}

func (l *Loop) root() (r paging.Root) {
	if l.pv.VCPU != nil { // the tables of the guest's kernel, whichever the processor has
		return paging.Root{CR0: x86.CR0PG, CR3: uint64(l.pv.KernelRoot), EFER: x86.EFERLMA}
	}
	r.CR0, r.CR3, r.CR4, r.EFER = l.Eng.Paging()
	return r
}

func (l *Loop) virt(va uint64, p []byte, write bool) error {
	return paging.Copy(l.Dom.Memory, l.root(), va, p, write)
}

// Run drives the vCPU on a thread of its own until the domain ends. An error means that it could not begin.
func (l *Loop) Run() error {
	defer l.finish()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	precise()
	w, err := newWaiter()
	if err != nil {
		return err
	}
	l.setWaiter(w)
	l.begin()
	wake, end, err := l.timer()
	if err != nil {
		return err
	}
	defer end()
	armed := domain.Never
	for {
		switch l.Step() {
		case Ended:
			l.account()
			l.setWaiter(nil)
			w.close()
			return nil
		case Waiting:
			w.sleep(l.rest())
		default:
			if l.timed != nil {
				l.timed.SetLimit(l.limit())
			} else if d := l.Deadline(); d != armed {
				armed = d
				wake(d)
			}
		}
	}
}

// timer makes what wakes the vCPU, or expires its timers, at a system time.
func (l *Loop) timer() (at func(uint64), end func(), err error) {
	if l.chip != nil {
		p, err := newPacer(l)
		if err != nil {
			return nil, nil, err
		}
		l.pacer.Store(p)
		return p.at, func() { l.pacer.Store(nil); p.close() }, nil
	}
	a, err := newAlarm()
	if err != nil {
		return nil, nil, err
	}
	return func(uint64) { a.set(l.left()) }, a.close, nil
}

// left gives the time to the next deadline, negative if there is none.
func (l *Loop) left() time.Duration {
	d := l.Deadline()
	if d == domain.Never {
		return -1
	}
	if now := l.V.Now(); d > now {
		return time.Duration(min(d-now, uint64(time.Hour)))
	}
	return 0
}

// rest gives how long a vCPU that waits may sleep. The timers of one that is paused or down do not expire: only a kick wakes it.
func (l *Loop) rest() time.Duration {
	if l.state.Load() != StateBlocked {
		return -1
	}
	d := l.left()
	if l.nap && (d < 0 || d > pollNap) {
		d = pollNap
	}
	return d
}

// Instructions that an engine which counts them is let run before the clock is looked at: at most as many as it can
// hardly do before the next deadline, so that timers need no second thread.
const (
	instructionsPerMicro = 250
	minRun               = 2000
)

func (l *Loop) limit() uint64 {
	d := l.left()
	if d < 0 {
		return 0
	}
	return l.Eng.Instructions() + max(uint64(d/time.Microsecond)*instructionsPerMicro, minRun)
}

// Deadline gives the system time of the next timer of this vCPU.
func (l *Loop) Deadline() uint64 {
	d := l.V.NextDeadline()
	if t, ok := l.APIC.Deadline(); ok {
		if ns := l.apicTime(t); ns < d {
			d = ns
		}
	}
	if l.Board != nil && l.ID == 0 {
		d = min(d, l.Board.Deadline())
	}
	return d
}

// farAway is more ticks than any host runs for: a guest may write what it likes into the deadline, and sums must not wrap.
const farAway = 1 << 60

// apicTime converts a TSC deadline to system time: now plus what is left.
func (l *Loop) apicTime(t uint64) uint64 {
	now := l.tsc()
	if t <= now {
		return 0
	}
	if t-now > farAway {
		return domain.Never
	}
	return l.V.Now() + l.Dom.Clock.Scale().Nanoseconds(t-now)
}

// Step does one round: requests, timers, injection, the engine, the exit.
func (l *Loop) Step() Status {
	if l.stop.Load() || l.Dom.IsShutdown() {
		l.state.Store(StateDown)
		return Ended
	}
	if n := l.pauses.Load(); n&1 == 1 {
		l.state.Store(StateRunnable)
		l.park(n)
		return Waiting
	}
	if !l.requests() {
		l.state.Store(StateDown)
		return Waiting
	}
	l.V.Expire(l.V.Now())
	l.APIC.Expire(l.tsc())
	if l.Board != nil && l.ID == 0 {
		l.Board.Expire(l.V.Now())
		l.Board.Upcall(l.V.CallbackLine())
	}
	if l.again {
		if l.pv.VCPU != nil {
			l.pvCall()
		} else {
			l.hypercall()
		}
		return Running
	}
	if l.V.TakeNMI() {
		l.Eng.InjectNMI()
		l.idle = false
	}
	if vec, ok := l.V.TakeUpcallVector(); ok {
		if l.chip != nil {
			l.chip.Fire(vec)
		} else {
			l.APIC.Set(vec)
		}
	}
	switch {
	case l.pv.VCPU != nil:
		l.pv.guest.Add(1) // before it is looked whether the TLB is to be flushed
		l.pvPending()
		if l.idle {
			l.pv.guest.Add(1)
		}
	case l.chip != nil:
		l.chipPending()
	default:
		l.injectPending()
	}
	if l.idle {
		if l.poll && l.V.PollDone() {
			l.V.EndPoll()
			l.poll, l.idle = false, false
			if l.pv.VCPU != nil {
				return Running // the frame is not given back yet
			}
		} else {
			l.state.Store(StateBlocked)
			l.V.SetRunstate(xen.RUNSTATE_blocked)
			return Waiting
		}
	}
	l.state.Store(StateRunning)
	l.V.SetRunstate(xen.RUNSTATE_running)
	l.V.UpdateTime()
	err := l.Eng.Run(&l.exit)
	if l.pv.VCPU != nil {
		l.pv.guest.Add(1)
	}
	if err != nil {
		l.plat.Crashed(l.ID, err.Error())
		return Running
	}
	l.insns.Store(l.Eng.Instructions())
	if l.after != nil {
		l.after()
	}
	if l.chip != nil && !l.began && l.exit.Kind != engine.ExitKick && l.exit.Kind != engine.ExitSignal {
		l.began = true
		l.V.BringUp()
	}
	if o := l.observer.Load(); o != nil {
		l.watched(*o)
	} else {
		l.handle()
	}
	return Running
}

// injectPending gives the guest the interrupt that is due, or asks to be told when it takes one.
func (l *Loop) injectPending() {
	vec, callback := l.V.CallbackVector()
	fromAPIC, fromPIC := false, false
	switch {
	case callback:
	case l.Board != nil && l.ID == 0 && l.Board.ExtINT(l.APIC.ExtINT()):
		fromPIC = true
	default:
		l.APIC.SetTPR(l.Eng.CR8() << 4)
		vec, fromAPIC = l.APIC.Pending()
		if !fromAPIC {
			l.Eng.WantWindow(false)
			return
		}
	}
	if !l.Eng.Interruptible() {
		if l.poll { // an event for a vCPU that polls with interrupts off ends nothing
			return
		}
		l.Eng.WantWindow(true)
		return
	}
	l.Eng.WantWindow(false)
	if l.poll {
		l.V.EndPoll()
		l.poll = false
	}
	l.idle = false
	if fromPIC {
		vec = l.Board.Ack()
	}
	l.Eng.Inject(vec)
	if fromAPIC || fromPIC {
		if fromAPIC {
			l.APIC.Accept(vec)
		}
		l.Counts.Interrupts.Add(1)
	} else {
		l.Counts.Upcalls.Add(1)
	}
}

// requests handles start, INIT and SIPI. false: the vCPU is down.
func (l *Loop) requests() bool {
	l.mu.Lock()
	start, st := l.startUp, l.start
	l.startUp, l.start = false, nil
	init, sipi := l.initReq, l.sipi
	l.initReq, l.sipi = false, -1
	l.mu.Unlock()
	switch {
	case start:
		if st != nil {
			l.load(st)
		}
		l.idle = false
	case init:
		if l.V.IsUp() {
			l.V.Down()
		}
		l.APIC.Reset() // the upcall vector stays: Linux sets it for a vCPU before it sends INIT
	}
	if sipi >= 0 && !l.V.IsUp() {
		l.startup(uint8(sipi))
	}
	if !l.V.IsUp() {
		if l.chip != nil && !l.began { // the host starts it
			l.idle = false
			return true
		}
		l.idle = true
		return false
	}
	l.began = true
	return true
}

func (l *Loop) load(st *x86.State) {
	l.again = false // of a hypercall that INIT has cut short
	if err := l.Eng.Set(st); err != nil {
		l.plat.Crashed(l.ID, err.Error())
	}
}

// startup is the state after a startup IPI: real mode at vector<<12 (SDM 3A 8.4.4).
func (l *Loop) startup(vector uint8) {
	var s x86.State
	s.RFLAGS = x86.FlagOne
	s.CR0 = x86.CR0ET | x86.CR0NW | x86.CR0CD
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Limit: 0xffff, Attr: 0x93}
	}
	s.Seg[x86.CS] = x86.Segment{Selector: uint16(vector) << 8, Base: uint64(vector) << 12, Limit: 0xffff, Attr: 0x9b}
	s.TR, s.LDTR = x86.Segment{Limit: 0xffff, Attr: 0x8b}, x86.Segment{Limit: 0xffff, Attr: 0x82}
	s.GDTR.Limit, s.IDTR.Limit = 0xffff, 0xffff
	s.DR[6], s.DR[7] = 0xffff0ff0, 0x400
	s.PAT = x86.PATReset
	s.FX.FCW, s.FX.MXCSR = 0x37f, x86.MXCSRReset
	l.load(&s)
	l.V.BringUp()
	l.idle = false
}

// Deliver takes an interrupt command for this vCPU. Any goroutine.
func (l *Loop) Deliver(c *apic.Command) {
	switch c.Mode {
	case apic.ModeFixed, apic.ModeLowest:
		if c.Level {
			l.APIC.FireLevel(c.Vector)
		} else {
			l.APIC.Fire(c.Vector)
		}
	case apic.ModeNMI:
		l.V.RaiseNMI()
	case apic.ModeINIT:
		l.mu.Lock()
		l.initReq = true
		l.mu.Unlock()
	case apic.ModeStartup:
		l.mu.Lock()
		l.sipi = int(c.Vector)
		l.mu.Unlock()
	}
	l.Kick()
}

// handle decides the exit.
func (l *Loop) handle() {
	e := &l.exit
	l.Counts.Exits[e.Kind].Add(1)
	l.tail.add(e, l.Eng.Regs()[x86.RAX])
	switch e.Kind {
	case engine.ExitKick, engine.ExitSignal, engine.ExitWindow, engine.ExitNone:
	case engine.ExitIO:
		if l.pv.VCPU != nil && e.Port == MonitorPort && e.Write {
			l.pvExit()
			return
		}
		l.port(e)
	case engine.ExitMMIO:
		l.mmio(e)
	case engine.ExitHypercall:
		if l.pv.VCPU != nil { // by VMMCALL, which is no instruction for a PV guest
			l.Eng.InjectFault(x86.Fault{Vector: x86.VectorUD})
		} else {
			l.hypercall()
		}
	case engine.ExitRDMSR:
		l.rdmsr(e)
	case engine.ExitWRMSR:
		l.wrmsr(e)
	case engine.ExitCPUID:
		r := l.Eng.Regs()
		a, b, c, d := l.plat.CPUID(l.ID, uint32(r[x86.RAX]), uint32(r[x86.RCX]))
		r[x86.RAX], r[x86.RBX], r[x86.RCX], r[x86.RDX] = uint64(a), uint64(b), uint64(c), uint64(d)
	case engine.ExitHLT:
		l.idle = true
		if !e.Interruptible {
			// Nothing but INIT can wake it: the vCPU is down, and the last one powers the domain off (Xen hvm_hlt).
			l.V.Down()
		}
	case engine.ExitShutdown:
		l.plat.TripleFault(l.ID)
	case engine.ExitInternal:
		l.plat.Crashed(l.ID, e.Reason)
	}
}

func (l *Loop) port(e *engine.Exit) {
	l.Counts.Ports.Add(uint32(e.Port), e.Write)
	e.Data = uint64(l.plat.Port(e.Port, e.Size, e.Write, uint32(e.Data)))
}

// mmio answers the xAPIC's page; everything else belongs to the board, or reads all ones.
func (l *Loop) mmio(e *engine.Exit) {
	l.Counts.MMIO.Add(uint32(e.GPA>>12), e.Write)
	base := l.APIC.Base()
	if base&(apic.BaseEnable|apic.BaseX2APIC) == apic.BaseEnable && uint64(e.GPA)&^0xfff == base&^0xfff {
		reg := uint32(e.GPA&0xfff) >> 4
		if e.Write {
			l.APIC.Write(reg, e.Data&0xffffffff, l.tsc())
			l.syncTPR(reg)
			return
		}
		e.Data, _ = l.APIC.Read(reg, l.tsc())
		return
	}
	if l.Board != nil {
		e.Data = l.Board.MMIO(e.GPA, e.Size, e.Write, e.Data)
		return
	}
	if !e.Write {
		e.Data = ^uint64(0)
	}
}

// syncTPR keeps CR8 equal to the task priority written through the APIC.
func (l *Loop) syncTPR(reg uint32) {
	if reg == apic.RegTPR {
		l.Eng.SetCR8(l.APIC.TPR() >> 4)
	}
}

func (l *Loop) hypercall() {
	m := l.Eng.Mode()
	r := hypercall.Call(l.Dom, l.V, l.Eng.Regs(), m.Long, m.CPL)
	l.again = r.Again
	if r.Block {
		l.idle = true
		l.poll = l.V.Polling()
	}
	if r.Yield {
		runtime.Gosched()
	}
}

// Counters gives what the loop counts.
func (l *Loop) Counters() *Counts { return &l.Counts }
