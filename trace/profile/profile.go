// Package profile collects samples of a guest and writes them as a profile of pprof (github.com/google/pprof, proto/profile.proto).
//
// What lives here: counting samples by their stacks, and the shape of the profiles: sample types, labels, mappings, pseudo-frames. What does not: who takes samples
// (hypervisor/build, from vcpu), how a stack is unwound (trace/unwind), which function an address belongs to (trace/symbol).
//
// The path through it: a Profile is begun, takes samples from any goroutine, and is written once.
package profile

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/pprof/profile"
)

// Kind is what a profile counts.
type Kind string

// The kinds of profiles.
const (
	CPU  Kind = "cpu"  // where the guest is, at a rate: samples/count, guest_cpu/nanoseconds
	Exit Kind = "exit" // what the guest is left for, each time: exits/count, exit_time/nanoseconds
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{CPU, Exit} }

// Limits of a profile: what a guest makes of its stacks is its own business.
const (
	MaxDepth  = 64
	maxStacks = 1 << 16 // different ones; samples beyond are counted as lost
)

// Config says what a profile is of.
type Config struct {
	Kind   Kind
	Period time.Duration // of CPU samples, per vCPU
	// Labels of every sample: domain, type, engine.
	Labels map[string]string
}

// Resolve gives the function of an address of the guest; ok is false where there is none. kernel tells the kernel's from user space.
type Resolve func(addr uint64, kernel bool) (name string, ok bool)

// Mapping is where an image of the guest lies.
type Mapping struct {
	Start, Limit  uint64
	File, BuildID string
}

// Sample is where a vCPU was.
type Sample struct {
	VCPU int
	CPL  uint8
	// Cause is a pseudo-frame below all others, such as exit:io:out:0x3f8; "" for none.
	Cause string
	// Stack is addresses, innermost first: where the guest was, then return addresses.
	Stack []uint64
	// Time is that of an exit until the guest goes on.
	Time time.Duration
}

// Profile collects.
type Profile struct {
	cfg   Config
	began time.Time

	mu    sync.Mutex
	byKey map[string]*entry
	key   []byte
	lost  int64
	total int64
}

type entry struct {
	s     Sample
	count int64
	time  time.Duration
}

// New begins a profile.
func New(cfg Config) *Profile {
	return &Profile{cfg: cfg, began: time.Now(), byKey: map[string]*entry{}}
}

// Add counts a sample, whose stack is not kept.
func (p *Profile) Add(s *Sample) {
	stack := s.Stack[:min(len(s.Stack), MaxDepth)]
	p.mu.Lock()
	defer p.mu.Unlock()
	k := append(p.key[:0], byte(s.VCPU), byte(s.VCPU>>8), s.CPL)
	k = append(append(k, s.Cause...), 0)
	for _, a := range stack {
		k = binary.LittleEndian.AppendUint64(k, a)
	}
	p.key = k
	p.total++
	e := p.byKey[string(k)]
	if e == nil {
		if len(p.byKey) == maxStacks {
			p.lost++
			return
		}
		e = &entry{s: Sample{VCPU: s.VCPU, CPL: s.CPL, Cause: s.Cause, Stack: append([]uint64(nil), stack...)}}
		p.byKey[string(k)] = e
	}
	e.count++
	e.time += s.Time
}

// Total gives how many samples there are.
func (p *Profile) Total() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// Write writes the profile, compressed, with functions by resolve, which may be nil, and what is known of the guest kernel's place and identity.
func (p *Profile) Write(w io.Writer, resolve Resolve, kernel Mapping) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := newBuilder(&p.cfg, resolve, kernel)
	b.out.TimeNanos, b.out.DurationNanos = p.began.UnixNano(), int64(time.Since(p.began))
	for _, e := range p.byKey {
		value := []int64{e.count, e.count * int64(p.cfg.Period)}
		if p.cfg.Kind == Exit {
			value[1] = int64(e.time)
		}
		b.add(&e.s, value)
	}
	if p.lost > 0 {
		b.out.Comments = append(b.out.Comments, fmt.Sprintf("%d samples of more than %d different stacks are not in this profile", p.lost, maxStacks))
	}
	return b.out.Write(w)
}

