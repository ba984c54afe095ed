package testbed

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"gozen/ci/guestdisk"
)

// guestDiskScript runs the test that takes a whole Debian through its life, with the host's second disk as the guest's.
const guestDiskScript = `mkdir /root/guest-disk
ln -s /dev/vda /root/guest-disk/disk.img
mv /root/vmlinuz /root/initrd.img /root/guest-disk/
for c in ls read write list; do ln -s xl /bin/xenstore-$c; done
export GOZEN_BIN=/bin GOZEN_GUEST_DISK=/root/guest-disk GOZEN_REQUIRE_GUEST_DISK=1 GOZEN_WANT_ENGINE=kvm
while sleep 20; do echo "$(tail -n 1 /tmp/e2e*/run/*/console.log)"; done &
exec e2e.test -test.v -test.timeout 20m -test.run '^TestGuestDisk$/^pvh$'`

// TestGuestDisk boots a whole Debian from its own disk as PVH guest on KVM with SVM: login, network, installation, reboot, shutdown.
func TestGuestDisk(t *testing.T) {
	if os.Getenv("GOZEN_REQUIRE_GUEST_DISK") != "1" {
		t.Skip("run it by make test-guest-disk")
	}
	b := boot{"6.1", Spec{Kind: SVM, HostKernel: "6.1-cloud", CPUs: 1, MemMiB: 1536, Modules: []string{"virtio_blk", "virtio_pci", "tun", "bridge"}, Timeout: 25 * time.Minute}, "kvm: Nested Paging enabled"}
	if err := Available(SVM, b.spec.HostKernel); err != nil && os.Getenv(require) != "1" {
		t.Skip(err)
	}
	d, err := guestdisk.Find()
	if err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(t.TempDir(), "disk.img")
	if out, err := exec.Command("cp", "--sparse=always", d.Image, img).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b.spec.EmulatorArgs = []string{"-drive", "file=" + img + ",format=raw,if=virtio,cache=unsafe"}
	b.run(t, []job{{name: "guest-disk", script: guestDiskScript, want: `--- PASS: TestGuestDisk/pvh [^$]*\nPASS\n`, files: func(t *testing.T, b boot) map[string]string {
		files := map[string]string{"/root/vmlinuz": d.Kernel, "/root/initrd.img": d.Initrd}
		maps.Copy(files, program("/bin/xl", "../../xl")(t, b))
		maps.Copy(files, program("/bin/hypervisor", "../../hypervisor")(t, b))
		maps.Copy(files, tests("/bin/e2e.test", "../e2e")(t, b))
		return files
	}}})
	if out, err := exec.Command("e2fsck", "-fn", fmt.Sprintf("%s?offset=%d", img, guestdisk.RootOffset)).CombinedOutput(); err != nil {
		t.Errorf("the file system is not clean: %v\n%s", err, out)
	}
}
