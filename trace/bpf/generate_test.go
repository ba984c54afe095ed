package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write testdata anew")

// kept reads a format from testdata: those of Linux 6.18.
func kept(name string) (*Format, error) {
	_, event, _ := strings.Cut(name, ":")
	b, err := os.ReadFile(filepath.Join("testdata", "format", event))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrNoTracepoint)
	}
	return ParseFormat(string(b))
}

func TestPrograms_golden(t *testing.T) {
	for _, p := range kvm("amd64") {
		programs, err := Programs(&p, kept)
		if errors.Is(err, ErrNoTracepoint) {
			continue // its program has the shape of another one
		}
		if err != nil {
			t.Error(err)
			continue
		}
		var b strings.Builder
		for _, q := range programs {
			fmt.Fprintf(&b, "%s (%d)\n%v\n", q.Tracepoint, q.ID, q.Instructions)
		}
		file := filepath.Join("testdata", p.Name+".asm")
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
		} else if string(want) != b.String() {
			t.Errorf("%s: the program has changed (-update writes it anew):\n%s", p.Name, b.String())
		}
	}
}

// TestPrograms_arm64: kvm_exit has other fields and names there.
func TestPrograms_arm64(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "format", "kvm_exit.arm64"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseFormat(string(b))
	if err != nil {
		t.Fatal(err)
	}
	if s := f.Symbols(); len(s) != 2 || s[0][2] != "TRAP" || s[1][0x24] != "DABT_LOW" || s[1][0x16] != "HVC64" {
		t.Errorf("names: %v", s)
	}
	if _, err := Programs(&kvm("arm64")[0], func(string) (*Format, error) { return f, nil }); err != nil {
		t.Error(err)
	}
}

func TestPrograms_refused(t *testing.T) {
	at := Point{Tracepoint: "kvm:kvm_pio"}
	for _, c := range []struct {
		p    Probe
		want string
	}{
		{Probe{Name: "x"}, "one of count, spread and latency"},
		{Probe{Name: "x", Count: &Count{At: at}, Spread: &Spread{At: at}}, "one of count, spread and latency"},
		{Probe{Name: "x y", Count: &Count{At: at}}, "letters, digits and _ only"},
		{Probe{Count: &Count{At: at}}, "1 to 32 letters"},
		{Probe{Name: "x", Latency: &Latency{End: at}}, "without a start"},
		{Probe{Name: "x", Count: &Count{At: at, Keys: make([]string, keysMax+1)}}, "more than 6"},
		{Probe{Name: "x", Count: &Count{At: at, Keys: []string{"prot"}}}, "kvm_pio has no field prot on this kernel"},
		{Probe{Name: "x", Spread: &Spread{At: at, Value: "value"}}, "no field value"},
		{Probe{Name: "x", Count: &Count{At: Point{Tracepoint: "sched:sched_switch", Thread: "next_comm"}}}, "next_comm of tracepoint sched_switch is no number"},
		{Probe{Name: "x", Count: &Count{At: Point{Tracepoint: "kvm:kvm_pio", Where: []Cond{{Field: "port", Mask: 1 << 31}}}}}, "bit 31"},
		{Probe{Name: "x", Count: &Count{At: Point{Tracepoint: "kvm:kvm_pio", Where: []Cond{{Field: "no"}}}}}, "no field no"},
		{Probe{Name: "x", Count: &Count{At: Point{Tracepoint: "kvm:absent"}}}, "no such tracepoint"},
	} {
		if _, err := Programs(&c.p, kept); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.p, err, c.want)
		}
	}
}

func TestBucketOf(t *testing.T) {
	last := -1
	for _, v := range values() {
		b := bucketOf(v)
		if b < last || b >= buckets {
			t.Errorf("bucket %d of %d after %d", b, v, last)
		}
		last = b
		if h := highest(b); h < v || h-v > v/perOctave {
			t.Errorf("bucket %d of %d ends at %d", b, v, h)
		}
	}
	if b := bucketOf(^uint64(0)); b != buckets-1 || highest(b) != ^uint64(0) {
		t.Errorf("the last bucket is %d of %d and ends at %d", b, buckets, highest(b))
	}
}

// values gives numbers around each power of two, and some between them, in order.
func values() (out []uint64) {
	for v := range uint64(20) {
		out = append(out, v)
	}
	for e := 5; e < 64; e++ {
		p := uint64(1) << e
		out = append(out, p-1, p, p+1, p+p/8, p+p/2-1, p+p/2)
	}
	return append(out, ^uint64(0)-1, ^uint64(0))
}

// TestBucket_inTheKernel: the kernel computes the bucket that the reader expects.
func TestBucket_inTheKernel(t *testing.T) {
	for _, v := range values() {
		g := &generator{probe: &Probe{Name: "x"}}
		g.emit(asm.LoadImm(asm.R8, int64(v), asm.DWord))
		g.bucket()
		g.emit(asm.Mov.Reg(asm.R0, asm.R2), asm.Return())
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: g.code, License: license})
		if err != nil {
			skipUnless(t, err)
		}
		got, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		_ = p.Close()
		if err != nil {
			skipUnless(t, err)
		}
		if int(got) != bucketOf(v) {
			t.Fatalf("bucket %d of %d, want %d", got, v, bucketOf(v))
		}
	}
}

