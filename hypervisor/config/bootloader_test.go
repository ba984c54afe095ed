package config

import (
	"strings"
	"testing"
)

func TestBootOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		args string
		want BootOptions
		err  string
	}{
		{"pygrub", "", BootOptions{Args: "ro"}, ""},
		{"grub", "--entry=2", BootOptions{Entry: "2", Args: "ro"}, ""},
		{"/usr/lib/xen/bin/pygrub", "--kernel=/k|--ramdisk=/r|--args=a=b c|--offset=0x200|-q", BootOptions{Kernel: "/k", Ramdisk: "/r", Args: "a=b c", Offset: 512}, ""},
		{"pygrub", "--entry=1|--entry=a>b", BootOptions{Entry: "a>b", Args: "ro"}, ""},
		{"pvgrub64", "", BootOptions{}, "programs of the host are not run: the disk is read by the hypervisor itself"},
		{"pygrub", "--runas=x", BootOptions{}, "it is not known"},
		{"pygrub", "--entry", BootOptions{}, "it has no value"},
		{"pygrub", "--offset=-1", BootOptions{}, "an offset is a number of bytes"},
	} {
		d := good()
		d.Kernel, d.Cmdline, d.Bootloader, d.Disks = "", "ro", tt.name, []Disk{{Path: "/d", Vdev: "xvda"}}
		if tt.args != "" {
			d.BootloaderArgs = strings.Split(tt.args, "|")
		}
		o, e := d.BootOptions()
		valid := d.Validate()
		switch {
		case tt.err == "" && (e != nil || o != tt.want || valid != nil):
			t.Errorf("%s %s: %+v %v %v", tt.name, tt.args, o, e, valid)
		case tt.err != "" && (e == nil || e.Why != tt.err || e.Fix == "" || valid == nil):
			t.Errorf("%s %s: %v, want %s", tt.name, tt.args, e, tt.err)
		}
	}
}

func TestValidate_bootloader(t *testing.T) {
	for what, change := range map[string]func(d *Domain){
		"cannot run bootloader with no boot disk": func(d *Domain) { d.Kernel, d.Disks = "", nil },
		"a bootloader and a kernel":               func(*Domain) {},
		"an HVM domain with a bootloader":         func(d *Domain) { d.Type = HVM },
	} {
		d := good()
		d.Bootloader, d.Disks = "pygrub", []Disk{{Path: "/d", Vdev: "xvda"}}
		change(&d)
		if err := d.Validate(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want %s", err, what)
		}
	}
}
