package measure

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gozen/ci/kernels"
	"gozen/hypervisor/config"
)

// vehicleProgram builds the small /init.
func vehicleProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "init")
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "gozen/benches/guest/vehicle/init")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// TestSuite_linux has a stock Debian kernel report, as a PV and as a PVH guest: without rounds, each boots once.
func TestSuite_linux(t *testing.T) {
	if testing.Short() {
		t.Skip("boots Debian kernels: skipped with -short")
	}
	files, err := kernels.Open()
	if err != nil {
		t.Skip(err)
	}
	kernel, err := files.Find("6.1-cloud")
	if err != nil {
		t.Skip(err)
	}
	s := Suite{Modes: []string{"pv", "pvh"}, Items: items(t, "linux/getpid", "linux/pipe", "linux/fork"), Engine: config.EngineSoft,
		Kernel: kernel, Vehicle: vehicleProgram(t), Options: software(t)}
	s.Options.Timeout = 5 * time.Minute
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range r.Series {
		if x.Missing != "" {
			t.Errorf("%s %s: missing %q", x.Mode, x.Workload, x.Missing)
		}
	}
	if k := r.Env.GuestKernel; !strings.HasPrefix(k, "Linux 6.1.") {
		t.Errorf("guest kernel %q", k)
	}
	gone(t, s.Options.Root)
}

// TestSuite_linuxStatic: what cannot be a guest's /init is refused.
func TestSuite_linuxStatic(t *testing.T) {
	s := Suite{Modes: []string{"pvh"}, Items: items(t, "linux/getpid"), Rounds: 1, Batches: 1, Engine: config.EngineSoft, Kernel: "none", Vehicle: "/etc/passwd",
		Options: software(t)}
	if _, err := s.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "RAM disk of the Linux guest: ") {
		t.Errorf("%v", err)
	}
}
