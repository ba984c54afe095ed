package bootloader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gozen/hypervisor/bootloader/imagetest"
	"gozen/hypervisor/config"
)

const (
	grubConf = "search --fs-uuid --set=root aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee\nmenuentry one --id first { linux /boot/vmlinuz root=x\n initrd /boot/a /boot/b\n}\nmenuentry two { linux /boot/vmlinuz 2\n}"
	bls      = "title BLS\nlinux /vmlinuz\ninitrd /a\noptions x y\noptions z\n"
	sys      = "DEFAULT second\nAPPEND all\nLABEL first\n  LINUX ../vmlinuz\nLABEL second\n  MENU LABEL ^Second\n  KERNEL /boot/vmlinuz\n  INITRD ../a,/boot/b\n  APPEND second initrd=x\nLABEL third\n  KERNEL /boot/vmlinuz\n  APPEND initrd=/boot/a third\nINCLUDE more.conf\n"
	legacy   = "default=1\ntimeout 3\ntitle zero\nroot (hd0,0)\nkernel /boot/vmlinuz zero\ntitle Xen\nroot (hd0,0)\nkernel /boot/xen.gz dom0\nmodule /boot/vmlinuz root=/dev/xvda1 ro\nmodule /boot/a\ntitle two\nkernel (hd0,4)/boot/vmlinuz two\ninitrd (hd0,0)/boot/b\n"
)

func with(files map[string]string) map[string]string {
	out := map[string]string{"/boot/vmlinuz": "kernel", "/boot/a": "initrd a", "/boot/b": "b", "/vmlinuz": imagetest.Link + "boot/vmlinuz", "/initrd.img": imagetest.Link + "boot/a"}
	maps.Copy(out, files)
	return out
}

// words says what is in an entry.
func words(t *testing.T, e *Entry) string {
	t.Helper()
	s := fmt.Sprintf("%d %s [%s]", e.Number, e.Title, e.Cmdline)
	read := func(r io.Reader, n int64) string {
		b, err := io.ReadAll(r)
		if err != nil || int64(len(b)) != n {
			t.Errorf("%d bytes of %d: %v", len(b), n, err)
		}
		return string(b)
	}
	s += fmt.Sprintf(" %q", read(io.NewSectionReader(e.Kernel, 0, e.Kernel.Size), e.Kernel.Size))
	if r, n := e.Initrd(); r != nil {
		s += fmt.Sprintf(" %q", read(r, n))
	}
	return s
}

