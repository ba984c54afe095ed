package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"gozen/benches/boot"
	"gozen/benches/guest/initramfs"
	"gozen/benches/guest/linux"
	"gozen/benches/svm"
	"gozen/ci/kernels"
	"gozen/ci/testbed"
)

// sources are the C programs.
//
//go:embed c
var sources embed.FS

// cloud gives the kernel of a host, and of the guests with the same version.
func cloud(version string) string { return version + "-cloud" }

// plan holds the files that all boots take from.
type plan struct{ files map[string]string } // path inside -> path outside

// Paths inside the emulated hosts.
const (
	hypervisor = "/bin/hypervisor"
	meter      = "/bin/meter"
	portExitC  = "/bin/portexit"
	opsC       = "/bin/ops"
	floorC     = "/bin/floor"
	greeter    = "/guest/greeter" // initial RAM disks
	opsDisk    = "/guest/ops"
	vmlinux    = "/guest/vmlinux"
)

func vmlinuz(version string) string { return "/guest/vmlinuz-" + version }

// Init scripts of the guests.
const (
	greet  = "#!/bin/sh\necho '" + linux.Greeting + "init'\nwhile :; do sleep 1000; done\n"
	runOps = "#!/bin/sh\nmount -t devtmpfs dev /dev\nmount -t proc proc /proc\nmount -t sysfs sys /sys\n/bin/ops\nwhile :; do sleep 1000; done\n"
)

// prepare gets and makes all that is needed.
func prepare(ctx context.Context, dir string, hosts []string) (*plan, error) {
	if runtime.GOARCH != "amd64" {
		return nil, errors.New("this needs an x86-64 machine: Debian's QEMU for it also runs on the emulated host")
	}
	var names []string
	for _, h := range hosts {
		names = append(names, cloud(h))
	}
	if err := testbed.Prepare(ctx, os.Stderr, testbed.SVM, names...); err != nil {
		return nil, err
	}
	f, err := kernels.Fetch(os.Stderr, append(names, cloud(svm.Host61), kernels.Busybox)...)
	if err != nil {
		return nil, err
	}
	p := &plan{files: map[string]string{}}
	fmt.Fprintln(os.Stderr, "building the programs")
	return p, errors.Join(p.programs(ctx, dir), p.guests(dir, f, hosts), p.qemu())
}

// programs builds what runs inside.
func (p *plan) programs(ctx context.Context, dir string) error {
	for inside, pkg := range map[string]string{hypervisor: "gozen/hypervisor", meter: "gozen/benches/svm/meter"} {
		p.files[inside] = filepath.Join(dir, filepath.Base(inside))
		if err := testbed.SVM.Build(ctx, p.files[inside], pkg); err != nil {
			return err
		}
	}
	if err := haveCompiler(ctx); err != nil {
		return err
	}
	for _, inside := range []string{portExitC, opsC, floorC} {
		to, err := compile(ctx, dir, inside)
		if err != nil {
			return err
		}
		p.files[inside] = to
	}
	return nil
}

// haveCompiler finds gcc and the static C library; root gets them installed.
func haveCompiler(ctx context.Context) error {
	const how = "apt-get install --no-install-recommends gcc libc6-dev"
	ready := func() bool {
		if _, err := exec.LookPath("gcc"); err != nil {
			return false
		}
		out, err := exec.CommandContext(ctx, "gcc", "-print-file-name=libc.a").Output()
		return err == nil && filepath.IsAbs(strings.TrimSpace(string(out)))
	}
	if ready() {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("there is no C compiler with a static library; on Debian: sudo %s", how)
	}
	fmt.Fprintln(os.Stderr, how)
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "gcc", "libc6-dev"}} {
		c := exec.CommandContext(ctx, "apt-get", args...)
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := c.CombinedOutput(); err != nil && args[0] == "install" {
			return fmt.Errorf("%s: %w\n%s", how, err, out)
		}
	}
	if !ready() {
		return errors.New("gcc and libc6-dev are installed, but there is no static C library")
	}
	return nil
}

