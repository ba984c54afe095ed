package testbed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Files in Debian's packages, by patterns.
const (
	bochsX    = "/usr/lib/*/bochs/plugins/libbx_x_gui.so"
	bochsBIOS = "/usr/share/bochs/BIOS-bochs-latest"
	bochsVGA  = "/usr/share/bochs/VGABIOS-lgpl-latest"
	bochsLog  = "bochs.log" // in the folder of the run
	grubPC    = "/usr/lib/grub/i386-pc/moddep.lst"
)

// bochsSettings is the configuration. Time goes with instructions (sync=none), 50 million a second: with fewer the host kernel is busy with its own
// ticks, with more its waits take long. What Bochs calls a panic ends it.
const bochsSettings = `plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=0, serial=1
config_interface: textconfig
display_library: x
cpu: model=corei7_skylake_x, count=1, ips=50000000, reset_on_triple_fault=0
clock: sync=none, time0=utc
memory: guest=MEMORY, host=MEMORY
romimage: file=` + bochsBIOS + `
vgaromimage: file=` + bochsVGA + `
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=console
com2: enabled=1, mode=file, dev=stream
mouse: enabled=0
log: ` + bochsLog + `
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
`

const grubMenu = `set timeout=0
terminal_output console
menuentry host {
	linux /vmlinuz PARAMS
	initrd /initrd
}
`

// bochs makes the files that Bochs needs in the folder of the run and gives its command line.
func (s Spec) bochs(ctx context.Context, i image) ([]string, error) {
	disc := filepath.Join(i.dir, "disc")
	defer os.RemoveAll(disc)
	if err := os.MkdirAll(filepath.Join(disc, "boot", "grub"), 0o755); err != nil {
		return nil, err
	}
	for _, f := range [][2]string{
		{filepath.Join(disc, "boot", "grub", "grub.cfg"), strings.ReplaceAll(grubMenu, "PARAMS", i.params)},
		{filepath.Join(i.dir, "bochsrc"), strings.ReplaceAll(bochsSettings, "MEMORY", fmt.Sprint(s.MemMiB))},
		{filepath.Join(i.dir, "debugger"), "c\n"}, // Debian's Bochs starts in its debugger: continue
	} {
		if err := os.WriteFile(f[0], []byte(f[1]), 0o644); err != nil {
			return nil, err
		}
	}
	for name, from := range map[string]string{"vmlinuz": i.kernel, "initrd": i.initrd} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(disc, name), content, 0o644)
		}
		if err != nil {
			return nil, err
		}
	}
	c := exec.CommandContext(ctx, "grub-mkrescue", "-d", filepath.Dir(grubPC), "-o", filepath.Join(i.dir, "disc.iso"), disc)
	if out, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("grub-mkrescue: %w\n%s", err, out)
	}
	return []string{"bochs-bin", "-q", "-f", "bochsrc", "-rc", "debugger"}, nil
}

// startDisplay starts an X server without a screen, that nothing but Bochs knows, and gives its name.
func startDisplay(ctx context.Context, dir string, log *os.File) (*emulator, string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	e, err := startProcess([]string{"Xvfb", "-displayfd", "3", "-nolisten", "tcp", "-screen", "0", "1024x768x24"}, dir, log, nil, w)
	w.Close()
	if err != nil {
		return nil, "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = e.process.Signal(syscall.SIGKILL) })
	defer stop()
	_ = r.SetReadDeadline(time.Now().Add(2 * time.Minute))
	var n int
	if _, err := fmt.Fscan(r, &n); err != nil {
		e.kill()
		return nil, "", fmt.Errorf("the X server Xvfb does not start: %w", err)
	}
	return e, fmt.Sprintf(":%d", n), nil
}
