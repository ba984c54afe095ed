package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/sandbox"
)

// Request is what a domain process reads as JSON from its standard input.
type Request struct {
	Config config.Domain `json:"config"`
	// Paused leaves the domain paused.
	Paused bool `json:"paused,omitempty"`
	// Root is the root run folder; empty means control.DefaultRoot.
	Root string `json:"root,omitempty"`
	// Began is when the person's command began.
	Began time.Time `json:"began"`
}

// message is one JSON line from the domain process to its parent over the ready pipe: any number of notes, then either Domid
// or Errors.
type message struct {
	Note   string          `json:"note,omitempty"`
	Domid  int             `json:"domid,omitempty"`
	Dir    string          `json:"dir,omitempty"`
	Plan   *Plan           `json:"plan,omitempty"`
	Errors []*config.Error `json:"errors,omitempty"`
}

// Plan says what was chosen for a domain: parts of control.Info, as they are when it is built.
type Plan struct {
	Engine    string         `json:"engine"`
	EngineWhy string         `json:"engine_why"`
	Paths     *control.Paths `json:"paths,omitempty"`
	Boot      string         `json:"boot,omitempty"`
}

// readyFD is where the domain process finds the ready pipe.
const readyFD = 3

// Started is a domain that runs in a process of its own.
type Started struct {
	Domid int
	Dir   string
	PID   int
	Plan  Plan
}

// FindBinary gives the path of the domain process's program: $GOZEN_HYPERVISOR, else "hypervisor" beside
// the running program.
func FindBinary() (string, error) { return findProgram("hypervisor", "GOZEN_HYPERVISOR", "") }

// FindPerfctl gives the path of perfctl: $GOZEN_PERFCTL, else "perfctl" beside the running program.
func FindPerfctl() (string, error) {
	return findProgram("perfctl", "GOZEN_PERFCTL", "it knows how to trace, xl does not")
}

// findProgram gives the path of one of our programs, which a variable of the environment can name. why says what for, if that needs a word.
func findProgram(name, variable, why string) (string, error) {
	if p := os.Getenv(variable); p != "" {
		return p, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the %s program: %w", name, err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	p := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(p); err != nil {
		e := &config.Error{What: "the " + name + " program was not found", Why: err.Error(),
			Fix: fmt.Sprintf("build it beside %s (make build), or name it with %s", filepath.Base(self), variable)}
		if why != "" {
			e.Why += ": " + why
		}
		return "", e
	}
	return p, nil
}

// Launch starts program as a domain process in a session of its own and waits until the domain is built or has failed. Notes
// go to note as they come. On failure nothing of the domain is left, and the error joins *config.Error values.
func Launch(program string, req Request, note func(string)) (Started, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return Started{}, err
	}
	in, feed, err := os.Pipe()
	if err != nil {
		return Started{}, fmt.Errorf("start the domain process: %w", err)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		in.Close()
		feed.Close()
		return Started{}, fmt.Errorf("start the domain process: %w", err)
	}
	defer ready.Close()
	cmd, group, err := begin(program, in, tell, &req.Config)
	in.Close()
	tell.Close()
	if err != nil {
		feed.Close()
		return Started{}, &config.Error{What: "the domain process could not be started", Why: err.Error(),
			Fix: "check that " + program + " is a program (GOZEN_HYPERVISOR names another)"}
	}
	go func() {
		_, _ = feed.Write(body)
		feed.Close()
	}()
	st, err := awaitReady(ready, note)
	if err != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it ends by itself; this is for one that hangs half-made
		if werr := waitBriefly(cmd, 5*time.Second); werr != nil && errors.Is(err, errSilent) {
			err = died(req.Root, cmd.Process.Pid, werr)
		}
		if group != nil {
			group.Remove()
		}
		return Started{}, err
	}
	st.PID = cmd.Process.Pid
	go func() { // no zombie while the caller watches the domain
		_ = cmd.Wait()
		if group != nil {
			group.Remove()
		}
	}()
	return st, nil
}

// begin starts the program, in a cgroup of its own where this user can make one.
func begin(program string, in, tell *os.File, cfg *config.Domain) (*exec.Cmd, *sandbox.Cgroup, error) {
	command := func() *exec.Cmd {
		c := exec.Command(program)
		c.Stdin, c.Stderr, c.ExtraFiles = in, os.Stderr, []*os.File{tell}
		c.Dir = "/"
		// Huge pages are for the guest's memory: the process's own heap is a few megabytes.
		c.Env = append(os.Environ(), "GODEBUG=disablethp=1")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		return c
	}
	for range 2 { // another launch may have swept away the empty cgroup
		if cfg.NoSandbox {
			break
		}
		group, err := sandbox.MakeCgroup(spareTasks + max(cfg.VCPUs, cfg.MaxVCPUs))
		if err != nil {
			break // the domain process says so, in its info
		}
		c := command()
		c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, group.FD()
		err = c.Start()
		group.Close()
		if err == nil {
			return c, group, nil
		}
		group.Remove()
	}
	c := command()
	return c, nil, c.Start()
}

// died explains a domain process that ended without a word, by what it left in its log, and cleans up after it.
func died(root string, pid int, werr error) error {
	e := &config.Error{What: "the domain process ended before the domain was built", Why: werr.Error(),
		Fix: "report this: it is a bug in the hypervisor program"}
	r, err := control.OpenRegistry(root)
	if err != nil {
		return e
	}
	text, log, death := r.Postmortem(pid, 600)
	if death != nil {
		_, why, _ := strings.Cut(death.What, ": ")
		return &config.Error{What: "the domain process was killed by its sandbox", Why: why,
			Fix: "report this: a domain makes no such call unless its process was taken over, or the sandbox lacks a rule; its whole log is " + log}
	}
	var x *exec.ExitError
	if errors.As(werr, &x) && x.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		e.Why += ": the kernel does that where the host, or a cgroup, is out of memory (see dmesg)"
		e.Fix = "give the domain less memory, or free some; leave memory_prealloc out"
	}
	if text != "" {
		e.Why += "; it said:\n" + text
	}
	if log != "" {
		e.Fix += "; its whole log is " + log
	}
	return e
}

var errSilent = errors.New("the domain process closed its pipe without a word")

func awaitReady(r io.Reader, note func(string)) (Started, error) {
	d := json.NewDecoder(r)
	for {
		var m message
		if err := d.Decode(&m); err != nil {
			return Started{}, errSilent
		}
		switch {
		case len(m.Errors) > 0:
			errs := make([]error, len(m.Errors))
			for i, e := range m.Errors {
				errs[i] = e
			}
			return Started{}, errors.Join(errs...)
		case m.Domid > 0:
			st := Started{Domid: m.Domid, Dir: m.Dir}
			_, _ = io.Copy(io.Discard, r) // until it runs, or is to stay paused
			if m.Plan != nil {
				st.Plan = *m.Plan
			}
			return st, nil
		case m.Note != "" && note != nil:
			note(m.Note)
		}
	}
}

// waitBriefly waits for the process and kills it if it takes too long.
func waitBriefly(cmd *exec.Cmd, d time.Duration) error {
	t := time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	defer t.Stop()
	return cmd.Wait()
}
