// Package controltest has a machine without a processor, for tests of what surrounds machines: the process, the control
// socket, xl. Its guest is a script in the kernel command line.
package controltest

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// Machine is the fake. Words of the command line: say=TEXT prints TEXT and a newline at the start; end=CODE ends with that reason
// code at once, after=DURATION later; deaf has no listener on control/shutdown; ignore does not act on it; fail is a kernel
// that cannot be loaded; panic dies while building. Console input is echoed; a line "poweroff", "reboot" or
// "crash" ends the guest.
type Machine struct {
	cfg  config.Domain
	opts control.Options
	cons control.Console

	mu      sync.Mutex
	started bool
	paused  bool
	ended   bool
	reason  control.Reason
	store   map[string]string
	perms   map[string][]string
	watches map[int]watch
	nextID  int
	line    []byte
	done    chan struct{}
}

type watch struct {
	path string
	fire func(string)
}

// New is a process.Build.
func New(cfg config.Domain, opts control.Options) (control.Machine, error) {
	m := &Machine{cfg: cfg, opts: opts, paused: true, done: make(chan struct{}), store: map[string]string{},
		perms: map[string][]string{}, watches: map[int]watch{}}
	if _, ok := m.word("fail"); ok {
		return nil, &config.Error{Field: "kernel", What: fmt.Sprintf("kernel %q cannot be loaded", cfg.Kernel),
			Why: "it is not a kernel", Fix: "give an ELF file or a bzImage"}
	}
	if _, ok := m.word("panic"); ok {
		panic("the fake machine was asked to")
	}
	base := fmt.Sprintf("/local/domain/%d", opts.Domid)
	m.store[base], m.store[base+"/name"], m.store[base+"/domid"] = "", cfg.Name, strconv.Itoa(int(opts.Domid))
	m.store[base+"/vm"] = "/vm/" + cfg.UUID
	m.store["/vm/"+cfg.UUID], m.store["/vm/"+cfg.UUID+"/name"] = "", cfg.Name
	m.cons = control.NewConsole(opts.ConsoleOut, m.input)
	opts.Log.Logf("d%d built by a fake", opts.Domid)
	opts.Warn("engine: fake, because this is a test")
	return m, nil
}

// Host is a process.Host: that of the environment variable GOZEN_TEST_HOST, else one without KVM.
func Host() any {
	if s := os.Getenv("GOZEN_TEST_HOST"); s != "" {
		return json.RawMessage(s)
	}
	return map[string]string{"name": "none", "why": "this is a test"}
}

func (m *Machine) word(key string) (string, bool) {
	for _, w := range strings.Fields(m.cfg.Cmdline) {
		if k, v, _ := strings.Cut(w, "="); k == key {
			return v, true
		}
	}
	return "", false
}

// Unpause starts the guest the first time.
func (m *Machine) Unpause() error {
	m.mu.Lock()
	first := !m.started
	m.started, m.paused = true, false
	m.mu.Unlock()
	if first {
		go m.script()
	}
	return nil
}

func (m *Machine) script() {
	if s, ok := m.word("say"); ok {
		fmt.Fprintf(m.opts.ConsoleOut, "%s\n", s)
	}
	if code, ok := m.word("end"); ok {
		after, _ := m.word("after")
		d, _ := time.ParseDuration(after)
		time.Sleep(d)
		m.end(control.Reason{Code: code, Text: "as the script says"})
	}
}

func (m *Machine) end(r control.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.ended, m.reason = true, r
		close(m.done)
	}
}

func (m *Machine) input(p []byte) (int, error) {
	n := min(len(p), 8) // a small ring, so that callers have to repeat
	for _, c := range p[:n] {
		_, _ = m.opts.ConsoleOut.Write([]byte{c})
		if c != '\n' {
			m.line = append(m.line, c)
			continue
		}
		switch string(m.line) {
		case "poweroff", "reboot", "crash":
			m.end(control.Reason{Code: string(m.line), Text: "typed"})
		}
		m.line = nil
	}
	return n, nil
}

// Pause stops nothing, since nothing runs.
func (m *Machine) Pause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = true
	return nil
}

// Shutdown ends the guest with the word as its reason.
func (m *Machine) Shutdown(word string) error {
	if _, ok := m.word("deaf"); ok {
		return control.ErrNoParavirt
	}
	if _, ok := m.word("ignore"); !ok {
		go m.end(control.Reason{Code: word, Text: "asked for"})
	}
	return nil
}

// Destroy ends it.
func (m *Machine) Destroy() { m.end(control.Reason{Code: control.ReasonDestroyed}) }

// Done is closed at the end.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Reason says why.
func (m *Machine) Reason() control.Reason {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reason
}

