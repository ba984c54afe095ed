package profile

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

func written(t *testing.T, p *Profile, resolve Resolve, kernel Mapping) *profile.Profile {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b, resolve, kernel); err != nil {
		t.Fatal(err)
	}
	out, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := out.CheckValid(); err != nil {
		t.Fatal(err)
	}
	return out
}

// named resolves addresses of the kernel to their page.
func named(addr uint64, kernel bool) (string, bool) {
	return fmt.Sprintf("page_%x", addr>>12), kernel
}

func TestProfile_cpu(t *testing.T) {
	p := New(Config{Kind: CPU, Period: 10 * time.Millisecond, Labels: map[string]string{"domain": "web", "domid": "3", "engine": "soft"}})
	stack := []uint64{0xffffffff81001234, 0xffffffff81002000, 0x401000}
	for range 3 {
		p.Add(&Sample{VCPU: 1, CPL: 0, Stack: stack})
	}
	p.Add(&Sample{VCPU: 1, CPL: 3, Stack: stack[2:]})
	p.Add(&Sample{VCPU: 0, CPL: 0})
	stack[0] = 0 // it is not kept
	if p.Total() != 5 {
		t.Errorf("%d samples", p.Total())
	}
	out := written(t, p, named, Mapping{Start: 0xffffffff81000000, Limit: 0xffffffff82000000, File: "vmlinux", BuildID: "beef"})
	if got := out.SampleType; len(got) != 2 || got[0].Type != "samples" || got[0].Unit != "count" || got[1].Type != "guest_cpu" || got[1].Unit != "nanoseconds" || out.DefaultSampleType != "samples" {
		t.Errorf("sample types %v", got)
	}
	if m := out.Mapping[0]; m.BuildID != "beef" || m.File != "vmlinux" || !m.HasFunctions {
		t.Errorf("mapping %+v", m)
	}
	if len(out.Sample) != 3 {
		t.Fatalf("%d stacks", len(out.Sample))
	}
	at := slices.IndexFunc(out.Sample, func(s *profile.Sample) bool { return len(s.Location) == 3 })
	s := out.Sample[at]
	// The second address is one behind a call: the call is in the page before.
	for i, want := range []string{"page_ffffffff81001", "page_ffffffff81001", "[user space]"} {
		if got := s.Location[i].Line[0].Function.Name; got != want {
			t.Errorf("frame %d is %s, want %s", i, got, want)
		}
	}
	if s.Value[0] != 3 || s.Value[1] != int64(30*time.Millisecond) || s.Label["vcpu"][0] != "d3v1" || s.Label["cpl"][0] != "0" || s.Label["domain"][0] != "web" {
		t.Errorf("values %v, labels %v", s.Value, s.Label)
	}
}

func TestProfile_exit(t *testing.T) {
	p := New(Config{Kind: Exit})
	for i := range 4 {
		p.Add(&Sample{Cause: "exit:io:out:0x3f8", Stack: []uint64{0xffffffff81000000}, Time: time.Duration(i) * time.Microsecond})
	}
	p.Add(&Sample{Cause: "exit:hlt"})
	out := written(t, p, nil, Mapping{})
	if out.SampleType[1].Type != "exit_time" || len(out.Sample) != 2 {
		t.Fatalf("%v, %d stacks", out.SampleType, len(out.Sample))
	}
	at := slices.IndexFunc(out.Sample, func(s *profile.Sample) bool { return s.Value[0] == 4 })
	s := out.Sample[at]
	if s.Value[1] != int64(6*time.Microsecond) || s.Label["exit"][0] != "exit:io:out:0x3f8" || s.Location[0].Line[0].Function.Name != "exit:io:out:0x3f8" ||
		s.Location[1].Line[0].Function.Name != "guest+0xffffffff81000000" {
		t.Errorf("%v %v", s.Value, s.Label)
	}
}

// TestProfile_bounds has a guest with more stacks than a profile takes, and deeper ones.
func TestProfile_bounds(t *testing.T) {
	p := New(Config{Kind: CPU, Period: time.Millisecond})
	deep := make([]uint64, 3*MaxDepth)
	p.Add(&Sample{Stack: deep})
	for i := range maxStacks + 10 {
		p.Add(&Sample{Stack: []uint64{uint64(i) << 4}})
	}
	out := written(t, p, nil, Mapping{})
	if len(out.Sample) != maxStacks || len(out.Comments) != 1 {
		t.Errorf("%d stacks, comments %q", len(out.Sample), out.Comments)
	}
	for _, s := range out.Sample {
		if len(s.Location) > MaxDepth {
			t.Fatalf("a stack of %d frames", len(s.Location))
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	p := New(Config{Kind: CPU})
	stack := make([]uint64, 20)
	b.ReportAllocs()
	for i := range b.N {
		stack[0] = uint64(i & 255)
		p.Add(&Sample{VCPU: i & 3, Stack: stack})
	}
}
