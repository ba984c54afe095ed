package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gozen/benches/guest/hello"
	"gozen/benches/guest/linux"
	"gozen/ci/kernels"
)

// name is the demo's domain.
const name = "demo"

// guest is what the demo boots.
type guest struct {
	what string
	cfg  string // path of the configuration
}

// greeted is a text that every guest prints after its greeting.
const greeted = "waiting for: xl shutdown"

// prepare writes the guest's files into dir.
func prepare(dir, engine string, builtin bool) (guest, error) {
	if builtin {
		return small(dir, engine)
	}
	f, err := kernels.Fetch(os.Stderr, "6.1-cloud", kernels.Busybox)
	if errors.Is(err, kernels.ErrNoPackages) {
		fmt.Fprintf(os.Stderr, "demo: no Debian kernel (%v): booting the small built-in guest instead\n", err)
		return small(dir, engine)
	}
	if err != nil {
		return guest{}, err
	}
	kernel, err := f.Find("6.1-cloud")
	if err != nil {
		return guest{}, err
	}
	busybox, err := f.Find(kernels.Busybox)
	if err != nil {
		return guest{}, err
	}
	disk, err := linux.Initramfs(busybox, linux.Greeter)
	if err != nil {
		return guest{}, err
	}
	ramdisk := filepath.Join(dir, "initramfs.cpio")
	if err := os.WriteFile(ramdisk, disk, 0o600); err != nil {
		return guest{}, err
	}
	what := "a stock Debian kernel"
	if p := f.Package("6.1-cloud"); p != "" {
		what += " (" + p + ")"
	}
	return write(dir, what, engine, fmt.Sprintf("kernel = %q\nramdisk = %q\ncmdline = \"console=hvc0\"\nmemory = 512\n", kernel, ramdisk))
}

// small is the guest that needs nothing from outside.
func small(dir, engine string) (guest, error) {
	img, err := hello.Image()
	if err != nil {
		return guest{}, err
	}
	kernel := filepath.Join(dir, "hello.elf")
	if err := os.WriteFile(kernel, img, 0o600); err != nil {
		return guest{}, err
	}
	return write(dir, "the small built-in guest", engine, fmt.Sprintf("kernel = %q\nmemory = 64\n", kernel))
}

func write(dir, what, engine, text string) (guest, error) {
	g := guest{what: what, cfg: filepath.Join(dir, "demo.cfg")}
	text = fmt.Sprintf("name = %q\ntype = \"pvh\"\nvcpus = 1\nengine = %q\n%s", name, engine, text)
	return g, os.WriteFile(g.cfg, []byte(text), 0o600)
}
