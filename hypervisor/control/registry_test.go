package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/control/controltest"
	"gozen/hypervisor/control/process"
)

// TestMain lets the test binary be a hypervisor.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "hypervisor" {
		os.Exit(process.Main(os.Args[1:], "test", controltest.New, controltest.Host))
	}
	os.Exit(m.Run())
}

func domain(name string) config.Domain {
	d := config.Domain{Name: name, Type: config.PVH, Kernel: "/etc/hostname", MemoryMiB: 64}
	d.Complete()
	return d
}

func registry(t *testing.T) *control.Registry {
	t.Helper()
	r, err := control.OpenRegistry(filepath.Join(t.TempDir(), "run"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistry_domidsRise(t *testing.T) {
	r := registry(t)
	a, err := r.Create(domain("a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(domain("a")); err == nil || !strings.Contains(err.Error(), `Domain with name "a" already exists.`) {
		t.Fatalf("second a: %v", err)
	}
	if err := a.Remove(); err != nil {
		t.Fatal(err)
	}
	b, err := r.Create(domain("a"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Domid != 1 || b.Domid != 2 {
		t.Errorf("domids %d and %d, want 1 and 2", a.Domid, b.Domid)
	}
	st, err := os.Stat(b.Dir)
	if err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("run folder: %v %v", st.Mode(), err)
	}
}

func TestRegistry_domidWraps(t *testing.T) {
	r := registry(t)
	a, _ := r.Create(domain("a"))
	_ = os.WriteFile(filepath.Join(r.Root(), "next"), []byte("32751\n"), 0o600)
	b, err := r.Create(domain("b"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Create(domain("c"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Domid != 1 || b.Domid != 32751 || c.Domid != 2 {
		t.Errorf("domids %d %d %d, want 1 32751 2", a.Domid, b.Domid, c.Domid)
	}
}

func TestRegistry_rootRefused(t *testing.T) {
	f := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.OpenRegistry(f); err == nil {
		t.Error("a file was taken as run folder")
	}
	link := filepath.Join(t.TempDir(), "link")
	_ = os.Symlink(t.TempDir(), link)
	if _, err := control.OpenRegistry(link); err == nil {
		t.Error("a symbolic link was taken as run folder")
	}
}

func TestRegistry_junkIsIgnored(t *testing.T) {
	r := registry(t)
	for _, n := range []string{"07", "0", "-1", "99999", "x"} {
		if err := os.Mkdir(filepath.Join(r.Root(), n), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_ = os.Mkdir(filepath.Join(r.Root(), "5"), 0o700) // half-made by a process that died
	if all, err := r.List(); err != nil || len(all) != 0 {
		t.Errorf("List gives %v, %v", all, err)
	}
	if _, err := os.Stat(filepath.Join(r.Root(), "5")); err == nil {
		t.Error("the half-made folder is still there")
	}
}

// start launches a fake domain in a process of its own.
func start(t *testing.T, r *control.Registry, cfg config.Domain, paused bool) (process.Started, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "hypervisor")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	st, err := process.Launch(program, process.Request{Config: cfg, Root: r.Root(), Paused: paused}, nil)
	if err == nil {
		t.Cleanup(func() { _ = syscall.Kill(st.PID, syscall.SIGKILL) })
	}
	return st, err
}

func TestLaunch_twentyAtOnce(t *testing.T) {
	r := registry(t)
	var mu sync.Mutex
	seen := map[int]bool{}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			st, err := start(t, r, domain("d"+string(rune('a'+i))), true)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[st.Domid] {
				t.Errorf("create %d: domid %d, %v", i, st.Domid, err)
			}
			seen[st.Domid] = true
		})
	}
	wg.Wait()
	all, err := r.List()
	if err != nil || len(all) != 20 {
		t.Errorf("%d domains, %v", len(all), err)
	}
}

func TestLaunch_oneNameOnce(t *testing.T) {
	r := registry(t)
	var mu sync.Mutex
	ok := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := start(t, r, domain("same"), true); err == nil {
				mu.Lock()
				ok++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if ok != 1 {
		t.Errorf("%d of 8 creates of one name succeeded", ok)
	}
}

func TestLaunch_killedNameIsFree(t *testing.T) {
	r := registry(t)
	st, err := start(t, r, domain("k"), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(st.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again, err := start(t, r, domain("k"), false)
	if err != nil {
		t.Fatalf("at once after kill -9: %v", err)
	}
	if again.Domid == st.Domid {
		t.Errorf("domid %d was used again", again.Domid)
	}
	if _, err := os.Stat(st.Dir); err == nil {
		t.Errorf("%s is left", st.Dir)
	}
}

func TestLaunch_badPrograms(t *testing.T) {
	r := registry(t)
	for _, p := range []string{"/nonexistent", "/bin/false", "/etc/passwd"} {
		_, err := process.Launch(p, process.Request{Config: domain("x"), Root: r.Root()}, nil)
		var ce *config.Error
		if !errors.As(err, &ce) || ce.Fix == "" {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestLaunch_badRequests(t *testing.T) {
	r := registry(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*config.Domain)
		field  string
	}{
		{func(d *config.Domain) { d.Name = "a/b" }, "name"},
		{func(d *config.Domain) { d.Kernel = "/nope" }, "kernel"},
		{func(d *config.Domain) { d.Kernel = fifo }, "kernel"},
		{func(d *config.Domain) { d.Ramdisk = "/dev" }, "ramdisk"},
		{func(d *config.Domain) { d.MemoryMiB, d.MaxMemoryMiB = 1<<23, 1<<23 }, "memory"},
		{func(d *config.Domain) { d.Engine = "magic" }, "engine"},
		{func(d *config.Domain) { d.Cmdline = "fail" }, "kernel"},
	} {
		d := domain("bad")
		c.change(&d)
		_, err := start(t, r, d, false)
		if es := config.Errors(err); len(es) != 1 || es[0].Field != c.field {
			t.Errorf("%s: %v", c.field, err)
		}
	}
	if all, _ := os.ReadDir(r.Root()); len(all) > 3 { // lock, log, next
		t.Errorf("left behind: %v", all)
	}
}

func TestClient_wholeDomain(t *testing.T) {
	r := registry(t)
	cfg := domain("c")
	cfg.Cmdline = "say=hello"
	st, err := start(t, r, cfg, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	c := control.NewClient(st.Dir)
	defer c.Close()
	in, err := c.Info(ctx)
	if err != nil || in.Name != "c" || !in.State.Paused || in.PID != st.PID || in.OverheadKiB == 0 || in.Engine != "fake" {
		t.Errorf("info %+v, %v", in, err)
	}
	got, err := c.Config(ctx)
	if d := cmp.Diff(cfg, got); d != "" || err != nil {
		t.Errorf("config differs: %s %v", d, err)
	}
	con, err := c.Console(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer con.Close()
	if err := c.Unpause(ctx); err != nil {
		t.Error(err)
	}
	p := make([]byte, 6)
	if _, err := io.ReadFull(con, p); err != nil || string(p) != "hello\n" {
		t.Errorf("console %q, %v", p, err)
	}
	late, err := c.Console(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if err := c.StoreWrite(ctx, "relative", nil); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("relative path: %v", err)
	}
	if err := c.StoreWrite(ctx, "/a", bytes.Repeat([]byte{1}, 70000)); !errors.Is(err, syscall.E2BIG) {
		t.Errorf("large value: %v", err)
	}
	if _, err := c.StoreRead(ctx, "/nope"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("missing path: %v", err)
	}
	if err := c.Shutdown(ctx, "explode"); err == nil {
		t.Error("a made-up shutdown word was taken")
	}
	if err := c.Rename(ctx, "a/b"); err == nil {
		t.Error("a bad name was taken")
	}
	s, err := c.Stats(ctx)
	if err != nil || len(s.Exits) == 0 || len(s.Hypercalls) == 0 || len(s.Timings) == 0 {
		t.Errorf("stats %+v, %v", s, err)
	}
	await, err := c.BeginWait(ctx, control.UntilDeath)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(con, "poweroff\n"); err != nil {
		t.Error(err)
	}
	for _, v := range []struct {
		r    io.Reader
		want string
	}{{con, "poweroff\n"}, {late, "llo\npoweroff\n"}} {
		if b, err := io.ReadAll(v.r); err != nil || string(b) != v.want {
			t.Errorf("rest of the console %q, %v, want %q", b, err, v.want)
		}
	}
	e, err := await()
	if err != nil || e.Reason.Code != control.ReasonPoweroff || e.Action != "destroy" {
		t.Errorf("ended %+v, %v", e, err)
	}
}

func TestLaunch_longRunFolder(t *testing.T) {
	r, err := control.OpenRegistry(filepath.Join(t.TempDir(), strings.Repeat("long/", 30)))
	if err != nil {
		t.Fatal(err)
	}
	st, err := start(t, r, domain("deep"), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := control.NewClient(st.Dir).Info(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestMain_refusesToBeStartedByHand(t *testing.T) {
	self, _ := os.Executable()
	program := filepath.Join(t.TempDir(), "hypervisor")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "xl create") {
		t.Errorf("%q, %v", out, err)
	}
	for _, a := range []string{"--help", "--version"} {
		if err := exec.Command(program, a).Run(); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestState_Letters(t *testing.T) {
	for _, c := range []struct {
		s    control.State
		want string
	}{{control.State{}, "------"}, {control.State{Running: true}, "r-----"}, {control.State{Blocked: true, Paused: true}, "-bp---"},
		{control.State{Shutdown: true, Reason: "poweroff"}, "---s--"}, {control.State{Shutdown: true, Reason: "crash", Dying: true}, "---scd"},
		{control.State{Shutdown: true, Reason: "reboot"}, "---sr-"}, {control.State{Shutdown: true, Reason: "soft-reset"}, "---sS-"},
		{control.State{Reason: "crash"}, "------"}, {control.State{Shutdown: true, Reason: "watchdog"}, "---sw-"}} {
		if got := c.s.Letters(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.s, got, c.want)
		}
	}
	b, err := json.Marshal(control.State{Running: true})
	if err != nil || !strings.Contains(string(b), `"running":true`) {
		t.Errorf("%s %v", b, err)
	}
}
