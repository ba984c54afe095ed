package vcpu

import (
	"fmt"
	"time"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/hypercall"
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
		if g, _, ok := l.pv.Frame(); ok && l.leftMonitor() {
			p = Place{RIP: g[monitor.RIP], RSP: g[monitor.RSP], RBP: g[monitor.RBP], CPL: 3, Long: true, Root: l.root()}
		}
	}
	return p
}

// leftMonitor says that the last exit is one by which a PV guest's monitor asks for something.
func (l *Loop) leftMonitor() bool {
	return l.pv.VCPU != nil && l.exit.Kind == engine.ExitIO && l.exit.Port == MonitorPort && l.exit.Write
}

// Cause names the last exit, for observers in Left: in the words in which exits are counted, with hypercalls by name.
func (l *Loop) Cause() string {
	e := &l.exit
	way := func(in, out string) string {
		if e.Write {
			return out
		}
		return in
	}
	switch e.Kind {
	case engine.ExitIO:
		if l.leftMonitor() {
			return l.pvCause()
		}
		return fmt.Sprintf("exit:io:%s:%#x", way("in", "out"), e.Port)
	case engine.ExitMMIO:
		return fmt.Sprintf("exit:mmio:%s:%#x", way("read", "write"), uint64(e.GPA)&^0xfff)
	case engine.ExitRDMSR, engine.ExitWRMSR:
		return fmt.Sprintf("exit:%s:%#x", e.Kind, e.MSR)
	case engine.ExitHypercall:
		r := l.Eng.Regs()
		op := r[x86.RDI]
		if !l.Eng.Mode().Long {
			op = r[x86.RBX]
		}
		return callName(r[x86.RAX], op)
	}
	return "exit:" + e.Kind.String()
}

// pvCause names what a PV guest's monitor has left for.
func (l *Loop) pvCause() string {
	g, kernel, ok := l.pv.Frame()
	switch vec := g[monitor.Vector]; {
	case !ok:
		return "exit:monitor"
	case vec == monitor.EventVector:
		return "exit:monitor:event"
	case vec == monitor.Syscall && kernel:
		return callName(g[monitor.RAX], g[monitor.RDI])
	case vec == monitor.Syscall, vec == monitor.Syscall32:
		return "exit:monitor:syscall"
	default:
		return fmt.Sprintf("exit:monitor:vector:%d", vec)
	}
}

func callName(nr, op uint64) string {
	name := "hypercall:" + hypercall.Name(int(uint32(nr)))
	if sub := hypercall.SubName(int(uint32(nr)), int(uint32(op))); sub != "" {
		name += "/" + sub
	}
	return name
}
