package guestdisk

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gozen/ci/kernels"
)

// Password is root's.
const Password = "gozen"

// A Disk is where the files of a disk are.
type Disk struct {
	Image   string // a GPT; the second partition is an ext4 file system with the label root, with GRUB's configuration in /boot/grub
	Kernel  string
	Initrd  string
	Cmdline string // for both
}

// suite and packages are what is installed.
const suite = "bookworm"

var packages = []string{"systemd", "systemd-sysv", "udev", "linux-image-cloud-amd64", "initramfs-tools", "kmod", "login", "passwd", "iproute2"}

// setUp is run in the new system's folder, $1: a person can log in, at the PV console.
var setUp = strings.Join([]string{
	"echo root:" + Password + ` | chroot "$1" chpasswd`,
	`echo guest > "$1/etc/hostname"`,
	`echo "LABEL=root / ext4 defaults 0 1" > "$1/etc/fstab"`,
	`ln -sf /lib/systemd/system/serial-getty@.service "$1/etc/systemd/system/getty.target.wants/serial-getty@hvc0.service"`,
	`rm -rf "$1/var/cache/apt/archives" "$1/var/lib/apt/lists"`,
}, "; ")

// version is to be changed with what Make does otherwise.
const version = "2"

// place names the environment variable with the folder of a disk that is there already, made by whom it may be.
const place = "GOZEN_GUEST_DISK"

// folder gives the folder of this recipe.
func folder() (string, error) {
	if dir := os.Getenv(place); dir != "" {
		return dir, nil
	}
	root, err := kernels.Repository()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{version, suite, setUp, grubConfig}, packages...), "\n")))
	return filepath.Join(root, ".cache", "guest-disk", fmt.Sprintf("%x", sum[:6])), nil
}

// ErrMissing says that no disk was made yet.
var ErrMissing = errors.New("there is no guest disk: make guest-disk builds one")

// Find gives the disk, if it was made.
func Find() (Disk, error) {
	dir, err := folder()
	if err != nil {
		return Disk{}, err
	}
	d := in(dir)
	for _, f := range []string{d.Image, d.Kernel, d.Initrd} {
		if _, err := os.Stat(f); errors.Is(err, os.ErrNotExist) {
			return d, ErrMissing
		} else if err != nil {
			return d, err
		}
	}
	return d, nil
}

func in(dir string) Disk {
	return Disk{Image: filepath.Join(dir, "disk.img"), Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd.img"),
		Cmdline: "console=hvc0 root=LABEL=root rw"}
}
