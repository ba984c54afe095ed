package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"gozen/hypervisor/backend"
	"gozen/hypervisor/backend/block"
	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/disk"
	"gozen/hypervisor/hvm/ide"
)

var _ control.Disks = (*Machine)(nil)

// A guestDisk is one disk of the domain: the image, and the PV device that the guest sees it by.
type guestDisk struct {
	cfg   config.Disk
	image disk.Image // nil in an empty drive
	tray  *tray      // of a CD-ROM drive whose medium can be changed
	work  *block.Disk
	dev   *backend.Device
}

// openDisks opens the disk images.
func (m *Machine) openDisks() error {
	for _, c := range m.cfg.Disks {
		d, err := m.openDisk(c)
		if err != nil {
			return err
		}
		m.disks = append(m.disks, d)
	}
	return nil
}

func (m *Machine) openDisk(c config.Disk) (*guestDisk, error) {
	if c.Path == "" {
		return &guestDisk{cfg: c, tray: &tray{}}, nil
	}
	if m.opts.Devices == nil {
		return nil, c.Refused(errors.New("nothing opens images here"))
	}
	i, err := m.opts.Devices.OpenDisk(c)
	if err != nil {
		return nil, c.Refused(err)
	}
	d := &guestDisk{cfg: c, image: i}
	if c.CDROM && m.cfg.Type == config.HVM && c.Slot() >= 0 {
		d.tray = &tray{medium: i}
	}
	return d, nil
}

// ideDisks gives the disks that an HVM domain has at its IDE controller.
func (m *Machine) ideDisks() (places [4]ide.Disk, cds [4]bool) {
	for _, d := range m.disks {
		if n := d.cfg.Slot(); n >= 0 {
			places[n], cds[n] = d.image, d.cfg.CDROM
		}
	}
	return places, cds
}

// maxDiskQueues bounds the rings of a disk: one for each vCPU up to so many.
const maxDiskQueues = 4

// offer puts a disk into xenstore, for the guest to take up.
func (m *Machine) offer(d *guestDisk) error {
	number, _ := d.cfg.Number()
	image := block.Image(d.image)
	switch {
	case d.tray != nil:
		image = d.tray
	case d.cfg.NoDiscard:
		image = keepAll(d.image)
	}
	d.work = block.New(block.Config{Grants: m.dom.Grants, Events: m.dom.Events, Image: image, Queues: min(m.vcpus(), maxDiskQueues), CDROM: d.cfg.CDROM,
		Broken: func(err error) { d.dev.Fail(err) }, Wake: m.pollWake()})
	mode, kind := "w", "disk"
	if d.cfg.ReadOnly {
		mode = "r"
	}
	if d.cfg.CDROM {
		kind = "cdrom"
	}
	removable := strconv.Itoa(map[bool]int{true: 1}[d.cfg.CDROM])
	var err error
	d.dev, err = backend.NewDevice(backend.DeviceConfig{Store: m.store, Domain: m.dom.ID, Kind: "vbd", ID: number, Driver: d.work,
		Back:  map[string]string{"removable": removable, "bootable": "1", "dev": d.cfg.Vdev, "type": "phy", "mode": mode, "device-type": kind, "params": d.cfg.Path, "hotplug-status": "connected"},
		Front: map[string]string{"virtual-device": strconv.Itoa(number), "device-type": kind},
		Log:   func(line string) { m.opts.Log.Logf("%s", line) }, Wake: m.pollWake()})
	return err
}

// keepAll gives an image that cannot forget sectors.
func keepAll(i disk.Image) block.Image {
	if p, ok := i.(block.Prompt); ok {
		return struct {
			block.Image
			block.Prompt
		}{i, p}
	}
	return struct{ block.Image }{i}
}

// offerDisks puts all disks into xenstore.
func (m *Machine) offerDisks() error {
	for _, d := range m.disks {
		if err := m.offer(d); err != nil {
			return err
		}
		if m.cfg.Deterministic {
			m.sched.Devices = append(m.sched.Devices, d.dev.Poll, d.work.Poll)
		}
	}
	return nil
}

// AttachDisk implements control.Disks.
func (m *Machine) AttachDisk(c config.Disk, f *os.File) error {
	if m.cfg.Deterministic {
		f.Close()
		return &config.Error{Field: "disk", What: "a deterministic domain gets no disk while it runs", Why: "when it comes would not be the same in another run", Fix: "name it in the configuration"}
	}
	i, err := disk.New(f, c.Served(), c.ReadOnly)
	if err != nil {
		return c.Refused(err)
	}
	m.devices.Lock()
	defer m.devices.Unlock()
	number, _ := c.Number()
	for _, d := range m.disks {
		if n, _ := d.cfg.Number(); n == number {
			i.Close()
			return &config.Error{Field: "disk", What: fmt.Sprintf("the domain has a disk %s already", d.cfg.Vdev), Fix: "give the new one another vdev, or detach that one first: xl block-detach"}
		}
	}
	d := &guestDisk{cfg: c, image: i}
	if err := m.offer(d); err != nil {
		i.Close()
		return err
	}
	m.disks = append(m.disks, d)
	m.opts.Devices.KeepDisk(c, i)
	m.watchSizes()
	return nil
}

// DetachDisk implements control.Disks.
func (m *Machine) DetachDisk(ctx context.Context, number int, force bool) error {
	d, ok := find(m, &m.disks, func(d *guestDisk) bool { n, _ := d.cfg.Number(); return n == number })
	if !ok {
		return &config.Error{Field: "disk", What: fmt.Sprintf("the domain has no disk with the number %d", number), Fix: "xl block-list names those it has"}
	}
	if m.pc != nil && d.cfg.Slot() >= 0 {
		return &config.Error{Field: "disk", What: fmt.Sprintf("disk %s stays", d.cfg.Vdev), Why: "it is an IDE disk as well, and those cannot be pulled out", Fix: "name disks that shall go xvde or higher"}
	}
	return detach(ctx, m, &m.disks, d, force)
}

func (d *guestDisk) shown() *backend.Device { return d.dev }

func (d *guestDisk) close() {
	if d.dev != nil {
		d.dev.Close()
	}
}

func (d *guestDisk) drop(k control.Devices) { k.DropDisk(d.cfg) }
