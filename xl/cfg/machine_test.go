package cfg

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gozen/hypervisor/config"
)

func TestDomain_machine(t *testing.T) {
	for _, c := range []struct {
		text string
		want func(*config.Domain)
		err  string
	}{
		{"", func(*config.Domain) {}, ""},
		{"serial='pty'", func(d *config.Domain) { d.Serial = true }, ""},
		{"serial=['pty']", func(d *config.Domain) { d.Serial = true }, ""},
		{"serial=['none']", func(*config.Domain) {}, ""},
		{"serial='tcp::4444'", nil, "only a pseudo-terminal"},
		{"serial=['pty','pty']", nil, "one serial port"},
		{"xen_platform_pci=0\nhpet=0", func(d *config.Domain) { d.NoPlatformPCI, d.NoHPET = true, true }, ""},
		{"bios='ovmf'", nil, "SeaBIOS"},
		{"bios='seabios'\nbios_path_override='/b'", func(d *config.Domain) { d.Firmware = "/b" }, ""},
		{"disk='a'", nil, "should be a list"},
		{"disk=['/a,raw,hda,rw','/b,,xvdb,r']", func(d *config.Domain) {
			d.Disks = []config.Disk{{Path: "/a", Vdev: "hda"}, {Path: "/b", Vdev: "xvdb", ReadOnly: true}}
		}, ""},
		{"disk=['vdev=hdc, access=ro, format=raw, target=/a,b']", func(d *config.Domain) {
			d.Disks = []config.Disk{{Path: "/a,b", Vdev: "hdc", ReadOnly: true}}
		}, ""},
		{"disk=['file:/a,hda,w']", func(d *config.Domain) { d.Disks = []config.Disk{{Path: "/a", Vdev: "hda"}} }, ""},
		{"disk=['/a,qcow2,hda']", func(d *config.Domain) { d.Disks = []config.Disk{{Path: "/a", Format: config.FormatQcow2, Vdev: "hda"}} }, ""},
		{"type='hvm'\ndisk=['devtype=cdrom,vdev=hdc']", func(d *config.Domain) {
			d.Disks = []config.Disk{{Vdev: "hdc", ReadOnly: true, CDROM: true}}
		}, ""},
		{"disk=['/a,vmdk,hda']", nil, "use raw, qcow2"},
		{"disk=['/a,raw,hdc:cdrom,r']", func(d *config.Domain) {
			d.Disks = []config.Disk{{Path: "/a", Vdev: "hdc", ReadOnly: true, CDROM: true}}
		}, ""},
		{"disk=['format=raw,vdev=hdc,access=rw,devtype=cdrom,target=/a']\nboot='d'", func(d *config.Domain) {
			d.Disks, d.Boot = []config.Disk{{Path: "/a", Vdev: "hdc", ReadOnly: true, CDROM: true}}, "d"
		}, ""},
		{"boot='n'", nil, "cannot be had"},
		{"disk=['/a,raw,hda,w,x']", nil, "one parameter too many"},
		{"disk=['/a,raw,hda,z']", nil, "access"},
		{"disk=['/a,raw,hda,w,frob=1']", nil, "unknown parameter"},
		{"disk=['/a,raw,sdz,w']", nil, "not the name of a disk"},
		{"disk=['/a,raw,hda,w','/b,raw,xvda,w']", nil, "one place"},
		{"disk=['vdev=hda']", nil, "no file"},
	} {
		conf, err := Parse("F", []byte("name='n'\ntype='hvm'\nuuid='00000000-0000-0000-0000-000000000001'\nmemory=64\n"+c.text))
		if err != nil {
			t.Fatal(err)
		}
		res, err := conf.Domain()
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", c.text, err, c.err)
			}
			continue
		}
		want := config.Domain{Name: "n", Type: config.HVM, UUID: "00000000-0000-0000-0000-000000000001", MemoryMiB: 64}
		c.want(&want)
		want.Complete()
		if d := cmp.Diff(want, res.Domain); err != nil || d != "" || len(res.Warnings) != 0 {
			t.Errorf("%q: %v %v %s", c.text, err, res.Warnings, d)
		}
	}
}

func TestDomain_machineOfOthers(t *testing.T) {
	conf, err := Parse("F", []byte("name='n'\ntype='pvh'\nkernel='/k'\nmemory=64\nserial='pty'\ndisk=['/a,raw,hda,w']\nhpet=0"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := conf.Domain()
	if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "ignored: serial (line 5)") || len(res.Domain.Disks) != 1 {
		t.Errorf("%v %q", err, res.Warnings)
	}
}
