package process

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"gozen/hypervisor/config"
	"gozen/hypervisor/control"
	"gozen/hypervisor/disk"
	"gozen/hypervisor/link"
)

// devices is what is held for a domain; what changes is written into its configuration.
type devices struct {
	*held
	entry *control.Entry
}

var _ control.Devices = devices{}

func (d devices) write() {
	if err := d.entry.Update(d.update); err != nil {
		fmt.Fprintln(os.Stderr, "hypervisor:", err)
	}
}

// KeepDisk implements control.Devices.
func (d devices) KeepDisk(c config.Disk, i disk.Image) { d.keepDisk(c, i); d.write() }

// DropDisk implements control.Devices.
func (d devices) DropDisk(c config.Disk) { d.dropDisk(c); d.write() }

// KeepNIC implements control.Devices.
func (d devices) KeepNIC(n config.NIC, name string, files []*os.File) error {
	if err := d.keepNIC(n, name, files); err != nil {
		return err
	}
	d.write()
	return nil
}

// DropNIC implements control.Devices.
func (d devices) DropNIC(n config.NIC) { d.dropNIC(n); d.write() }

// heldDisk is the image of a disk, or why there is none.
type heldDisk struct {
	cfg   config.Disk
	image disk.Image // nil for an empty drive
	err   error
}

// heldLink is what a network device is on, or why there is nothing.
type heldLink struct {
	cfg config.NIC
	openedLink
}

// openDevices opens what the devices of the configuration are on. An error is told when the device is asked for.
func (h *held) openDevices(cfg *config.Domain) {
	for _, d := range cfg.Disks {
		held := heldDisk{cfg: d}
		if d.Path != "" {
			var f *os.File
			if f, held.err = OpenDisk(d); held.err == nil {
				held.image, held.err = disk.New(f, d.Served(), d.ReadOnly)
			}
		}
		h.disks = append(h.disks, held)
	}
	for _, n := range cfg.NICs {
		l := openLink(n, cfg.VCPUs, cfg.NoSandbox)
		h.links = append(h.links, heldLink{n, l})
		if l.network != nil {
			go l.network.mourn(n.ID)
		}
	}
}

// update gives a configuration the devices that there are now.
func (h *held) update(cfg *config.Domain) {
	h.mu.Lock()
	defer h.mu.Unlock()
	cfg.Disks, cfg.NICs = nil, nil
	for _, d := range h.disks {
		cfg.Disks = append(cfg.Disks, d.cfg)
	}
	for _, l := range h.links {
		cfg.NICs = append(cfg.NICs, l.cfg)
	}
}

// findDisk gives the place of the disk with the number of d, or -1; the caller holds mu.
func (h *held) findDisk(d config.Disk) int {
	number, _ := d.Number()
	return slices.IndexFunc(h.disks, func(o heldDisk) bool { n, _ := o.cfg.Number(); return n == number })
}

// OpenDisk implements control.Devices. The image is on the same file for the whole life of the process: with it goes the lock against other domains.
func (h *held) OpenDisk(d config.Disk) (disk.Image, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.findDisk(d)
	if at < 0 {
		return nil, errors.New("it was not there when the process started")
	}
	return h.disks[at].image, h.disks[at].err
}

func (h *held) keepDisk(d config.Disk, i disk.Image) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.findDisk(d)
	if at < 0 {
		h.disks = append(h.disks, heldDisk{cfg: d, image: i})
		return
	}
	h.disks[at].close()
	h.disks[at] = heldDisk{cfg: d, image: i}
}

func (h *held) dropDisk(d config.Disk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := h.findDisk(d); at >= 0 {
		h.disks[at].close()
		h.disks = slices.Delete(h.disks, at, at+1)
	}
}

func (d *heldDisk) close() {
	if d.image != nil {
		_ = d.image.Close()
	}
}

// OpenNIC implements control.Devices.
func (h *held) OpenNIC(n config.NIC) (name string, files []*os.File, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := slices.IndexFunc(h.links, func(l heldLink) bool { return l.cfg.ID == n.ID })
	if at < 0 {
		return "", nil, errors.New("it was not there when the process started")
	}
	l := h.links[at]
	if l.err != nil {
		return "", nil, l.err
	}
	files, err = duplicateAll(l.files)
	return l.name, files, err
}

func duplicateAll(files []*os.File) (out []*os.File, err error) {
	for _, f := range files {
		fd, err := duplicate(f)
		if err != nil {
			link.CloseAll(out)
			return nil, err
		}
		out = append(out, os.NewFile(uintptr(fd), f.Name()))
	}
	return out, nil
}

func (h *held) keepNIC(n config.NIC, name string, files []*os.File) error {
	own, err := duplicateAll(files)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.links = append(h.links, heldLink{n, openedLink{name: name, files: own}})
	return nil
}

func (h *held) dropNIC(n config.NIC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := slices.IndexFunc(h.links, func(l heldLink) bool { return l.cfg.ID == n.ID }); at >= 0 {
		link.CloseAll(h.links[at].files)
		h.links = slices.Delete(h.links, at, at+1)
	}
}

// close gives everything back.
func (h *held) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.disks {
		h.disks[i].close()
	}
	for _, l := range h.links {
		link.CloseAll(l.files)
	}
	h.disks, h.links = nil, nil
}
