package vcpu

import (
	"time"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/paging"
)

// Observer looks at a vCPU each time that it has left its guest. It is called in the vCPU's goroutine, which it delays.
type Observer interface {
	// Left comes before the exit is handled.
	Left(l *Loop, e *engine.Exit)
	// Handled comes when that has been done, after d.
	Handled(l *Loop, e *engine.Exit, d time.Duration)
}

// Observe has an observer told of this vCPU's exits from now on; nil for none. Any goroutine.
func (l *Loop) Observe(o Observer) {
	if o == nil {
		l.observer.Store(nil)
		return
	}
	l.observer.Store(&o)
}

// watched handles an exit under an observer's eyes.
func (l *Loop) watched(o Observer) {
	o.Left(l, &l.exit)
	began := time.Now()
	l.handle()
	o.Handled(l, &l.exit, time.Since(began))
}

// Place is where a guest was when its vCPU left it.
type Place struct {
	RIP, RSP, RBP uint64
	CPL           uint8 // of a PV guest: 3 for its kernel, too
	Long          bool
	Root          paging.Root // of what the addresses belong to
	Monitor       bool        // in the monitor of a PV guest, whose stack is not the guest's
}

// Place is for observers, in Left.
func (l *Loop) Place() Place {
	r, m := l.Eng.Regs(), l.Eng.Mode()
	p := Place{RIP: l.exit.RIP, RSP: r[x86.RSP], RBP: r[x86.RBP], CPL: m.CPL, Long: m.Long}
	p.Root.CR0, p.Root.CR3, p.Root.CR4, p.Root.EFER = l.Eng.Paging()
	if l.pv.VCPU != nil && m.CPL == 0 {
		p.Monitor = true
		if e := &l.exit; e.Kind == engine.ExitIO && e.Port == MonitorPort { // it has saved the guest's registers
			l.pv.Load()
			g := &l.pv.Regs
			p = Place{RIP: g[monitor.RIP], RSP: g[monitor.RSP], RBP: g[monitor.RBP], CPL: 3, Long: true, Root: l.root()}
		}
	}
	return p
}
