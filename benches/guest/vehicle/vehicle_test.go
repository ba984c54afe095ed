package vehicle

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gozen/benches/guest/peer"
)

// names lists the operations that need a device, or nothing.
func names(of Need) (out []string) {
	for _, o := range List() {
		if o.Needs == of {
			out = append(out, o.Name)
		}
	}
	return out
}

// TestRun measures this machine's own kernel.
func TestRun(t *testing.T) {
	for _, o := range List() {
		group, _, _ := strings.Cut(o.Name, "/")
		if o.Ops < 1 || o.Meaning == "" || group != map[Need]string{Nothing: "linux", Disk: "block", Net: "net"}[o.Needs] {
			t.Errorf("%+v", o)
		}
	}
	var b bytes.Buffer
	all := names(Nothing)
	(&guest{Spec: Spec{Mode: "pvh", Names: all, Batches: 2}, out: &b}).run()
	for _, n := range all {
		if c := strings.Count(b.String(), "gauge: batch "+n+" ops "); c != 2 {
			t.Errorf("%s: %d batches\n%s", n, c, b.String())
		}
	}
	if !strings.HasPrefix(b.String(), "gauge: hello 1 mode pvh\r\ngauge: fact kernel Linux ") || !strings.HasSuffix(b.String(), "gauge: end\r\n") {
		t.Errorf("%s", b.String())
	}
	if Wanted() {
		t.Error("a test is no guest's first process")
	}
}

// TestRun_without: what a guest lacks is told by each workload that needs it.
func TestRun_without(t *testing.T) {
	var b bytes.Buffer
	(&guest{Spec: Spec{Names: []string{"block/read-4k", "net/ping"}, Batches: 1}, out: &b}).run()
	for _, want := range []string{"skip block/read-4k there is no disk in this guest\r\n", "skip net/ping there is no network in this guest\r\n"} {
		if !strings.Contains(b.String(), "gauge: "+want) {
			t.Errorf("no %q in %s", want, b.String())
		}
	}
}

// TestCount has the host be asked three times for each workload.
func TestCount(t *testing.T) {
	var b bytes.Buffer
	g := &guest{Spec: Spec{Names: []string{"linux/getpid"}, Batches: 1, Count: true}, out: &b, in: strings.NewReader("\n\n\n")}
	g.run()
	for want, n := range map[string]int{"gauge: mark linux/getpid ops 0 requests 0 bytes 0\r\n": 2, "gauge: mark linux/getpid ops 4000 requests 0 bytes 0\r\n": 1} {
		if strings.Count(b.String(), want) != n {
			t.Errorf("%q is not there %d times: %s", want, n, b.String())
		}
	}
	b.Reset()
	g.in = strings.NewReader("\n")
	if g.run(); !strings.Contains(b.String(), "skip linux/getpid wait for the host: EOF") {
		t.Errorf("the host has gone: %s", b.String())
	}
}

// TestTCP does the TCP workloads on this machine's own network.
func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	go peer.Serve(l, func(err error) { t.Error(err) })
	g := &guest{Spec: Spec{Peer: netip.MustParseAddrPort(l.Addr().String())}}
	for name, do := range map[string]func(*server, int) error{"send": sendMiB, "receive": receiveMiB, "ping": ping} {
		fd, err := dial(g)
		if err != nil {
			t.Fatal(err)
		}
		s := &server{fd: fd, buffer: make([]byte, portion)}
		for range 2 {
			if err := do(s, 2); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestBlocks does the block workloads on a file.
func TestBlocks(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content := make([]byte, 4*large)
	Stamp(content, 0)
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	a, err := newAIO(deepest)
	if err != nil {
		t.Skip(err)
	}
	defer a.close()
	d := &disk{fd: int(f.Fd()), memory: make([]byte, large), blocks: 4 * large / BlockSize, seed: 1, aio: a}
	works := map[string]func(*disk, int) error{"read": readBlocks, "write": writeBlocks, "read deep": deep(false), "write deep": deep(true),
		"read large": readLarge, "write large": writeLarge}
	for name, do := range works {
		for _, n := range []int{1, 5, 100} {
			if err := do(d, n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	Stamp(content, 1) // every block in the wrong place
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"read", "read deep", "read large"} {
		if err := works[name](d, 1); err == nil || !strings.Contains(err.Error(), "has the content of block") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReport_samples(t *testing.T) {
	var b bytes.Buffer
	g := &guest{out: &b}
	g.report(&Op{Name: "x", Each: true}, append(slices.Repeat([]time.Duration{7}, perLine), 1_234_567))
	if want := "gauge: samples x ns" + strings.Repeat(" 7", perLine) + "\r\ngauge: samples x ns 1234567\r\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestStamp(t *testing.T) {
	b := make([]byte, 3*BlockSize)
	Stamp(b, 7)
	for i := range int64(3) {
		if err := stamped(b[i*BlockSize:], 7+i); err != nil {
			t.Error(err)
		}
	}
	if err := stamped(b, 8); err == nil || err.Error() != "block 8 has the content of block 7" {
		t.Errorf("%v", err)
	}
}

func TestCmdline(t *testing.T) {
	s := Spec{Mode: "pv", Names: []string{"linux/getpid", "linux/fork"}, Batches: 5}
	const want = "console=hvc0 quiet panic=-1 GAUGE=linux/getpid,linux/fork GAUGE_MODE=pv GAUGE_BATCHES=5"
	if got := s.Cmdline(); got != want {
		t.Errorf("%q", got)
	}
	s.Disk, s.Count, s.Address, s.Peer = "xvda", true, netip.MustParsePrefix("10.0.0.2/24"), netip.MustParseAddrPort("10.0.0.1:7")
	const more = want + " GAUGE_COUNT=1 GAUGE_DISK=xvda GAUGE_ADDRESS=10.0.0.2/24 GAUGE_PEER=10.0.0.1:7 GODEBUG=asyncpreemptoff=1"
	if got := s.Cmdline(); got != more {
		t.Errorf("%q", got)
	}
	env := map[string]string{}
	for _, w := range strings.Fields(s.Cmdline()) {
		k, v, _ := strings.Cut(w, "=")
		env[k] = v
	}
	if d := cmp.Diff(s, fromEnvironment(func(k string) string { return env[k] }), cmpopts.EquateComparable(netip.Prefix{}, netip.AddrPort{})); d != "" {
		t.Error(d)
	}
	for _, n := range []string{"", "0", "x", fmt.Sprint(maxBatches + 1)} {
		if s := fromEnvironment(func(string) string { return n }); s.Batches != 1 {
			t.Errorf("%q: %d batches", n, s.Batches)
		}
	}
}
