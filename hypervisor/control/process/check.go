package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"gozen/hypervisor/config"
)

// checkHost refuses early what this host cannot give: files that cannot be read, more memory than there is.
func checkHost(d *config.Domain) error {
	var errs []error
	for _, f := range []struct{ field, path string }{{"kernel", d.Kernel}, {"ramdisk", d.Ramdisk}} {
		if f.path != "" {
			errs = append(errs, checkFile(f.field, f.path))
		}
	}
	for i := range d.Disks {
		if d.Disks[i].Path != "" {
			errs = append(errs, checkDisk(&d.Disks[i]))
		}
	}
	if b := d.BIOS(); b != "" {
		errs = append(errs, checkBIOS(b))
	}
	if total := memTotalMiB(); total > 0 && d.MemoryMiB > total {
		errs = append(errs, &config.Error{Field: "memory", What: fmt.Sprintf("can't allocate %d MiB of memory for domain %q", d.MemoryMiB, d.Name),
			Why: fmt.Sprintf("this host has %d MiB in all", total), Fix: "give a smaller number; memory counts MiB"})
	}
	if free := memFreeMiB(); d.MemoryPrealloc && d.MemoryBacking != config.BackingHuge && free > 0 && d.MemoryMiB > free {
		errs = append(errs, &config.Error{Field: "memory_prealloc", What: fmt.Sprintf("can't allocate %d MiB of memory for domain %q", d.MemoryMiB, d.Name),
			Why: fmt.Sprintf("this host has %d MiB left", free), Fix: "give the domain less memory, free some of the host's, or leave memory_prealloc out"})
	}
	return errors.Join(errs...)
}

func checkFile(field, path string) error {
	refuse := func(why, fix string) error {
		return &config.Error{Field: field, What: fmt.Sprintf("%s %q cannot be read", field, path), Why: why, Fix: fix}
	}
	// Not by opening it: opening a named pipe would wait for its writer.
	st, err := os.Stat(path)
	switch {
	case err != nil:
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return refuse(err.Error(), "give the path of a file that exists")
	case !st.Mode().IsRegular():
		return refuse("it is not a regular file", "give the path of a "+field+" file")
	case st.Size() == 0:
		return refuse("the file is empty", "give the path of a "+field+" file")
	}
	f, err := os.Open(path)
	if err != nil {
		return refuse(err.(*os.PathError).Err.Error(), "check the permissions of the file")
	}
	return f.Close()
}

// checkDisk also asks for the right to write.
func checkDisk(k *config.Disk) error {
	if st, err := os.Stat(k.Path); err != nil || st.Mode().Type() != os.ModeDevice { // a block device is of any size
		if err := checkFile("disk", k.Path); err != nil {
			return err
		}
	}
	if k.ReadOnly {
		return nil
	}
	f, err := os.OpenFile(k.Path, os.O_RDWR, 0)
	if err != nil {
		return &config.Error{Field: "disk", What: fmt.Sprintf("disk %q cannot be written to", k.Path), Why: err.(*os.PathError).Err.Error(),
			Fix: "check the permissions of the file, or make the disk read-only (ro)"}
	}
	return f.Close()
}

// checkBIOS says how to get the firmware where it is missing.
func checkBIOS(path string) error {
	err := checkFile("bios_path_override", path)
	var e *config.Error
	if errors.As(err, &e) && path == config.DefaultFirmware {
		e.Field, e.What = "type", "an HVM domain without kernel= starts with SeaBIOS, which is not there"
		e.Why = path + ": " + e.Why
		e.Fix = "install Debian's package seabios, name another copy with bios_path_override=, or give the domain a kernel="
	}
	return err
}

func memTotalMiB() uint64 { return meminfoMiB("MemTotal:") }

// memFreeMiB is what the host could give without swapping.
func memFreeMiB() uint64 { return meminfoMiB("MemAvailable:") }

func meminfoMiB(key string) uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for _, l := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(l, key); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(v, "kB")), 10, 64)
			return n >> 10
		}
	}
	return 0
}
