package vcpu

import (
	"runtime"
	"sync/atomic"
	"time"

	"gozen/hypervisor/a64/paging"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/xen"
)

// A64Platform is what an arm64 loop asks of the machine around it.
type A64Platform interface {
	// Crashed is told why the guest cannot go on. It must end the domain.
	Crashed(vcpu int, why string)
}

// A64Loop drives one arm64 vCPU, whose timers, interrupt controller and PSCI are the engine's: it waits for interrupts inside the
// engine, also while the guest has it off. Step and what it calls belong to one goroutine.
type A64Loop struct {
	ID  int
	Eng engine.A64VCPU
	Dom *domain.Domain
	V   *domain.VCPU

	Counts Counts

	gate
	plat  A64Platform
	exit  engine.Exit
	nr    uint64
	args  [6]uint64
	poll  bool // waiting in SCHEDOP_poll
	again bool // a hypercall has work left
	line  line
	watch func() // tells the watcher that a line was raised
	guest atomic.Bool
}

// NewA64 makes a loop and connects it to its domain vCPU.
func NewA64(id int, eng engine.A64VCPU, d *domain.Domain, p A64Platform) *A64Loop {
	l := &A64Loop{ID: id, Eng: eng, Dom: d, V: d.VCPUs[id], plat: p, watch: func() {}}
	l.gate.set(eng)
	l.V.Virt = l
	l.V.Kick = l.Kick
	l.V.Raise = l.raise
	l.line.pending = l.V.UpcallPending
	l.line.set = eng.SetUpcall
	return l
}

// raise is told that evtchn_upcall_pending was set. Any goroutine.
func (l *A64Loop) raise() {
	if l.line.raise() {
		l.Counts.Upcalls.Add(1)
		if !l.guest.Load() || !manyCPUs || !l.line.settle(settleTime) {
			l.watch()
		}
	}
	if l.V.Polling() {
		l.Kick()
	}
}

// settleTime is about as long as a guest under way takes to react; manyCPUs, that it can while another thread waits for that.
const settleTime = 10 * time.Microsecond

var manyCPUs = runtime.NumCPU() > 1

// ReadVirt implements domain.VirtMem.
func (l *A64Loop) ReadVirt(va uint64, p []byte) error {
	return paging.Copy(l.Dom.Memory, l.Eng.Translation(), va, p, false)
}

// WriteVirt implements domain.VirtMem.
func (l *A64Loop) WriteVirt(va uint64, p []byte) error {
	return paging.Copy(l.Dom.Memory, l.Eng.Translation(), va, p, true)
}

// Translate implements domain.VirtMem.
func (l *A64Loop) Translate(va uint64) (guestmem.GPA, error) {
	return paging.Translate(l.Dom.Memory, l.Eng.Translation(), va, true)
}

// Run drives the vCPU on a thread of its own until the domain ends. An error means that it could not begin.
func (l *A64Loop) Run() error {
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
	a, err := newAlarm()
	if err != nil {
		return err
	}
	defer a.close()
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
			if d := l.V.NextDeadline(); d != armed {
				armed = d
				a.set(l.left())
			}
		}
	}
}

// left gives the time to the next deadline, negative if there is none.
func (l *A64Loop) left() time.Duration {
	d := l.V.NextDeadline()
	if d == domain.Never {
		return -1
	}
	if now := l.V.Now(); d > now {
		return time.Duration(min(d-now, uint64(time.Hour)))
	}
	return 0
}

// pollPause bounds how long a vCPU stays in SCHEDOP_poll: its other interrupts are the engine's, and do not end the wait.
const pollPause = time.Millisecond

// rest gives how long a vCPU that waits may sleep.
func (l *A64Loop) rest() time.Duration {
	if l.state.Load() != StateBlocked {
		return -1
	}
	if d := l.left(); d >= 0 && d < pollPause {
		return d
	}
	return pollPause
}

