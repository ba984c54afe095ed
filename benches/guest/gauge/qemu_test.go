package gauge

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gozen/benches/guest/tiny"
)

// TestQEMU runs exported guests where there is no Xen: they print the same lines, to the serial port and to port 0xe9, and leave out what needs Xen.
func TestQEMU(t *testing.T) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("no QEMU here (Debian's package qemu-system-x86)")
	}
	for mode, flag := range map[string]string{"pvh": "-kernel FILE", "hvm": "-drive format=raw,if=ide,file=FILE"} {
		t.Run(mode, func(t *testing.T) {
			b, err := Image(Spec{Mode: mode, Batches: 2})
			if err == nil && mode == "hvm" {
				b, err = Disk(b)
			}
			dir := t.TempDir()
			path := filepath.Join(dir, "guest")
			if err != nil || os.WriteFile(path, b, 0o600) != nil {
				t.Fatal(err)
			}
			args := append([]string{"-accel", "tcg", "-cpu", "max", "-m", "64", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "file:" + dir + "/serial",
				"-debugcon", "file:" + dir + "/debugcon", "-device", "isa-debug-exit,iobase=0xf4"}, strings.Fields(strings.ReplaceAll(flag, "FILE", path))...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := exec.CommandContext(ctx, qemu, args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tiny.QEMUExit {
				t.Errorf("QEMU: %v %s", err, out)
			}
			debug, _ := os.ReadFile(dir + "/debugcon")
			serial, _ := os.ReadFile(dir + "/serial")
			i := strings.Index(string(serial), "gauge: hello 1 mode "+mode)
			if i < 0 || !strings.HasSuffix(string(debug), string(serial[i:])) { // firmware speaks there, too
				t.Fatalf("serial port:\n%.500s\nport 0xe9:\n%.500s", serial, debug)
			}
			for _, want := range []string{"gauge: batch syscall/null ops 00000256 ticks 0", "gauge: batch walk/1g ", "gauge: batch fault/minor ",
				"gauge: batch io/mmio ", "gauge: skip hypercall/null there is no Xen here\r\n", "gauge: end\r\n"} {
				if !strings.Contains(string(serial), want) {
					t.Errorf("no %q in\n%s", want, serial)
				}
			}
		})
	}
}
