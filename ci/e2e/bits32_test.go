package e2e

import (
	"fmt"
	"strconv"
	"testing"

	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
)

// tell says what a 32-bit guest finds, and powers off.
const tell = "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sys /sys\n" +
	"echo \"" + linux.Greeting + "$(uname -m), $(grep -c ^processor /proc/cpuinfo) processors, on $(cat /sys/hypervisor/type)\"\n" +
	"grep -o 'xen-percpu *-virq *timer0\\|xen-dyn.*xenbus' /proc/interrupts\n" +
	"grep MemTotal /proc/meminfo\ngrep HighTotal /proc/meminfo\nexec poweroff -f\n"

// quick leaves out the kernel's tests of its own ciphers, which are most of a 32-bit kernel's boot.
const quick = "console=hvc0 cryptomgr.notests"

// TestBoot_i386 boots Debian's 32-bit kernel with PAE, unmodified, with programs of 32 bits. (The one without PAE has no PVH entry.) 1,200 MiB are more than
// such a kernel maps at all times, 4,200 MiB more than 32 bits address.
func TestBoot_i386(t *testing.T) {
	for _, c := range []struct {
		vcpus, memory int
	}{{1, 256}, {4, 1200}, {1, 4200}} {
		t.Run(fmt.Sprintf("vcpus=%d/memory=%d", c.vcpus, c.memory), func(t *testing.T) {
			h := newHost(t)
			g := h.create(h.debianWith("boot", "i386-6.1-pae", kernels.BusyboxI386, quick, tell, fmt.Sprintf("vcpus = %d\nmemory = %d\n", c.vcpus, c.memory)))
			if got := g.expect(`Hello from i686, (\d+) processors, on xen`)[1]; got != strconv.Itoa(c.vcpus) {
				t.Errorf("the guest has %s processors, want %d", got, c.vcpus)
			}
			g.expect(`-virq *timer0`)
			g.expect(`xenbus`)
			total, _ := strconv.Atoi(g.expect(`MemTotal: *(\d+) kB`)[1])
			high, _ := strconv.Atoi(g.expect(`HighTotal: *(\d+) kB`)[1])
			if want := c.memory << 10; total < want*8/10 || total > want || (high > 0) != (c.memory > 1000) {
				t.Errorf("memory of %d MiB: the guest sees %d KiB, %d of it high", c.memory, total, high)
			}
			g.expect(`Domain 1 has ended: poweroff`)
			g.end()
		})
	}
}

// TestBoot_programs32 runs programs of 32 bits on a 64-bit kernel.
func TestBoot_programs32(t *testing.T) {
	for _, k := range []string{"6.1-cloud", "6.12-cloud"} {
		t.Run(k, func(t *testing.T) {
			h := newHost(t)
			g := h.create(h.debianWith("boot", k, kernels.BusyboxI386, "console=hvc0", count, "memory = 256\n"))
			g.expect(`Hello from init, 1 processors`)
			g.expect(`Domain 1 has ended: poweroff`)
			g.end()
		})
	}
}
