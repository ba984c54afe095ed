package cfg

import (
	"strings"
	"testing"

	"gozen/hypervisor/config"
)

func TestParseDisk(t *testing.T) {
	tests := []struct {
		spec string
		want config.Disk
		err  string
	}{
		{spec: "/dev/vg/guest,raw,xvda,rw", want: config.Disk{Path: "/dev/vg/guest", Vdev: "xvda"}},
		{spec: "/dev/vg/guest,,hda", want: config.Disk{Path: "/dev/vg/guest", Vdev: "hda"}},
		{spec: "/a,raw,xvdb,ro", want: config.Disk{Path: "/a", Vdev: "xvdb", ReadOnly: true}},
		{spec: " /a , raw , xvdb , r ", want: config.Disk{Path: "/a", Vdev: "xvdb", ReadOnly: true}},
		{spec: "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/i,so: x.iso", want: config.Disk{Path: "/i,so: x.iso", Vdev: "hdc", ReadOnly: true, CDROM: true}},
		{spec: "cdrom,/a,raw,hdc,w", want: config.Disk{Path: "/a", Vdev: "hdc", ReadOnly: true, CDROM: true}},
		{spec: "vdev=xvda,/a", want: config.Disk{Path: "/a", Vdev: "xvda"}},
		{spec: "/a,vdev=xvda,raw,w", want: config.Disk{Path: "/a", Vdev: "xvda"}},
		{spec: "/a,raw,xvda,w,direct-io-safe,no-discard,backendtype=qdisk", want: config.Disk{Path: "/a", Vdev: "xvda", NoDiscard: true}},
		{spec: "phy:/dev/x,xvda,w", want: config.Disk{Path: "/dev/x", Vdev: "xvda"}},
		{spec: "phy:vg/x,xvda,w", want: config.Disk{Path: "/dev/vg/x", Vdev: "xvda"}},
		{spec: "file:/a,hda,r", want: config.Disk{Path: "/a", Vdev: "hda", ReadOnly: true}},
		{spec: "tap:aio:/a,xvda1,w", want: config.Disk{Path: "/a", Vdev: "xvda1"}},
		{spec: "tap2:tapdisk:raw:/a,sda,w", want: config.Disk{Path: "/a", Vdev: "sda"}},
		{spec: "file:/a,hdc:cdrom,r", want: config.Disk{Path: "/a", Vdev: "hdc", ReadOnly: true, CDROM: true}},
		{spec: "/a,raw,hda:disk,w", want: config.Disk{Path: "/a", Vdev: "hda"}},
		{spec: "/x:y,raw,xvda,w", want: config.Disk{Path: "/x:y", Vdev: "xvda"}},
		{spec: "tap:qcow2:/a,xvda,w", want: config.Disk{Path: "/a", Format: config.FormatQcow2, Vdev: "xvda"}},
		{spec: "/a,qcow2,xvda", want: config.Disk{Path: "/a", Format: config.FormatQcow2, Vdev: "xvda"}},
		{spec: "format=vhd,vdev=xvda,access=ro,target=/a", want: config.Disk{Path: "/a", Format: config.FormatVHD, Vdev: "xvda", ReadOnly: true}},
		{spec: ",,hdc:cdrom,r", want: config.Disk{Vdev: "hdc", ReadOnly: true, CDROM: true}},
		{spec: "devtype=cdrom,vdev=hdc", want: config.Disk{Vdev: "hdc", ReadOnly: true, CDROM: true}},
		{spec: "/a,vmdk,xvda", err: `format "vmdk" is unknown`},
		{spec: "phy:/dev/x,raw,xvda,w", err: "access"},
		{spec: "/a,raw,xvda,w,/b", err: "one parameter too many"},
		{spec: "/a,raw,xvda,w,vdev=xvdb", err: "vdev is given twice"},
		{spec: "/a,raw,xvda,z", err: "access \"z\" is unknown"},
		{spec: "/a,raw,xvda,w,frob=1", err: "unknown parameter"},
		{spec: "/a,raw,xvda,w,script=block-iscsi", err: "cannot be had"},
		{spec: "/a,raw,xvda,w,backend=disks", err: "cannot be had"},
		{spec: "/a", err: "no vdev"},
		{spec: "", err: "no vdev"},
	}
	for _, tt := range tests {
		k, e := ParseDisk(tt.spec)
		switch {
		case tt.err == "" && e != nil:
			t.Errorf("%q: %v", tt.spec, e)
		case tt.err != "" && (e == nil || !strings.Contains(e.Error(), tt.err)):
			t.Errorf("%q: %v, want %q", tt.spec, e, tt.err)
		case tt.err == "" && k != tt.want:
			t.Errorf("%q: %+v, want %+v", tt.spec, k, tt.want)
		}
	}
}

func FuzzParseDisk(f *testing.F) {
	f.Add("/a,raw,hda,rw")
	f.Add("vdev=hda,target=/a,b")
	f.Add(",,,,")
	f.Fuzz(func(t *testing.T, s string) {
		if k, e := ParseDisk(s); e != nil && e.Fix == "" {
			t.Errorf("%+v: no way out of %v", k, e)
		}
	})
}
