package modes

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gozen/perfctl/result"
)

// Target is a limit for what an operation costs in a mode.
type Target struct {
	Mode, Workload string
	Kind           string // of counts: instructions, exit, hypercall, event; all of that kind are added up
	Limit          float64
}

// Targets lists them. A PVH or HVM guest's kernel and user mode, and its page tables, are its processor's own business; where the hypervisor has
// to act, one exit does it. In a PV guest the monitor finishes system calls, returns, lists of page-table writes and flushes; what else leaves the guest does so once.
func Targets() []Target {
	var ts []Target
	for _, m := range []string{"pvh", "hvm"} {
		for _, w := range []string{"syscall/null", "syscall/int80", "trap/ud2", "trap/int3", "msr/write", "walk/4k", "walk/2m", "walk/1g", "pt/flush", "pt/update", "pt/update16", "fault/minor", "clock/read"} {
			ts = append(ts, Target{m, w, "exit", 0})
		}
		for _, w := range []string{"hypercall/null", "hypercall/multicall8", "timer/set", "io/notify", "io/port", "io/mmio", "cpuid"} {
			ts = append(ts, Target{m, w, "exit", 1})
		}
		ts = append(ts, Target{m, "evtchn/self", "event", 1}, Target{m, "timer/fire", "event", 1})
	}
	for _, w := range []string{"syscall/null", "pt/update16", "pt/flush", "clock/read"} {
		ts = append(ts, Target{"pv", w, "exit", 0})
	}
	for _, w := range []string{"trap/ud2", "trap/int3", "cpuid", "msr/read", "pt/update", "hypercall/null", "hypercall/multicall8", "timer/set", "evtchn/self", "io/notify", "io/port"} {
		ts = append(ts, Target{"pv", w, "exit", 1})
	}
	return append(ts, Target{"pv", "fault/minor", "exit", 2}, Target{"pv", "walk/4k", "exit", 0.02})
}

// Judge gives the target's line. What was not measured is missed.
func (t Target) Judge(r *result.Result) (line string, ok bool) {
	name := fmt.Sprintf("%s-%s-%ss", t.Mode, strings.ReplaceAll(t.Workload, "/", "-"), t.Kind)
	s := r.Find(t.Mode, t.Workload)
	if s == nil || s.Missing != "" {
		return fmt.Sprintf("target %s none: not measured (limit %s) MISSED", name, number(t.Limit)), false
	}
	v := 0.0
	for _, c := range s.Counts {
		if c.Name == t.Kind || strings.HasPrefix(c.Name, t.Kind+" ") {
			v += c.PerOp
		}
	}
	return verdictLine(name, v, t.Limit)
}

// JudgeTime gives the line of how long a mode's measurement took.
func JudgeTime(mode string, took, limit time.Duration) (line string, ok bool) {
	return verdictLine(mode+"-measured-in-seconds", took.Seconds(), limit.Seconds())
}

func verdictLine(name string, v, limit float64) (string, bool) {
	verdict := "ok"
	if v > limit {
		verdict = "MISSED"
	}
	v = math.Round(v*100) / 100
	return fmt.Sprintf("target %s %s (limit %s) %s", name, number(v), number(limit), verdict), verdict == "ok"
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
