package testbed

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
)

// bootKernels are the guests of an amd64 host: the slow one gets one of them.
func bootKernels(k Kind) []string {
	if k == VTX {
		return []string{"6.1-cloud"}
	}
	return []string{"6.1-cloud", "6.12-cloud"}
}

// bootVCPUs are the numbers of vCPUs that each guest gets. In Bochs 2.7 an interrupt of the host waits while a guest has its own interrupts off. A second
// vCPU that starts up so, and waits for the first, then has the host's only processor for ever.
func bootVCPUs(k Kind) []string {
	if k == VTX {
		return []string{"1"}
	}
	return []string{"1", "2"}
}

// bootInit is the guest's init: it says what it finds, uses all vCPUs, and powers off.
const bootInit = `#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
echo
echo "guest: init of $(uname -r) with $(grep -c ^processor /proc/cpuinfo) vCPU"
for f in type guest_type version/major version/minor; do echo "guest: $f = $(cat /sys/hypervisor/$f)"; done
echo "guest: clock = $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
n=0; for i in 1 2 3 4 5 6 7 8; do (ls -lR /sys/class > /dev/null; sleep 0.05) & done; wait
sleep 0.1
grep -E 'virq|ipi|event' /proc/interrupts
dmesg | grep -E 'Stale IRR|stuck|BUG|rcu.*stall|Hypervisor detected|KVM' && :
echo "guest: done"
poweroff -f
`

// bootScript starts every kernel with each number of vCPUs, on the host's KVM as auto finds it; typ is the type of its domains.
func bootScript(k Kind, typ string) string {
	limit := 100
	if k == VTX {
		limit = 1200
	}
	// A guest whose interrupt QEMU delivers twice spins for ever (see bind): each gets more chances, which show in the log.
	return fmt.Sprintf(`status=0
try() { timeout %[3]d xl -v create -c $1.cfg || { echo "$1 did not end:"; xl list; xl dmesg; xl destroy $1; false; }; }
for k in %[1]s; do for n in %[2]s; do
	sed "s/KERNEL/$k/g; s/VCPUS/$n/g; s/TYPE/%[4]s/g" boot.cfg > %[4]s$k-$n.cfg
	echo "=== $k with $n"
	for t in 1 2 3 4 5; do try %[4]s$k-$n && break; [ $t = 5 ] && status=1; done
	cat /run/gozen/log/hypervisor-%[4]s$k-$n.log 2>/dev/null
	xl destroy %[4]s$k-$n 2>/dev/null
done; done
exit $status
`, strings.Join(bootKernels(k), " "), strings.Join(bootVCPUs(k), " "), limit, typ)
}

const bootConfig = `name = "TYPEKERNEL-VCPUS"
type = "TYPE"
kernel = "/root/vmlinuz-KERNEL"
ramdisk = "/root/boot.cpio"
memory = 256
vcpus = VCPUS
cmdline = "console=hvc0 quiet PARAMS"
`

// bootReady says that the guests of an amd64 host are there, or have to be.
func bootReady(kinds ...Kind) func(boot) bool {
	mine := is(kinds...)
	return func(b boot) bool { return mine(b) && haveGuests(bootKernels(b.spec.Kind)...) }
}

// haveGuests says that guest files are there, or have to be.
func haveGuests(names ...string) bool {
	if os.Getenv(require) == "1" {
		return true
	}
	f, err := kernels.Open()
	for _, name := range names {
		if err == nil {
			_, err = f.Find(name)
		}
	}
	return err == nil
}

func bootFiles(t *testing.T, b boot) map[string]string {
	files := program("/bin/xl", "../../xl")(t, b)
	maps.Copy(files, program("/bin/hypervisor", "../../hypervisor")(t, b))
	f, err := kernels.Open()
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) string {
		p, err := f.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, name := range bootKernels(b.spec.Kind) {
		files["/root/vmlinuz-"+name] = find(name)
	}
	archive, err := linux.Initramfs(find(kernels.Busybox), bootInit)
	if err != nil {
		t.Fatal(err)
	}
	params := ""
	if b.spec.Kind == VTX { // the kernel's tests of its own ciphers take minutes in Bochs
		params = "cryptomgr.notests"
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"boot.cpio": string(archive), "boot.cfg": strings.Replace(bootConfig, "PARAMS", params, 1)} {
		files["/root/"+name] = filepath.Join(dir, name)
		if err := os.WriteFile(files["/root/"+name], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// checkBoots looks at what each guest of a host of a kind said.
func checkBoots(k Kind, typ string) func(t *testing.T, output, dir string) {
	return func(t *testing.T, output, _ string) {
		parts := strings.Split(output, "=== ")[1:]
		if len(parts) != len(bootVCPUs(k))*len(bootKernels(k)) {
			t.Fatalf("%d guests ran:\n%s", len(parts), output)
		}
		for _, p := range parts {
			title, text, _ := strings.Cut(p, "\n")
			var kernel string
			var vcpus int
			if _, err := fmt.Sscanf(title, "%s with %d", &kernel, &vcpus); err != nil {
				t.Fatalf("%q: %v", title, err)
			}
			version, _, _ := strings.Cut(kernel, "-")
			want := []string{fmt.Sprintf(`guest: init of %s\.[-0-9a-z.+]* with %d vCPU`, regexp.QuoteMeta(version), vcpus),
				`guest: type = xen`, `guest: guest_type = ` + strings.ToUpper(typ), `guest: version/major = 4`, `guest: version/minor = 17`, `guest: clock = xen`,
				`: +[1-9][ 0-9]*-virq +timer0|: +[1-9].*-virq +timer0`, `-event +xenbus`, `-event +hvc_console`, `guest: done`, `has ended: poweroff`}
			if vcpus > 1 {
				want = append(want, `-virq +timer1`, `: +0 +[1-9][0-9]* .*-virq +timer1`)
			}
			for _, w := range want {
				if !regexp.MustCompile(w).MatchString(text) {
					t.Errorf("%s: nothing matches %q in\n%s", title, w, text)
				}
			}
			if m := regexp.MustCompile(`Stale IRR|stuck|BUG|stall|KVM`).FindString(text[strings.Index(text, "guest: init"):]); m != "" {
				t.Errorf("%s: the guest says %q:\n%s", title, m, text)
			}
		}
	}
}
