package config

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// BootOptions are what a boot loader's arguments mean.
type BootOptions struct {
	Entry           string // the number, title or id of an entry; empty is the disk's choice
	Kernel, Ramdisk string // files in the disk, instead of an entry's
	Args            string // appended to the command line
	Offset          int64  // in bytes, of the file system in the disk; 0 is to look for partitions
}

// BootOptions understands Bootloader and BootloaderArgs: the options of pygrub that choose something. Of one that is given twice the last counts, and --args= counts
// instead of Cmdline, as with libxl, which puts that before.
func (d *Domain) BootOptions() (BootOptions, *Error) {
	o := BootOptions{Args: d.Cmdline}
	switch path.Base(d.Bootloader) {
	case "pygrub", "grub":
	default:
		return o, &Error{Field: "bootloader", What: fmt.Sprintf("bootloader %q cannot be had", d.Bootloader), Why: "programs of the host are not run: the disk is read by the hypervisor itself",
			Fix: `use bootloader="pygrub", or kernel=`}
	}
	for _, a := range d.BootloaderArgs {
		key, value, given := strings.Cut(a, "=")
		refuse := func(why, fix string) (BootOptions, *Error) {
			return o, &Error{Field: "bootloader_args", What: fmt.Sprintf("bootloader argument %q cannot be had", a), Why: why, Fix: fix}
		}
		if !given || strings.IndexByte(value, 0) >= 0 {
			given, value = false, ""
		}
		switch key {
		case "--quiet", "-q", "--debug": // say more or less than pygrub does
			continue
		case "--entry":
			o.Entry = value
		case "--kernel":
			o.Kernel = value
		case "--ramdisk":
			o.Ramdisk = value
		case "--args":
			o.Args = value
		case "--offset":
			n, err := strconv.ParseInt(value, 0, 64)
			if err != nil || n < 0 {
				return refuse("an offset is a number of bytes", "write --offset=1048576")
			}
			o.Offset = n
		default:
			return refuse("it is not known", "use --entry=, --kernel=, --ramdisk=, --args= or --offset=")
		}
		if !given {
			return refuse("it has no value", "write "+key+"=VALUE")
		}
	}
	return o, nil
}

func (d *Domain) checkBootloader() *Error {
	switch {
	case d.Bootloader == "":
		return nil
	case d.Type == HVM || d.Kernel != "":
		return &Error{Field: "bootloader", What: "a bootloader and a kernel, or an HVM domain with a bootloader", Why: "one of them decides what is started", Fix: "remove bootloader="}
	case len(d.Disks) == 0:
		return &Error{Field: "bootloader", What: "cannot run bootloader with no boot disk", Why: "the kernel comes from the domain's first disk", Fix: "add disk=, or use kernel="}
	}
	_, e := d.BootOptions()
	return e
}
