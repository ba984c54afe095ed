package build

import (
	"fmt"
	"os"
	"syscall"

	"gozen/hypervisor/image"
)

// open opens one of the configuration's files, in the way of the process around it if that has one (a sandbox holds files open).
func (m *Machine) open(what, path string) (*os.File, error) {
	open := m.opts.Open
	if open == nil {
		open = openFile
	}
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w; check the path in %s=", what, err, what)
	}
	return f, nil
}

// openFile opens a file for reading; a pipe without a writer must not hang the build.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// images opens the kernel and the RAM disk (nil if there is none). done closes them.
func (m *Machine) images() (k *image.Kernel, i *image.Initrd, done func(), err error) {
	if k, err = m.kernel(); err != nil {
		return nil, nil, nil, err
	}
	i, closeInitrd, err := m.initrd()
	if err != nil {
		_ = k.Close()
		return nil, nil, nil, err
	}
	return k, i, func() { closeInitrd(); _ = k.Close() }, nil
}

// initrd opens the RAM disk, nil if there is none. done closes it.
func (m *Machine) initrd() (i *image.Initrd, done func(), err error) {
	if m.entry != nil {
		if r, size := m.entry.Initrd(); r != nil {
			i = &image.Initrd{Name: m.entry.Initrds[0].Path, R: r, Size: size}
		}
		return i, func() {}, nil
	}
	if m.cfg.Ramdisk == "" {
		return nil, func() {}, nil
	}
	f, err := m.open("ramdisk", m.cfg.Ramdisk)
	if err != nil {
		return nil, nil, err
	}
	if i, err = image.NewInitrd(f); err != nil {
		f.Close()
		return nil, nil, err
	}
	return i, func() { f.Close() }, nil
}
