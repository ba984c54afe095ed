package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gozen/benches/guest/hello"
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
)

// TestCrash lets guests do what no guest should: each ends with a reason and registers, and another domain does not notice.
func TestCrash(t *testing.T) {
	h := newHost(t)
	other := h.create(h.hello("other", ""))
	other.expect("waiting for: xl shutdown")
	tests := []struct {
		name string
		code func(a *asm.Asm)
		want string
	}{
		{"ud2", func(a *asm.Asm) { a.Ud2() }, `has ended: crash \(triple fault at rip 0x[0-9a-f]+\)`},
		{"jump into nothing", func(a *asm.Asm) { a.MovI(asm.RAX, 0xdeadbeef000); a.Raw(0xff, 0xe0) }, `has ended: crash`},
		{"no stack", func(a *asm.Asm) { a.MovI(asm.RSP, 0x7000000000); a.Push(asm.RAX) }, `has ended: crash`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img, err := tiny.Image(tt.code)
			if err != nil {
				t.Fatal(err)
			}
			c := h.create(h.config("crash", `kernel = "`+h.write("crash.elf", img)+"\"\nmemory = 32\n"))
			c.expect(tt.want)
			c.expect(`rip +[0-9a-f]+`)
			c.end()
		})
	}
	if d, ok := h.domain("other"); !ok || d.State.Shutdown {
		t.Errorf("the other domain: %+v", d)
	}
	h.run("xl", "shutdown", "-w", "other")
	other.end()
}

// TestBadKernel gives files that are no kernel: one clear error, and nothing is left.
func TestBadKernel(t *testing.T) {
	h := newHost(t)
	good, err := hello.Image()
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 4096)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(noise)
	tests := []struct {
		name    string
		content []byte
	}{
		{"empty", nil}, {"text", []byte("hello\n")}, {"noise", noise}, {"only a header", good[:60]}, {"cut", good[:len(good)/2]},
		{"segment outside memory", bytes.Replace(good, []byte{0, 0, 0x10, 0}, []byte{0, 0, 0, 0x7f}, -1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := h.write("kernel", tt.content)
			out, err := h.try("xl", "create", h.config("bad", `kernel = "`+k+"\"\nmemory = 32\n"))
			if err == nil || !strings.Contains(out, "kernel") || !strings.Contains(out, "nothing of it is left") || strings.Contains(out, "panic") {
				t.Errorf("%v\n%s", err, out)
			}
			if _, ok := h.domain("bad"); ok {
				t.Error("a domain is left")
			}
		})
	}
	left, _ := filepath.Glob(filepath.Join(h.dir, "run", "[0-9]*"))
	if len(left) > 0 {
		t.Errorf("left in the run folder: %v", left)
	}
}

// TestPerfctl boots through perfctl.
func TestPerfctl(t *testing.T) {
	h := newHost(t)
	cfg := h.hello("bench", "")
	out := h.run("perfctl", "run", "boot", cfg, "-n", "2", "-o", "benchfmt")
	for _, want := range []string{"engine: soft", "BenchmarkBoot/vcpus=1/to=init 1 ", "hypercall:event_channel_op/send"} {
		if strings.Count(out, want) < 1 {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if len(h.list()) != 1 {
		t.Error("a domain is left")
	}
}

// TestDemo runs the demo with the guest that needs no packages.
func TestDemo(t *testing.T) {
	h := newHost(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	out := h.run("demo", "-builtin", "-bin", h.bin)
	for _, want := range []string{"Hello from the built-in guest", "=== xl list", "done: the guest booted, greeted and was shut down cleanly"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
