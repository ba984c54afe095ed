package initramfs

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func sample() *Archive {
	a := &Archive{}
	a.File("/init", 0o755, []byte("#!/bin/sh\necho hello\n"))
	a.File("bin/busybox", 0o4755|fs.ModeSetuid, []byte{1, 2, 3})
	a.Symlink("/bin/sh", "busybox")
	a.Dir("/proc", 0o555)
	a.Dir("/bin", 0o755)
	a.Device("/dev/console", 0o600, 5, 1)
	a.Device("/dev/xvda", 0o660|fs.ModeDevice, 202, 0)
	return a
}

// listing reads an archive back: "mode name content" by entry.
func listing(t *testing.T, b []byte) (out []string) {
	t.Helper()
	for {
		if len(b) < 110 || string(b[:6]) != "070701" {
			t.Fatalf("bad header %q", b[:min(len(b), 110)])
		}
		f := func(i int) int {
			n := 0
			for _, c := range string(b[6+8*i : 14+8*i]) {
				n = n*16 + strings.IndexRune("0123456789ABCDEF", c)
			}
			return n
		}
		nameEnd := (110 + f(11) + 3) &^ 3
		name := string(b[110 : 110+f(11)-1])
		if name == trailer {
			return out
		}
		end := nameEnd + f(6)
		out = append(out, strings.TrimSpace(strings.Join([]string{
			string(rune('0'+f(1)>>12/10)) + string(rune('0'+f(1)>>12%10)), name, string(b[nameEnd:end])}, " ")))
		b = b[(end+3)&^3:]
	}
}

func TestBytes(t *testing.T) {
	b, err := sample().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"08 init #!/bin/sh\necho hello", "04 bin", "08 bin/busybox \x01\x02\x03", "10 bin/sh busybox", "04 proc",
		"04 dev", "02 dev/console", "06 dev/xvda"}
	if got := listing(t, b); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(b)%512 != 0 {
		t.Errorf("%d bytes", len(b))
	}
	again, _ := sample().Bytes()
	if !bytes.Equal(b, again) {
		t.Error("not the same bytes twice")
	}
}

func TestBytes_cpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("needs the cpio program")
	}
	b, _ := sample().Bytes()
	cmd := exec.Command("cpio", "-itv", "--quiet")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "-rwsr-xr-x") || !strings.Contains(string(out), "bin/sh -> busybox") ||
		!strings.Contains(string(out), "5,   1") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		want string
		do   func(a *Archive)
	}{
		{"no name", func(a *Archive) { a.File("/", 0, nil) }},
		{"no name", func(a *Archive) { a.File("a\x00b", 0, nil) }},
		{"no name", func(a *Archive) { a.File(trailer, 0, nil) }},
		{"twice", func(a *Archive) { a.File("a", 0, nil); a.File("/a", 0, nil) }},
		{"not a folder", func(a *Archive) { a.File("a", 0, nil); a.File("a/b", 0, nil) }},
		{"link target", func(a *Archive) { a.Symlink("a", "") }},
		{"no such file", func(a *Archive) { a.HostFile("a", 0, filepath.Join(os.TempDir(), "no/such")); a.File("b", 0, nil) }},
	}
	for _, tt := range tests {
		var a Archive
		tt.do(&a)
		if _, err := a.Bytes(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want it to mention %q", err, tt.want)
		}
	}
}

func TestHostFile(t *testing.T) {
	f := filepath.Join(t.TempDir(), "x")
	os.WriteFile(f, []byte("content"), 0o600)
	var a Archive
	a.HostFile("/a/x", 0o644, f)
	b, err := a.Bytes()
	if err != nil || listing(t, b)[1] != "08 a/x content" {
		t.Error(err)
	}
}
