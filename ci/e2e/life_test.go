package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"gozen/benches/guest/linux"
	"gozen/perfctl/measure"
)

// TestLife takes one Debian guest through what a person does with it.
func TestLife(t *testing.T) {
	h := newHost(t)
	c := h.create(h.debian("life", "6.1-cloud", linux.Greeter, ""))
	c.expect(`Hello from kernel 6\.1\.\S+ on gozen`)
	c.expect(`/sys/hypervisor/type = xen`)
	c.expect("waiting for: xl shutdown")

	t.Run("list", func(t *testing.T) {
		out := h.run("xl", "list")
		want := regexp.MustCompile(`^Name {40}ID   Mem VCPUs\tState\tTime\(s\)\nDomain-0 {32} {5}0 +\d+ +\d+     r----- +\d+\.\d\nlife {36} {5}1   512     1     [rb-]{2}---- +\d+\.\d\n$`)
		if !want.MatchString(out) {
			t.Errorf("xl list:\n%s", out)
		}
	})
	t.Run("pause", func(t *testing.T) {
		h.run("xl", "pause", "life")
		before, _ := h.domain("life")
		time.Sleep(1500 * time.Millisecond) // an idle kernel has a timer at least once a second
		after, _ := h.domain("life")
		if !after.State.Paused || before.VCPUs[0].Instructions != after.VCPUs[0].Instructions {
			t.Errorf("paused: %v; %d instructions, then %d", after.State.Paused, before.VCPUs[0].Instructions, after.VCPUs[0].Instructions)
		}
		h.run("xl", "unpause", "life")
		h.eventually("the guest runs on", func() bool {
			d, _ := h.domain("life")
			return d.VCPUs[0].Instructions > after.VCPUs[0].Instructions && !d.State.Paused
		})
	})
	t.Run("idle", func(t *testing.T) { idle(t, h, "life") })
	t.Run("memory", func(t *testing.T) { overhead(t, h, "life") })
	t.Run("perfctl", func(t *testing.T) {
		out := h.run("perfctl", "stat", "life", "--all")
		for _, want := range []string{"engine  soft", "first-console-byte", "cpuid", "event_channel_op/send", "vcpu_op/set_singleshot_timer"} {
			if !strings.Contains(out, want) {
				t.Errorf("perfctl stat lacks %q:\n%s", want, out)
			}
		}
	})
	t.Run("xenstore", func(t *testing.T) {
		if got := strings.TrimSpace(h.run("xenstore-read", "/local/domain/1/name")); got != "life" {
			t.Errorf("name %q", got)
		}
		if got := h.run("xenstore-ls", "/local/domain/1/control"); !strings.Contains(got, "feature-poweroff = \"1\"") {
			t.Errorf("control:\n%s", got)
		}
	})
	t.Run("reboot", func(t *testing.T) {
		h.run("xl", "reboot", "life")
		c.expect(`it is domain 2 now`)
		c.expect(`Hello from kernel`)
		c.expect("waiting for: xl shutdown")
		if d, ok := h.domain("life"); !ok || d.Domid != 2 {
			t.Errorf("after the reboot: %+v", d)
		}
	})
	h.run("xl", "shutdown", "-w", "life")
	c.expect(`Domain 2 has ended: poweroff`)
	c.end()
}

// idle waits for a stretch of time in which the domain's process uses less than 1 % of a core.
func idle(t *testing.T, h *host, name string) {
	const stretch = 3 * time.Second
	d, _ := h.domain(name)
	var share float64
	for end := time.Now().Add(patience); time.Now().Before(end); {
		before, err := measure.CPUTime(d.PID)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		time.Sleep(stretch)
		after, err := measure.CPUTime(d.PID)
		if err != nil {
			t.Fatal(err)
		}
		if share = float64(after-before) / float64(time.Since(began)); share < 0.01 {
			t.Logf("idle: %.2f %% of a core", share*100)
			return
		}
	}
	t.Errorf("an idle guest uses %.2f %% of a core", share*100)
}

