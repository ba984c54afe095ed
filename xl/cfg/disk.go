package cfg

import (
	"fmt"
	"strings"

	"gozen/hypervisor/config"
)

// disks reads the key disk.
func (b *builder) disks() {
	s := b.cfg.Find("disk")
	if s == nil {
		return
	}
	if !s.Value.IsList {
		b.fail(&config.Error{Field: "disk", What: "parameter `disk' is a single value but should be a list", Fix: "put it into brackets"})
		return
	}
	for _, v := range s.Value.List {
		if k, e := ParseDisk(v.Str); e != nil {
			b.fail(e)
		} else {
			b.res.Domain.Disks = append(b.res.Domain.Disks, k)
		}
	}
}

// A diskSpec is a disk specification as far as it has been read.
type diskSpec struct {
	spec                         string
	target, format, vdev, access string
	named                        map[string]bool // which of them were given
	old                          bool            // a prefix named the format: there is no such field
	cdrom                        bool
	noDiscard                    bool
}

// ParseDisk reads a disk specification (xl-disk-configuration(5)): fields for target, format, vdev and access in turn, parameters by name anywhere between
// them, and target= with all the rest; before a target, the prefixes of old configuration files.
func ParseDisk(spec string) (config.Disk, *config.Error) {
	d := &diskSpec{spec: spec, named: map[string]bool{}}
	if e := d.read(); e != nil {
		return config.Disk{}, e
	}
	return d.disk()
}

func (d *diskSpec) fail(what, fix string) *config.Error {
	return &config.Error{Field: "disk", What: fmt.Sprintf("disk %q: %s", d.spec, what), Fix: fix}
}

func (d *diskSpec) read() *config.Error {
	for rest, more := d.spec, true; more; {
		rest = strings.TrimLeft(rest, " \t")
		if target, ok := strings.CutPrefix(rest, "target="); ok {
			return d.set("target", target)
		}
		rest = d.prefixes(rest)
		var word string
		word, rest, more = strings.Cut(rest, ",")
		if e := d.word(strings.TrimSpace(word)); e != nil {
			return e
		}
	}
	return nil
}

// prefixes eats what old configuration files write before a target.
func (d *diskSpec) prefixes(s string) string {
	if d.named["target"] {
		return s
	}
	for {
		p, rest, ok := strings.Cut(s, ":")
		switch {
		case !ok || strings.ContainsAny(p, ",=/"):
			return s
		case p == "raw" || p == "qcow" || p == "qcow2" || p == "vhd" || p == "qed":
			d.format = p
		case p == "phy" || p == "file" || p == "tap" || p == "tap2" || p == "aio" || p == "ioemu" || p == "tapdisk":
		default:
			return s
		}
		d.old = true
		s = rest
	}
}

// fields are what words without a name fill, in this order.
var fields = []string{"target", "format", "vdev", "access"}

func (d *diskSpec) word(w string) *config.Error {
	key, v, named := strings.Cut(w, "=")
	switch {
	case named && (key == "format" || key == "vdev" || key == "access"):
		return d.set(key, v)
	case named && key == "devtype" && (v == "cdrom" || v == "disk"):
		d.cdrom = v == "cdrom"
	case w == "cdrom":
		d.cdrom = true
	case w == "discard", w == "no-discard":
		d.noDiscard = w == "no-discard"
	case w == "direct-io-safe", w == "trusted", w == "untrusted":
	case named && key == "backendtype" && (v == "phy" || v == "qdisk" || v == "tap"): // all are the same here
	case w == "specification=xen":
	case named && (key == "backend" && (v == "0" || v == "Domain-0")):
	case named && (key == "backendtype" || key == "backend" || key == "script" || key == "specification" || key == "grant_usage"):
		return d.fail(w+" cannot be had", "leave it out: the domain's own process is the backend, and speaks Xen's protocol")
	case named:
		return d.fail(fmt.Sprintf("unknown parameter %q", key), "the parameters are target, format, vdev, access, devtype, backendtype")
	default:
		return d.next(w)
	}
	return nil
}

// next fills the next field.
func (d *diskSpec) next(w string) *config.Error {
	for _, f := range fields {
		if d.named[f] || f == "format" && d.old {
			continue
		}
		return d.set(f, w)
	}
	return d.fail(fmt.Sprintf("one parameter too many: %q", w), "the positional parameters are target, format, vdev, access")
}

func (d *diskSpec) set(field, v string) *config.Error {
	if d.named[field] {
		return d.fail(fmt.Sprintf("%s is given twice", field), "leave one out")
	}
	d.named[field] = true
	switch field {
	case "target":
		d.target = v
	case "format":
		d.format = v
	case "vdev":
		d.vdev = v
	case "access":
		d.access = v
	}
	return nil
}

// disk checks what was read.
func (d *diskSpec) disk() (k config.Disk, e *config.Error) {
	for suffix, cdrom := range map[string]bool{":cdrom": true, ":disk": false} { // the old form
		if v, ok := strings.CutSuffix(d.vdev, suffix); ok {
			d.vdev, d.cdrom = v, cdrom
		}
	}
	k = config.Disk{Path: d.target, Vdev: d.vdev, CDROM: d.cdrom, NoDiscard: d.noDiscard}
	switch d.format {
	case "", "raw", "aio":
	case config.FormatQcow, config.FormatQcow2, config.FormatVHD, config.FormatQED:
		k.Format = d.format
	default:
		return k, d.fail(fmt.Sprintf("format %q is unknown", d.format), "use raw, qcow2, qcow, vhd or qed")
	}
	switch d.access {
	case "", "rw", "w":
	case "r", "ro":
		k.ReadOnly = true
	default:
		return k, d.fail(fmt.Sprintf("access %q is unknown", d.access), "use rw or ro")
	}
	k.ReadOnly = k.ReadOnly || k.CDROM
	if k.Path != "" && !strings.HasPrefix(k.Path, "/") {
		k.Path = "/dev/" + k.Path
	}
	if k.Vdev == "" {
		return k, d.fail("it has no vdev", "say how the guest is to see it, as xvda")
	}
	return k, nil
}
