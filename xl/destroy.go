package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/control"
)

// destroyTime is how long a domain process may take to go before it is killed.
const destroyTime = 10 * time.Second

func (a *app) destroy(c *call) int {
	args, rc := a.parse(c, options{short: "f", need: 1}, func(byte, string) {})
	if rc != noReturn {
		return rc
	}
	f, ok := a.find(args[0])
	if !ok {
		return exitFail
	}
	if f.Domid == 0 {
		a.say("Not destroying domain 0; use -f to force.")
		a.say("Domain-0 is the host here: gozen never destroys it, with -f neither.\n")
		return exitFail
	}
	ctx, cancel := context.WithTimeout(context.Background(), destroyTime)
	defer cancel()
	cl := control.NewClient(f.Dir)
	defer cl.Close()
	err := cl.Destroy(ctx)
	if err == nil {
		_, err = cl.Wait(ctx, control.UntilDeath)
	}
	if err != nil && a.stillThere(f) {
		a.say("xl: the process of domain %d (%d) does not answer: it is killed", f.Domid, f.PID)
		if !a.kill(f) {
			a.say("destroy failed (rc=-3)")
			return exitFail
		}
	}
	return exitOK
}

func (a *app) stillThere(f control.Found) bool {
	all, ok := a.domains()
	for _, d := range all {
		if d.Domid == f.Domid && d.PID == f.PID {
			return true
		}
	}
	return !ok
}

// kill ends a domain process that does not answer and cleans up after it. It must not hit another process that has got the same
// pid: the process is pinned first, and the run folder looked at again.
func (a *app) kill(f control.Found) bool {
	p, err := os.FindProcess(f.PID) // a pidfd where the kernel has them
	if err != nil || !a.stillThere(f) {
		return err == nil
	}
	defer func() { _ = p.Release() }()
	if err := p.Signal(unix.SIGKILL); err != nil {
		a.say("  why:   kill %d: %v", f.PID, err)
		return false
	}
	for range 100 {
		if !a.stillThere(f) {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}
