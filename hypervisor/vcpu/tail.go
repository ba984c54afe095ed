package vcpu

import (
	"fmt"
	"strings"

	"gozen/hypervisor/engine"
)

// tail keeps the last exits of a vCPU, for the report of a crash. It belongs to the vCPU's goroutine.
type tail struct {
	list [tailLen]tailExit
	n    uint64
}

const tailLen = 16 // a power of two

// tailExit is an exit: what is the port, MSR, address or hypercall number.
type tailExit struct {
	kind  engine.Kind
	write bool
	rip   uint64
	what  uint64
}

func (t *tail) add(e *engine.Exit, call uint64) {
	x := &t.list[t.n&(tailLen-1)]
	t.n++
	x.kind, x.write, x.rip = e.Kind, e.Write, e.RIP
	switch e.Kind {
	case engine.ExitIO:
		x.what = uint64(e.Port)
	case engine.ExitMMIO:
		x.what = uint64(e.GPA)
	case engine.ExitRDMSR, engine.ExitWRMSR:
		x.what = uint64(e.MSR)
	case engine.ExitHypercall:
		x.what = call
	default:
		x.what = 0
	}
}

// text gives the exits for people, the oldest first.
func (t *tail) text() string {
	var b strings.Builder
	b.WriteString("last exits:")
	for i := t.n - min(t.n, tailLen); i < t.n; i++ {
		x := &t.list[i&(tailLen-1)]
		fmt.Fprintf(&b, "\n  %s", x.kind)
		switch x.kind {
		case engine.ExitIO, engine.ExitMMIO:
			dir := "read"
			if x.write {
				dir = "write"
			}
			fmt.Fprintf(&b, " %s %#x", dir, x.what)
		case engine.ExitRDMSR, engine.ExitWRMSR, engine.ExitHypercall:
			fmt.Fprintf(&b, " %#x", x.what)
		}
		fmt.Fprintf(&b, " at %#x", x.rip)
	}
	return b.String()
}

// Tail gives the last exits of the vCPU for people. Its goroutine only, or once it has ended.
func (l *Loop) Tail() string { return l.tail.text() }
