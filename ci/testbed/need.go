package testbed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"gozen/ci/kernels"
)

// ErrUnavailable wraps what is missing for a testbed, with what to do.
var ErrUnavailable = errors.New("testbed is not available")

// packages gives the Debian packages of the emulator of a testbed, and for each a program that it gives, or a pattern of a file.
func packages(k Kind) [][2]string {
	switch k {
	case SVM:
		return [][2]string{{"qemu-system-x86", "qemu-system-x86_64"}}
	case VHE:
		return [][2]string{{"qemu-system-arm", "qemu-system-aarch64"}}
	case VTX:
		return [][2]string{{"bochs", "bochs-bin"}, {"bochs-x", bochsX}, {"bochsbios", bochsBIOS}, {"vgabios", bochsVGA}, {"xvfb", "Xvfb"},
			{"grub-common", "grub-mkrescue"}, {"grub-pc-bin", grubPC}, {"xorriso", "xorriso"}, {"mtools", "mformat"}}
	}
	return nil
}

// missing gives the packages whose program or file is not there.
func missing(k Kind) (out []string) {
	for _, p := range packages(k) {
		_, err := exec.LookPath(p[1])
		found := err == nil
		if filepath.IsAbs(p[1]) {
			files, _ := filepath.Glob(p[1])
			found = len(files) > 0 && present(files[0])
		}
		if !found {
			out = append(out, p[0])
		}
	}
	return out
}

// present says that a file is there, also where a name leads to it by a link into another package.
func present(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// hostModules are the modules that a host kernel needs; arm64 kernels have KVM built in.
func hostModules(k Kind) []string {
	switch k {
	case SVM:
		return []string{"irqbypass", "kvm", "kvm_amd"}
	case VTX:
		return []string{"irqbypass", "kvm", "kvm_intel"}
	}
	return nil
}

func busybox(k Kind) string {
	if k == VHE {
		return kernels.BusyboxArm64
	}
	return kernels.Busybox
}

// Available tells whether a testbed can run with these host kernels (by default UsualKernels) without anything being installed or downloaded. If not,
// the error wraps ErrUnavailable.
func Available(k Kind, hostKernels ...string) error {
	if p := missing(k); len(p) > 0 {
		return fmt.Errorf("%w: %s: these Debian packages are not installed: %s (get all with: go run ./ci/testbed/run prepare %s)",
			ErrUnavailable, k, strings.Join(p, " "), k)
	}
	f, err := kernels.Open()
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, k, err)
	}
	if len(hostKernels) == 0 {
		hostKernels = UsualKernels(k)
	}
	_, err = f.Find(busybox(k))
	for _, h := range hostKernels {
		_, e := f.Modules(h, hostModules(k)...)
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w (get all with: go run ./ci/testbed/run prepare %s)", ErrUnavailable, k, oneLine{err}, k)
	}
	return nil
}

// Prepare gets what a testbed needs for these host kernels (by default UsualKernels): the emulator's packages are installed if this is root, kernels and
// busybox come into the cache. What is there already is left as it is. Progress goes to log. The error wraps ErrUnavailable.
func Prepare(ctx context.Context, log io.Writer, k Kind, hostKernels ...string) error {
	if HostKernels(k) == nil {
		return fmt.Errorf("%w: there is no kind %q: take one of %v", errSpec, k, Kinds())
	}
	if err := install(ctx, log, k); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, k, err)
	}
	if len(hostKernels) == 0 {
		hostKernels = UsualKernels(k)
	}
	_, err := kernels.Fetch(log, busybox(k))
	for _, h := range hostKernels {
		_, e := kernels.FetchModules(log, h, hostModules(k)...)
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, k, oneLine{err})
	}
	return nil
}

// oneLine is several errors that make one line.
type oneLine struct{ error }

// Error implements error.
func (e oneLine) Error() string { return strings.ReplaceAll(e.error.Error(), "\n", "; ") }

// Unwrap gives the errors.
func (e oneLine) Unwrap() error { return e.error }

// install gets the packages of the emulator.
func install(ctx context.Context, log io.Writer, k Kind) error {
	want := missing(k)
	if len(want) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("there is no apt-get here to install the Debian 12 packages %s", strings.Join(want, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages have to be installed, by root: apt-get install --no-install-recommends %s", strings.Join(want, " "))
	}
	dir, err := cache()
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(dir, "install.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if want = missing(k); len(want) == 0 { // another process has been at it
		return nil
	}
	args := append([]string{"install", "--no-install-recommends"}, want...)
	fmt.Fprintln(log, "apt-get", strings.Join(args, " "))
	if aptGet(ctx, args...) != nil { // lists are missing or out of date
		if err := aptGet(ctx, "update"); err != nil {
			fmt.Fprintln(log, err) // of several sources some may do
		}
		if err := aptGet(ctx, args...); err != nil {
			return err
		}
	}
	if still := missing(k); len(still) > 0 {
		return fmt.Errorf("the packages %s are installed but do not hold what is looked for", strings.Join(still, " "))
	}
	return nil
}

// aptGet runs apt-get. What it prints is shown only where it fails.
func aptGet(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, "apt-get", append([]string{"-y", "-q", "-o", "DPkg::Lock::Timeout=600"}, args...)...)
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// cache gives the folder for runs, which it makes.
func cache() (string, error) {
	root, err := kernels.Repository()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", "testbed")
	return dir, os.MkdirAll(dir, 0o755)
}

// lock keeps two processes from doing the same.
func lock(path string) (unlock func(), err error) {
	l, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(l.Fd()), unix.LOCK_EX)
		if err == nil {
			return func() { l.Close() }, nil
		}
		if !errors.Is(err, unix.EINTR) {
			l.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}
