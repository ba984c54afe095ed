package e2e

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// diskScript reads a sum of a disk, writes its start and end, and forgets a part of it.
const diskScript = `mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/xvdb ] && break; sleep 0.2; done
b=/bin/busybox
echo "sectors $(cat /sys/block/xvda/size), read-only $(cat /sys/block/xvdb/ro)"
echo "sum $($b md5sum < /dev/xvda)"
(echo "first words"; yes gozen | $b head -c 3000000) | $b dd of=/dev/xvda bs=65536 2>/dev/null
echo last | $b dd of=/dev/xvda bs=512 seek=16383 2>/dev/null
$b blkdiscard -o 4194304 -l 1048576 /dev/xvda && echo discarded
$b sync
$b dd if=/dev/zero of=/dev/xvdb bs=512 count=1 2>&1 | grep -i -E 'not permitted|read-only'
echo 3 > /proc/sys/vm/drop_caches
echo "again $($b dd if=/dev/xvda bs=11 count=1 2>/dev/null) $($b dd if=/dev/xvda bs=512 skip=16383 2>/dev/null | $b head -c 4)"
poweroff -f
`

// TestDisk gives Debian kernels disks, which they find, read, write, flush and trim.
func TestDisk(t *testing.T) {
	for _, typ := range []string{"pvh", "pv", "hvm"} {
		for _, vcpus := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/vcpus=%d", typ, vcpus), func(t *testing.T) { guestDisk(t, typ, fmt.Sprintf("vcpus = %d\n", vcpus)) })
		}
	}
	t.Run("deterministic", func(t *testing.T) { guestDisk(t, "pvh", "deterministic = 1\nengine = \"soft\"\n") })
}

func guestDisk(t *testing.T, typ, more string) {
	h := newHost(t)
	content := make([]byte, 8<<20)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(content)
	a, b := h.write("a.img", content), h.write("b.img", make([]byte, 1<<20))
	cfg := h.debianModules("disks", "6.1-cloud", []string{"xen_blkfront"}, diskScript,
		fmt.Sprintf("type = %q\ndisk = [ '%s,raw,xvda,rw', 'file:%s,xvdb,r' ]\n%s", typ, a, b, more))
	c := h.create(cfg)
	c.expect(`sectors 16384, read-only 1`)
	sum := c.expect(`sum ([0-9a-f]{32})`)[1]
	if want := fmt.Sprintf("%x", md5.Sum(content)); sum != want {
		t.Errorf("the guest reads something else: %s, want %s", sum, want)
	}
	c.expect(`discarded`)
	c.expect(`(?i)not permitted|read-only`)
	c.expect(`again first words last`)
	c.expect(`has ended: poweroff`)
	c.end()
	got, err := os.ReadFile(filepath.Join(h.dir, "a.img"))
	if err != nil || len(got) != len(content) {
		t.Fatalf("the image has %d bytes (%v)", len(got), err)
	}
	if !bytes.HasPrefix(got, []byte("first words\ngozen\ngozen\n")) || !bytes.HasPrefix(got[16383*512:], []byte("last\n")) {
		t.Errorf("the image begins with %q and ends with %q", got[:24], got[16383*512:][:5])
	}
	if !bytes.Equal(got[4<<20:5<<20], make([]byte, 1<<20)) || !bytes.Equal(got[5<<20:16383*512], content[5<<20:16383*512]) {
		t.Error("not only what the guest discarded was forgotten")
	}
}

// attachScript tells of a disk that comes and goes, and holds it open for a while.
const attachScript = `mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
b=/bin/busybox
echo "ready for disks"
until [ -b /dev/xvdc ]; do sleep 0.1; done
echo "came: $($b md5sum < /dev/xvdc)"
sleep 1000 < /dev/xvdc &
echo "holding it"
read word
kill $!
echo "let go"
while [ -d /sys/block/xvdc ]; do sleep 0.1; done
echo "went away"
until [ -b /dev/xvdc ]; do sleep 0.1; done
echo "back: $($b md5sum < /dev/xvdc)"
read word
poweroff -f
`

