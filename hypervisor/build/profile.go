package build

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"sync/atomic"
	"time"

	"gozen/hypervisor/control"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/paging"
	"gozen/trace/profile"
)

var _ control.Profiler = (*Machine)(nil)

// sampler takes samples of the domain's vCPUs.
type sampler struct {
	m     *Machine
	kind  profile.Kind
	to    *profile.Profile
	lanes []lane
	root  atomic.Pointer[paging.Root] // of a guest kernel that was seen
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
	s := &sampler{m: m, kind: profile.Kind(kind), lanes: make([]lane, len(m.loops))}
	names := m.names(s)
	s.to = profile.New(profile.Config{Kind: s.kind, Period: time.Second / time.Duration(rate), Resolve: names.resolve,
		Labels: map[string]string{"domain": m.cfg.Name, "domid": strconv.Itoa(int(m.dom.ID)), "type": string(m.cfg.Type), "engine": m.name}})
	for _, l := range m.loops {
		l.Observe(s)
	}
	s.tick(ctx, rate)
	for _, l := range m.loops {
		l.Observe(nil)
	}
	return s.to.Write(w)
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
	v.open, v.s.Cause = true, cause(l, e)
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
	if p.CPL == 0 || p.RIP >= profile.KernelHalf {
		root := p.Root
		s.root.Store(&root)
	}
	v.s.Stack = append(v.stack[:0], p.RIP)
}

// cause names an exit, in the words of xl and perfctl.
func cause(l *vcpu.Loop, e *engine.Exit) string {
	way := func(in, out string) string {
		if e.Write {
			return out
		}
		return in
	}
	switch e.Kind {
	case engine.ExitIO:
		if e.Port == vcpu.MonitorPort && l.V.PV != nil {
			return "exit:monitor"
		}
		return fmt.Sprintf("exit:io:%s:%#x", way("in", "out"), e.Port)
	case engine.ExitMMIO:
		return fmt.Sprintf("exit:mmio:%s:%#x", way("read", "write"), uint64(e.GPA)&^0xfff)
	case engine.ExitRDMSR, engine.ExitWRMSR:
		return fmt.Sprintf("exit:%s:%#x", e.Kind, e.MSR)
	case engine.ExitHypercall:
		r := l.Eng.Regs()
		nr, op := uint32(r[x86.RAX]), uint32(r[x86.RDI])
		if !l.Eng.Mode().Long {
			op = uint32(r[x86.RBX])
		}
		name := "hypercall:" + hypercall.Name(int(nr))
		if sub := hypercall.SubName(int(nr), int(op)); sub != "" {
			name += "/" + sub
		}
		return name
	}
	return "exit:" + e.Kind.String()
}

// names finds functions of the guest.
type names struct {
	elf []elf.Symbol // of the kernel's file, by address
}

// names reads what tells of the guest's functions.
func (m *Machine) names(*sampler) *names {
	n := &names{}
	f, err := m.open("kernel", m.cfg.Kernel)
	if err != nil {
		return n
	}
	defer f.Close()
	file, err := elf.NewFile(f)
	if err != nil {
		return n
	}
	all, err := file.Symbols()
	if err != nil {
		return n
	}
	for _, s := range all {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Value != 0 {
			n.elf = append(n.elf, s)
		}
	}
	sort.Slice(n.elf, func(i, j int) bool { return n.elf[i].Value < n.elf[j].Value })
	return n
}

func (n *names) resolve(addr uint64, _ bool) (string, bool) {
	i := sort.Search(len(n.elf), func(i int) bool { return n.elf[i].Value > addr })
	if i == 0 {
		return "", false
	}
	s := n.elf[i-1]
	if s.Size != 0 && addr >= s.Value+s.Size {
		return "", false
	}
	return s.Name, true
}
