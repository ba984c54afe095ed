package build

import (
	"time"

	"gozen/hypervisor/disk"
)

// sizeTime is how soon a guest is told that the file or device of a disk has another size.
const sizeTime = time.Second

// watchSizes has somebody tell the guest of disks that grow or shrink, until the domain ends.
func (m *Machine) watchSizes() {
	if !m.cfg.Deterministic {
		m.sizes.Do(func() { go m.tellSizes() })
	}
}

func (m *Machine) tellSizes() {
	t := time.NewTicker(sizeTime)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			m.refreshSizes()
		case <-m.done:
			return
		}
	}
}

func (m *Machine) refreshSizes() {
	m.devices.Lock()
	defer m.devices.Unlock()
	for _, d := range m.disks {
		r, ok := d.image.(*disk.Raw)
		if !ok || d.dev == nil || d.tray != nil {
			continue
		}
		switch changed, err := r.Refresh(); {
		case err != nil, !changed: // of a file that cannot be asked, requests tell
		default:
			m.opts.Log.Logf("d%d: disk %s has %d bytes now", m.dom.ID, d.cfg.Vdev, r.Size())
			if err := d.dev.Change(d.work.Nodes()); err != nil {
				m.opts.Log.Logf("d%d: disk %s: %v", m.dom.ID, d.cfg.Vdev, err)
			}
		}
	}
}
