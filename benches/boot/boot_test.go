package boot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gozen/benches/guest/hello"
	"gozen/hypervisor/image"
)

// TestVmlinux writes a kernel anew and reads it back: the same segments, the same entry.
func TestVmlinux(t *testing.T) {
	img, err := hello.Image()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	from := filepath.Join(dir, "hello")
	if err := os.WriteFile(from, img, 0o600); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(dir, "busybox")
	if err := os.WriteFile(box, []byte("x"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := Prepare(dir, from, box)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(describe(t, from), describe(t, f.vmlinux)); d != "" {
		t.Error(d)
	}
}

type description struct {
	Segments []image.Segment
	Entry    uint64
}

func describe(t *testing.T, path string) (d description) {
	t.Helper()
	k, err := image.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	notes, err := k.Notes()
	if err != nil {
		t.Fatal(err)
	}
	d.Entry, _ = notes.Uint(image.NotePhys32Entry)
	for _, s := range k.Segments {
		s.Offset = 0 // where it lies in the file may differ
		d.Segments = append(d.Segments, s)
	}
	return d
}

func TestPrepare_noKernel(t *testing.T) {
	if _, err := Prepare(t.TempDir(), "/nonexistent", "/nonexistent"); err == nil {
		t.Error("prepared without a kernel")
	}
}

func TestLine(t *testing.T) {
	odd := errors.New("odd")
	calls := ""
	tests := []struct {
		name   string
		pieces []string
		first  error
		want   string // of the error; empty: none
		calls  string
	}{
		{"in pieces", []string{"boot\nHel", "lo from init\n", "Hello from again"}, nil, "", "fs"},
		{"never", []string{"boot\n"}, nil, `never said "Hello from"`, "f"},
		{"silent", nil, nil, "never said", ""},
		{"first fails", []string{"a", "Hello from init"}, odd, "odd", "f"},
	}
	for _, tt := range tests {
		calls = ""
		l := &line{want: "Hello from ", first: func() error { calls += "f"; return tt.first }, seen: func() error { calls += "s"; return nil }}
		for _, p := range tt.pieces {
			if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
				t.Errorf("%s: wrote %d, %v", tt.name, n, err)
			}
		}
		err := l.result()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) || calls != tt.calls {
			t.Errorf("%s: %v, calls %q", tt.name, err, calls)
		}
	}
}

func TestCPUTime(t *testing.T) {
	if d, err := cpuTime(os.Getpid()); err != nil || d <= 0 {
		t.Errorf("%v %v", d, err)
	}
	if _, err := cpuTime(1 << 22); err == nil {
		t.Error("a process that cannot exist has CPU time")
	}
}
