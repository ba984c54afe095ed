package kernels

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

// deb makes a package whose data member is compressed as ext says.
func deb(t testing.TB, ext string, files map[string]string) []byte {
	t.Helper()
	var tb bytes.Buffer
	w := tar.NewWriter(&tb)
	_ = w.WriteHeader(&tar.Header{Name: "./boot/", Typeflag: tar.TypeDir, Mode: 0o755})
	_ = w.WriteHeader(&tar.Header{Name: "./boot/vmlinuz-link", Typeflag: tar.TypeSymlink, Linkname: "x"})
	for n, c := range files {
		_ = w.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(c))})
		_, _ = w.Write([]byte(c))
	}
	_ = w.Close()
	data := tb.Bytes()
	switch ext {
	case ".gz":
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(data)
		_ = z.Close()
		data = b.Bytes()
	case ".zst":
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		data = z.EncodeAll(data, nil)
	}
	out := []byte(arMagic)
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", []byte("odd")}, {"data.tar" + ext, data}} {
		out = fmt.Appendf(out, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.name, 0, 0, 0, 0o100644, len(m.data))
		out = append(out, m.data...)
		if len(m.data)%2 != 0 {
			out = append(out, '\n')
		}
	}
	return out
}

func TestExtract(t *testing.T) {
	for _, ext := range []string{"", ".gz", ".zst"} {
		p := deb(t, ext, map[string]string{"./boot/vmlinuz-6.1.0-9": "kernel"})
		var b bytes.Buffer
		name, err := extract(&b, bytes.NewReader(p), "boot/vmlinuz-*", 100)
		if err != nil || name != "boot/vmlinuz-6.1.0-9" || b.String() != "kernel" {
			t.Errorf("%q: %q %q %v", ext, name, b.String(), err)
		}
	}
}

func TestExtract_errors(t *testing.T) {
	good := deb(t, ".gz", map[string]string{"./boot/vmlinuz-1": "kernel"})
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"empty", nil, errNotDeb},
		{"no archive", []byte("hello, world, this is no archive"), errNotDeb},
		{"only the magic", good[:8], errNotDeb},
		{"cut in a member", good[:8+60+2], errNotDeb},
		{"bad size", bytes.Replace(good, []byte("4         `"), []byte("x         `"), 1), errNotDeb},
		{"negative size", bytes.Replace(good, []byte("4         `"), []byte("-4        `"), 1), errNotDeb},
		{"unknown compression", deb(t, ".lzh", nil), errNotDeb},
		{"not in there", deb(t, "", map[string]string{"./etc/x": ""}), errNotThere},
	}
	for _, tt := range tests {
		if _, err := extract(&bytes.Buffer{}, bytes.NewReader(tt.in), "boot/vmlinuz-*", 100); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := extract(&bytes.Buffer{}, bytes.NewReader(good), "boot/vmlinuz-*", 3); err == nil {
		t.Error("a file over the limit was taken")
	}
	if _, err := extract(&bytes.Buffer{}, bytes.NewReader(good[:len(good)-20]), "boot/vmlinuz-*", 100); err == nil {
		t.Error("a truncated package was taken")
	}
}

func FuzzExtract(f *testing.F) {
	for _, ext := range []string{"", ".gz", ".zst", ".xz"} {
		f.Add(deb(f, ext, map[string]string{"./boot/vmlinuz-1": "kernel"}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var w bytes.Buffer
		if _, err := extract(&w, bytes.NewReader(b), "boot/vmlinuz-*", 1000); err == nil && w.Len() > 1000 {
			t.Errorf("%d bytes", w.Len())
		}
	})
}

func TestChoose(t *testing.T) {
	packages := strings.Fields(`linux-image-6.1.0-9-cloud-amd64-unsigned linux-image-6.1.0-47-cloud-amd64-unsigned linux-image-6.1.0-10-cloud-amd64-unsigned
		linux-image-6.1.0-47-amd64-unsigned linux-image-6.1.0-47-rt-amd64-unsigned linux-image-6.12.9+deb12-cloud-amd64-unsigned
		linux-image-6.12.107+deb12-cloud-amd64-unsigned linux-image-6.12.107+deb13-cloud-amd64-unsigned busybox busybox-static`)
	found, missing := choose(packages, append(Names(), Busybox))
	want := map[string]string{"6.1-cloud": "linux-image-6.1.0-47-cloud-amd64-unsigned", "6.1": "linux-image-6.1.0-47-amd64-unsigned",
		"6.12-cloud": "linux-image-6.12.107+deb12-cloud-amd64-unsigned", Busybox: "busybox-static"}
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"6.12"}, missing); d != "" {
		t.Error(d)
	}
}

