package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
)

// hvm makes an HVM domain of a configuration for a PVH one.
func (h *host) hvm(cfg string) string {
	h.t.Helper()
	b, err := os.ReadFile(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.write(filepath.Base(cfg), []byte(strings.Replace(string(b), `type = "pvh"`, `type = "hvm"`, 1)))
}

// TestHVM_debian boots stock kernels as HVM guests, without firmware, to their init and to a clean power-off.
func TestHVM_debian(t *testing.T) {
	for _, k := range []string{"6.1-cloud"} {
		for _, n := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/vcpus=%d", k, n), func(t *testing.T) {
				h := newHost(t)
				c := h.create(h.hvm(h.debian("boot", k, count, fmt.Sprintf("vcpus = %d\n", n))))
				if got := c.expect(`Hello from init, (\d+) processors`)[1]; got != strconv.Itoa(n) {
					t.Errorf("the guest has %s processors, want %d", got, n)
				}
				c.expect(`Domain 1 has ended: poweroff`)
				c.end()
			})
		}
	}
}

// TestHVM_i386 boots stock 32-bit kernels by the 32-bit boot protocol: with PAE, and with 32-bit page tables, which is built without Xen.
func TestHVM_i386(t *testing.T) {
	for _, k := range kernels.I386Names() {
		t.Run(k, func(t *testing.T) {
			h := newHost(t)
			c := h.create(h.hvm(h.debianWith("boot", k, kernels.BusyboxI386, "console=ttyS0", count, "memory = 512\nserial = \"pty\"\n")))
			c.expect(`Hello from init, 1 processors`)
			c.expect(`Domain 1 has ended: poweroff`)
			c.end()
		})
	}
}

// TestHVM_ways boots one kernel with each way of telling it of events, of interrupt routing, of keeping time and of talking.
func TestHVM_ways(t *testing.T) {
	const pv, serial = "console=hvc0", "console=ttyS0"
	for _, c := range []struct{ name, cmdline, more, want string }{
		{"serial port", serial, "serial = \"pty\"\n", `ttyS0 at I/O 0x3f8`},
		{"platform device's interrupt", pv + " xen_no_vector_callback", "", `Booting paravirtualized kernel on Xen HVM`},
		{"8259s and no local APIC", pv + " xen_no_vector_callback noapic nolapic", "", ""},
		{"8259s", pv + " noapic", "", ""},
		{"no platform device, no HPET", serial + " xen_nopv", "xen_platform_pci = 0\nhpet = 0\nserial = \"pty\"\n", `clocksource: acpi_pm`},
		{"no Xen in the guest", serial + " xen_nopv", "serial = \"pty\"\n", `hpet0: at MMIO 0xfed00000`},
		{"8254", serial + " xen_nopv nohpet nolapic_timer", "serial = \"pty\"\n", ""},
		{"deterministic", pv, "deterministic = 1\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			con := h.create(h.hvm(h.debian("boot", "6.1-cloud", count, fmt.Sprintf("cmdline = %q\n%s", c.cmdline, c.more))))
			if c.want != "" {
				con.expect(c.want)
			}
			con.expect(`Hello from init, 1 processors`)
			con.expect(`Domain 1 has ended: poweroff`)
			con.end()
		})
	}
}

// TestHVM_refused names what an HVM domain cannot have.
func TestHVM_refused(t *testing.T) {
	for _, c := range []struct{ more, want string }{
		{"serial = \"tcp::1\"\n", "only a pseudo-terminal"},
		{"disk = [\"/nowhere,raw,hda,w\"]\n", "/nowhere"},
		{"engine = \"kvm\"\n", "KVM"},
	} {
		h := newHost(t)
		out, err := h.try("xl", "create", h.hvm(h.hello("no", c.more)))
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%q: %v, want %q in\n%s", c.more, err, c.want, out)
		}
	}
}

// reader reads a word from its console and reboots.
const reader = "#!/bin/sh\necho " + linux.Greeting + "init, type a word\nread word\necho \"the word is $word\"\nexec reboot -f\n"

// TestHVM_serial types at a guest's serial port; then the guest reboots.
func TestHVM_serial(t *testing.T) {
	h := newHost(t)
	c := h.create(h.hvm(h.debian("talk", "6.1-cloud", reader, "cmdline = \"console=ttyS0\"\nserial = \"pty\"\non_reboot = \"destroy\"\n")))
	c.expect("Hello from init, type a word")
	tty := strings.TrimSpace(h.run("xenstore-read", "/local/domain/1/console/tty"))
	if err := os.WriteFile(tty, []byte("a rather long word of more than sixteen letters\n"), 0); err != nil {
		t.Fatal(err)
	}
	c.expect("the word is a rather long word of more than sixteen letters")
	c.expect(`Domain 1 has ended: reboot`)
	c.end()
}

// TestHVM_life takes a guest through what a person does with it.
func TestHVM_life(t *testing.T) {
	h := newHost(t)
	c := h.create(h.hvm(h.debian("life", "6.1-cloud", linux.Greeter, "")))
	c.expect("waiting for: xl shutdown")
	if d, ok := h.domain("life"); !ok || d.Type != "hvm" {
		t.Errorf("%+v", d)
	}
	idle(t, h, "life")
	overhead(t, h, "life")
	h.run("xl", "pause", "life")
	h.run("xl", "unpause", "life")
	h.run("xl", "shutdown", "-w", "life")
	c.end()
}

// button waits for what the kernel's driver makes of the ACPI power button.
const button = "mount -t devtmpfs dev /dev\necho " + linux.Greeting + "init\n/bin/busybox dd if=/dev/input/event0 bs=24 count=1 2>/dev/null | /bin/busybox wc -c\n" +
	"echo the button was pressed\nexec poweroff -f\n"

// TestHVM_powerButton shuts down a guest that knows nothing of Xen.
func TestHVM_powerButton(t *testing.T) {
	h := newHost(t)
	c := h.create(h.hvm(h.debianModules("plain", "6.1-cloud", []string{"button", "evdev"}, button, "cmdline = \"console=ttyS0 xen_nopv\"\nserial = \"pty\"\n")))
	c.expect("Hello from init")
	if out, err := h.try("xl", "shutdown", "plain"); err == nil {
		t.Errorf("shut down without -F:\n%s", out)
	}
	if out, err := h.try("xl", "shutdown", "-F", "-w", "plain"); err != nil || !strings.Contains(out, "sending ACPI power button event") {
		t.Errorf("%v\n%s", err, out)
	}
	c.expect(`(?m)^24\r?\n.*the button was pressed`)
	c.end()
}
