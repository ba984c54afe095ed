package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
)

// count says how many processors the guest has, and how it is virtualized, and powers off.
const count = "#!/bin/sh\nmount -t proc proc /proc; mount -t sysfs sys /sys\necho \"" + linux.Greeting +
	"init, $(grep -c ^processor /proc/cpuinfo) processors, a $(cat /sys/hypervisor/guest_type) guest\"\nexec poweroff -f\n"

// TestBoot_debian boots each stock kernel, unmodified, to its init and to a clean power-off.
func TestBoot_debian(t *testing.T) {
	for _, k := range kernels.Names() {
		for _, n := range []int{1, 4} {
			for _, typ := range []string{"pvh", "pv"} {
				t.Run(fmt.Sprintf("%s/%s/vcpus=%d", k, typ, n), func(t *testing.T) { bootDebian(t, k, typ, n) })
			}
		}
	}
}

func bootDebian(t *testing.T, kernel, typ string, vcpus int) {
	h := newHost(t)
	c := h.create(h.debian("boot", kernel, count, fmt.Sprintf("vcpus = %d\ntype = %q\n", vcpus, typ)))
	m := c.expect(`Hello from init, (\d+) processors, a (\w+) guest`)
	if m[1] != strconv.Itoa(vcpus) || !strings.EqualFold(m[2], typ) {
		t.Errorf("the guest is %s with %s processors, want %s with %d", m[2], m[1], typ, vcpus)
	}
	c.expect(`Domain 1 has ended: poweroff`)
	c.end()
	if d, ok := h.domain("boot"); ok {
		t.Errorf("still there: %+v", d)
	}
}

// TestBoot_deterministic boots twice with virtual time: the guest does exactly the same.
func TestBoot_deterministic(t *testing.T) {
	var first uint64
	for range 2 {
		h := newHost(t)
		c := h.create(h.hello("same", "deterministic = 1\n"))
		c.expect("waiting for: xl shutdown")
		var n uint64
		h.eventually("the guest waits", func() bool {
			d, ok := h.domain("same")
			if !ok {
				t.Fatal("it is gone")
			}
			n = d.VCPUs[0].Instructions
			return d.State.Blocked
		})
		if first == 0 {
			first = n
		}
		if n == 0 || n != first {
			t.Errorf("%d instructions until it waits, %d the first time", n, first)
		}
		h.run("xl", "shutdown", "-w", "same") // it waits for the outside, and must hear of it
		c.end()
	}
}
