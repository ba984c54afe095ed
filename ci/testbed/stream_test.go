package testbed

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sent gives what a host sends for files: the marks and the archive in lines of base64.
func sent(names ...string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	_ = w.WriteHeader(&tar.Header{Name: "./job/", Typeflag: tar.TypeDir, Mode: 0o755})
	for _, n := range names {
		_ = w.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(n))})
		_, _ = w.Write([]byte(n))
	}
	_ = w.WriteHeader(&tar.Header{Name: "./job/link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	_, _ = w.Close(), z.Close()
	text := base64.StdEncoding.EncodeToString(b.Bytes())
	var out strings.Builder
	fmt.Fprintf(&out, "\n@@N files %d %s  -\n", b.Len(), sum(b.Bytes()))
	for len(text) > 76 {
		out.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return out.String() + text + "\n\n@@N filed\n"
}

func TestStream(t *testing.T) {
	in := "noise\n@@N ready\n\n@@N begin a\none\ntwo\n\n@@N end a 0\n\n@@N begin b.2\nno line end\n@@N end b.2 137\n" +
		"\n@@N begin c\n@@N\n@@M end c 0\n\n@@N end c 1\n" + sent("./job/x") + "\n@@N over\n"
	for _, piece := range []int{1, 2, 7, len(in)} {
		var live strings.Builder
		var marks []string
		s := newStream("N", &live)
		s.mark = func(w string) { marks = append(marks, w) }
		for i := 0; i < len(in); i += piece {
			_, _ = s.Write([]byte(in[i:min(i+piece, len(in))]))
		}
		want := []JobResult{{"a", 0, "one\ntwo\n"}, {"b.2", 137, "no line end"}, {"c", 1, "@@N\n@@M end c 0\n"}}
		if d := cmp.Diff(want, s.jobs); d != "" || s.err != nil || !s.over {
			t.Errorf("in pieces of %d: over %v, %v\n%s", piece, s.over, s.err, d)
		}
		if got := live.String(); got != "one\ntwo\nno line end@@N\n@@M end c 0\n" {
			t.Errorf("live output %q", got)
		}
		if got := strings.Join(marks, " "); got != "ready begin end begin end begin end files filed over" {
			t.Errorf("marks %s", got)
		}
		dir := t.TempDir()
		if err := s.save(dir); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "job", "x")); err != nil || string(b) != "./job/x" {
			t.Errorf("%q %v", b, err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "job", "link")); err == nil {
			t.Error("a link was made")
		}
	}
}

func TestStream_unfinished(t *testing.T) {
	s := newStream("N", &strings.Builder{})
	_, _ = s.Write([]byte("\n@@N begin a\nhalf"))
	if d := cmp.Diff([]JobResult{{"a", -1, "half"}}, s.jobs); d != "" || s.over {
		t.Error(d)
	}
}

func TestStream_errors(t *testing.T) {
	tests := []struct{ in, want string }{
		{"\n@@N fail module kvm.ko does not load: No such device\n", "setting up the emulated host: module kvm.ko does not load: No such device"},
		{"\n@@N end a 0\n", "mark"},
		{"\n@@N begin a\n\n@@N end b 0\n", "mark"},
		{"\n@@N begin a\n\n@@N end a x\n", "mark"},
		{"\n@@N what\n", "mark"},
		{"\n@@N files x\n", "mark"},
		{"\n@@N filed\n", "not begun"},
		{"\n@@N files 3 00 -\nAAAA\n\n@@N filed\n", "3 bytes of files came"},
		{"\n@@N files 4 00 -\nAAAA\n\n@@N filed\n", "not the 4"},
		{"\n@@N files 4 00 -\n!\n\n@@N filed\n", "illegal base64"},
	}
	for _, tt := range tests {
		s := newStream("N", &strings.Builder{})
		if _, _ = s.Write([]byte(tt.in)); s.err == nil || !strings.Contains(s.err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.in, s.err)
		}
	}
	s := newStream("N", &strings.Builder{})
	_, _ = s.Write([]byte(sent("../x")))
	if err := s.save(t.TempDir()); !errors.Is(err, errStream) {
		t.Errorf("a path out of the folder: %v", err)
	}
}

func FuzzStream(f *testing.F) {
	f.Add([]byte("\n@@N begin a\nx\n@@N end a 0\n"), 3)
	f.Add([]byte(sent("./job/x")), 5)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		whole, parts := newStream("N", &bytes.Buffer{}), newStream("N", &bytes.Buffer{})
		_, _ = whole.Write(in)
		piece = max(1, piece%64)
		for i := 0; i < len(in); i += piece {
			_, _ = parts.Write(in[i:min(i+piece, len(in))])
		}
		if d := cmp.Diff(whole.jobs, parts.jobs); d != "" || fmt.Sprint(whole.err) != fmt.Sprint(parts.err) {
			t.Errorf("%v, %v\n%s", whole.err, parts.err, d)
		}
		_ = whole.save(t.TempDir())
	})
}
