package measure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/vehicle"
	"gozen/ci/kernels"
	"gozen/hypervisor/config"
	"gozen/perfctl/result"
)

// TestSuite_devices has a stock Debian kernel do all that there is on a disk and a network, and looks at what it did: as PVH guest with figures, in the other
// modes for the counts.
func TestSuite_devices(t *testing.T) {
	if testing.Short() {
		t.Skip("boots Debian kernels: skipped with -short")
	}
	if _, err := kernels.FetchModules(t.Output(), "6.1-cloud", "xen-blkfront", "xen-netfront"); err != nil {
		t.Skip(err)
	}
	files, err := kernels.Open()
	if err != nil {
		t.Skip(err)
	}
	kernel, err := files.Find("6.1-cloud")
	if err != nil {
		t.Skip(err)
	}
	names := []string{"block", "net"}
	if n, err := openNetwork(); err != nil {
		t.Logf("without networks: %v", err)
		names = names[:1]
	} else {
		n.close()
	}
	others := []string{"pv", "hvm"}
	if _, err := kernels.FetchModules(t.Output(), "6.1-cloud", drivers(ModeIDE, vehicle.Disk)...); err != nil {
		t.Logf("without IDE disks: %v", err)
	} else {
		others = append(others, ModeIDE)
	}
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	vehicle, options := vehicleProgram(t), software(t)
	options.Timeout = 5 * time.Minute
	for rounds, modes := range [][]string{others, {"pvh"}} {
		s := Suite{Modes: modes, Items: items(t, names...), Rounds: rounds, Batches: 1, Engine: config.EngineSoft, Kernel: kernel, Vehicle: vehicle, Options: options}
		r, err := s.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range modes {
			for _, i := range s.items(m) {
				x := r.Find(m, i.Name)
				if x == nil || x.Missing != "" || !x.Counted || len(x.Rounds) != rounds {
					t.Errorf("%s %s: %+v", m, i.Name, x)
					continue
				}
				checkDevice(t, x, i)
			}
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "perfctl") }) {
		t.Errorf("left in %s: %v %v", tmp, left, err)
	}
	gone(t, options.Root)
}

// checkDevice looks at the figures of one workload.
func checkDevice(t *testing.T, x *result.Series, i Item) {
	t.Helper()
	const mib = 1 << 20
	bytes := map[string]float64{"block/read-4k": vehicle.BlockSize, "block/write-4k": vehicle.BlockSize, "block/read-4k-x32": vehicle.BlockSize,
		"block/write-4k-x32": vehicle.BlockSize, "block/read-1m": mib, "block/write-1m": mib, "net/send": mib, "net/receive": mib, "net/ping": 2}[i.Name]
	what, samples := "device requests", 1
	switch got := x.Count("device bytes"); {
	case i.Needs == vehicle.Disk && got != bytes:
		t.Errorf("%s %s: %g bytes for one operation, want %g", x.Mode, i.Name, got, bytes)
	case i.Needs == vehicle.Net && (got < bytes || got > 1.2*bytes+200): // headers, acknowledgements
		t.Errorf("%s %s: %g bytes for one operation, want some more than %g", x.Mode, i.Name, got, bytes)
	}
	if i.Needs == vehicle.Net {
		what = "device packets"
	}
	if strings.HasSuffix(i.Name, "4k") || strings.HasSuffix(i.Name, "1m") || i.Name == "net/ping" {
		samples = i.ops // each is a sample
	}
	for _, r := range x.Rounds {
		if len(r) != samples || slices.Min(r) <= 0 {
			t.Errorf("%s %s: %d samples from %g ns, want %d", x.Mode, i.Name, len(r), slices.Min(r), samples)
		}
	}
	exits, instructions := 0.0, x.Count("instructions")
	for _, c := range x.Counts {
		if strings.HasPrefix(c.Name, "exit ") {
			exits += c.PerOp
		}
	}
	if exits <= 0 || instructions <= 100 || x.Count(what) <= 0 {
		t.Errorf("%s %s: %g exits, %g instructions, %g %s for one operation", x.Mode, i.Name, exits, instructions, x.Count(what), what)
	}
	ports := slices.ContainsFunc(x.Counts, func(c result.Count) bool { return strings.HasPrefix(c.Name, "exit io:") && c.PerOp > 0.5 })
	if ports != (x.Mode == ModeIDE) {
		t.Errorf("%s %s: is the disk an IDE disk? %+v", x.Mode, i.Name, x.Counts)
	}
}

