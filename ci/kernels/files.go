package kernels

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Names lists the kernels, the name being the folder that holds each.
func Names() []string { return []string{"6.1-cloud", "6.1", "6.12-cloud", "6.12"} }

// Arm64Names lists the arm64 kernels in the same way.
func Arm64Names() []string {
	return []string{"arm64-6.1-cloud", "arm64-6.1", "arm64-6.12-cloud", "arm64-6.12"}
}

// I386Names lists the 32-bit kernels, with PAE and with 32-bit page tables, in the same way.
func I386Names() []string { return []string{"i386-6.1-pae", "i386-6.1"} }

// The names of the static busybox, for amd64, arm64 and i386.
const (
	Busybox      = "busybox"
	BusyboxArm64 = "busybox-arm64"
	BusyboxI386  = "busybox-i386"
)

// The names of GRUB as a kernel of PVH and of PV guests.
const (
	GrubPVH = "grub-pvh"
	GrubPV  = "grub-pv"
)

// single gives where in its package a file lies that is no kernel with modules; "" for a kernel.
func single(name string) string {
	switch name {
	case Busybox, BusyboxArm64, BusyboxI386:
		return "bin/busybox"
	case GrubPVH:
		return "usr/lib/grub-xen/grub-i386-xen_pvh.bin"
	case GrubPV:
		return "usr/lib/grub-xen/grub-x86_64-xen.bin"
	}
	return ""
}

// Env names the environment variable that overrides the cache folder.
const Env = "GOZEN_KERNELS"

// Files is a folder of guest files: NAME/vmlinuz for each kernel, NAME/modules for modules of it that were asked for, and busybox, busybox-arm64, busybox-i386,
// grub-pvh and grub-pv.
type Files struct{ Dir string }

// ErrMissing wraps what Find says of files that are not there.
var ErrMissing = errors.New("guest files are missing")

// Open gives the folder: $GOZEN_KERNELS if that is set, else .cache/guests at the top of the repository that holds the
// working folder.
func Open() (Files, error) {
	if d := os.Getenv(Env); d != "" {
		d, err := filepath.Abs(d)
		return Files{d}, err
	}
	root, err := Repository()
	if err != nil {
		return Files{}, err
	}
	return Files{filepath.Join(root, ".cache", "guests")}, nil
}

// Repository finds the folder with gozen's go.mod at or above the working folder.
func Repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		b, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), "module gozen\n") {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside a gozen checkout", dir)
		}
	}
}

// path gives where a file lies, whether or not it is there.
func (f Files) path(name string) string {
	if single(name) != "" {
		return filepath.Join(f.Dir, name)
	}
	return filepath.Join(f.Dir, name, "vmlinuz")
}

// Find gives the path of a kernel (one of Names, Arm64Names or I386Names), a busybox or a GRUB. Debian's arm64 vmlinuz is a plain EFI-stub Image, not compressed. If it is not there the error wraps ErrMissing and says
// how to get it.
func (f Files) Find(name string) (string, error) {
	p := f.path(name)
	if st, err := os.Stat(p); err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
		return "", fmt.Errorf("%w: %s (get them with: go run ./ci/kernels/fetch)", ErrMissing, p)
	}
	return p, nil
}

// Package gives the name of the Debian package a kernel came from, or "" if that is not known.
func (f Files) Package(name string) string {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(f.path(name)), "package"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
