package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gozen/trace/bpf"
)

// known has the words of the formats that trace/bpf keeps.
func known(t *testing.T) *words {
	t.Helper()
	w := &words{symbols: map[string][]map[uint64]string{}}
	for probe, file := range map[string]string{bpf.ProbeExit: "kvm_exit", bpf.ProbeUserExit: "kvm_userspace_exit", bpf.ProbeMMIO: "kvm_mmio"} {
		b, err := os.ReadFile(filepath.Join("..", "bpf", "testdata", "format", file))
		if err != nil {
			t.Fatal(err)
		}
		f, err := bpf.ParseFormat(string(b))
		if err != nil {
			t.Fatal(err)
		}
		w.symbols[probe] = f.Symbols()
	}
	return w
}

func TestWords(t *testing.T) {
	w := known(t)
	minus := func(n int64) uint64 { return uint64(-n) }
	for _, c := range []struct {
		probe string
		keys  []uint64
		want  string
	}{
		{bpf.ProbeUserExit, []uint64{2, 0}, "io"},
		{bpf.ProbeUserExit, []uint64{2, minus(4)}, "signal"},
		{bpf.ProbeRun, []uint64{6, 0}, "mmio"},
		{bpf.ProbeRun, []uint64{6, minus(14)}, "error: bad address"},
		{bpf.ProbeUserExit, []uint64{77, 0}, "0x4d"},
		{bpf.ProbePort, []uint64{1, 0x80}, "out 0x80"},
		{bpf.ProbePort, []uint64{0, 0x42}, "in 0x42"},
		{bpf.ProbeMMIO, []uint64{2, 0xfee00000}, "write 0xfee00000"},
		{bpf.ProbeMMIO, []uint64{0, 0x9000}, "unsatisfied-read 0x9000"},
		{bpf.ProbeMSR, []uint64{1, 0x80b}, "wrmsr 0x80b"},
		{bpf.ProbeInterrupt, []uint64{0xf3}, "vector 0xf3"},
		{bpf.ProbeWakeup, []uint64{1}, "slept"},
		{bpf.ProbeEntry, nil, ""},
	} {
		if got := w.what(c.probe, c.keys); got != c.want {
			t.Errorf("%s %v is %q, want %q", c.probe, c.keys, got, c.want)
		}
	}
}

func TestWords_exits(t *testing.T) {
	if bpf.KVM()[0].Count.Keys[0] != "isa" {
		t.Skip("kvm_exit has other fields on this architecture")
	}
	w := known(t)
	for _, c := range []struct {
		isa, reason uint64
		want        string
	}{
		{1, 30, "IO_INSTRUCTION"}, {1, 48, "EPT_VIOLATION"}, {1, 1<<31 | 33, "INVALID_STATE (the entry failed)"}, {1, 999, "0x3e7"},
		{2, 0x7b, "io"}, {2, 0x400, "npf"}, {2, 0x40 + 14, "PF excp"}, {2, 0x999, "0x999"}, {3, 1, "0x1"}, {0, 1, "0x1"},
	} {
		if got := w.what(bpf.ProbeExit, []uint64{c.isa, c.reason}); got != c.want {
			t.Errorf("exit %d of %d is %q, want %q", c.reason, c.isa, got, c.want)
		}
	}
}

func TestSilent(t *testing.T) {
	find := func(w *watch, probe string, seen map[string]uint64, refused ...bpf.Refused) *Silence {
		for _, s := range w.silent(seen, refused) {
			if s.Probe == probe {
				return &s
			}
		}
		return nil
	}
	soft := &watch{res: &Result{Backend: bpf.Backend{Name: "kvm-pvm"}, Domains: []Domain{{Engine: "kvm-pvm"}}}}
	hard := &watch{res: &Result{Backend: bpf.Backend{Name: "kvm-amd", Hardware: true}, Domains: []Domain{{Engine: "kvm-amd"}}}}
	none := &watch{res: &Result{Domains: []Domain{{Engine: "soft"}}}, threads: map[int]Where{5: {}}}
	seen := map[string]uint64{bpf.ProbeUserExit: 9}
	if s := find(soft, bpf.ProbeExit, seen); s == nil || !s.Never || !strings.Contains(s.Why, "kvm-pvm is a software KVM") || !strings.Contains(s.Why, "user space 9 times") {
		t.Errorf("software KVM: %+v", s)
	}
	if s := find(hard, bpf.ProbeExit, seen); s == nil || s.Never {
		t.Errorf("hardware that made no exit: %+v", s)
	}
	if s := find(hard, bpf.ProbeUserExit, seen); s != nil {
		t.Errorf("it has figures: %+v", s)
	}
	if s := find(hard, bpf.ProbePort, seen, bpf.Refused{Probe: bpf.ProbePort, Err: errors.New("no")}); s == nil || !s.Never || s.Why != "no" {
		t.Errorf("refused: %+v", s)
	}
	if s := find(none, bpf.ProbePort, nil); s == nil || !s.Never || !strings.Contains(s.Why, "runs on KVM") {
		t.Errorf("built-in CPU: %+v", s)
	}
	if s := find(none, bpf.ProbeDelay, nil); s == nil || s.Never {
		t.Errorf("threads of the built-in CPU: %+v", s)
	}
}

func TestWatch_merges(t *testing.T) {
	w := &watch{words: known(t), res: &Result{Domains: []Domain{{Domid: 3}}}, threads: map[int]Where{7: {Domid: 3, VCPU: 1, Thread: 7}}, spreads: map[Time]*bpf.Hist{}}
	one := &bpf.Hist{Bucket: bpf.Bucket{Count: 2, Sum: 20, Max: 12}, Buckets: map[int]bpf.Bucket{9: {Count: 2, Sum: 20, Max: 12}}}
	minus4 := ^uint64(3)
	w.add(bpf.ProbeRun, bpf.Row{Thread: 7, Keys: []uint64{2, minus4}, Count: 2, Hist: one})
	w.add(bpf.ProbeRun, bpf.Row{Thread: 7, Keys: []uint64{5, minus4}, Count: 2, Hist: one})
	w.add(bpf.ProbeUserExit, bpf.Row{Thread: 7, Keys: []uint64{2, minus4}, Count: 2})
	w.add(bpf.ProbeUserExit, bpf.Row{Thread: 7, Keys: []uint64{5, minus4}, Count: 3})
	w.add(bpf.ProbeUserExit, bpf.Row{Thread: 99, Keys: []uint64{5, 0}, Count: 1})
	w.order()
	if len(w.res.Times) != 2 || w.res.Times[0].Count != 4 || w.res.Times[0].What != All || w.res.Times[1].What != "signal" || w.res.Times[1].Max != 12 || w.res.Times[1].Mean != 10 {
		t.Errorf("times %+v", w.res.Times)
	}
	if c := w.res.Counts; len(c) != 2 || c[0].String() != "d3 thread 99" || c[1].String() != "d3v1" || c[1].Count != 5 || c[1].What != "signal" {
		t.Errorf("counts %+v", c)
	}
}
