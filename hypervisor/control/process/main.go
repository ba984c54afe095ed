package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// Build makes a machine for a validated configuration, paused. Options.Dir is the run folder.
type Build func(cfg config.Domain, opts control.Options) (control.Machine, error)

const maxRequest = 1 << 20

const usage = `Usage: hypervisor < request.json

The process of one gozen domain. xl create starts it; it is not meant to be started by hand.
It reads a request as JSON from standard input, reports on file descriptor 3, and then serves
the domain's control socket (docs/control.md) until the domain ends.

  --host      print what this host's KVM can do, as JSON; {"name": "none", "why": TEXT} where it cannot be used
  --help      this text
  --version   the version
`

// Host describes the host's virtualization, for --host: plain data that becomes a JSON object with at least a name.
type Host func() any

// NoHost is the answer of a host without.
type NoHost struct {
	Name string `json:"name"` // none
	Why  string `json:"why"`
}

// Main is the whole program: it gives the exit status.
func Main(args []string, version string, build Build, facts Host) int {
	if len(args) > 0 {
		switch args[0] {
		case "--help", "-h":
			fmt.Print(usage)
			return 0
		case "--host":
			if err := json.NewEncoder(os.Stdout).Encode(facts()); err != nil {
				fmt.Fprintf(os.Stderr, "hypervisor: print what the host can do: %v\n", err)
				return 1
			}
			return 0
		case "--version":
			fmt.Println("gozen hypervisor " + version)
			return 0
		}
		fmt.Fprintf(os.Stderr, "hypervisor: unknown argument %q; see hypervisor --help\n", args[0])
		return 2
	}
	p, err := newParent()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hypervisor: this program is started by xl create; see hypervisor --help")
		return 2
	}
	req, err := readRequest(os.Stdin)
	if err == nil {
		err = run(req, p, build)
	}
	if err != nil {
		p.failed(err)
		return 1
	}
	return 0
}

// run starts the domain and stays until it is gone. The error is one of the start.
func run(req Request, p *parent, build Build) error {
	calm()
	req.Config.Complete()
	if err := req.Config.Validate(); err != nil {
		return err
	}
	if err := checkHost(&req.Config); err != nil {
		return err
	}
	reg, err := control.OpenRegistry(req.Root)
	if err != nil {
		return err
	}
	files := hold(&req.Config)
	forgetChildren()
	// Here, before any file is parsed.
	box := confine(&req.Config, reg.Root())
	h := &host{reg: reg, build: build, began: req.Began, note: p.note, redirect: true, sandbox: box, files: files}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	go func() {
		for range signals {
			h.stopAll()
		}
	}()
	d, err := h.start(req.Config, nil, false)
	if err != nil {
		return err
	}
	if err := p.ready(d); err != nil {
		d.server.Destroy() // whoever asked is gone, and would never learn of this domain
	} else if !req.Paused {
		d.unpause()
	}
	p.done()
	h.live.Go(func() { h.follow(d) })
	h.live.Wait()
	files.close()
	return nil
}

func readRequest(r io.Reader) (Request, error) {
	var req Request
	b, err := io.ReadAll(io.LimitReader(r, maxRequest+1))
	if err != nil {
		return req, fmt.Errorf("read the request: %w", err)
	}
	if len(b) > maxRequest {
		return req, fmt.Errorf("the request has more than %d bytes", maxRequest)
	}
	if err := json.Unmarshal(b, &req); err != nil {
		return req, fmt.Errorf("the request is not valid: %w", err)
	}
	// The pipe's other end may be a terminal's child: nothing else is read from there.
	if null, err := os.Open(os.DevNull); err == nil {
		_ = unix.Dup3(int(null.Fd()), 0, 0)
		null.Close()
	}
	return req, nil
}

// parent is the ready pipe to the command that started this process.
type parent struct {
	mu   sync.Mutex
	pipe *os.File // nil once the answer is given
}

func newParent() (*parent, error) {
	var st unix.Stat_t
	if err := unix.Fstat(readyFD, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, errors.New("file descriptor 3 is not a pipe")
	}
	unix.CloseOnExec(readyFD)
	return &parent{pipe: os.NewFile(readyFD, "ready")}, nil
}

func (p *parent) send(m message, last bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pipe == nil {
		return nil
	}
	err := json.NewEncoder(p.pipe).Encode(m)
	if last {
		p.pipe.Close()
		p.pipe = nil
	}
	return err
}

// note passes a line on to the person; after the start it goes nowhere, the log has it.
func (p *parent) note(s string) { _ = p.send(message{Note: s}, false) }

func (p *parent) ready(d *domain) error {
	return p.send(message{Domid: int(d.entry.Domid), Dir: d.entry.Dir, Plan: &d.plan}, false)
}

// done lets the parent go: the domain is as it was asked for.
func (p *parent) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pipe != nil {
		p.pipe.Close()
		p.pipe = nil
	}
}

func (p *parent) failed(err error) { _ = p.send(message{Errors: config.Errors(err)}, true) }
