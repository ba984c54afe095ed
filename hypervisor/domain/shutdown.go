package domain

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// Shutdown says how a domain ended.
type Shutdown struct {
	Reason uint8 // SHUTDOWN_*
	// Text says why a domain crashed, for people; empty for what the guest asked for.
	Text string
	// VCPU and Regs are the state at a crash; Regs is nil if it is not known.
	VCPU int
	Regs *x86.State
	// Detail is what is known about the vCPU otherwise, for people.
	Detail string
}

// Shutdown ends the domain with a SHUTDOWN_ reason, as SCHEDOP_shutdown does: vCPUs are kicked and stop. A reason set
// before with SetShutdownCode goes first. Later calls change nothing.
func (d *Domain) Shutdown(reason uint8) { d.end(Shutdown{Reason: reason}) }

// Crash ends the domain with SHUTDOWN_crash and keeps the reason and the registers. regs may be nil.
func (d *Domain) Crash(vcpu int, text string, regs *x86.State) {
	d.end(Shutdown{Reason: xen.SHUTDOWN_crash, Text: text, VCPU: vcpu, Regs: regs})
}

// CrashDetail is Crash with the vCPU's state as text, on architectures whose registers Shutdown does not hold.
func (d *Domain) CrashDetail(vcpu int, text, detail string) {
	d.end(Shutdown{Reason: xen.SHUTDOWN_crash, Text: text, VCPU: vcpu, Detail: detail})
}

func (d *Domain) end(s Shutdown) {
	d.mu.Lock()
	if d.down.Load() {
		d.mu.Unlock()
		return
	}
	if d.code >= 0 && s.Text == "" {
		s.Reason = uint8(d.code)
	}
	d.ended = s
	d.down.Store(true)
	d.mu.Unlock()
	for _, v := range d.VCPUs {
		v.Kick()
	}
	if d.onShutdown != nil {
		d.onShutdown(s)
	}
}

// IsShutdown reports whether the domain has ended. vCPU loops look at it after each exit.
func (d *Domain) IsShutdown() bool { return d.down.Load() }

// ShutdownState says how the domain ended; false while it lives.
func (d *Domain) ShutdownState() (Shutdown, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended, d.down.Load()
}

// SetShutdownCode notes the reason for a shutdown to come (SCHEDOP_shutdown_code); the first one counts.
func (d *Domain) SetShutdownCode(reason uint8) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.code < 0 {
		d.code = int16(reason)
	}
}

// Resume lets a domain that shut down for suspend go on.
func (d *Domain) Resume() {
	d.mu.Lock()
	d.ended, d.code = Shutdown{}, -1
	d.down.Store(false)
	d.mu.Unlock()
	for _, v := range d.VCPUs {
		v.Kick()
	}
}

// Watchdog sets one of the domain's two watchdog timers (SCHEDOP_watchdog): id 0 takes a free one and gives its id,
// 1 and 2 re-arm, timeout 0 stops. When one runs out the domain ends with SHUTDOWN_watchdog.
func (d *Domain) Watchdog(id, seconds uint32) (int, xen.Errno) {
	if id > uint32(len(d.watchdog)) {
		return 0, xen.EINVAL
	}
	at := d.Clock.Now() + uint64(seconds)*1e9
	d.mu.Lock()
	defer d.VCPUs[0].Kick()
	defer d.mu.Unlock()
	if id == 0 {
		for i := range d.watchdog {
			if d.watchdog[i].Load() == 0 {
				d.watchdog[i].Store(max(at, 1))
				return i + 1, 0
			}
		}
		return 0, xen.ENOSPC
	}
	w := &d.watchdog[id-1]
	if w.Load() == 0 {
		return 0, xen.EINVAL
	}
	if seconds == 0 {
		at = 0
	}
	w.Store(at)
	return 0, 0
}
