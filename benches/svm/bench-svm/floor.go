package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gozen/benches/boot"
	"gozen/benches/guest/initramfs"
	"gozen/benches/svm"
)

// floor boots the guest's kernel on the bare emulated processor, as QEMU's microvm with nothing beneath it, and notes the instructions from reset to its
// init: for comparison, since most of a boot is the kernel's own work. It holds the firmware's and the probing of that machine's devices, too.
func (p *plan) floor(ctx context.Context, dir string, figures svm.Figures) error {
	fmt.Fprintln(os.Stderr, "the guest's kernel on the bare processor")
	program, err := os.ReadFile(p.files[floorC])
	if err != nil {
		return err
	}
	var a initramfs.Archive
	a.File("/init", 0o755, program)
	a.Dir("/dev", 0o755)
	a.Device("/dev/console", 0o600, 5, 1)
	disk, err := a.Bytes()
	if err != nil {
		return err
	}
	initrd := filepath.Join(dir, "floor.cpio")
	if err := os.WriteFile(initrd, disk, 0o600); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Minute)
	defer stop()
	c := exec.CommandContext(ctx, "qemu-system-x86_64", "-M", "microvm,rtc=on", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max",
		"-m", fmt.Sprint(boot.MemoryMiB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", p.files[vmlinux], "-initrd", initrd, "-append", "console=ttyS0 quiet")
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	defer func() { stop(); _ = c.Wait() }()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var n uint64
		if _, text, ok := strings.Cut(lines.Text(), "instructions: "); ok {
			if _, err := fmt.Sscan(text, &n); err != nil {
				return fmt.Errorf("the bare kernel says %q: %w", lines.Text(), err)
			}
			name := svm.Host61 + "/bare/boot-ms"
			figures[name] = svm.Figure{Name: name, Value: float64(n) / 1e6}
			return nil
		}
	}
	return errors.New("the kernel on the bare processor did not reach its init")
}
