package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gozen/ci/kernels"
	"gozen/xl/cfg"
)

func TestWatcher(t *testing.T) {
	tests := []struct {
		name   string
		pieces []string
		want   bool
	}{
		{"in pieces", []string{"boot\r\nHel", "lo from x\r\n  waiting for: ", "xl shutdown\r", "\n"}, true},
		{"plain newline", []string{"Hello from x\n  waiting for: xl shutdown\n"}, true},
		{"no greeting", []string{"waiting for: xl shutdown\n"}, false},
		{"greeting only", []string{"Hello from x\n"}, false},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		w := &watcher{out: &out, greeting: make(chan struct{})}
		for _, p := range tt.pieces {
			_, _ = w.Write([]byte(p))
		}
		if w.seen() != tt.want || out.String() != strings.Join(tt.pieces, "") {
			t.Errorf("%s: %v, %q", tt.name, w.seen(), out.String())
		}
	}
}

func TestPrepare(t *testing.T) {
	files := t.TempDir()
	t.Setenv(kernels.Env, files)
	g := check(t, false) // nothing there: the built-in guest
	if !strings.Contains(g.what, "built-in") {
		t.Errorf("booting %s", g.what)
	}
	_ = os.Mkdir(filepath.Join(files, "6.1-cloud"), 0o755)
	for _, n := range []string{"6.1-cloud/vmlinuz", "busybox"} {
		if err := os.WriteFile(filepath.Join(files, n), []byte("x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if g := check(t, false); !strings.Contains(g.what, "Debian") {
		t.Errorf("booting %s", g.what)
	}
	if g := check(t, true); !strings.Contains(g.what, "built-in") {
		t.Errorf("booting %s", g.what)
	}
}

// check prepares a guest and reads its configuration as xl does.
func check(t *testing.T, builtin bool) guest {
	t.Helper()
	g, err := prepare(t.TempDir(), "soft", builtin)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(g.cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cfg.Parse(g.cfg, text)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Domain()
	if err != nil || len(res.Warnings) != 0 || res.Domain.Name != name {
		t.Errorf("%+v %v", res, err)
	}
	return g
}