// overheadKiB is the target for resident memory beyond the guest's own.
const overheadKiB = 24 << 10

func overhead(t *testing.T, h *host, name string) {
	d, _ := h.domain(name)
	t.Logf("resident: %d KiB, beyond the guest's memory: %d KiB", d.RSSKiB, d.OverheadKiB)
	if d.OverheadKiB == 0 || d.OverheadKiB > overheadKiB {
		t.Errorf("%d KiB beyond the guest's own memory, the target is %d", d.OverheadKiB, overheadKiB)
	}
}

// TestHello takes the small guest through its life; it needs no kernel from outside.
func TestHello(t *testing.T) {
	h := newHost(t)
	c := h.create(h.hello("hello", ""))
	c.expect("Hello from the built-in guest on gozen\r?\n")
	c.expect("waiting for: xl shutdown")
	plan := h.run("xl", "list", "-l", "hello")
	for _, want := range []string{`"runs_on": "soft"`, `"runs_on_why": "asked for"`, `"event_abi": "2-level"`, `"hypercalls": "exit"`, `"apic": "ours"`,
		`"events": "fifo, if the guest asks for it"`, `"upcall": "gozen"`, `"timer": "gozen"`} {
		if !strings.Contains(plan, want) {
			t.Errorf("xl list -l lacks %s:\n%s", want, plan)
		}
	}
	idle(t, h, "hello")
	overhead(t, h, "hello")
	h.run("xl", "shutdown", "-w", "hello")
	c.expect("Domain 1 has ended: poweroff")
	c.end()
}

// TestPaused creates a domain paused: its part of xenstore can be read and written before it runs.
func TestPaused(t *testing.T) {
	h := newHost(t)
	h.run("xl", "create", "-p", h.hello("paused", ""))
	d, ok := h.domain("paused")
	if !ok || !d.State.Paused || d.VCPUs[0].Instructions != 0 {
		t.Fatalf("%+v", d)
	}
	h.run("xenstore-write", "/local/domain/1/data/x", "y")
	if got := strings.TrimSpace(h.run("xenstore-read", "/local/domain/1/data/x")); got != "y" {
		t.Errorf("read back %q", got)
	}
	h.run("xl", "unpause", "paused")
	h.eventually("it listens", func() bool {
		out, err := h.try("xenstore-read", "/local/domain/1/control/feature-poweroff")
		return err == nil && strings.TrimSpace(out) == "1"
	})
	h.run("xl", "destroy", "paused")
	if _, ok := h.domain("paused"); ok {
		t.Error("destroyed, and still listed")
	}
}

// TestPreserve keeps a domain that has ended.
func TestPreserve(t *testing.T) {
	h := newHost(t)
	h.run("xl", "create", h.hello("kept", "on_poweroff = \"preserve\"\n"))
	h.eventually("it can be shut down", func() bool { _, err := h.try("xl", "shutdown", "kept"); return err == nil })
	h.eventually("it has ended", func() bool { d, _ := h.domain("kept"); return d.State.Shutdown })
	if d, _ := h.domain("kept"); d.State.Letters() != "---s--" {
		t.Errorf("state %s", d.State.Letters())
	}
	h.run("xl", "destroy", "kept")
}

// TestKill kills a domain's process: the host is clean at once.
func TestKill(t *testing.T) {
	h := newHost(t)
	cfg := h.hello("victim", "")
	h.run("xl", "create", cfg)
	d, ok := h.domain("victim")
	if !ok {
		t.Fatal("not there")
	}
	if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.eventually("it is gone", func() bool { _, ok := h.domain("victim"); return !ok })
	h.run("xl", "create", cfg)
	again, ok := h.domain("victim")
	if !ok || again.PID == d.PID || again.Domid == d.Domid {
		t.Errorf("after the kill: %+v", again)
	}
	if _, err := os.Stat(fmt.Sprintf("%s/run/%d", h.dir, d.Domid)); err == nil {
		t.Error("the dead domain's run folder is still there")
	}
}
