package e2e

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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

// image makes an image of a format with content.
func (h *host) image(name, format string, content []byte) string {
	h.t.Helper()
	if _, err := exec.LookPath("qemu-nbd"); err != nil {
		if os.Getenv("GOZEN_REQUIRE_KERNELS") != "" {
			h.t.Fatal(err)
		}
		h.t.Skipf("needs Debian's package qemu-utils: %v", err)
	}
	raw, img := h.write(name+".raw", content), filepath.Join(h.dir, name)
	if out, err := exec.Command("qemu-img", "convert", "-f", "raw", "-O", format, raw, img).CombinedOutput(); err != nil {
		h.t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	return img
}

// raw gives what is in an image, which nothing has open.
func (h *host) raw(img, format string) []byte {
	h.t.Helper()
	to := img + ".out"
	h.eventually("the image is free", func() bool {
		_, err := exec.Command("qemu-img", "convert", "-f", format, "-O", "raw", img, to).CombinedOutput()
		return err == nil
	})
	b, err := os.ReadFile(to)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// formatScript reads and writes an image in a format, starts again, and reads what it wrote.
const formatScript = `mount -t devtmpfs dev /dev
for i in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/xvda ] && break; sleep 0.2; done
b=/bin/busybox
echo "sum $($b md5sum < /dev/xvda)"
if [ "$($b head -c 5 /dev/xvda)" = again ]; then
	echo "second life"
	poweroff -f
fi
(printf again; yes gozen | $b head -c 3000000) | $b dd of=/dev/xvda bs=65536 2>/dev/null
$b blkdiscard -o 4194304 -l 1048576 /dev/xvda && echo discarded
$b sync
reboot -f
`

// TestDisk_formats gives guests disks in other formats than raw.
func TestDisk_formats(t *testing.T) {
	for _, tt := range []struct{ typ, format, driver string }{{"pvh", "qcow2", "qcow2"}, {"pv", "vhd", "vpc"}, {"hvm", "qed", "qed"}} {
		t.Run(tt.typ+"/"+tt.format, func(t *testing.T) {
			h := newHost(t)
			content := make([]byte, 8<<20)
			r := rand.NewChaCha8([32]byte{9})
			_, _ = r.Read(content)
			img := h.image("disk", tt.driver, content)
			c := h.create(h.debianModules("formats", "6.1-cloud", []string{"xen_blkfront"}, formatScript,
				fmt.Sprintf("type = %q\ndisk = [ 'format=%s,vdev=xvda,access=rw,target=%s' ]\n", tt.typ, tt.format, img)))
			if sum := c.expect(`sum ([0-9a-f]{32})`)[1]; tt.format != "vhd" && sum != fmt.Sprintf("%x", md5.Sum(content)) { // vhd rounds the size up
				t.Errorf("the guest reads something else: %s", sum)
			}
			c.expect("discarded")
			c.expect("second life")
			c.expect("has ended: poweroff")
			c.end()
			got := h.raw(img, tt.driver)[:len(content)]
			forgot := got[4<<20 : 5<<20]
			kept := tt.format != "qcow2" && bytes.Equal(forgot, content[4<<20:5<<20]) // the others have no holes
			if !bytes.HasPrefix(got, []byte("againgozen\ngozen\n")) || !bytes.Equal(forgot, make([]byte, 1<<20)) && !kept || !bytes.Equal(got[5<<20:], content[5<<20:]) {
				t.Errorf("the image is not as the guest left it: it begins with %q", got[:24])
			}
		})
	}
}

// TestDisk_formatKilled is TestDisk_killed for an image in a format: also the process that reads the image ends with the domain, after what it was asked.
func TestDisk_formatKilled(t *testing.T) {
	h := newHost(t)
	img := h.image("k.qcow2", "qcow2", make([]byte, 8<<20))
	c := h.create(h.debianModules("killed", "6.1-cloud", []string{"xen_blkfront"}, killScript, fmt.Sprintf("disk = [ '%s,qcow2,xvda,rw' ]\n", img)))
	c.expect(`wrote 40\.`)
	d, ok := h.domain("killed")
	if !ok {
		t.Fatal("the domain is not listed")
	}
	if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-c.ended
	c.mu.Lock()
	wrote := regexp.MustCompile(`wrote (\d+)\.`).FindAllStringSubmatch(string(c.text), -1)
	c.mu.Unlock()
	got := h.raw(img, "qcow2")
	for _, w := range wrote {
		n, _ := strconv.Atoi(w[1])
		if want := "sector " + w[1] + "\n"; !bytes.HasPrefix(got[n*512:], []byte(want)) {
			t.Fatalf("sector %d of %d was lost: it begins with %q", n, len(wrote), got[n*512:][:16])
		}
	}
	if out, err := exec.Command("qemu-img", "check", img).CombinedOutput(); err != nil {
		t.Errorf("qemu-img check: %v\n%s", err, out)
	}
}

// TestDisk_formatRefused has images that cannot be had, at the start and while a guest runs: one clear line, and the guest is not harmed.
func TestDisk_formatRefused(t *testing.T) {
	h := newHost(t)
	good := h.image("good", "qcow2", bytes.Repeat([]byte("gozen"), 1<<16))
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	short, noise := h.write("short", whole[:100]), h.write("noise", bytes.Repeat([]byte{0xa5}, 4096))
	cut := h.write("cut", whole[:len(whole)-70000]) // the table is there, the data is not
	for _, img := range []string{short, noise, h.dir + "/nowhere"} {
		out, err := h.try("xl", "create", h.hello("refused", fmt.Sprintf("disk = [ '%s,qcow2,xvda,rw' ]\n", img)))
		if err == nil || strings.Contains(out, "panic") || strings.Count(out, "xl: ") != 1 {
			t.Errorf("%s: %v\n%s", img, err, out)
		}
	}
	c := h.create(h.debianModules("grow", "6.1-cloud", []string{"xen_blkfront"}, attachScript, ""))
	c.expect("ready for disks")
	for _, img := range []string{short, noise, h.dir + "/nowhere"} {
		if out, err := h.try("xl", "block-attach", "grow", img, "qcow2", "xvdc", "w"); err == nil || strings.Contains(out, "panic") {
			t.Errorf("%s: %v\n%s", img, err, out)
		}
	}
	h.run("xl", "block-attach", "grow", cut, "qcow2", "xvdd", "r")
	h.run("xl", "block-attach", "grow", good, "qcow2", "xvdc", "r")
	c.expect(fmt.Sprintf("came: %x", md5.Sum(bytes.Repeat([]byte("gozen"), 1<<16))))
	h.run("xl", "destroy", "grow")
	<-c.ended
	for _, img := range []string{good, cut} { // nothing holds them any more
		_ = h.raw(img, "qcow2")
	}
}

// resizeScript tells of each new size of a disk, until it is told to end.
const resizeScript = `mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
until [ -b /dev/xvda ]; do sleep 0.1; done
old=
while :; do
	new=$(cat /sys/block/xvda/size)
	[ "$new" = "$old" ] || echo "size $new."
	if [ "$new" = 32768 ] && [ "$old" != 32768 ]; then
		echo last | /bin/busybox dd of=/dev/xvda bs=512 seek=32767 conv=sync,fsync 2>/dev/null && echo "wrote the new end"
	fi
	[ "$new" = 8192 ] && break
	old=$new
	sleep 0.2
done
poweroff -f
`

// TestDisk_resized has the image of a disk grow and shrink under the guest.
func TestDisk_resized(t *testing.T) {
	for _, typ := range []string{"pvh", "hvm"} {
		t.Run(typ, func(t *testing.T) {
			h := newHost(t)
			img := h.write("r.img", make([]byte, 8<<20))
			c := h.create(h.debianModules("resized", "6.1-cloud", []string{"xen_blkfront"}, resizeScript, fmt.Sprintf("type = %q\ndisk = [ '%s,raw,xvda,rw' ]\n", typ, img)))
			c.expect(`size 16384\.`)
			if err := os.Truncate(img, 16<<20); err != nil {
				t.Fatal(err)
			}
			c.expect(`size 32768\.`)
			c.expect("wrote the new end")
			if b, err := os.ReadFile(img); err != nil || !bytes.HasPrefix(b[len(b)-512:], []byte("last\n")) {
				t.Errorf("the image's end is not what the guest wrote (%v)", err)
			}
			if err := os.Truncate(img, 4<<20); err != nil {
				t.Fatal(err)
			}
			c.expect(`size 8192\.`)
			c.expect(`has ended: poweroff`)
			c.end()
		})
	}
}

// cdScript tells of what is in the drive, and keeps it in use from the second medium on.
const cdScript = `mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
b=/bin/busybox
until [ -b /dev/sr0 ]; do sleep 0.1; done
echo 500 > /sys/block/sr0/events_poll_msecs
read_cd() { $b head -c 11 /dev/sr0 2>/dev/null; }
[ "$(read_cd)" = "" ] && echo "starts empty"
until [ "$(read_cd)" = "first words" ]; do sleep 0.2; done
echo "has the first"
until [ "$(read_cd)" = "" ]; do sleep 0.2; done
echo "is empty"
until [ "$(read_cd)" = "other words" ]; do sleep 0.2; done
exec 3< /dev/sr0
echo "holds the second, $(cat /sys/block/sr0/size) sectors"
read word
exec 3<&-
echo "let go"
until [ "$(read_cd)" = "third words" ]; do sleep 0.2; done
echo "has the third"
poweroff -f
`

// TestCD changes the medium in the CD-ROM drive of a Debian guest.
func TestCD(t *testing.T) {
	h := newHost(t)
	medium := func(name, words string) string {
		return h.write(name, append([]byte(words), make([]byte, 1<<20-len(words))...))
	}
	first, second, third := medium("first.iso", "first words"), medium("second.iso", "other words"), medium("third.iso", "third words")
	c := h.create(h.debianModules("cd", "6.1-cloud", []string{"ata_piix", "sr_mod"}, cdScript, "type = \"hvm\"\ndisk = [ 'devtype=cdrom,vdev=hdc' ]\n"))
	c.expect("starts empty")
	tty := strings.TrimSpace(h.run("xenstore-read", "/local/domain/1/console/tty"))
	h.run("xl", "cd-insert", "cd", "hdc", first)
	c.expect("has the first")
	if out := h.run("xenstore-read", "/local/domain/0/backend/vbd/1/5632/params"); strings.TrimSpace(out) != first {
		t.Errorf("xenstore says the medium is %q", out)
	}
	free := func(args ...string) { // the guest looks at the drive now and then, and locks it meanwhile
		h.eventually("the drive is free", func() bool { _, err := h.try("xl", args...); return err == nil })
	}
	free("cd-eject", "cd", "hdc")
	c.expect("is empty")
	free("cd-insert", "cd", "hdc", "raw:"+second)
	c.expect("holds the second, 2048 sectors")
	if out, err := h.try("xl", "cd-insert", "cd", "hdc", third); err == nil || !strings.Contains(out, "locked") {
		t.Errorf("a drive in use: %v\n%s", err, out)
	}
	for _, bad := range [][]string{{"cd-insert", "cd", "hdd", third}, {"cd-insert", "cd", "frob", third}, {"cd-insert", "cd", "hdc", h.dir + "/nowhere"}, {"cd-insert", "nobody", "hdc", third}, {"cd-eject", "cd", "hda"}, {"cd-eject", "cd"}} {
		if out, err := h.try("xl", bad...); err == nil || strings.Contains(out, "panic") {
			t.Errorf("%v: %s", bad, out)
		}
	}
	if err := os.WriteFile(tty, []byte("go on\n"), 0); err != nil {
		t.Fatal(err)
	}
	c.expect("let go")
	free("cd-insert", "cd", "hdc", third)
	c.expect("has the third")
	c.expect("has ended: poweroff")
	c.end()
}

// keptScript waits for a second disk in its first life, and looks at both in its second.
const keptScript = `mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
b=/bin/busybox
until [ -b /dev/xvda ]; do sleep 0.1; done
if [ "$($b head -c 6 /dev/xvda)" != second ]; then
	echo "first life"
	until [ -b /dev/xvdc ]; do sleep 0.1; done
	echo "got it"
	printf second | $b dd of=/dev/xvda conv=fsync 2>/dev/null
	reboot -f
fi
until [ -b /dev/xvdc ]; do sleep 0.1; done
echo "second life, still $($b md5sum < /dev/xvdc)"
while [ -d /sys/block/xvdc ]; do sleep 0.1; done
echo "it went"
while [ -d /sys/block/xvda ]; do sleep 0.1; done
echo "so did the other"
poweroff -f
`

// TestDisk_kept attaches a disk, which is there after a reboot, too, and then takes all away, after which others may have them.
func TestDisk_kept(t *testing.T) {
	h := newHost(t)
	first, second := h.write("a.img", make([]byte, 1<<20)), h.image("c.qcow2", "qcow2", bytes.Repeat([]byte("gozen"), 1<<16))
	c := h.create(h.debianModules("kept", "6.1-cloud", []string{"xen_blkfront"}, keptScript, fmt.Sprintf("disk = [ '%s,raw,xvda,rw' ]\n", first)))
	c.expect("first life")
	h.run("xl", "block-attach", "kept", second, "qcow2", "xvdc", "r")
	c.expect("got it")
	c.expect(fmt.Sprintf("second life, still %x", md5.Sum(bytes.Repeat([]byte("gozen"), 1<<16))))
	if out := h.run("xl", "list", "-l", "kept"); !strings.Contains(out, second) {
		t.Errorf("xl list -l does not name the disk that was attached:\n%s", out)
	}
	h.run("xl", "block-detach", "kept", "xvdc")
	c.expect("it went")
	_ = h.raw(second, "qcow2")
	f, err := os.OpenFile(first, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		t.Error("a disk in use is not locked")
	}
	h.run("xl", "block-detach", "kept", "xvda")
	c.expect("so did the other")
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Errorf("the disk that was taken away is still locked: %v", err)
	}
	c.expect("has ended: poweroff")
	c.end()
}

// fullScript writes more than the host has room for, and works on.
const fullScript = `mount -t devtmpfs dev /dev
b=/bin/busybox
until [ -b /dev/xvda ]; do sleep 0.1; done
echo kept | $b dd of=/dev/xvda bs=512 conv=sync,fsync 2>/dev/null && echo "wrote the first"
$b dd if=/dev/zero of=/dev/xvda bs=65536 seek=1 count=100 conv=fsync 2>&1 | grep -iE 'i/o error|input/output' && echo "was told"
echo "still there: $($b head -c 4 /dev/xvda)"
poweroff -f
`

// TestDisk_full has the file system of an image run full: the guest gets an error for what was not written, and goes on.
func TestDisk_full(t *testing.T) {
	h := newHost(t)
	dir := filepath.Join(h.dir, "full")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no file system of a size to choose: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	img := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(img, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, 8<<20); err != nil {
		t.Fatal(err)
	}
	c := h.create(h.debianModules("full", "6.1-cloud", []string{"xen_blkfront"}, fullScript, fmt.Sprintf("disk = [ '%s,raw,xvda,rw' ]\n", img)))
	c.expect("wrote the first")
	c.expect("was told")
	c.expect("still there: kept")
	c.expect("has ended: poweroff")
	c.end()
}