func skipUnless(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, ebpf.ErrNotSupported) {
		skip(t, err)
	}
	t.Fatal(err)
}

func TestHist_quantiles(t *testing.T) {
	var h Hist
	if h.Quantile(.5) != 0 || h.Mean() != 0 {
		t.Error("figures of nothing")
	}
	for v := uint64(1); v <= 1000; v++ {
		h.add(bucketOf(v), Bucket{1, v, v})
	}
	for _, c := range []struct {
		q    float64
		want uint64
	}{{.5, 500}, {.9, 900}, {.99, 990}, {1, 1000}} {
		if got := h.Quantile(c.q); got < c.want || got > c.want+c.want/perOctave || got > h.Max {
			t.Errorf("quantile %v is %d, want %d or up to an eighth more", c.q, got, c.want)
		}
	}
	if h.Mean() != 500.5 || h.Max != 1000 {
		t.Errorf("mean %v, max %d", h.Mean(), h.Max)
	}
	var two Hist
	two.Merge(&h)
	two.Merge(&h)
	if two.Count != 2000 || two.Sum != 2*h.Sum || two.Max != 1000 || two.Quantile(.5) != h.Quantile(.5) {
		t.Errorf("merged: %d values, sum %d", two.Count, two.Sum)
	}
	two.add(bucketOf(5000), Bucket{3, 15000, 5001})
	if d := two.Since(&h); d.Count != 1003 || d.Sum != h.Sum+15000 || d.Max != 5001 {
		t.Errorf("since: %+v", d.Bucket)
	}
	if d := h.Since(&h); d.Count != 0 || d.Max != 0 || len(d.Buckets) != 0 {
		t.Errorf("since itself: %+v", d)
	}
}

func TestParseFormat(t *testing.T) {
	f, err := kept("kvm:kvm_exit")
	if err != nil {
		t.Fatal(err)
	}
	if d, err := f.number("vcpu_id"); err != nil || f.Name != "kvm_exit" || f.ID == 0 || d.Size != 4 || d.Signed {
		t.Errorf("%+v, %v", d, err)
	}
	s := f.Symbols()
	if len(s) != 2 || s[0][30] != "IO_INSTRUCTION" || s[1][0x7b] != "io" || s[1][0x40+14] != "PF excp" || s[1][^uint64(0)] != "invalid_guest_state" {
		t.Errorf("names: %v", s)
	}
	const field = "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n"
	for _, c := range []struct{ text, want string }{
		{"", "it has no name"},
		{"name: x\n", "no ID"},
		{"name: x\nID: 0\n" + field, "no ID"},
		{"name: x\nID: -1\n" + field, `ID "-1"`},
		{"name: x\nID: 9\n", "no fields"},
		{"name: x\nID: 9\n" + field + field, "field a stands twice"},
		{"name: x\nID: 9\n\tfield:int a;\n", "field"},
		{"name: x\nID: 9\n\tfield:int a;\toffset:-8;\tsize:4;\n", "field"},
		{"name: x\nID: 9\n\tfield:int a;\toffset:8;\tsize:99999999999;\n", "field"},
		{"name: x\nID: 9\n\tfield:int a;\toffset:8190;\tsize:4;\n", "a ends at byte 8194 of a record of at most 8192"},
		{"name: x\nID: 9\n\tfield:;\toffset:8;\tsize:4;\n", "field"},
	} {
		if _, err := ParseFormat(c.text); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
	for _, bad := range []string{"int a;\toffset:9;\tsize:4;\tsigned:1;", "int a;\toffset:8;\tsize:3;\tsigned:1;", "int a;\toffset:8;\tsize:0;\tsigned:1;", "u8 a[4];\toffset:8;\tsize:4;\tsigned:0;", "__data_loc char[] a;\toffset:8;\tsize:4;\tsigned:0;"} {
		f, err := ParseFormat("name: x\nID: 9\n\tfield:" + bad)
		if err != nil {
			t.Error(err)
		} else if d, err := f.number("a"); err == nil {
			t.Errorf("%s can be loaded: %+v", bad, d)
		}
	}
}

// FuzzFormat: whatever a format file says, the programs made of it read whole numbers within a record, or there are none.
func FuzzFormat(f *testing.F) {
	all, err := filepath.Glob("testdata/format/*")
	if err != nil || len(all) == 0 {
		f.Fatal("no formats", err)
	}
	for _, name := range all {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseFormat(text)
		if err != nil {
			return
		}
		got.Symbols()
		for _, d := range got.Fields {
			p := Probe{Name: "x", Spread: &Spread{At: Point{Tracepoint: "a:b", Where: []Cond{{Field: d.Name, Value: 1}}}, Value: d.Name, Keys: []string{d.Name}}}
			programs, err := Programs(&p, func(string) (*Format, error) { return got, nil })
			if err != nil {
				continue
			}
			for _, i := range programs[0].Instructions {
				if i.OpCode.Class() == asm.LdXClass && i.Src == asm.R6 {
					if n := i.OpCode.Size().Sizeof(); i.Offset < 0 || int(i.Offset)+n > recordMax || int(i.Offset)%n != 0 {
						t.Errorf("%v reads outside a record", i)
					}
				}
			}
			if err := programs[0].Instructions.Marshal(&bytes.Buffer{}, binary.LittleEndian); err != nil && !strings.Contains(err.Error(), "map") {
				t.Error(err)
			}
		}
	})
}