// TestSuite_interrupted: a person who has enough of it finds no file left. The fake machine says nothing, so there is something to wait for.
func TestSuite_interrupted(t *testing.T) {
	tmp, mods := t.TempDir(), t.TempDir()
	options := fake(t)
	t.Setenv("TMPDIR", tmp)
	if err := os.WriteFile(filepath.Join(mods, "modules.builtin"), []byte("kernel/drivers/block/xen-blkfront.ko\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := Suite{Modes: []string{"pvh"}, Items: items(t, "block/read-4k"), Rounds: 1, Batches: 1, Kernel: os.Args[0], Modules: mods, Vehicle: os.Args[0], Options: options,
		Progress: func(string) {
			if images, _ := filepath.Glob(filepath.Join(tmp, "perfctl*", "disk")); len(images) != 1 {
				t.Errorf("disks: %v", images)
			}
			time.AfterFunc(100*time.Millisecond, cancel)
		}}
	if _, err := s.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	gone(t, options.Root)
}

// TestMakeImage: a disk has its blocks in their places, and a file system without room for it is named.
func TestMakeImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := makeImage(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) != imageSize {
		t.Fatal(len(b), err)
	}
	want := make([]byte, vehicle.BlockSize)
	for i := int64(0); i < imageSize/vehicle.BlockSize; i += 1023 {
		if vehicle.Stamp(want, i); string(b[i*vehicle.BlockSize:][:vehicle.BlockSize]) != string(want) {
			t.Fatalf("block %d begins with % x", i, b[i*vehicle.BlockSize:][:8])
		}
	}
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no small file system: %v", err)
	}
	defer func() { _ = unix.Unmount(small, 0) }()
	err = makeImage(filepath.Join(small, "disk"))
	if !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), "disk for the guest: no room for its 64 MiB; TMPDIR can name a folder that has it: ") {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(small); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestOpenBridge_refused: what is missing is named in one line, with what to do.
func TestOpenBridge_refused(t *testing.T) {
	none := filepath.Join(t.TempDir(), "tun")
	if _, err := openBridge(none); err == nil || err.Error() != "a network for the guest needs "+none+", which is not there: modprobe tun" {
		t.Errorf("%v", err)
	}
	got := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread, which loses its rights, ends with the goroutine
		h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&h, &none[0]); err != nil {
			got <- err
			return
		}
		_, err := makeBridge()
		got <- err
	}()
	if err := <-got; err == nil || err.Error() != "this needs CAP_SYS_ADMIN and CAP_NET_ADMIN: "+asRoot {
		t.Errorf("%v", err)
	}
}

// TestCounts takes what waiting for the host costs off what an operation costs.
func TestCounts(t *testing.T) {
	at := func(ops, requests, bytes uint64, exits float64) mark {
		return mark{result.Line{Ops: ops, Requests: requests, Bytes: bytes}, map[string]float64{"exit hlt": exits, "exit kick": exits}}
	}
	g := &guestRun{marks: map[string][]mark{"w": {at(0, 7, 70, 5), at(0, 7, 70, 8), at(10, 27, 40070, 31)}}}
	got, ok := g.counts("w", AreaBlock)
	want := []result.Count{{Name: "exit hlt", PerOp: 2}, {Name: "device bytes", PerOp: 4000}, {Name: "device requests", PerOp: 2}}
	if !ok || !slices.Equal(got, want) {
		t.Errorf("%v %+v", ok, got)
	}
	if _, ok := g.counts("other", AreaBlock); ok {
		t.Error("counted without marks")
	}
}