// TestDisk_attach attaches, lists and detaches disks of a running guest.
func TestDisk_attach(t *testing.T) {
	h := newHost(t)
	img := h.write("c.img", bytes.Repeat([]byte("gozen"), 1<<16))
	want := fmt.Sprintf("%x", md5.Sum(bytes.Repeat([]byte("gozen"), 1<<16)))
	c := h.create(h.debianModules("grow", "6.1-cloud", []string{"xen_blkfront"}, attachScript, ""))
	c.expect("ready for disks")
	tty := strings.TrimSpace(h.run("xenstore-read", "/local/domain/1/console/tty"))
	say := func(word string) {
		if err := os.WriteFile(tty, []byte(word+"\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if out := h.run("xl", "block-list", "grow"); strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "Vdev  BE  handle state evt-ch ring-ref BE-path") {
		t.Errorf("no disks: %q", out)
	}
	h.run("xl", "block-attach", "grow", img, "raw", "xvdc", "r")
	c.expect("came: " + want)
	c.expect("holding it")
	if out := h.run("xl", "block-list", "grow"); !regexp.MustCompile(`(?m)^51744 0   1      4     \d+ +\d+ +/local/domain/0/backend/vbd/1/51744 *$`).MatchString(out) {
		t.Errorf("block-list:\n%s", out)
	}
	for _, bad := range [][]string{{"grow", img, "raw", "xvdc", "r"}, {"grow", "/nowhere", "raw", "xvdd", "r"}, {"grow", img, "raw", "xvdd", "w"}, {"grow", img, "raw", "frob", "r"}, {"nobody", img, "raw", "xvdd", "r"}} {
		if out, err := h.try("xl", append([]string{"block-attach"}, bad...)...); err == nil || strings.Contains(out, "panic") {
			t.Errorf("block-attach %v: %s", bad, out)
		}
	}
	h.run("xl", "block-detach", "grow", "xvdc") // a Linux guest lets go also what it has open
	say("go on")
	c.expect("went away")
	h.run("xl", "block-attach", "grow", "vdev=xvdc", "access=ro", "target="+img)
	c.expect("back: " + want)
	h.run("xl", "block-detach", "grow", "51744")
	if out := h.run("xl", "block-list", "grow"); strings.Count(out, "\n") != 1 {
		t.Errorf("after the last one went: %q", out)
	}
	say("end")
	c.expect("has ended: poweroff")
	c.end()
}

// killScript writes one sector after the other and says so after each; every tenth is flushed first.
const killScript = `mount -t devtmpfs dev /dev
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/xvda ] && break; sleep 0.2; done
n=0
while :; do
	echo "sector $n" | /bin/busybox dd of=/dev/xvda bs=512 seek=$n conv=sync oflag=direct 2>/dev/null && echo "wrote $n."
	n=$((n+1))
done
`

// TestDisk_killed kills the domain's process: what the guest was told is written is in the file, and the file is free for the next domain.
func TestDisk_killed(t *testing.T) {
	h := newHost(t)
	img := h.write("k.img", make([]byte, 8<<20))
	cfg := h.debianModules("killed", "6.1-cloud", []string{"xen_blkfront"}, killScript, fmt.Sprintf("disk = [ '%s,raw,xvda,rw' ]\n", img))
	c := h.create(cfg)
	c.expect(`wrote 40\.`)
	d, ok := h.domain("killed")
	if !ok {
		t.Fatal("the domain is not listed")
	}
	if out, err := h.try("xl", "create", cfg, `name="other"`); err == nil || !strings.Contains(out, "another domain has it") {
		t.Errorf("two domains have one disk: %v\n%s", err, out)
	}
	if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.ended
	c.mu.Lock()
	wrote := regexp.MustCompile(`wrote (\d+)\.`).FindAllStringSubmatch(string(c.text), -1)
	c.mu.Unlock()
	got, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrote {
		n, _ := strconv.Atoi(w[1])
		if want := "sector " + w[1] + "\n"; !bytes.HasPrefix(got[n*512:], []byte(want)) {
			t.Fatalf("sector %d of %d was lost: it begins with %q", n, len(wrote), got[n*512:][:16])
		}
	}
	c = h.create(cfg)
	c.expect(`wrote 3\.`)
	h.run("xl", "destroy", "killed")
	<-c.ended
}
