package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gozen/hypervisor/control"
)

func (a *app) shutdown(c *call) int { return a.power(c, "shutdown", "poweroff") }
func (a *app) reboot(c *call) int   { return a.power(c, "reboot", "reboot") }

// power asks one guest or all to shut down, and may wait for it.
func (a *app) power(c *call, verb, word string) int {
	all, fallback, wait := false, false, 0
	args, rc := a.parse(c, options{short: "awF", long: map[string]byte{"all": 'a', "wait": 'w'}}, func(o byte, _ string) {
		switch o {
		case 'a':
			all = true
		case 'w':
			wait++
		case 'F':
			fallback = true
		}
	})
	if rc != noReturn {
		return rc
	}
	if len(args) == 0 && !all {
		a.say("You must specify -a or a domain id.\n")
		return exitFail
	}
	var doms []control.Found
	if all {
		var ok bool
		if doms, ok = a.domains(); !ok {
			return exitFail
		}
	} else {
		f, ok := a.findGuest(args[0], verb)
		if !ok {
			return exitFail
		}
		doms = []control.Found{f}
	}
	var ends []end
	for _, f := range doms {
		if wait > 0 {
			ends = append(ends, beginEnd(f, wait == 1))
		}
		if !a.request(f, verb, word, fallback) {
			return exitFail
		}
	}
	if wait > 0 {
		a.awaitEnds(ends, wait == 1)
	}
	return exitOK
}

// request writes the word to one guest and waits until it has taken it, as Xen's toolstack does.
func (a *app) request(f control.Found, verb, word string, fallback bool) bool {
	gerund := map[string]string{"shutdown": "Shutting down", "reboot": "Rebooting"}[verb]
	a.say("%s domain %d", gerund, f.Domid)
	c, ctx, cancel := ask(f)
	defer cancel()
	defer c.Close()
	err := c.Shutdown(ctx, word)
	switch {
	case err == nil:
		if a.acknowledged(f, c) {
			return true
		}
		a.say("guest didn't acknowledge control request: -9")
		a.say("%s failed (rc=-9)", verb)
	case errors.Is(err, control.ErrNoParavirt) && fallback && word == "poweroff" && c.Shutdown(ctx, control.PowerButton) == nil:
		a.say("PV control interface not available: sending ACPI power button event.")
		return true
	case errors.Is(err, control.ErrNoParavirt):
		button, event := "power", "shutdown"
		if word == "reboot" {
			button, event = "reset", "reboot"
		}
		if fallback {
			a.say("PV control interface not available: sending ACPI %s button event.", button)
			a.say("  why:   this domain has no ACPI %s button", button)
		} else {
			a.say("PV control interface not available: external graceful %s not possible.", event)
		}
		a.say("  do:    end it from inside, or with: xl destroy %d", f.Domid)
		a.say("%s failed (rc=-10)", verb)
	case errors.Is(err, control.ErrEnded):
		return true
	default:
		a.failed(f, verb, err)
		a.say("%s failed (rc=-3)", verb)
	}
	return false
}

// acknowledged waits until the guest has cleared control/shutdown, or is gone.
func (a *app) acknowledged(f control.Found, c *control.Client) bool {
	limit := a.ackTime
	if limit == 0 {
		limit = 60 * time.Second
	}
	path := fmt.Sprintf("/local/domain/%d/control/shutdown", f.Domid)
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		v, err := c.StoreRead(ctx, path)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) || err == nil && len(v) == 0 {
			return true
		}
	}
	return false
}

// end is a wait for the end of a domain, begun before it was asked to end.
type end struct {
	found control.Found
	await func() (control.Ended, error)
}

func beginEnd(f control.Found, shutdown bool) end {
	until := control.UntilDeath
	if shutdown {
		until = control.UntilShutdown
	}
	await, err := control.NewClient(f.Dir).BeginWait(context.Background(), until)
	if err != nil {
		await = func() (control.Ended, error) { return control.Ended{}, err }
	}
	return end{f, await}
}

// awaitEnds waits until every domain has shut down, or with that false until it is gone.
func (a *app) awaitEnds(ends []end, shutdown bool) {
	a.say("Waiting for %d domains", len(ends))
	var wg sync.WaitGroup
	lines := make(chan string, len(ends))
	for _, d := range ends {
		wg.Go(func() {
			e, err := d.await()
			if n := control.ReasonNumber(e.Reason.Code); err == nil && n >= 0 && shutdown {
				lines <- fmt.Sprintf("Domain %d has been shut down, reason code %d", d.found.Domid, n)
				return
			}
			lines <- fmt.Sprintf("Domain %d has been destroyed", d.found.Domid)
		})
	}
	go func() { wg.Wait(); close(lines) }()
	for l := range lines {
		a.say("%s", l)
	}
}
