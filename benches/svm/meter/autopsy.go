package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/control"
)

// autopsy says what is to be seen of a guest that does not go on: what it said, what KVM counts meanwhile, what the threads of its process do,
// and gozen's log with the goroutines, for which the process has to end.
func (g *guest) autopsy() {
	say := func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
	say("meter: the guest's last lines:\n%s", tail(g.said(), 25))
	before := counters()
	threads(g.pid)
	time.Sleep(time.Second)
	say("meter: KVM's counters, and what they grow by in a second:")
	for name, n := range counters() {
		if n > 0 {
			say("  %s %d +%d", name, n, n-before[name])
		}
	}
	threads(g.pid)
	if g.dir == "" {
		return
	}
	_ = unix.Kill(g.pid, unix.SIGQUIT)
	time.Sleep(2 * time.Second)
	b, _ := os.ReadFile(filepath.Join(g.dir, control.LogName))
	say("meter: the log of the domain process:\n%s", tail(string(b), 150))
}

// threads prints the state of each thread of a process, and its CPU time.
func threads(pid int) {
	list, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, t := range list {
		stat, _ := os.ReadFile(filepath.Join(t, "stat"))
		wchan, _ := os.ReadFile(filepath.Join(t, "wchan"))
		call, _ := os.ReadFile(filepath.Join(t, "syscall"))
		f := strings.Fields(string(stat[max(0, strings.LastIndex(string(stat), ")")):]))
		if len(f) > 13 {
			fmt.Fprintf(os.Stderr, "  thread %s: %s, user %s system %s ticks, in %s, call %s\n", filepath.Base(t), f[1], f[12], f[13], wchan, strings.TrimSpace(string(call)))
		}
	}
}

// tail gives the last n lines of a text.
func tail(text string, n int) string {
	l := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(l[max(0, len(l)-n):], "\n")
}
