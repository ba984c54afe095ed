package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
)

// fingerprintEvery is the distance of two fingerprints of a deterministic run, in instructions.
const fingerprintEvery = 150e6

// TestDeterministic_twoRunsAreEqual boots a stock kernel to power-off twice in virtual time, as PVH guest with 1 and with 4 vCPUs, and as HVM guest, and
// compares registers and memory all along the way.
func TestDeterministic_twoRunsAreEqual(t *testing.T) {
	if testing.Short() {
		t.Skip("six boots")
	}
	for _, c := range []struct {
		typ   config.Type
		vcpus int
	}{{config.PVH, 1}, {config.PVH, 4}, {config.HVM, 2}} {
		a, b := fingerprints(t, c.typ, c.vcpus), fingerprints(t, c.typ, c.vcpus)
		if len(a) < 5 {
			t.Errorf("%s, %d vCPUs: only %d fingerprints", c.typ, c.vcpus, len(a))
		}
		if !slices.Equal(a, b) {
			t.Errorf("%s, %d vCPUs: two runs differ:\n%x\n%x", c.typ, c.vcpus, a, b)
		}
	}
}

// fingerprints gives instruction counts and hashes, alternating.
func fingerprints(t *testing.T, typ config.Type, vcpus int) (out []uint64) {
	t.Helper()
	bootInProcess(t, vcpus, func(d *config.Domain) { d.Deterministic, d.Type = true, typ }, func(m *build.Machine) {
		m.Observe(fingerprintEvery, func(n uint64) { out = append(out, n, m.Fingerprint()) })
	})
	return out
}

// bootInProcess boots a stock kernel to power-off in this process. set changes the configuration, ready the machine before it starts.
func bootInProcess(t *testing.T, vcpus int, set func(*config.Domain), ready func(*build.Machine)) {
	t.Helper()
	dir := t.TempDir()
	ird, err := linux.Initramfs(guestFile(t, kernels.Busybox), linux.PowerOff)
	if err != nil {
		t.Fatal(err)
	}
	ramdisk := filepath.Join(dir, "initrd")
	if err := os.WriteFile(ramdisk, ird, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := control.NewConsoleLog(filepath.Join(dir, "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cfg := config.Domain{Name: "same", UUID: "00000000-0000-0000-0000-000000000001", Type: config.PVH,
		Kernel: guestFile(t, "6.1-cloud"), Ramdisk: ramdisk, Cmdline: "console=hvc0 cryptomgr.notests", MemoryMiB: 256, VCPUs: vcpus,
		Engine: config.EngineSoft}
	set(&cfg)
	m, err := build.New(cfg, control.Options{Domid: 1, Dir: dir, ConsoleOut: log, Log: control.NewRing(1 << 16), Began: time.Now(),
		Warn: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if ready != nil {
		ready(m)
	}
	if err := m.Unpause(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-time.After(patience):
		m.Destroy()
		<-m.Done()
		t.Fatalf("the guest did not end: %s", tail(dir))
	}
	if r := m.Reason(); r.Code != control.ReasonPoweroff {
		t.Fatalf("ended with %s: %s\n%s\n%s", r.Code, r.Text, r.Detail, tail(dir))
	}
}

// tail gives the end of a run's console.
func tail(dir string) string {
	b, _ := os.ReadFile(filepath.Join(dir, "console.log"))
	return string(b[max(0, len(b)-1500):])
}
