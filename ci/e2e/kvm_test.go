package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/control"
	"gozen/hypervisor/x86/asm"
)

// needKVM skips a test on a host without a KVM that this user may open.
func needKVM(t *testing.T) {
	t.Helper()
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs /dev/kvm: %v", err)
	}
	_ = unix.Close(fd)
}

const onKVM = `engine="kvm"`

// TestKVM_hello takes the small guest through its life on the host's KVM, whatever is behind it.
func TestKVM_hello(t *testing.T) {
	needKVM(t)
	h := newHost(t)
	c := h.create(h.hello("hello", ""), onKVM)
	c.expect("Hello from the built-in guest on gozen\r?\n")
	c.expect("waiting for: xl shutdown")
	plan := h.run("xl", "list", "-l", "hello")
	for _, want := range []string{`"runs_on": "kvm-`, `"runs_on_why": "asked for"`, `"event_abi": "2-level"`, `"hypercalls": "`, `"apic": "`, `"why": [`} {
		if !strings.Contains(plan, want) {
			t.Errorf("xl list -l lacks %s:\n%s", want, plan)
		}
	}
	idle(t, h, "hello")
	h.run("xl", "shutdown", "-w", "hello")
	c.expect(`has ended: poweroff`)
	c.end()
}

// TestKVM_crash lets guests do what KVM cannot go on from: each domain ends with a reason and registers, which xl dmesg keeps, and
// another domain of the same host runs on.
func TestKVM_crash(t *testing.T) {
	needKVM(t)
	h := newHost(t)
	other := h.create(h.hello("other", ""), onKVM)
	other.expect("waiting for: xl shutdown")
	const nowhere = 12 << 20 // mapped by the guest, but beyond its 8 MiB
	tests := []struct {
		name string
		code func(a *asm.Asm)
		want []string // in xl dmesg
	}{
		{"no emulation", func(a *asm.Asm) {
			a.MovI(asm.RAX, nowhere)
			a.MovI(asm.RSI, 0x1234567890)
			a.Raw(0x66, 0x0f, 0xfe, 0x00) // paddd (%rax), %xmm0
		}, []string{`crash: KVM_EXIT_INTERNAL_ERROR, suberror 1: the host cannot emulate this instruction: 66 0f fe 00`,
			`(?m)^vcpu 0$`, `(?m)^rip 00000000001[0-9a-f]{5} `, `(?m)^rax 0000000000c00000 `, `rsi 0000001234567890`, `(?m)^cr0 8`}},
		{"triple fault", func(a *asm.Asm) { a.MovI(asm.RSI, 0x1234567890); a.Ud2() },
			[]string{`crash: triple fault at rip 0x[0-9a-f]+`, `(?m)^vcpu 0$`, `(?m)^cr0 `}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img, err := tiny.Image(tt.code)
			if err != nil {
				t.Fatal(err)
			}
			h.run("xl", "create", "-q", h.config("crash", `kernel = "`+h.write("crash.elf", img)+"\"\nmemory = 8\non_crash = \"preserve\"\n"), onKVM)
			h.eventually("the guest has crashed", func() bool {
				d, _ := h.domain("crash")
				return d.State.Reason == control.ReasonCrash
			})
			out := h.run("xl", "dmesg", "crash")
			for _, w := range tt.want {
				if !regexp.MustCompile(w).MatchString(out) {
					t.Errorf("xl dmesg lacks %q:\n%s", w, out)
				}
			}
			h.run("xl", "destroy", "crash")
		})
	}
	if d, ok := h.domain("other"); !ok || d.State.Shutdown {
		t.Errorf("the other domain: %+v", d)
	}
	h.run("xl", "shutdown", "-w", "other")
	other.end()
}

// inNamespace runs a script in a mount namespace of its own.
func (h *host) inNamespace(script string) string {
	h.t.Helper()
	if exec.Command("unshare", "-m", "true").Run() != nil {
		h.t.Skip("needs a mount namespace (root and unshare)")
	}
	c := exec.Command("unshare", "-m", "sh", "-ec", script)
	c.Dir, c.Env = h.dir, append(h.command("xl").Env, "PATH="+h.bin+":"+os.Getenv("PATH"))
	out, _ := c.CombinedOutput()
	return string(out)
}

// TestKVM_refused asks for KVM on hosts that have none: one clear error, and nothing is left; auto takes the software CPU and says why.
func TestKVM_refused(t *testing.T) {
	tests := []struct{ name, script, why, do string }{
		{"another device", "mount --bind /dev/null /dev/kvm", "it is not KVM's device file", `make it again (character device 10, 232), or use engine="soft"`},
		{"no device", `mkdir -p dev; mount -t tmpfs none dev
			touch dev/null dev/ptmx; mkdir -p dev/pts; mount --bind /dev/null dev/null; mount --bind /dev/ptmx dev/ptmx; mount --bind /dev/pts dev/pts
			mount --bind dev /dev`, "no such file or directory", `load the module (modprobe kvm_amd or kvm_intel; switch virtualization on in the firmware), or use engine="soft"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "another device" {
				needKVM(t)
			}
			h := newHost(t)
			cfg := h.hello("k", "")
			out := h.inNamespace(tt.script + "\nexec xl create -q " + cfg + ` 'engine="kvm"'`)
			want := "KVM cannot be used: /dev/kvm\n  where: command line:1 (engine)\n  why:   " + tt.why + "\n  do:    " + tt.do +
				"\nxl: domain \"k\" was not created; nothing of it is left\n"
			if out != want {
				t.Errorf("got\n%s\nwant\n%s", out, want)
			}
			if len(h.list()) != 1 {
				t.Error("a domain is left")
			}
			if out := h.inNamespace(tt.script + "\nexec xl info kvm"); out != "none (KVM cannot be used: /dev/kvm: "+tt.why+" ("+tt.do+"))\n" {
				t.Errorf("xl info kvm: %s", out)
			}
			line := "engine soft: KVM cannot be used: /dev/kvm: " + tt.why + " (" + tt.do + ")\n"
			if out := h.inNamespace(tt.script + "\nexec xl create -v " + cfg + ` 'engine="auto"'`); !strings.Contains(out, line) {
				t.Errorf("xl create -v lacks %q:\n%s", line, out)
			}
			h.run("xl", "destroy", "k")
		})
	}
}
