package process

import (
	"fmt"
	"os"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// follow waits for the end of d and does what its configuration says.
func (h *host) follow(d *domain) {
	<-d.machine.Done()
	reason := d.machine.Reason()
	_ = d.log.Close()
	cfg := d.entry.Config()
	action, note := config.Destroy, ""
	select {
	case <-d.server.Destroyed():
	default:
		action, note = decide(cfg.ActionFor(reason.Code), d.restarted && time.Since(d.started) < quickEnd)
	}
	fmt.Fprintf(os.Stderr, "hypervisor: domain %d (%s) ended: %s %s; action %s %s\n", d.entry.Domid, cfg.Name, reason.Code,
		reason.Text, action, note)
	if reason.Detail != "" {
		fmt.Fprintln(os.Stderr, reason.Detail)
	}
	e := control.Ended{Reason: reason, Action: string(action), Note: note}
	switch action {
	case config.Restart:
		h.restart(d, cfg, e)
	case config.RenameRestart:
		h.renameRestart(d, cfg, e)
	case config.Preserve:
		h.preserve(d, e)
	default:
		h.finish(d, e)
	}
}

// decide turns the configured action into one that can be carried out, and says why if it is another.
func decide(a config.Action, tooQuick bool) (config.Action, string) {
	note := ""
	switch a {
	case config.CoredumpDestroy:
		a, note = config.Destroy, "coredump-destroy: core dumps are not available yet, so the domain is only destroyed"
	case config.CoredumpRestart:
		a, note = config.Restart, "coredump-restart: core dumps are not available yet, so the domain is only restarted"
	case config.SoftReset:
		a, note = config.Restart, "soft-reset is not available yet, so the domain is restarted from its kernel"
	}
	if tooQuick && (a == config.Restart || a == config.RenameRestart) {
		return config.Destroy, fmt.Sprintf("not restarted: it had been restarted, and ended within %s", quickEnd)
	}
	return a, note
}

// finish cleans up. The name is free before anybody is told.
func (h *host) finish(d *domain, e control.Ended) {
	h.forget(d)
	_ = d.entry.Remove()
	d.close(e)
}

// close tells clients the outcome and takes the domain apart; its run folder is gone or another's by now.
func (d *domain) close(e control.Ended) {
	d.server.SetOutcome(e)
	d.server.Retire()
	d.server.Close()
	_ = d.machine.Close()
	d.log.Release()
}

// restart builds the domain anew under another domid. The old memory is given back first, and clients of the old one wait
// until the new one is there.
func (h *host) restart(d *domain, cfg config.Domain, e control.Ended) {
	h.forget(d)
	d.server.Retire()
	_ = d.machine.Close()
	next, err := h.start(cfg, d.entry, true)
	if err != nil {
		e.Action, e.Note = string(config.Destroy), "the restart failed: "+err.Error()
		_ = d.entry.Remove()
	} else {
		e.Successor = int(next.entry.Domid)
	}
	d.server.SetOutcome(e)
	d.server.Close()
	d.log.Release()
	if next != nil {
		next.unpause()
		h.live.Go(func() { h.follow(next) })
	}
}

// renameRestart keeps the dead domain under another name and starts a new one with the old name.
func (h *host) renameRestart(d *domain, cfg config.Domain, e control.Ended) {
	name := cfg.Name + time.Now().UTC().Format("-20060102T150405Z")
	if err := d.server.Rename(name); err != nil {
		e.Note = "the dead domain could not be renamed: " + err.Error()
		e.Action = string(config.Destroy)
		h.finish(d, e)
		return
	}
	next, err := h.start(cfg, nil, true)
	if err != nil {
		e.Note = "the restart failed: " + err.Error()
	} else {
		e.Successor = int(next.entry.Domid)
		next.unpause()
		h.live.Go(func() { h.follow(next) })
	}
	h.preserve(d, e)
}

// preserve keeps a dead domain until somebody destroys it.
func (h *host) preserve(d *domain, e control.Ended) {
	_ = d.entry.SetPhase(control.PhaseEnded)
	d.server.SetOutcome(e)
	<-d.server.Destroyed()
	h.finish(d, e)
}
