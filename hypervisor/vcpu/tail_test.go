package vcpu

import (
	"strings"
	"testing"

	"gozen/hypervisor/engine"
)

func TestTail_keepsTheLast(t *testing.T) {
	var l tail
	if l.text() != "last exits:" {
		t.Errorf("empty: %q", l.text())
	}
	for i := range 40 {
		l.add(&engine.Exit{Kind: engine.ExitIO, Port: uint16(i), Write: i%2 == 0, RIP: 0x1000}, 0)
	}
	l.add(&engine.Exit{Kind: engine.ExitHypercall, RIP: 0x2000}, 24)
	l.add(&engine.Exit{Kind: engine.ExitWRMSR, MSR: 0xc0000080, RIP: 0x3000}, 0)
	l.add(&engine.Exit{Kind: engine.ExitShutdown, RIP: 0x4000}, 0)
	lines := strings.Split(l.text(), "\n")
	if len(lines) != tailLen+1 || lines[1] != "  io read 0x1b at 0x1000" {
		t.Errorf("%d lines, the first is %q", len(lines), lines[1])
	}
	want := "  io read 0x27 at 0x1000\n  hypercall 0x18 at 0x2000\n  wrmsr 0xc0000080 at 0x3000\n  shutdown at 0x4000"
	if got := strings.Join(lines[len(lines)-4:], "\n"); got != want {
		t.Errorf("the last ones are\n%s", got)
	}
	if n := testing.AllocsPerRun(10, func() { l.add(&engine.Exit{}, 0) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