func TestFind(t *testing.T) {
	grubFS := imagetest.Ext2(with(map[string]string{"/boot/grub/grub.cfg": grubConf}), "root")
	nothing := make([]byte, 4096)
	idle := imagetest.Ext2(map[string]string{"/grub/grub.cfg": "echo nothing"}, "")
	idle[1024+0x68] = 0
	blsFAT := imagetest.FAT(map[string]string{"/loader/entries/x-6.1.conf": bls, "/loader/entries/x-6.12.conf": strings.Replace(bls, "BLS", "new", 1), "/loader/loader.conf": "timeout 3\ndefault x-6.1.*\n",
		"/vmlinuz": "kernel", "/a": "a"}, "ESP")
	plain := imagetest.Ext2(map[string]string{"/x": "y"}, "")
	plain[1024+0x68] = 0 // another UUID
	for name, tt := range map[string]struct {
		img  []byte
		o    Options
		want string
	}{
		"gpt":        {imagetest.GPT(nothing, grubFS), Options{}, `0 one [root=x] "kernel" "initrd ab"`},
		"entry":      {imagetest.GPT(nothing, grubFS), Options{Entry: "two", Args: "more"}, `1 two [2 more] "kernel"`},
		"mbr":        {imagetest.MBR(1, plain, grubFS), Options{Entry: "first"}, `0 one [root=x] "kernel" "initrd ab"`},
		"logical":    {imagetest.MBR(9, plain, plain, nothing, nothing, grubFS), Options{}, `0 one [root=x] "kernel" "initrd ab"`},
		"whole disk": {grubFS, Options{}, `0 one [root=x] "kernel" "initrd ab"`},
		"offset":     {append(bytes.Repeat([]byte{1}, 12345), grubFS...), Options{Offset: 12345}, `0 one [root=x] "kernel" "initrd ab"`},
		"bls":        {imagetest.GPT(blsFAT, plain), Options{}, `1 BLS [x y z] "kernel" "a"`},
		"bls entry":  {imagetest.GPT(blsFAT, plain), Options{Entry: "x-6.12"}, `0 new [x y z] "kernel" "a"`},
		"whole FAT":  {blsFAT, Options{Entry: "0"}, `0 new [x y z] "kernel" "a"`},
		"active":     {imagetest.MBR(1, grubFS, imagetest.Ext2(with(map[string]string{"/extlinux.conf": "LABEL active\nLINUX vmlinuz\n"}), "")), Options{}, `0 active [] "kernel"`},
		"syslinux":   {imagetest.Ext2(with(map[string]string{"/boot/extlinux/extlinux.conf": sys, "/boot/extlinux/more.conf": "label fourth\nlinux ../vmlinuz\nappend -\n"}), ""), Options{}, `1 Second [second] "kernel" "initrd ab"`},
		"syslinux 0": {imagetest.Ext2(with(map[string]string{"/boot/extlinux/extlinux.conf": sys}), ""), Options{Entry: "first"}, ``},
		"syslinux 1": {imagetest.Ext2(with(map[string]string{"/boot/extlinux/extlinux.conf": sys, "/boot/extlinux/more.conf": ""}), ""), Options{Entry: "first"}, `0 first [all] "kernel"`},
		"syslinux 3": {imagetest.Ext2(with(map[string]string{"/boot/extlinux/extlinux.conf": sys, "/boot/extlinux/more.conf": ""}), ""), Options{Entry: "third", Args: "-"}, `2 third [third -] "kernel" "initrd a"`},
		"syslinux 4": {imagetest.Ext2(with(map[string]string{"/boot/extlinux/extlinux.conf": sys, "/boot/extlinux/more.conf": "label fourth\nlinux ../vmlinuz\nappend -\n"}), ""), Options{Entry: "fourth"}, `3 fourth [] "kernel"`},
		"legacy":     {imagetest.Ext2(with(map[string]string{"/boot/grub/menu.lst": legacy}), ""), Options{}, `1 Xen [root=/dev/xvda1 ro] "kernel" "initrd a"`},
		"legacy 0":   {imagetest.MBR(0, imagetest.Ext2(with(map[string]string{"/boot/grub/menu.lst": legacy}), "")), Options{Entry: "0"}, `0 zero [zero] "kernel"`},
		"legacy 2":   {imagetest.MBR(0, imagetest.Ext2(with(map[string]string{"/boot/grub/menu.lst": legacy}), "")), Options{Entry: "two"}, `2 two [two] "kernel" "b"`},
		"named":      {imagetest.GPT(plain, grubFS), Options{Kernel: "vmlinuz", Ramdisk: "/initrd.img", Args: "root=x"}, `0 /vmlinuz [root=x] "kernel" "initrd a"`},
		"fallback":   {imagetest.Ext2(with(map[string]string{"/boot/grub/grub.cfg": "set fallback=1\nmenuentry bad { linux /none\n}\nmenuentry good { linux /vmlinuz g\n}"}), ""), Options{}, `1 good [g] "kernel"`},
		"empty first": {imagetest.GPT(idle, grubFS), Options{},
			`0 one [root=x] "kernel" "initrd ab"`},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Find(bytes.NewReader(tt.img), int64(len(tt.img)), tt.o)
			if tt.want == "" && err != nil {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := words(t, e); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestEntries(t *testing.T) {
	img := imagetest.Ext2(with(map[string]string{"/boot/grub/grub.cfg": debian}), "")
	all, err := Entries(bytes.NewReader(img), int64(len(img)))
	want := []Item{{0, "Debian GNU/Linux", "gnulinux-simple-u2"}, {1, "Advanced options>Linux 6.1", "linux-6.1"}, {2, "Advanced options>more>Linux 6.1 (recovery mode)", "rec"},
		{3, "UEFI Firmware Settings", "uefi-firmware"}, {4, "Lost", ""}}
	if err != nil || !slices.Equal(all, want) {
		t.Errorf("%v %v", all, err)
	}
}

// foreignImage has a signature somewhere.
func foreignImage(at int, text string) []byte {
	b := make([]byte, 128<<10)
	copy(b[at:], text)
	return b
}

// TestFind_errors says what is there and what to do.
func TestFind_errors(t *testing.T) {
	damaged := imagetest.Ext2(with(map[string]string{"/boot/grub/grub.cfg": grubConf}), "")
	binary.LittleEndian.PutUint32(damaged[2048+8:], 0xffffff)
	for name, tt := range map[string]struct {
		img  []byte
		o    Options
		want string
	}{
		"xfs":       {imagetest.GPT(foreignImage(0, "XFSB")), Options{}, "hd0,gpt1 (xfs): this kind of file system cannot be read"},
		"btrfs":     {imagetest.GPT(foreignImage(0x10040, "_BHRfS_M")), Options{}, "hd0,gpt1 (btrfs)"},
		"lvm":       {imagetest.MBR(0, foreignImage(0x218, "LVM2 001")), Options{}, "hd0,msdos1 (LVM)"},
		"luks":      {foreignImage(0, "LUKS\xba\xbe"), Options{}, "hd0 (LUKS, encrypted)"},
		"qcow2":     {foreignImage(0, "QFI\xfb"), Options{}, "hd0 (qcow2)"},
		"nothing":   {make([]byte, 4096), Options{}, "hd0 (nothing known)"},
		"no conf":   {imagetest.Ext2(nil, ""), Options{}, "it has hd0 (ext2) (install"},
		"damaged":   {damaged, Options{}, "hd0 (ext2)"},
		"no kernel": {imagetest.GPT(imagetest.Ext2(nil, "")), Options{Kernel: "/k"}, "there is no file /k"},
		"no entry":  {imagetest.Ext2(map[string]string{"/grub/grub.cfg": "if true; then"}, ""), Options{}, "(hd0)/grub/grub.cfg: line 1: the end of the file where elif or else or fi has to be"},
		"missing":   {imagetest.Ext2(map[string]string{"/grub/grub.cfg": "menuentry x { linux /k\n}"}, ""), Options{}, `entry "x" of (hd0)/grub/grub.cfg cannot be started: (hd0)/k: no such file`},
		"other root": {imagetest.Ext2(map[string]string{"/grub/grub.cfg": "menuentry x { set root=lvm/vg-root\nlinux /k\n}"}, ""), Options{},
			`/k: there is no volume "lvm/vg-root"; it has hd0 (ext2)`},
		"on xfs":     {imagetest.GPT(foreignImage(0, "XFSB"), imagetest.Ext2(map[string]string{"/grub/grub.cfg": "menuentry x { linux (hd0,1)/k\n}"}, "")), Options{}, "hd0,gpt1 (xfs): this kind"},
		"no initrd":  {imagetest.Ext2(with(map[string]string{"/grub/grub.cfg": "menuentry x { linux /vmlinuz\ninitrd /none\n}"}), ""), Options{}, "(hd0)/none: no such file"},
		"empty":      {imagetest.Ext2(map[string]string{"/k": ""}, ""), Options{Kernel: "k"}, "(hd0)/k: the file is empty"},
		"far":        {make([]byte, 4096), Options{Offset: 1 << 40}, "has no byte 1099511627776: it has 4096 bytes (correct --offset=)"},
		"huge conf":  {imagetest.Ext2(map[string]string{"/grub/grub.cfg": strings.Repeat("\x00", 1<<18) + "x"}, ""), Options{}, "/grub/grub.cfg: "},
		"long words": {imagetest.Ext2(with(map[string]string{"/grub/grub.cfg": "menuentry x { linux /vmlinuz " + strings.Repeat("y", 70_000) + "\n}"}), ""), Options{}, "it was stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Find(bytes.NewReader(tt.img), int64(len(tt.img)), tt.o)
			var known *config.Error
			if e != nil && err == nil || !errors.As(err, &known) || !strings.Contains(err.Error(), tt.want) || known.Fix == "" || known.Field == "" {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// circles is a disk that answers everything with the same sectors, for ever.
type circles struct{ b []byte }

func (c circles) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); n++ {
		p[n] = c.b[(off+int64(n))%int64(len(c.b))]
	}
	return len(p), nil
}

// TestFind_budget ends where a disk of any size leads round in circles.
func TestFind_budget(t *testing.T) {
	img := imagetest.Ext2(with(map[string]string{"/boot/grub/grub.cfg": "while true; do search -f /zz/y; done"}), "")
	root := img[5*1024+128:]
	binary.LittleEndian.PutUint32(root[4:], 12<<10) // the root directory is its first block twelve times
	for i := range 12 {
		copy(root[0x28+4*i:], root[0x28:0x2c])
	}
	if _, err := Find(circles{img}, 1<<50, Options{}); err == nil {
		t.Error("it was found")
	}
}

// TestFind_mke2fs reads a partition that mke2fs made.
func TestFind_mke2fs(t *testing.T) {
	if _, err := exec.LookPath("mke2fs"); err != nil {
		t.Skip("it needs mke2fs: install e2fsprogs")
	}
	src, img := t.TempDir(), filepath.Join(t.TempDir(), "img")
	for p, s := range map[string]string{"boot/grub/grub.cfg": strings.ReplaceAll(grubConf, "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "6f7a656e-0000-4000-8000-000000000001"), "boot/vmlinuz": "kernel", "boot/a": "initrd a", "boot/b": "b"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(src, filepath.Dir(p)), 0o755), os.WriteFile(filepath.Join(src, p), []byte(s), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", "-U", "6f7a656e-0000-4000-8000-000000000001", "-d", src, img, "4M").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fs, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	disk := imagetest.GPT(make([]byte, 1<<20), fs)
	e, err := Find(bytes.NewReader(disk), int64(len(disk)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := words(t, e); got != `0 one [root=x] "kernel" "initrd ab"` || e.Config != "(hd0,gpt2)/boot/grub/grub.cfg" {
		t.Errorf("%s of %s", got, e.Config)
	}
}

func TestEntry_initrd(t *testing.T) {
	e := &Entry{}
	for _, s := range []string{"12345", "678", "9"} {
		e.Initrds = append(e.Initrds, &File{Size: int64(len(s)), r: strings.NewReader(s)})
	}
	r, n := e.Initrd()
	b, err := io.ReadAll(r)
	if want := "12345\x00\x00\x00678\x009"; string(b) != want || n != int64(len(want)) || err != nil {
		t.Errorf("%q %d %v", b, n, err)
	}
}

func TestCompareVersions(t *testing.T) {
	sorted := []string{"a-6.1~rc1", "a-6.1", "a-6.1.0", "a-6.1-2", "a-6.2", "a-6.10", "b-1"}
	for i := range sorted {
		for j := range sorted {
			got, want := compareVersions(sorted[i], sorted[j]), 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got != want {
				t.Errorf("%s and %s: %d", sorted[i], sorted[j], got)
			}
		}
	}
}

func FuzzFind(f *testing.F) {
	small := imagetest.Ext2(map[string]string{"/boot/grub/grub.cfg": grubConf, "/boot/vmlinuz": "kernel", "/boot/a": "a", "/boot/b": "b"}, "root")
	f.Add(small, "")
	f.Add(imagetest.GPT(small), "two")
	f.Add(imagetest.MBR(0, small), "0>0")
	f.Add(imagetest.FAT(map[string]string{"/loader/entries/a.conf": bls, "/vmlinuz": "k", "/a": "a"}, "")[:64<<10], "")
	f.Add(imagetest.Ext2(map[string]string{"/extlinux/extlinux.conf": sys, "/boot/vmlinuz": "k", "/boot/b": "b"}, ""), "third")
	f.Add(imagetest.Ext2(map[string]string{"/grub/menu.lst": legacy, "/boot/vmlinuz": "k"}, ""), "0")
	f.Fuzz(func(t *testing.T, b []byte, entry string) {
		e, err := Find(bytes.NewReader(b), int64(len(b)), Options{Entry: entry})
		if err != nil {
			var known *config.Error
			if !errors.As(err, &known) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		buf := make([]byte, 4096)
		_, _ = e.Kernel.ReadAt(buf, 0)
		if r, n := e.Initrd(); r != nil && n < 1<<20 {
			_, _ = io.Copy(io.Discard, r)
		}
	})
}
