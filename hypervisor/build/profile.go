package build

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"gozen/hypervisor/control"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/x86/paging"
	"gozen/trace/profile"
	"gozen/trace/symbol"
)

var _ control.Profiler = (*Machine)(nil)

// sampler takes samples of the domain's vCPUs.
type sampler struct {
	m     *Machine
	kind  profile.Kind
	to    *profile.Profile
	lanes []lane
	final atomic.Bool   // the next vCPU that is in the guest's kernel is to stay there while its symbols are read
	named chan struct{} // closed when that has been done
}

// search reads the symbols of the guest's kernel, if this vCPU is in there.
func (s *sampler) search(l *vcpu.Loop) {
	p := l.Place()
	if p.Monitor || p.RIP < profile.KernelHalf || !s.final.CompareAndSwap(true, false) {
		return
	}
	defer close(s.named)
	t, err := symbol.Kallsyms(func(va uint64, b []byte) error { return paging.Copy(s.m.dom.Memory, p.Root, va, b, false) }, p.RIP)
	if err != nil {
		s.m.opts.Log.Logf("d%d: the profile names no functions of the kernel: %v", s.m.dom.ID, err)
		return
	}
	s.m.symbols.kernel = t
}

// lane is what belongs to one vCPU's goroutine, but for want.
type lane struct {
	want  atomic.Bool // a CPU sample is due
	open  bool        // sample is an exit that is being handled
	stack [profile.MaxDepth]uint64
	s     profile.Sample
}

// Profile implements control.Profiler.
func (m *Machine) Profile(ctx context.Context, kind string, rate int, w io.Writer) error {
	if len(m.loops) == 0 {
		return errors.New("guests of this architecture cannot be profiled yet")
	}
	if m.cfg.Deterministic {
		return errors.New("a deterministic domain cannot be profiled: looking at it would change what it does when")
	}
	if !m.profiling.TryLock() {
		return errors.New("another profile of this domain is being taken: wait for its end")
	}
	defer m.profiling.Unlock()
	s := &sampler{m: m, kind: profile.Kind(kind), lanes: make([]lane, len(m.loops)), named: make(chan struct{})}
	s.to = profile.New(profile.Config{Kind: s.kind, Period: time.Second / time.Duration(rate),
		Labels: map[string]string{"domain": m.cfg.Name, "domid": strconv.Itoa(int(m.dom.ID)), "type": string(m.cfg.Type), "engine": m.name}})
	for _, l := range m.loops {
		l.Observe(s)
	}
	s.tick(ctx, rate)
	s.name()
	for _, l := range m.loops {
		l.Observe(nil)
	}
	return s.to.Write(w, m.symbols.resolve, m.symbols.mapping())
}

// nameTime is how long a guest may take to be in its kernel.
const nameTime = 2 * time.Second

// name finds the functions of the guest's kernel, once in the life of a domain: in the kernel's file, else in the guest's memory, by page tables that are in use
// meanwhile.
func (s *sampler) name() {
	m := s.m
	if m.symbols.kernel != nil {
		return
	}
	if t, err := m.fileSymbols(); err == nil && t.Len() > 0 {
		m.symbols.kernel = t
		return
	}
	s.final.Store(true)
	for _, l := range m.loops {
		l.Kick()
	}
	select {
	case <-s.named:
		return
	case <-m.done:
	case <-time.After(nameTime):
	}
	if !s.final.CompareAndSwap(true, false) {
		<-s.named // it has just begun
	}
}

// tick waits for the end of the profile or of the domain, and has CPU samples taken meanwhile.
func (s *sampler) tick(ctx context.Context, rate int) {
	t := time.NewTicker(time.Second / time.Duration(rate))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.m.done:
			return
		case <-t.C:
		}
		if s.kind != profile.CPU {
			continue
		}
		for i, l := range s.m.loops {
			running := l.State() == vcpu.StateRunning
			s.lanes[i].want.Store(running)
			if running {
				l.Kick()
			}
		}
	}
}

// Left implements vcpu.Observer.
func (s *sampler) Left(l *vcpu.Loop, e *engine.Exit) {
	if s.final.Load() {
		s.search(l)
		return
	}
	v := &s.lanes[l.ID]
	v.s = profile.Sample{VCPU: l.ID}
	if s.kind == profile.CPU {
		if v.want.Load() && v.want.Swap(false) {
			s.fill(l, v)
			s.to.Add(&v.s)
		}
		return
	}
	switch e.Kind {
	case engine.ExitNone, engine.ExitKick, engine.ExitSignal, engine.ExitWindow: // the host's business
		v.open = false
		return
	}
	v.open, v.s.Cause = true, l.Cause()
	s.fill(l, v)
}

// Handled implements vcpu.Observer.
func (s *sampler) Handled(l *vcpu.Loop, _ *engine.Exit, d time.Duration) {
	v := &s.lanes[l.ID]
	if v.open {
		v.open, v.s.Time = false, d
		s.to.Add(&v.s)
	}
}

// fill takes the stack.
func (s *sampler) fill(l *vcpu.Loop, v *lane) {
	p := l.Place()
	v.s.CPL = p.CPL
	if p.Monitor {
		v.s.Cause = "pv monitor"
		return
	}
	v.s.Stack = append(v.stack[:0], p.RIP)
}

// names finds functions of the guest.
type names struct {
	kernel *symbol.Table // nil if there is none
}

func (m *Machine) fileSymbols() (*symbol.Table, error) {
	if m.cfg.Kernel == "" {
		return nil, symbol.ErrNotFound
	}
	f, err := m.open("kernel", m.cfg.Kernel)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return symbol.ELF(f, 0)
}

func (n *names) resolve(addr uint64, _ bool) (string, bool) {
	if n.kernel == nil {
		return "", false
	}
	s, ok := n.kernel.Lookup(addr)
	return s.Name, ok
}

// mapping describes the kernel.
func (n *names) mapping() (m profile.Mapping) {
	if n.kernel == nil {
		return m
	}
	m.Start, m.Limit = n.kernel.Text()
	m.BuildID = hex.EncodeToString(n.kernel.BuildID())
	return m
}
