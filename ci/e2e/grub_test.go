package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pierrec/lz4/v4"

	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
	"gozen/hypervisor/bootloader/imagetest"
)

// TestGRUB has Debian's GRUB for Xen guests, as kernel of a PVH and of a PV guest, start a Debian kernel from the guest's disk.
func TestGRUB(t *testing.T) {
	for _, tt := range []struct{ typ, grub string }{{"pvh", kernels.GrubPVH}, {"pv", kernels.GrubPV}} {
		t.Run(tt.typ, func(t *testing.T) {
			h := newHost(t)
			grub := guestFile(t, tt.grub)
			kernel, err := os.ReadFile(guestFile(t, "6.1-cloud"))
			if err != nil {
				t.Fatal(err)
			}
			if tt.typ == "pv" { // it looks into the kernel, and cannot read Debian's compression
				kernel = payload(t, kernel)
			}
			initrd, err := linux.Initramfs(guestFile(t, kernels.Busybox), "#!/bin/sh\nmount -t proc proc /proc\nmount -t sysfs sys /sys\necho \"started as $(cat /sys/hypervisor/guest_type) with $(cat /proc/cmdline)\"\npoweroff -f\n")
			if err != nil {
				t.Fatal(err)
			}
			disk := h.ext4(map[string][]byte{"boot/kernel": kernel, "boot/initrd": initrd,
				"boot/grub/grub.cfg": []byte("set timeout=0\nmenuentry 'here' {\nlinux /boot/kernel console=hvc0 chosen=by-grub\ninitrd /boot/initrd\n}\n")})
			c := h.create(h.config("grub", fmt.Sprintf("type = %q\nkernel = %q\nmemory = 512\ndisk = [ '%s,raw,xvda,rw' ]\n", tt.typ, grub, h.write("disk.img", imagetest.GPT(disk)))))
			c.expect(`started as ` + map[string]string{"pvh": "PVH", "pv": "PV"}[tt.typ] + ` with .*chosen=by-grub`)
			c.expect(`has ended: poweroff`)
			c.end()
		})
	}
}

// ext4 makes a file system with files.
func (h *host) ext4(files map[string][]byte) []byte {
	h.t.Helper()
	mke2fs, err := exec.LookPath("mke2fs")
	if err != nil {
		h.t.Skipf("needs Debian's package e2fsprogs: %v", err)
	}
	dir, img := filepath.Join(h.dir, "tree"), filepath.Join(h.dir, "ext4.img")
	size := 16 << 20
	for name, b := range files {
		size += len(b)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			h.t.Fatal(err)
		}
	}
	if out, err := exec.Command(mke2fs, "-q", "-t", "ext4", "-d", dir, img, fmt.Sprintf("%dk", size>>10)).CombinedOutput(); err != nil {
		h.t.Fatalf("mke2fs: %v\n%s", err, out)
	}
	b, err := os.ReadFile(img)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// payload gives the ELF file in a bzImage (Linux Documentation/x86/boot.rst), which is compressed by LZ4.
func payload(t *testing.T, b []byte) []byte {
	t.Helper()
	setup := (int(b[0x1f1]) + 1) * 512
	at, n := setup+int(binary.LittleEndian.Uint32(b[0x248:])), int(binary.LittleEndian.Uint32(b[0x24c:]))
	size := binary.LittleEndian.Uint32(b[at+n-4:])
	elf := make([]byte, size)
	if _, err := io.ReadFull(lz4.NewReader(bytes.NewReader(b[at:at+n-4])), elf); err != nil {
		t.Fatal(err)
	}
	return elf
}
