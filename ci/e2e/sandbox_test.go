package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gozen/hypervisor/control"
)

// needSandbox skips where this host cannot filter system calls.
func needSandbox(t *testing.T, d control.Info) {
	t.Helper()
	if d.Sandbox == nil {
		t.Fatal("the domain says nothing of its sandbox")
	}
	if !d.Sandbox.Seccomp {
		t.Skipf("this host cannot filter system calls: %q", d.Sandbox.Missing)
	}
}

// captured is a host whose domain processes do what their domain's name says.
func captured(t *testing.T) *host {
	h := newHost(t)
	h.env = append(h.env, "GOZEN_HYPERVISOR="+filepath.Join(h.bin, "captured"))
	return h
}

// TestSandbox looks at a real domain process: all its threads are confined, and xl says how.
func TestSandbox(t *testing.T) {
	h := newHost(t)
	c := h.create(h.hello("box", "vcpus = 2\non_poweroff = \"restart\"\n"))
	c.expect("waiting for: xl shutdown")
	d, _ := h.domain("box")
	needSandbox(t, d)
	t.Logf("%+v", *d.Sandbox)
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.PID))
	if len(threads) < 4 {
		t.Errorf("%d threads", len(threads))
	}
	for _, s := range threads {
		b, err := os.ReadFile(s)
		if err != nil {
			continue // a thread that has ended
		}
		for _, want := range []string{"NoNewPrivs:\t1\n", "Seccomp:\t2\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"} {
			if !strings.Contains(string(b), want) {
				t.Errorf("%s lacks %q", s, want)
			}
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.PID))
	if err != nil || !regexp.MustCompile(`Max core file size +0 +0`).Match(limits) {
		t.Errorf("limits: %v\n%s", err, limits)
	}
	if out := h.run("xl", "list", "-l", "box"); !strings.Contains(out, `"seccomp": true`) {
		t.Errorf("xl list -l:\n%s", out)
	}
	if d.Sandbox.Cgroup != "" {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", d.PID))
		if !strings.Contains(string(b), "0::"+d.Sandbox.Cgroup+"\n") {
			t.Errorf("cgroup %s, and the process is in\n%s", d.Sandbox.Cgroup, b)
		}
	}
	// Inside the sandbox it starts again: the kernel file, the run folder, the terminal.
	h.eventually("it can be shut down", func() bool { _, err := h.try("xl", "shutdown", "box"); return err == nil })
	c.expect(`it is domain 2 now`)
	c.expect("waiting for: xl shutdown")
	h.run("xl", "destroy", "box")
	c.end()
}

// TestSandbox_kernelReplaced: after the start, no other file than those of the configuration can be read, whatever their path leads to.
func TestSandbox_kernelReplaced(t *testing.T) {
	h := newHost(t)
	c := h.create(h.hello("new", "on_poweroff = \"restart\"\n"))
	c.expect("waiting for: xl shutdown")
	d, _ := h.domain("new")
	needSandbox(t, d)
	kernel := filepath.Join(h.dir, "hello.elf")
	img, err := os.ReadFile(kernel)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(kernel); err != nil {
		t.Fatal(err)
	}
	h.write("hello.elf", append(img, 0))
	h.eventually("it can be shut down", func() bool { _, err := h.try("xl", "shutdown", "new"); return err == nil })
	c.expect(`it is domain 2 now`)
	c.expect("waiting for: xl shutdown")
	if out := h.run("xl", "dmesg"); d.Sandbox.Landlock > 0 && !strings.Contains(out, "starts again from the file as it was") {
		t.Errorf("xl dmesg does not say so:\n%s", out)
	}
	h.run("xl", "destroy", "new")
	c.end()
}

// TestSandbox_captured has a domain process do what is forbidden: the process dies, and the call is named.
func TestSandbox_captured(t *testing.T) {
	for _, call := range []string{"execve", "socket", "mprotect"} {
		t.Run(call, func(t *testing.T) {
			h := captured(t)
			c := h.create(h.hello("victim", ""))
			c.expect("waiting for: xl shutdown")
			d, _ := h.domain("victim")
			needSandbox(t, d)
			h.run("xl", "rename", "victim", call)
			c.expect(`d1 \(` + call + `\): killed by its sandbox: system call ` + call + ` \(\d+\) is not allowed`)
			<-c.ended
			if out := h.run("xl", "list"); strings.Contains(out, call) {
				t.Errorf("it is still listed:\n%s", out)
			}
			log, err := os.ReadFile(filepath.Join(h.dir, "run", "log", "hypervisor-"+call+".log"))
			want := regexp.MustCompile(`(?m)^hypervisor: killed by its sandbox: system call ` + call + ` \(\d+\) is not allowed\n(.*\n)*gozen: d1: killed by its sandbox: system call ` + call)
			if err != nil || !want.Match(log) {
				t.Errorf("log: %v\n%s", err, log)
			}
		})
	}
}

// TestSandbox_capturedEarly has it happen while the domain is built, and while nobody watches.
func TestSandbox_capturedEarly(t *testing.T) {
	h := captured(t)
	h.run("xl", "create", "-p", h.hello("first", ""))
	d, _ := h.domain("first")
	needSandbox(t, d)
	out, err := h.try("xl", "create", h.hello("early-execve", ""))
	for _, want := range []string{"the domain process was killed by its sandbox", "why:   system call execve (", "nothing of it is left"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v: lacks %q:\n%s", err, want, out)
		}
	}
	h.run("xl", "rename", "first", "socket")
	h.eventually("xl list tells", func() bool {
		out, _ := h.try("xl", "list")
		return strings.Contains(out, "d1 (socket): killed by its sandbox: system call socket (")
	})
}

// TestSandbox_off runs without, on request, and says so.
func TestSandbox_off(t *testing.T) {
	h := captured(t)
	cfg := h.hello("open", "sandbox = 0\n")
	out, err := h.try("xl", "create", cfg)
	if err != nil || !strings.Contains(out, "warning: sandbox=0: the domain's process is not confined") {
		t.Fatalf("%v\n%s", err, out)
	}
	d, _ := h.domain("open")
	if d.Sandbox == nil || !d.Sandbox.Off || d.Sandbox.Seccomp {
		t.Errorf("%+v", d.Sandbox)
	}
	h.run("xl", "rename", "open", "socket")
	h.run("xl", "list", "socket")
	h.run("xl", "destroy", "socket")
}
