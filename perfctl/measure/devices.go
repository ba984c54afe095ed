package measure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gozen/benches/guest/modules"
	"gozen/benches/guest/vehicle"
	"gozen/hypervisor/config"
	"gozen/hypervisor/image"
)

// devices are what the Linux guests of a suite have beside a console: a disk, which is a file, and a network. They are there until the suite ends.
type devices struct {
	missing map[vehicle.Need]error // why there is none
	image   string
	net     *network
	modules *modules.Dir
	broken  map[string]error // modules that cannot be had, by mode and device
}

// openDevices makes what the suite's workloads need.
func (s *Suite) openDevices() *devices {
	d := &devices{missing: map[vehicle.Need]error{}, broken: map[string]error{}}
	var all []string
	for _, i := range s.Items {
		all = append(all, i.Name)
	}
	needs := s.needs(all)
	if len(needs) == 0 {
		return d
	}
	var err error
	if d.modules, err = openModules(s.Kernel, s.Modules); err != nil {
		for _, n := range needs {
			d.missing[n] = err
		}
		return d
	}
	if slices.Contains(needs, vehicle.Disk) {
		d.image = filepath.Join(s.dir, "disk")
		d.missing[vehicle.Disk] = makeImage(d.image)
	}
	switch {
	case !slices.Contains(needs, vehicle.Net):
	case s.Deterministic:
		d.missing[vehicle.Net] = errors.New("a network cannot be deterministic: its other end is the host")
	default:
		d.net, d.missing[vehicle.Net] = openNetwork()
	}
	return d
}

func (d *devices) close() {
	if d.net != nil {
		d.net.close()
	}
}

// lack says why a device cannot be had in a mode; nil if it can.
func (d *devices) lack(mode string, need vehicle.Need) error {
	if need == vehicle.Nothing {
		return nil
	}
	if err := d.missing[need]; err != nil {
		return err
	}
	key := mode + " " + string(need)
	if _, tried := d.broken[key]; !tried {
		_, d.broken[key] = d.load(mode, []vehicle.Need{need})
	}
	return d.broken[key]
}

// drivers gives the modules that a device needs in a mode.
func drivers(mode string, need vehicle.Need) []string {
	switch {
	case need == vehicle.Net:
		return []string{"xen-netfront"}
	case mode == ModeIDE:
		return []string{"ata_piix", "sd_mod"}
	}
	return []string{"xen-blkfront"}
}

// load gives the modules that devices need in a mode, in their order.
func (d *devices) load(mode string, needs []vehicle.Need) ([]modules.Module, error) {
	var names []string
	for _, n := range needs {
		names = append(names, drivers(mode, n)...)
	}
	if len(names) == 0 {
		return nil, nil
	}
	mods, err := d.modules.Load(names...)
	if err != nil {
		return nil, fmt.Errorf("drivers of the guest's kernel: %w (--modules names the folder)", err)
	}
	return mods, nil
}

// attach gives a domain devices, and tells its program of them.
func (d *devices) attach(c *config.Domain, s *vehicle.Spec, needs []vehicle.Need) (within func(func()), err error) {
	if slices.Contains(needs, vehicle.Disk) {
		c.Disks = []config.Disk{{Path: d.image, Vdev: "xvda"}} // xvda of an HVM domain is at its IDE controller as well
		s.Disk = "xvda"
		if s.Mode == ModeIDE {
			c.NoPlatformPCI, s.Disk = true, "sda"
		}
	}
	if slices.Contains(needs, vehicle.Net) {
		c.NICs = []config.NIC{d.net.nic}
		s.Address, s.Peer, within = d.net.guest, d.net.peer, d.net.within
	}
	return within, nil
}

// imageSize is that of a disk, in bytes: larger than what any cache of a processor holds.
const imageSize = 64 << 20

// makeImage makes the file of a disk, whose blocks have their numbers in them. It has no holes: reading them is another thing, and a file system that is full
// is noticed here.
func makeImage(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("disk for the guest: %w", err)
	}
	b := make([]byte, 1<<20)
	for at := int64(0); at < imageSize && err == nil; at += int64(len(b)) {
		vehicle.Stamp(b, at/vehicle.BlockSize)
		_, err = f.Write(b)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path)
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			err = fmt.Errorf("no room for its %d MiB; TMPDIR can name a folder that has it: %w", imageSize>>20, err)
		}
		return fmt.Errorf("disk for the guest: %w", err)
	}
	return nil
}

// openModules finds the folder with a kernel's modules: the one that was named, "modules" beside the kernel, or the system's for a kernel of that version.
func openModules(kernel, named string) (*modules.Dir, error) {
	if named != "" {
		return modules.Open(named)
	}
	beside := filepath.Join(filepath.Dir(kernel), "modules")
	if st, err := os.Stat(beside); err == nil && st.IsDir() {
		return modules.Open(beside)
	}
	k, err := image.OpenFile(kernel)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	release, _, _ := strings.Cut(k.Version, " ")
	if release == "" {
		return nil, fmt.Errorf("%s does not tell its version: --modules names the folder with its modules", kernel)
	}
	dir := filepath.Join("/lib/modules", release)
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("no modules of the guest's kernel in %s, nor in %s: --modules names the folder", beside, dir)
	}
	return modules.Open(dir)
}
