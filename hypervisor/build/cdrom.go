package build

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/disk"
)

// tray is what the PV device of a CD-ROM drive works on: the medium in the drive, or nothing. It implements block.Image.
type tray struct {
	mu     sync.RWMutex // held for reading while the medium is used
	medium disk.Image   // nil: empty
}

var errEmpty = errors.New("the drive is empty")

// Size is 0 of an empty drive.
func (t *tray) Size() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.medium == nil {
		return 0
	}
	return t.medium.Size()
}

// ReadOnly is true: what is in a drive is read.
func (t *tray) ReadOnly() bool { return true }

// ReadVec reads from the medium.
func (t *tray) ReadVec(p [][]byte, off int64) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.medium == nil {
		return errEmpty
	}
	return t.medium.ReadVec(p, off)
}

// WriteVec refuses.
func (t *tray) WriteVec([][]byte, int64) error { return os.ErrPermission }

// Sync has nothing to do.
func (t *tray) Sync() error { return nil }

// change puts another medium in. Nobody uses the one that was there any more.
func (t *tray) change(i disk.Image) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.medium = i
}

// ChangeCD implements control.Disks.
func (m *Machine) ChangeCD(c config.Disk, f *os.File, force bool) error {
	var i disk.Image
	if f != nil {
		var err error
		if i, err = disk.New(f, c.Served(), true); err != nil {
			return c.Refused(err)
		}
	}
	err := m.changeCD(c, i, force)
	if err != nil && i != nil {
		_ = i.Close()
	}
	return err
}

func (m *Machine) changeCD(c config.Disk, i disk.Image, force bool) error {
	if m.cfg.Deterministic {
		return &config.Error{Field: "disk", What: "a deterministic domain keeps its CD-ROM", Why: "when another one comes would not be the same in another run", Fix: "name it in the configuration"}
	}
	number, _ := c.Number()
	d, ok := find(m, &m.disks, func(d *guestDisk) bool { n, _ := d.cfg.Number(); return n == number })
	if !ok || d.tray == nil || m.pc == nil {
		return &config.Error{Field: "disk", What: fmt.Sprintf("the domain has no CD-ROM drive %s whose medium can be changed", c.Vdev), Why: "such a drive is one of hda to hdd of an HVM domain, with devtype=cdrom",
			Fix: "give the domain one in its configuration; it may be empty: disk = [ \"devtype=cdrom,vdev=hdc\" ]"}
	}
	m.devices.Lock()
	defer m.devices.Unlock()
	if !m.pc.ChangeCD(d.cfg.Slot(), i, force) {
		return control.ErrBusy
	}
	d.tray.change(i)
	d.image, d.cfg.Path, d.cfg.Format = i, c.Path, c.Format
	m.opts.Devices.KeepDisk(d.cfg, i)
	nodes := d.work.Nodes()
	nodes["params"] = c.Path
	return d.dev.Change(nodes)
}