// Step does one round: requests, the engine, the exit.
func (l *A64Loop) Step() Status {
	if l.stop.Load() || l.Dom.IsShutdown() {
		l.state.Store(StateDown)
		return Ended
	}
	if n := l.pauses.Load(); n&1 == 1 {
		l.state.Store(StateRunnable)
		l.park(n)
		return Waiting
	}
	l.V.Expire(l.V.Now())
	if l.again {
		l.hypercall()
		return Running
	}
	if l.poll {
		if l.state.Swap(StateBlocked) != StateBlocked && !l.V.PollDone() && !l.V.UpcallPending() {
			l.V.SetRunstate(xen.RUNSTATE_blocked)
			return Waiting
		}
		l.V.EndPoll()
		l.poll = false
	}
	if l.V.IsUp() {
		l.state.Store(StateRunning)
		l.V.SetRunstate(xen.RUNSTATE_running)
	}
	l.guest.Store(true)
	err := l.Eng.Run(&l.exit)
	l.guest.Store(false)
	if err != nil {
		l.plat.Crashed(l.ID, err.Error())
		return Running
	}
	l.handle()
	if l.line.check() {
		l.watch()
	}
	if e := l.line.err.Load(); e != nil {
		l.plat.Crashed(l.ID, (*e).Error())
	}
	return Running
}

// handle decides the exit.
func (l *A64Loop) handle() {
	e := &l.exit
	l.Counts.Exits[e.Kind].Add(1)
	switch e.Kind {
	case engine.ExitHypercall:
		l.up()
		l.nr = l.Eng.X(16)
		for i := range hypercall.ArgsA64(l.nr) {
			l.args[i] = l.Eng.X(i)
		}
		l.hypercall()
	case engine.ExitSMCCC:
		l.smccc(uint32(e.Data))
	case engine.ExitMMIO:
		l.Counts.MMIO.Add(uint32(e.GPA>>12), e.Write)
		if !e.Write {
			e.Data = ^uint64(0)
		}
	case engine.ExitShutdown:
		l.power(e.Data)
	case engine.ExitKick:
		l.up()
	case engine.ExitInternal:
		l.plat.Crashed(l.ID, e.Reason)
	}
}

// up follows what PSCI has done to the vCPU.
func (l *A64Loop) up() {
	switch on := l.Eng.Online(); {
	case on == l.V.IsUp():
	case on:
		l.V.BringUp()
	default:
		l.V.SetOffline()
		l.state.Store(StateDown)
	}
}

func (l *A64Loop) power(event uint64) {
	switch event {
	case engine.PowerOff:
		l.Dom.Shutdown(xen.SHUTDOWN_poweroff)
	case engine.PowerReset:
		l.Dom.Shutdown(xen.SHUTDOWN_reboot)
	default:
		l.plat.Crashed(l.ID, "the guest reported a crash by PSCI")
	}
}

func (l *A64Loop) hypercall() {
	r := hypercall.CallA64(l.Dom, l.V, l.nr, &l.args)
	l.again = r.Again
	if !r.Again {
		l.Eng.SetX(0, l.args[0])
	}
	if r.Block {
		l.poll = l.V.Polling()
	}
	if r.Yield {
		runtime.Gosched()
	}
}

// Functions of the SMC calling convention that Xen answers for its guests (SMCCC, DEN 0028; Xen public/arch-arm/smccc.h,
// arch/arm/vsmc.c): the hypervisor's general queries.
const (
	smcccHypCount    = 0x8600ff00
	smcccHypUID      = 0x8600ff01
	smcccHypRevision = 0x8600ff03
	smcccUnknown     = ^uint64(0) // not supported
	xenFunctions     = 3
	xenMajor         = 0
	xenMinor         = 1
)

// xenUID is XEN_SMCCC_UID, a71812dc-c698-4369-9acf-79d18ddee667, in registers as SMCCC orders its bytes.
var xenUID = [4]uint64{0xdc1218a7, 0x694398c6, 0xd179cf9a, 0x67e6de8d}

func (l *A64Loop) smccc(function uint32) {
	ret := [4]uint64{}
	n := 1
	switch function {
	case smcccHypCount:
		ret[0] = xenFunctions
	case smcccHypUID:
		ret, n = xenUID, 4
	case smcccHypRevision:
		ret[0], ret[1], n = xenMajor, xenMinor, 2
	default:
		ret[0] = smcccUnknown
	}
	for i := range n {
		l.Eng.SetX(i, ret[i])
	}
}

// Counters gives what the loop counts.
func (l *A64Loop) Counters() *Counts { return &l.Counts }

// Instructions gives 0: the engine does not count them.
func (l *A64Loop) Instructions() uint64 { return 0 }