// Info gives fixed figures.
func (m *Machine) Info() control.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	in := control.Info{State: control.State{Blocked: m.started && !m.paused, Paused: m.paused}, CPUTime: 1500 * time.Millisecond,
		MemoryKiB: m.cfg.MemoryMiB * 1024, MaxMemKiB: m.cfg.MaxMemoryMiB * 1024, MaxVCPUs: m.cfg.MaxVCPUs,
		Engine: "fake", EngineWhy: "this is a test", EventABI: "2-level",
		Paths: &control.Paths{Hypercalls: "none", APIC: "none", Events: "2-level", Upcall: "nobody", Timer: "nobody", Memory: "none", Why: []string{"nothing runs"}}}
	for i := range m.cfg.MaxVCPUs {
		in.VCPUs = append(in.VCPUs, control.VCPUInfo{ID: i, Online: i < m.cfg.VCPUs, Blocked: in.State.Blocked, CPU: 0,
			Time: 500 * time.Millisecond})
	}
	return in
}

// Stats gives fixed counters.
func (m *Machine) Stats() control.Stats {
	return control.Stats{Exits: []control.Counter{{Name: "hlt", Count: 3}},
		Hypercalls: []control.Counter{{Name: "event_channel_op/send", Count: 2}},
		Timings:    []control.Timing{{Name: "entry", Wall: time.Millisecond, CPU: time.Millisecond}}}
}

// Console gives the console.
func (m *Machine) Console() control.Console { return m.cons }

// Xenstore gives the store.
func (m *Machine) Xenstore() control.Xenstore { return (*store)(m) }

// GuestRanges has none.
func (m *Machine) GuestRanges() [][2]uintptr { return nil }

// Renamed changes the store.
func (m *Machine) Renamed(name string) {
	_ = (*store)(m).Write(fmt.Sprintf("/local/domain/%d/name", m.opts.Domid), []byte(name))
	_ = (*store)(m).Write("/vm/"+m.cfg.UUID+"/name", []byte(name))
}

// Close has nothing to give back.
func (m *Machine) Close() error { return nil }

// store is a flat xenstore.
type store Machine

func (s *store) Read(path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.store[path]; ok {
		return []byte(v), nil
	}
	if len(s.children(path)) > 0 {
		return nil, nil
	}
	return nil, fmt.Errorf("%s: %w", path, syscall.ENOENT)
}

func (s *store) children(path string) []string {
	seen := map[string]bool{}
	for k := range s.store {
		if rest, ok := strings.CutPrefix(k, strings.TrimSuffix(path, "/")+"/"); ok && rest != "" {
			name, _, _ := strings.Cut(rest, "/")
			seen[name] = true
		}
	}
	var out []string
	for k := range seen {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func (s *store) Write(path string, value []byte) error {
	s.mu.Lock()
	s.store[path] = string(value)
	s.mu.Unlock()
	s.changed(path)
	return nil
}

func (s *store) changed(path string) {
	s.mu.Lock()
	var fires []func(string)
	for _, w := range s.watches {
		if path == w.path || strings.HasPrefix(path, w.path+"/") {
			fires = append(fires, w.fire)
		}
	}
	s.mu.Unlock()
	for _, f := range fires {
		f(path)
	}
}

func (s *store) List(path string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.children(path)
	if _, ok := s.store[path]; !ok && len(c) == 0 {
		return nil, fmt.Errorf("%s: %w", path, syscall.ENOENT)
	}
	return c, nil
}

func (s *store) Rm(path string) error {
	s.mu.Lock()
	n := 0
	for k := range s.store {
		if k == path || strings.HasPrefix(k, path+"/") {
			delete(s.store, k)
			n++
		}
	}
	s.mu.Unlock()
	if n == 0 {
		return fmt.Errorf("%s: %w", path, syscall.ENOENT)
	}
	s.changed(path)
	return nil
}

func (s *store) Perms(path string) ([]string, error) {
	if _, err := s.Read(path); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.perms[path]; p != nil {
		return p, nil
	}
	return []string{"n0", "r" + strconv.Itoa(int(s.opts.Domid))}, nil
}

func (s *store) SetPerms(path string, perms []string) error {
	if _, err := s.Read(path); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.perms[path] = perms
	return nil
}

func (s *store) Watch(path string, fire func(string)) (func(), error) {
	s.mu.Lock()
	id := s.nextID
	s.nextID++
	s.watches[id] = watch{path, fire}
	s.mu.Unlock()
	fire(path)
	return func() { s.mu.Lock(); defer s.mu.Unlock(); delete(s.watches, id) }, nil
}
