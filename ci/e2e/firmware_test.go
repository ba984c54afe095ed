package e2e

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
	"gozen/hypervisor/config"
)

// What a disk that GRUB boots from is made of (Debian packages seabios, grub-pc-bin, grub-common, mtools).
const (
	bootSector  = "/usr/lib/grub/i386-pc/boot.img"
	diskSize    = 64 << 20
	partitionAt = 1 << 20
	sector      = 512
	tableAt     = 446
	fat16       = 0x0e
)

// firmwareTools skips the test where SeaBIOS or GRUB is missing.
func firmwareTools(t *testing.T) {
	t.Helper()
	for _, f := range []string{config.DefaultFirmware, bootSector} {
		if _, err := os.Stat(f); err != nil {
			t.Skipf("needs Debian's packages seabios, grub-pc-bin, grub-common and mtools: %v", err)
		}
	}
	for _, p := range []string{"grub-mkimage", "mformat", "mcopy"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs Debian's packages seabios, grub-pc-bin, grub-common and mtools: %v", err)
		}
	}
}

func (h *host) tool(name string, args ...string) {
	h.t.Helper()
	c := exec.Command(name, args...)
	c.Dir = h.dir
	if out, err := c.CombinedOutput(); err != nil {
		h.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// grubDisk makes a raw disk with GRUB in its first sectors and a FAT file system with the given files, and gives its path.
func (h *host) grubDisk(script string, files map[string]string) string {
	h.t.Helper()
	h.write("early.cfg", []byte("serial --unit=0 --speed=115200\nterminal_output serial\nterminal_input serial\n"+script))
	h.tool("grub-mkimage", "-O", "i386-pc", "-o", "core.img", "-p", "(hd0,msdos1)/", "-c", "early.cfg", "biosdisk", "part_msdos", "fat", "normal",
		"linux", "serial", "terminal", "echo", "reboot", "halt")
	core, err := os.ReadFile(filepath.Join(h.dir, "core.img"))
	if err != nil {
		h.t.Fatal(err)
	}
	boot, err := os.ReadFile(bootSector)
	if err != nil || len(core) > partitionAt-sector {
		h.t.Fatal(len(core), err)
	}
	mbr := make([]byte, sector)
	copy(mbr, boot[:tableAt])
	entry := mbr[tableAt:]
	entry[0], entry[4] = 0x80, fat16
	binary.LittleEndian.PutUint32(entry[8:], partitionAt/sector)
	binary.LittleEndian.PutUint32(entry[12:], (diskSize-partitionAt)/sector)
	mbr[sector-2], mbr[sector-1] = 0x55, 0xaa
	path := h.write("disk.img", append(mbr, core...))
	if err := os.Truncate(path, diskSize); err != nil {
		h.t.Fatal(err)
	}
	fs := fmt.Sprintf("%s@@%d", path, partitionAt)
	h.tool("mformat", "-i", fs, "-T", fmt.Sprint((diskSize-partitionAt)/sector), "-h", "16", "-s", "63", "::")
	for name, from := range files {
		h.tool("mcopy", "-i", fs, from, "::/"+name)
	}
	return path
}

// TestFirmware_grub boots a Debian kernel from a disk, through SeaBIOS and GRUB.
func TestFirmware_grub(t *testing.T) {
	firmwareTools(t)
	if testing.Short() {
		t.Skip("boots a Debian kernel: not with -short")
	}
	h := newHost(t)
	initramfs, err := linux.Initramfs(guestFile(t, kernels.Busybox), count)
	if err != nil {
		t.Fatal(err)
	}
	disk := h.grubDisk("set root=(hd0,msdos1)\necho GRUB is here\nlinux /vmlinuz console=ttyS0\ninitrd /initramfs\nboot\n",
		map[string]string{"vmlinuz": guestFile(t, "6.1-cloud"), "initramfs": h.write("initramfs", initramfs)})
	c := h.create(h.write("grub.cfg", fmt.Appendf(nil, "name = \"grub\"\ntype = \"hvm\"\nengine = \"soft\"\nmemory = 512\nserial = \"pty\"\ndisk = [\"%s,raw,hda,rw\"]\n", disk)))
	c.expect(`GRUB is here`)
	if out := h.run("xl", "dmesg"); len(out) == 0 {
		t.Error("SeaBIOS has no messages in xl dmesg")
	}
	if out, err := h.try("xl", "create", h.write("two.cfg", fmt.Appendf(nil, "name = \"two\"\ntype = \"hvm\"\nengine = \"soft\"\nmemory = 64\ndisk = [\"%s,raw,hda,rw\"]\n", disk))); err == nil {
		t.Errorf("two domains write to one disk:\n%s", out)
	}
	c.expect(`DMI: Xen HVM domU`)
	c.expect(`Hello from init, 1 processors`)
	c.expect(`Domain 1 has ended: poweroff`)
	c.end()
}

// TestFirmware_reboots has GRUB reset the machine: the domain starts again, from the same disk.
func TestFirmware_reboots(t *testing.T) {
	firmwareTools(t)
	h := newHost(t)
	disk := h.grubDisk("echo GRUB is here\nreboot\n", nil)
	c := h.create(h.write("grub.cfg", fmt.Appendf(nil, "name = \"grub\"\ntype = \"hvm\"\nengine = \"soft\"\nmemory = 64\nserial = \"pty\"\ndisk = [\"%s,raw,hda,ro\"]\n", disk)))
	c.expect(`GRUB is here`)
	c.expect(`GRUB is here`)
	c.end() // the second life was too short for a third
}

// TestFirmware_cdrom boots a Debian kernel from a CD-ROM image.
func TestFirmware_cdrom(t *testing.T) {
	firmwareTools(t)
	if testing.Short() {
		t.Skip("boots a Debian kernel: not with -short")
	}
	for _, p := range []string{"grub-mkrescue", "xorriso"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs Debian's packages grub-common and xorriso: %v", err)
		}
	}
	h := newHost(t)
	initramfs, err := linux.Initramfs(guestFile(t, kernels.Busybox), count)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(h.dir, "cd/boot/grub"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.write("cd/boot/grub/grub.cfg", []byte("serial --unit=0\nterminal_output serial\nterminal_input serial\necho GRUB is here\nlinux /vmlinuz console=ttyS0\ninitrd /initramfs\nboot\n"))
	h.write("cd/initramfs", initramfs)
	kernel, err := os.ReadFile(guestFile(t, "6.1-cloud"))
	if err != nil {
		t.Fatal(err)
	}
	h.write("cd/vmlinuz", kernel)
	h.tool("grub-mkrescue", "-d", filepath.Dir(bootSector), "-o", "cd.iso", "cd")
	c := h.create(h.write("cd.cfg", fmt.Appendf(nil, "name = \"cd\"\ntype = \"hvm\"\nengine = \"soft\"\nmemory = 512\nserial = \"pty\"\nboot = \"d\"\ndisk = [\"%s,raw,hdc:cdrom,r\"]\n",
		filepath.Join(h.dir, "cd.iso"))))
	c.expect(`GRUB is here`)
	c.expect(`Hello from init, 1 processors`)
	c.expect(`Domain 1 has ended: poweroff`)
	c.end()
}
