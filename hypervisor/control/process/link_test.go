package process

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gozen/hypervisor/config"
	"gozen/hypervisor/link"
)

// buildUsernet builds the program and has it found.
func buildUsernet(t *testing.T) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "usernet")
	c := exec.Command("go", "build", "-o", p, "gozen/hypervisor/usernet")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("GOZEN_USERNET", p)
	t.Cleanup(func() { // other tests wait for their children: what was ignored is not any more
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGCHLD)
		signal.Stop(c)
	})
}

func userNIC(t *testing.T, forwards ...config.Forward) config.NIC {
	n := config.NIC{ID: 3, User: &config.UserNet{Forwards: forwards}}
	n.Complete("n")
	if e := n.Check(); e != nil {
		t.Fatal(e)
	}
	return n
}

// children gives the status of this process's children that run a program of a name, as in /proc.
func children(t *testing.T, name string) map[string]string {
	t.Helper()
	out := map[string]string{}
	all, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		b, err := os.ReadFile(p)
		if s := string(b); err == nil && strings.Contains(s, fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) && strings.HasPrefix(s, "Name:\t"+name+"\n") {
			out[p] = s
		}
	}
	return out
}

func TestOpenLink_user(t *testing.T) {
	buildUsernet(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String())
	n := userNIC(t, config.Forward{Protocol: "tcp", Host: port, Guest: netip.MustParseAddrPort(config.UserGuest + ":22")})
	_, _, err = OpenLink(n, 1, false)
	var e *config.Error
	if !errors.As(err, &e) || !strings.Contains(e.Why, fmt.Sprintf("tcp port %s is taken by another program", port)) || e.Fix == "" {
		t.Errorf("%v", err)
	}
	_ = l.Close()
	name, files, err := OpenLink(n, 4, false)
	if err != nil {
		t.Fatal(err)
	}
	if name != "" || len(files) != 1 {
		t.Errorf("%q, %d files", name, len(files))
	}
	if _, err := net.Listen("tcp4", port.String()); err == nil {
		t.Error("the port is free")
	}
	q, err := link.NewQueue(files[0])
	if err != nil {
		t.Fatal(err)
	}
	all := children(t, "usernet")
	if len(all) != 1 {
		t.Errorf("%d processes", len(all))
	}
	for p, s := range all {
		for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"} {
			if !strings.Contains(s, want) {
				t.Errorf("%s lacks %q:\n%s", p, want, s)
			}
		}
	}
	_ = q.Close()
	for p := range all { // it ends, and is no zombie
		for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
				break
			}
			if time.Now().After(end) {
				t.Fatal("it is still there")
			}
		}
	}
}

func TestOpenLink_noProgram(t *testing.T) {
	t.Setenv("GOZEN_USERNET", "")
	_, _, err := OpenLink(userNIC(t), 1, false)
	var e *config.Error
	if !errors.As(err, &e) || !strings.Contains(e.What, "usernet program was not found") || !strings.Contains(e.Fix, "GOZEN_USERNET") {
		t.Errorf("%v", err)
	}
}

func TestLastWords(t *testing.T) {
	for said, want := range map[string]string{"": "", "usernet: one\n": "usernet: one", "hypervisor: killed by its sandbox: x\n\ntrace\n": "hypervisor: ended by its sandbox: x; trace"} {
		f, err := memoryFile("said", []byte(said))
		if err != nil {
			t.Fatal(err)
		}
		if got := lastWords(f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		_ = f.Close()
	}
}