// builder makes the parts of a profile that refer to each other.
type builder struct {
	cfg       *Config
	resolve   Resolve
	out       *profile.Profile
	kernel    *profile.Mapping
	user      *profile.Mapping
	locations map[location]*profile.Location
	functions map[string]*profile.Function
}

type location struct {
	addr  uint64
	cause string
}

func newBuilder(cfg *Config, resolve Resolve, k Mapping) *builder {
	b := &builder{cfg: cfg, resolve: resolve, out: &profile.Profile{}, locations: map[location]*profile.Location{}, functions: map[string]*profile.Function{}}
	types := [2][2]string{{"samples", "count"}, {"guest_cpu", "nanoseconds"}}
	b.out.PeriodType, b.out.Period = &profile.ValueType{Type: "guest_cpu", Unit: "nanoseconds"}, int64(cfg.Period)
	if cfg.Kind == Exit {
		types = [2][2]string{{"exits", "count"}, {"exit_time", "nanoseconds"}}
		b.out.PeriodType, b.out.Period = &profile.ValueType{Type: "exits", Unit: "count"}, 1
	}
	for _, t := range types {
		b.out.SampleType = append(b.out.SampleType, &profile.ValueType{Type: t[0], Unit: t[1]})
	}
	b.out.DefaultSampleType = types[0][0]
	if k.Limit == 0 {
		k.Start, k.Limit = KernelHalf, ^uint64(0)
	}
	if k.File == "" {
		k.File = "guest/vmlinux"
	}
	b.kernel = &profile.Mapping{ID: 1, Start: k.Start, Limit: k.Limit, File: k.File, BuildID: k.BuildID, HasFunctions: true}
	b.user = &profile.Mapping{ID: 2, Start: 0, Limit: KernelHalf - 1, File: "[guest user space]", HasFunctions: true}
	b.out.Mapping = []*profile.Mapping{b.kernel, b.user}
	return b
}

// KernelHalf is where the upper half of the address space begins, which the kernel has on x86-64.
const KernelHalf = 0xffff800000000000

func (b *builder) add(s *Sample, value []int64) {
	out := &profile.Sample{Value: value, Label: map[string][]string{}}
	for k, v := range b.cfg.Labels {
		out.Label[k] = []string{v}
	}
	out.Label["vcpu"] = []string{fmt.Sprintf("d%sv%d", b.cfg.Labels["domid"], s.VCPU)}
	out.Label["cpl"] = []string{fmt.Sprint(s.CPL)}
	if s.Cause != "" {
		out.Label["exit"] = []string{s.Cause}
		out.Location = append(out.Location, b.location(location{cause: s.Cause}))
	}
	for i, a := range s.Stack {
		if i > 0 {
			a-- // a return address: the call is before it
		}
		out.Location = append(out.Location, b.location(location{addr: a}))
	}
	if len(out.Location) == 0 {
		out.Location = append(out.Location, b.location(location{cause: "guest"}))
	}
	b.out.Sample = append(b.out.Sample, out)
}

func (b *builder) location(at location) *profile.Location {
	if l := b.locations[at]; l != nil {
		return l
	}
	l := &profile.Location{ID: uint64(len(b.out.Location) + 1), Address: at.addr}
	name := at.cause
	if name == "" {
		name = b.name(at.addr)
		l.Mapping = b.user
		if at.addr >= KernelHalf {
			l.Mapping = b.kernel
		}
	}
	l.Line = []profile.Line{{Function: b.function(name)}}
	b.locations[at] = l
	b.out.Location = append(b.out.Location, l)
	return l
}

// name gives the function of an address. What has none is one function for user space, and one for each address of the kernel.
func (b *builder) name(addr uint64) string {
	kernel := addr >= KernelHalf
	if b.resolve != nil {
		if n, ok := b.resolve(addr, kernel); ok {
			return n
		}
	}
	if kernel {
		return fmt.Sprintf("guest+%#x", addr)
	}
	return "[user space]"
}

func (b *builder) function(name string) *profile.Function {
	f := b.functions[name]
	if f == nil {
		f = &profile.Function{ID: uint64(len(b.out.Function) + 1), Name: name, SystemName: name}
		b.functions[name] = f
		b.out.Function = append(b.out.Function, f)
	}
	return f
}