func TestChoose_arm64(t *testing.T) {
	packages := strings.Fields(`linux-image-6.1.0-48-arm64-unsigned linux-image-6.1.0-48-cloud-arm64-unsigned linux-image-6.12.117+deb12-arm64-unsigned
		linux-image-6.12.117+deb12-arm64-16k-unsigned linux-image-6.12.117+deb12-rt-arm64-unsigned linux-image-6.12.117+deb12-arm64 busybox-static`)
	found, missing := choose(packages, append(Arm64Names(), BusyboxArm64))
	want := map[string]string{"arm64-6.1-cloud": "linux-image-6.1.0-48-cloud-arm64-unsigned", "arm64-6.1": "linux-image-6.1.0-48-arm64-unsigned",
		"arm64-6.12": "linux-image-6.12.117+deb12-arm64-unsigned", BusyboxArm64: "busybox-static"}
	if d := cmp.Diff(want, found); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"arm64-6.12-cloud"}, missing); d != "" {
		t.Error(d)
	}
	for _, n := range append(Names(), Busybox) {
		if arch(n) != "amd64" {
			t.Errorf("%s is for %s", n, arch(n))
		}
	}
	for n := range want {
		if arch(n) != "arm64" {
			t.Errorf("%s is for %s", n, arch(n))
		}
	}
}

func TestFetch_given(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Env, dir)
	if _, err := Fetch(t.Output(), "6.1"); !errors.Is(err, ErrNoPackages) || !errors.Is(err, ErrMissing) {
		t.Errorf("empty folder: %v", err)
	}
	_ = os.Mkdir(filepath.Join(dir, "6.1"), 0o755)
	_ = os.WriteFile(filepath.Join(dir, "6.1", "vmlinuz"), []byte("x"), 0o644)
	_ = os.WriteFile(filepath.Join(dir, "6.1", "package"), []byte("linux-image\n"), 0o644)
	f, err := Fetch(t.Output(), "6.1")
	if err != nil {
		t.Fatal(err)
	}
	if p, err := f.Find("6.1"); err != nil || p != filepath.Join(dir, "6.1", "vmlinuz") {
		t.Errorf("%q %v", p, err)
	}
	if f.Package("6.1") != "linux-image" || f.Package("6.12") != "" {
		t.Error("package names")
	}
}

func TestOpen_repository(t *testing.T) {
	t.Setenv(Env, "")
	f, err := Open()
	if err != nil || !strings.HasSuffix(f.Dir, filepath.Join(".cache", "guests")) {
		t.Errorf("%+v %v", f, err)
	}
	t.Chdir(t.TempDir())
	if _, err := Open(); err == nil {
		t.Error("found a repository outside of one")
	}
}

func TestChoose_i386(t *testing.T) {
	packages := strings.Fields(`linux-image-6.1.0-50-686-unsigned linux-image-6.1.0-50-686-pae-unsigned linux-image-6.1.0-50-rt-686-pae-unsigned
		linux-image-6.1.0-9-686-pae-unsigned linux-image-6.1.0-51-amd64-unsigned busybox-static`)
	found, missing := choose(packages, append(I386Names(), BusyboxI386))
	want := map[string]string{"i386-6.1-pae": "linux-image-6.1.0-50-686-pae-unsigned", "i386-6.1": "linux-image-6.1.0-50-686-unsigned",
		BusyboxI386: "busybox-static"}
	if d := cmp.Diff(want, found); d != "" || missing != nil {
		t.Errorf("missing %v; %s", missing, d)
	}
	for name := range want {
		if arch(name) != "i386" {
			t.Errorf("%s is for %s", name, arch(name))
		}
	}
}
