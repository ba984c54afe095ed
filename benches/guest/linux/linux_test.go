package linux

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestInitramfs(t *testing.T) {
	box := filepath.Join(t.TempDir(), "busybox")
	if err := os.WriteFile(box, []byte("static busybox"), 0o755); err != nil {
		t.Fatal(err)
	}
	b, err := Initramfs(box, Greeter)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"static busybox", "Hello from kernel", "init\x00", "sbin/poweroff\x00", "bin/sh\x00", "dev/console\x00"} {
		if !bytes.Contains(b, []byte(want)) {
			t.Errorf("the archive lacks %q", want)
		}
	}
	if _, err := Initramfs(box+"x", Greeter); err == nil {
		t.Error("made without a busybox")
	}
}

func TestScripts_syntax(t *testing.T) {
	for _, s := range []string{Greeter, PowerOff} {
		c := exec.Command("sh", "-n")
		c.Stdin = strings.NewReader(s)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		if !strings.Contains(s, Greeting) {
			t.Error("a script does not greet")
		}
	}
}