// guests makes kernels and initial RAM disks.
func (p *plan) guests(dir string, f kernels.Files, hosts []string) error {
	box, err := f.Find(kernels.Busybox)
	if err != nil {
		return err
	}
	for _, v := range append([]string{svm.Host61}, hosts...) {
		if p.files[vmlinuz(v)], err = f.Find(cloud(v)); err != nil {
			return err
		}
	}
	elf, err := boot.VMLinux(p.files[vmlinuz(svm.Host61)])
	if err != nil {
		return err
	}
	disk, err := linux.Initramfs(box, greet)
	if err != nil {
		return err
	}
	ops, err := p.opsDisk(box)
	if err != nil {
		return err
	}
	for inside, content := range map[string][]byte{vmlinux: elf, greeter: disk, opsDisk: ops} {
		p.files[inside] = filepath.Join(dir, "guest-"+filepath.Base(inside))
		if err := os.WriteFile(p.files[inside], content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// opsDisk is the initial RAM disk of a guest that runs the operations.
func (p *plan) opsDisk(box string) ([]byte, error) {
	return userland(runOps, box, opsC, p.files[opsC], []string{"sh", "mount", "sleep"}, "/tmp").Bytes()
}

// userland begins an initial RAM disk: an init script, a program, busybox at box with applets, and folders.
func userland(init, box, inside, program string, applets []string, dirs ...string) *initramfs.Archive {
	var a initramfs.Archive
	a.File("/init", 0o755, []byte(init))
	a.HostFile(inside, 0o755, program)
	a.HostFile("/bin/busybox", 0o755, box)
	for _, applet := range applets {
		a.Symlink("/bin/"+applet, "busybox")
	}
	for _, d := range append([]string{"/proc", "/sys", "/dev"}, dirs...) {
		a.Dir(d, 0o755)
	}
	a.Device("/dev/console", 0o600, 5, 1)
	return &a
}

const (
	qemuMicrovm  = "qemu-system-x86_64-microvm"
	qemuPC       = "qemu-system-x86_64"
	qemuFirmware = "/usr/share/qemu"
)

// qemu takes Debian's QEMU for microvm with what it loads.
func (p *plan) qemu() error {
	program, err := exec.LookPath(qemuMicrovm)
	if err != nil {
		return fmt.Errorf("%w (it is in Debian's package qemu-system-x86)", err)
	}
	p.files["/usr/bin/"+qemuMicrovm] = program // it looks for its files relative to this
	for _, f := range []string{"qboot.rom", "bios-microvm.bin", "linuxboot_dma.bin", "pvh.bin"} {
		p.files[qemuFirmware+"/"+f] = filepath.Join(qemuFirmware, f)
	}
	return p.libraries(program)
}

// pc takes Debian's QEMU for PCs with what it loads.
func (p *plan) pc() error {
	program, err := exec.LookPath(qemuPC)
	if err != nil {
		return fmt.Errorf("%w (it is in Debian's package qemu-system-x86)", err)
	}
	p.files["/usr/bin/"+qemuPC] = program
	for _, f := range []string{"/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios.bin"} {
		p.files[filepath.Join(qemuFirmware, filepath.Base(f))] = f
	}
	for _, f := range []string{"linuxboot_dma.bin", "linuxboot.bin", "kvmvapic.bin"} {
		p.files[qemuFirmware+"/"+f] = filepath.Join(qemuFirmware, f)
	}
	return p.libraries(program)
}

// libraries takes the shared libraries of a program.
func (p *plan) libraries(program string) error {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	for l := range strings.Lines(string(out)) {
		for _, w := range strings.Fields(l) {
			if filepath.IsAbs(w) {
				p.files[w] = w
			}
		}
	}
	return nil
}
