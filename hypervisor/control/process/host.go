package process

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// ringSize is the size of a domain's hypervisor message ring, that of Xen's console ring by default.
const ringSize = 16 << 10

// quickEnd is the life below which a domain that was itself restarted is not restarted again.
const quickEnd = 5 * time.Second

// host is this process: usually one domain, two while one that was renamed is preserved.
type host struct {
	reg      *control.Registry
	build    Build
	began    time.Time
	note     func(string)
	sandbox  *control.Sandbox
	files    *held
	redirect bool // stdout and stderr go to the run folder's log
	live     sync.WaitGroup

	mu      sync.Mutex
	domains map[*domain]bool
	stopped bool
}

// domain is one domain of this process.
type domain struct {
	entry     *control.Entry
	log       *control.ConsoleLog
	ring      *control.Ring
	machine   control.Machine
	plan      Plan
	server    *control.Server
	started   time.Time
	restarted bool // made in the place of another
}

// start makes a domain, in the place of the run folder old if that is not nil; again says that it follows one that ended. On
// an error nothing of it is left.
func (h *host) start(cfg config.Domain, old *control.Entry, again bool) (*domain, error) {
	entry, err := h.reg.Replace(old, cfg)
	if err != nil {
		return nil, err
	}
	entry.Sandbox = h.sandbox
	d := &domain{entry: entry, ring: control.NewRing(ringSize), started: time.Now(), restarted: again}
	if err := h.fill(d, cfg); err != nil {
		fmt.Fprintf(os.Stderr, "hypervisor: domain %q was not built: %v\n", cfg.Name, err)
		d.discard()
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.domains == nil {
		h.domains = map[*domain]bool{}
	}
	h.domains[d] = true
	if h.stopped {
		d.server.Destroy()
	}
	return d, nil
}

func (h *host) fill(d *domain, cfg config.Domain) (err error) {
	if h.redirect {
		if err := redirect(d.entry.Path(control.LogName)); err != nil {
			return fmt.Errorf("log file: %w", err)
		}
	}
	if d.log, err = control.NewConsoleLog(d.entry.Path(control.ConsoleLogName)); err != nil {
		return err
	}
	began := h.began
	if began.IsZero() || d.restarted {
		began = d.started
	}
	warn := func(s string) {
		fmt.Fprintln(os.Stderr, "hypervisor: "+s)
		d.ring.Logf("d%d %s", d.entry.Domid, s)
		h.note(s)
	}
	if h.sandbox.Off {
		warn("warning: sandbox=0: the domain's process is not confined")
	}
	m, err := h.build(cfg, control.Options{Domid: d.entry.Domid, Dir: d.entry.Dir, ConsoleOut: d.log, Log: d.ring,
		Began: began, Warn: warn, Open: func(path string) (*os.File, error) { return h.files.open(path, warn) }, Devices: devices{h.files, d.entry}})
	if err != nil {
		return err // m may be a nil pointer in an interface: it is not looked at
	}
	d.machine = m
	in := m.Info()
	d.plan = Plan{Engine: in.Engine, EngineWhy: in.EngineWhy, Paths: in.Paths, Boot: in.Boot}
	fmt.Fprintf(os.Stderr, "hypervisor: domain %d (%s) is built; engine %s: %s\n", d.entry.Domid, cfg.Name, in.Engine, in.EngineWhy)
	if d.server, err = control.Serve(d.entry, d.machine, d.ring); err != nil {
		return err
	}
	return d.entry.SetPhase(control.PhaseRunning)
}

// redirect sends what this process prints to a file.
func redirect(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return err
		}
	}
	return nil
}

// discard takes a domain apart that was not fully built.
func (d *domain) discard() {
	if d.server != nil {
		d.server.Retire()
		d.server.Close()
	}
	if d.machine != nil {
		d.machine.Destroy()
		<-d.machine.Done()
		_ = d.machine.Close()
	}
	if d.log != nil {
		d.log.Release()
	}
	_ = d.entry.Remove()
}

func (d *domain) unpause() {
	if err := d.machine.Unpause(); err != nil {
		fmt.Fprintf(os.Stderr, "hypervisor: domain %d: unpause: %v\n", d.entry.Domid, err)
		d.server.Destroy()
	}
}

// stopAll ends every domain of this process (SIGTERM).
func (h *host) stopAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for d := range h.domains {
		d.server.Destroy()
	}
}

func (h *host) forget(d *domain) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.domains, d)
}
