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

// a64Init is what a guest does: it shows what it sees of Xen, lets the console and timers work a little, and powers off.
const a64Init = `#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
echo "guest: init of $(uname -r | cut -d. -f1,2) with $(grep -c ^processor /proc/cpuinfo) vCPU"
dmesg | grep -E 'Xen [0-9.]+ support found|psci: PSCIv|Grant tables using|Using FIFO-based'
for f in type version/major version/minor; do echo "guest: $f = $(cat /sys/hypervisor/$f)"; done
[ -d /sys/bus/xen/devices ] && echo "guest: xenbus"
grep -E 'xenbus|hvc_console|events|arch_timer' /proc/interrupts
n=0; while [ $n -lt 10 ]; do n=$((n+1)); sleep 0.1; echo "guest: line $n"; done
grep events /proc/interrupts
poweroff -f
`

// a64Kernels are the guest kernels by the name they have on the host.
var a64Kernels = map[string]string{"6.1": "arm64-6.1-cloud", "6.12": "arm64-6.12-cloud"}

// a64Script starts every kernel with one and with two vCPUs.
const a64Script = `status=0
for k in 6.1 6.12; do for n in 1 2; do
	sed "s/KERNEL/$k/; s/VCPUS/$n/" guest.cfg > g$k-$n.cfg
	echo "=== $k with $n"
	timeout 240 xl -v create -c g$k-$n.cfg || status=1
	cat /run/gozen/log/hypervisor-g$k-$n.log
done; done
xl info -o json | grep -E '"name"|"mode"'
[ "$(xl list | grep -c '^g6')" = 0 ] || status=1
exit $status
`

const a64Config = `name = "gKERNEL-VCPUS"
type = "pvh"
engine = "kvm"
kernel = "/root/vmlinuz-KERNEL"
ramdisk = "/root/guest.cpio"
memory = 256
vcpus = VCPUS
cmdline = "console=hvc0 quiet"
`

// a64Ready says that the guests can run: on VHE hosts, if their kernels are there or have to be.
func a64Ready(b boot) bool {
	if b.spec.Kind != VHE || os.Getenv(require) == "1" {
		return b.spec.Kind == VHE
	}
	f, err := kernels.Open()
	for _, name := range a64Kernels {
		if err == nil {
			_, err = f.Find(name)
		}
	}
	return err == nil
}

func a64Files(t *testing.T, b boot) map[string]string {
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
	for inside, name := range a64Kernels {
		files["/root/vmlinuz-"+inside] = find(name)
	}
	archive, err := linux.Initramfs(find(kernels.BusyboxArm64), a64Init)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string][]byte{"guest.cpio": archive, "guest.cfg": []byte(a64Config)} {
		files["/root/"+name] = filepath.Join(dir, name)
		if err := os.WriteFile(files["/root/"+name], content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// checkA64 looks at what each guest said.
func checkA64(t *testing.T, output, _ string) {
	parts := strings.Split(output, "=== ")[1:]
	if len(parts) != 4 {
		t.Fatalf("%d guests ran:\n%s", len(parts), output)
	}
	for _, p := range parts {
		title, text, _ := strings.Cut(p, "\n")
		var kernel string
		var vcpus int
		if _, err := fmt.Sscanf(title, "%s with %d", &kernel, &vcpus); err != nil {
			t.Fatalf("%q: %v", title, err)
		}
		for _, want := range []string{
			fmt.Sprintf(`guest: init of %s with %d vCPU`, regexp.QuoteMeta(kernel), vcpus),
			`Xen 4\.17 support found`, `psci: PSCIv1`, `Grant tables using version 1`, `Using FIFO-based ABI`,
			`guest: type = xen`, `guest: version/major = 4`, `guest: version/minor = 17`, `guest: xenbus`,
			`: +[1-9].*-event +hvc_console`, `-event +xenbus`, `GICv3 +31 +Level +events`, `guest: line 10`, `has ended: poweroff`,
		} {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("%s: nothing matches %q in\n%s", title, want, text)
			}
		}
	}
}
