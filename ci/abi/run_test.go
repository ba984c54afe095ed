package abi

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gozen/benches/guest/abi"
	"gozen/hypervisor/build"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/xen"
)

// patience is how long a guest may take before the test says that it hangs. Guests that are well take milliseconds.
const patience = 60 * time.Second

var domids atomic.Int32

// guest is a running domain.
type guest struct {
	t   testing.TB
	m   *build.Machine
	id  string // the domain's number
	dir string
	log *control.Ring
}

type option func(*config.Domain)

func vcpus(n int) option           { return func(c *config.Domain) { c.VCPUs = n } }
func memory(mib uint64) option     { return func(c *config.Domain) { c.MemoryMiB = mib } }
func deterministic(on bool) option { return func(c *config.Domain) { c.Deterministic = on } }

// start builds a domain of a kernel image and unpauses it.
func start(t testing.TB, image []byte, opts ...option) *guest {
	t.Helper()
	dir := t.TempDir()
	kernel := filepath.Join(dir, "kernel")
	if err := os.WriteFile(kernel, image, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := control.NewConsoleLog(filepath.Join(dir, "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	id := int(domids.Add(1))
	cfg := config.Domain{Name: "abi", UUID: "12345678-9abc-def0-1122-334455667788", Type: config.PVH, Kernel: kernel, MemoryMiB: 24, VCPUs: 1,
		Engine: config.EngineSoft}
	for _, o := range opts {
		o(&cfg)
	}
	g := &guest{t: t, id: strconv.Itoa(id), dir: dir, log: control.NewRing(1 << 16)}
	g.m, err = build.New(cfg, control.Options{Domid: uint16(id), Dir: dir, ConsoleOut: log, Log: g.log, Began: time.Now(), Warn: func(string) {}})
	if err != nil {
		log.Close()
		t.Fatal(err)
	}
	var once sync.Once
	t.Cleanup(func() {
		once.Do(func() {
			g.m.Destroy()
			g.wait()
			g.m.Close()
			log.Close()
		})
	})
	if err := g.m.Unpause(); err != nil {
		t.Fatal(err)
	}
	return g
}

// wait waits for the end of the domain.
func (g *guest) wait() control.Reason {
	select {
	case <-g.m.Done():
	case <-time.After(patience):
		buf := make([]byte, 1<<16)
		g.t.Fatalf("the domain does not end\n%s", buf[:runtime.Stack(buf, true)])
	}
	return g.m.Reason()
}

// powersOff waits for the end and wants it to be the guest's own.
func (g *guest) powersOff() {
	g.t.Helper()
	if r := g.wait(); r.Code != control.ReasonPoweroff {
		g.t.Fatalf("the guest ended with %s: %s\n%s", r.Code, r.Text, r.Detail)
	}
}

// crashes waits for the end and wants a crash with a reason that contains text, and with registers.
func (g *guest) crashes(text string) {
	g.t.Helper()
	r := g.wait()
	if r.Code != control.ReasonCrash || !strings.Contains(r.Text, text) {
		g.t.Errorf("the guest ended with %s: %q, want a crash with %q", r.Code, r.Text, text)
	}
}

func (g *guest) bytes(at abi.Addr, n int) []byte {
	g.t.Helper()
	b := make([]byte, n)
	if err := g.m.Memory().Read(guestmem.GPA(at), b); err != nil {
		g.t.Fatal(err)
	}
	return b
}

func (g *guest) u64(at abi.Addr) uint64 {
	g.t.Helper()
	return binary.LittleEndian.Uint64(g.bytes(at, 8))
}
func (g *guest) u32(at abi.Addr) uint32 {
	g.t.Helper()
	return binary.LittleEndian.Uint32(g.bytes(at, 4))
}

// decode reads a wire struct.
func (g *guest) decode(at abi.Addr, s xen.Struct) {
	g.t.Helper()
	d := xen.Decoder(xen.ABI64, g.bytes(at, xen.SizeOf(xen.ABI64, s)))
	s.Layout(&d)
}

// text reads a string that ends with NUL.
func (g *guest) text(at abi.Addr) string {
	s, _, _ := strings.Cut(string(g.bytes(at, 256)), "\x00")
	return s
}

// is wants a word to hold a value.
func (g *guest) is(what string, at abi.Addr, want uint64) {
	g.t.Helper()
	if got := g.u64(at); got != want {
		g.t.Errorf("%s: %#x, want %#x", what, got, want)
	}
}

// ok wants results 0.
func (g *guest) ok(what string, at ...abi.Addr) {
	g.t.Helper()
	for i, a := range at {
		if got := g.u64(a); got != 0 {
			g.t.Errorf("%s %d: %d, want 0", what, i, int64(got))
		}
	}
}

// fails wants a result to be an error.
func (g *guest) fails(what string, at abi.Addr, want xen.Errno) {
	g.t.Helper()
	if got := g.u64(at); got != want.Ret() {
		g.t.Errorf("%s: %d, want %d (%v)", what, int64(got), int64(want.Ret()), want)
	}
}

// within wants a value from lo to hi.
func (g *guest) within(what string, at abi.Addr, lo, hi uint64) {
	g.t.Helper()
	if v := g.u64(at); v < lo || v > hi {
		g.t.Errorf("%s: %d, want from %d to %d", what, v, lo, hi)
	}
}

// console reads the console log.
func (g *guest) console() string {
	b, _ := os.ReadFile(filepath.Join(g.dir, "console.log"))
	return string(b)
}

// called gives the number of a hypercall, as counted.
func (g *guest) called(name string) uint64 {
	for _, c := range g.m.Stats().Hypercalls {
		if c.Name == name {
			return c.Count
		}
	}
	return 0
}
