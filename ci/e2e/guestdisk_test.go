package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gozen/ci/guestdisk"
)

// requireGuestDisk names the environment variable without which TestGuestDisk does not run: it takes minutes, and a disk that takes minutes to build.
const requireGuestDisk = "GOZEN_REQUIRE_GUEST_DISK"

// wantEngine names the environment variable with the engine that the guest has to run on.
const wantEngine = "GOZEN_WANT_ENGINE"

// TestGuestDisk takes a whole Debian, from its own disk, in each mode, through what a person does with it: log in, write, use the network, install a package
// over it, reboot, find all that again, shut down.
func TestGuestDisk(t *testing.T) {
	if os.Getenv(requireGuestDisk) != "1" {
		t.Skip("run it by make test-guest-disk")
	}
	d, err := guestdisk.Find()
	if err != nil {
		t.Fatal(err)
	}
	direct := fmt.Sprintf("kernel = %q\nramdisk = %q\ncmdline = %q\n", d.Kernel, d.Initrd, d.Cmdline)
	for _, c := range []struct{ name, typ, boot string }{{"pvh", "pvh", direct}, {"pv", "pv", direct}, {"hvm", "hvm", direct},
		{"pygrub", "pvh", "bootloader = 'pygrub'\n"}, {"pygrub-pv", "pv", "bootloader = 'pygrub'\n"}} {
		t.Run(c.name, func(t *testing.T) { wholeLife(t, d, c.typ, c.boot) })
	}
}

func wholeLife(t *testing.T, d guestdisk.Disk, typ, boot string) {
	namespace(t)
	h := newHost(t)
	mirror := newMirror(t)
	img := d.Image
	st, err := os.Stat(img)
	if err != nil {
		t.Fatal(err)
	}
	file := st.Mode().IsRegular() // not a block device, which is the guest's own
	if file {
		img = filepath.Join(h.dir, "disk.img")
		if out, err := exec.Command("cp", "--sparse=always", d.Image, img).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	var settings []string
	if e := os.Getenv(wantEngine); e != "" {
		settings = []string{fmt.Sprintf("engine = %q", e)}
	}
	c := h.create(h.config("guest", fmt.Sprintf("type = %q\n%smemory = 512\nvcpus = %d\ndisk = [ '%s,raw,xvda,rw' ]\nvif = [ 'bridge=%s' ]\n",
		typ, boot, min(2, runtime.NumCPU()), img, ownBridge)), settings...)
	login(h, c)
	if d, ok := h.domain("guest"); !ok || os.Getenv(wantEngine) != "" && !strings.HasPrefix(d.Engine, os.Getenv(wantEngine)) {
		t.Errorf("the engine is %q, not %q", d.Engine, os.Getenv(wantEngine))
	}
	h.enter("dd if=/dev/urandom of=/kept bs=1M count=20 conv=fsync 2>/dev/null; echo sum $(md5sum < /kept); findmnt -no SOURCE,FSTYPE /")
	sum := c.expect(`sum ([0-9a-f]{32})`)[1]
	c.expect(`/dev/xvda2 +ext4`)
	h.enter("n=$(ls /sys/class/net | grep -v '^lo$'); ip addr add " + guestAddr + "/24 dev $n; ip link set $n up; rm -rf /etc/apt/sources.list.d; echo '" + mirror + "' > /etc/apt/sources.list")
	h.enter("apt-get update && apt-get install -y " + mirrorPackage + "; echo status=$?")
	c.expect(`status=0`)
	h.enter("systemctl reboot")
	c.expect(`Domain 1 has ended: reboot`)
	login(h, c)
	h.enter("echo again $(md5sum < /kept); rm /kept")
	c.expect("again " + sum)
	h.enter("cat /" + mirrorFile)
	c.expect(mirrorWord)
	h.run("xl", "shutdown", "-w", "guest")
	c.expect(`has ended: poweroff`)
	c.end()
	if !file {
		return // whoever gave the device looks at it
	}
	if out, err := exec.Command("e2fsck", "-fn", fmt.Sprintf("%s?offset=%d", img, guestdisk.RootOffset)).CombinedOutput(); err != nil {
		t.Errorf("the file system is not clean: %v\n%s", err, out)
	}
}

// login logs root in at the console.
func login(h *host, c *console) {
	h.t.Helper()
	c.expect(`guest login: `)
	h.enter("root")
	c.expect(`Password: `)
	h.enter(guestdisk.Password)
	c.expect(`root@guest:~# `)
}

// enter types a line at the domain named guest, as somebody does who has looked at the answer first.
func (h *host) enter(line string) {
	h.t.Helper()
	time.Sleep(200 * time.Millisecond)
	id := strings.TrimSpace(h.run("xl", "domid", "guest"))
	tty := strings.TrimSpace(h.run("xenstore-read", "/local/domain/"+id+"/console/tty"))
	if err := os.WriteFile(tty, []byte(line+"\n"), 0); err != nil {
		h.t.Fatal(err)
	}
}
