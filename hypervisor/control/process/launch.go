package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
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
	Errors []*config.Error `json:"errors,omitempty"`
}

// readyFD is where the domain process finds the ready pipe.
const readyFD = 3

// Started is a domain that runs in a process of its own.
type Started struct {
	Domid int
	Dir   string
	PID   int
}

// FindBinary gives the path of the domain process's program: $GOZEN_HYPERVISOR, else "hypervisor" beside
// the running program.
func FindBinary() (string, error) {
	if p := os.Getenv("GOZEN_HYPERVISOR"); p != "" {
		return p, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the hypervisor program: %w", err)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	p := filepath.Join(filepath.Dir(self), "hypervisor")
	if _, err := os.Stat(p); err != nil {
		return "", &config.Error{What: "the hypervisor program was not found", Why: err.Error(),
			Fix: "build it beside xl (make build), or name it with GOZEN_HYPERVISOR"}
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
	cmd := exec.Command(program)
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = in, os.Stderr, []*os.File{tell}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
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
		return Started{}, err
	}
	st.PID = cmd.Process.Pid
	go func() { _ = cmd.Wait() }() // no zombie while the caller watches the domain
	return st, nil
}

// died explains a domain process that ended without a word, by what it left in its log, and cleans up after it.
func died(root string, pid int, werr error) error {
	e := &config.Error{What: "the domain process ended before the domain was built", Why: werr.Error(),
		Fix: "report this: it is a bug in the hypervisor program"}
	r, err := control.OpenRegistry(root)
	if err != nil {
		return e
	}
	text, log := r.Postmortem(pid, 600)
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
			return Started{Domid: m.Domid, Dir: m.Dir}, nil
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
