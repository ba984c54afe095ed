package bootloader

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"gozen/hypervisor/bootloader/ext4"
	"gozen/hypervisor/bootloader/fat"
	"gozen/hypervisor/bootloader/partition"
	"gozen/hypervisor/config"
)

// fileSystem is what is needed of one. Paths begin at its root, with or without a slash.
type fileSystem interface {
	open(path string) (io.ReaderAt, int64, error)
	List(path string) ([]string, error)
}

type extFS struct{ *ext4.FS }

func (f extFS) open(path string) (io.ReaderAt, int64, error) {
	file, err := f.Open(path)
	if err != nil {
		return nil, 0, err
	}
	return file, file.Size, nil
}

type fatFS struct{ *fat.FS }

func (f fatFS) open(path string) (io.ReaderAt, int64, error) {
	file, err := f.Open(path)
	if err != nil {
		return nil, 0, err
	}
	return file, file.Size, nil
}

// volume is a partition, or a disk without partitions.
type volume struct {
	name              string // as GRUB has it: hd0,gpt2
	active            bool
	kind, label, uuid string     // kind is empty where nothing is known of it
	fs                fileSystem // nil where it cannot be read
	why               error      // and why, if there is something to say
}

// what names a volume for people.
func (v *volume) what() string {
	kind := v.kind
	if kind == "" {
		kind = "nothing known"
	}
	return fmt.Sprintf("%s (%s)", v.name, kind)
}

// disk is all that is read from.
type disk struct {
	meter   *meter
	volumes []*volume
}

// meter bounds what is read: a disk can have a file system that leads round in circles.
type meter struct {
	r    io.ReaderAt
	left int64
}

const (
	findBudget = 256 << 20 // bytes that may be read to find an entry
	readCost   = 512       // of any read, beyond its length
)

var errBudget = errors.New("it takes too much reading: the file system is damaged or made to mislead")

// ReadAt implements io.ReaderAt.
func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	if m.left -= int64(len(p)) + readCost; m.left < 0 {
		return 0, errBudget
	}
	return m.r.ReadAt(p, off)
}

// openDisk finds the volumes of a disk; with an offset, there is one, which begins there.
func openDisk(r io.ReaderAt, size, offset int64) (*disk, error) {
	d := &disk{meter: &meter{r: r, left: findBudget}}
	if offset != 0 {
		if offset < 0 || offset >= size {
			return nil, &config.Error{Field: "bootloader_args", What: fmt.Sprintf("the domain's first disk has no byte %d", offset), Why: fmt.Sprintf("it has %d bytes", size),
				Fix: "correct --offset="}
		}
		d.volumes = []*volume{d.probe("hd0", offset, size-offset)}
		return d, nil
	}
	scheme, parts, err := partition.Table(d.meter, size)
	if err != nil {
		return nil, &config.Error{Field: "bootloader", What: "the domain's first disk cannot be read", Why: err.Error(), Fix: "check the image"}
	}
	for _, p := range parts {
		v := d.probe(fmt.Sprintf("hd0,%s%d", scheme, p.Number), p.Start, p.Size)
		v.active = p.Active
		d.volumes = append(d.volumes, v)
	}
	if whole := d.probe("hd0", 0, size); whole.kind != "" || len(parts) == 0 {
		d.volumes = append(d.volumes, whole)
	}
	return d, nil
}

// probe says what lies at a place.
func (d *disk) probe(name string, start, size int64) *volume {
	r := io.NewSectionReader(d.meter, start, size)
	v := &volume{name: name}
	e, err := ext4.Open(r, size)
	switch {
	case err == nil:
		v.kind, v.label, v.uuid, v.fs = e.Kind, e.Label, e.UUID, extFS{e}
		return v
	case !errors.Is(err, ext4.ErrNot):
		v.kind, v.why = "ext4", err
		return v
	}
	if v.kind = foreign(r, size); v.kind != "" {
		v.why = errors.New("this kind of file system cannot be read")
		return v
	}
	f, err := fat.Open(r, size)
	if err == nil {
		v.kind, v.label, v.uuid, v.fs = "fat", f.Label, f.UUID, fatFS{f}
	} else if !errors.Is(err, fat.ErrNot) {
		v.kind, v.why = "fat", err
	}
	return v
}

// signatures are those of what cannot be read, to name it.
var signatures = [...]struct {
	at         int64
	text, name string
}{
	{0, "XFSB", "xfs"}, {0x10040, "_BHRfS_M", "btrfs"}, {0, "LUKS\xba\xbe", "LUKS, encrypted"}, {0x218, "LVM2 001", "LVM"}, {0x18, "LVM2 001", "LVM"},
	{0x1000, "\xfc\x4e\x2b\xa9", "Linux RAID"}, {0, "\xfc\x4e\x2b\xa9", "Linux RAID"}, {4086, "SWAPSPACE2", "swap space"}, {0, "hsqs", "squashfs"},
	{0x8001, "CD001", "ISO 9660"}, {3, "NTFS    ", "NTFS"}, {0x400, "\x10\x20\xf5\xf2", "f2fs"}, {0x400, "\xe2\xe1\xf5\xe0", "erofs"}, {0, "QFI\xfb", "qcow2"},
	{0x1018, "\xce\xfa\xed\xdb\xf5\xa1\xf4\xc9", "bcachefs"},
}

func foreign(r io.ReaderAt, size int64) string {
	for _, s := range signatures {
		b := make([]byte, len(s.text))
		if s.at > size-int64(len(b)) {
			continue
		}
		if _, err := r.ReadAt(b, s.at); err == nil && string(b) == s.text {
			return s.name
		}
	}
	return ""
}

// device finds a volume by GRUB's name for it: (hd0,gpt2), hd0,2, hd0.
func (d *disk) device(name string) *volume {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "("), ")")
	drive, part, found := strings.Cut(name, ",")
	if !found {
		for _, v := range d.volumes {
			if v.name == name {
				return v
			}
		}
		return nil
	}
	number := func(s string) string { return strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz") }
	for _, v := range d.volumes {
		vdrive, vpart, _ := strings.Cut(v.name, ",")
		if drive == vdrive && vpart != "" && (part == vpart || part == number(vpart)) {
			return v
		}
	}
	return nil
}

// place is a file's place.
type place struct {
	v    *volume
	path string
}

func (p place) String() string { return "(" + p.v.name + ")" + p.path }

// open opens a file.
func (p place) open() (*File, error) {
	if p.v.fs == nil {
		return nil, p.v.unreadable()
	}
	r, size, err := p.v.fs.open(p.path)
	if err != nil {
		return nil, fmt.Errorf("(%s)%w", p.v.name, err)
	}
	return &File{Path: p.String(), Size: size, r: r}, nil
}

func (v *volume) unreadable() error {
	if v.why != nil {
		return fmt.Errorf("%s: %w", v.what(), v.why)
	}
	return errors.New(v.what())
}

func (p place) exists() bool {
	if p.v.fs == nil {
		return false
	}
	_, _, err := p.v.fs.open(p.path)
	return err == nil
}

// isDir says whether a directory lies there.
func (p place) isDir() bool {
	if p.v.fs == nil {
		return false
	}
	_, err := p.v.fs.List(p.path)
	return err == nil
}

// text reads a configuration.
func (p place) text() (string, error) {
	f, err := p.open()
	if err != nil {
		return "", err
	}
	if f.Size > maxConfig {
		return "", fmt.Errorf("%s: %d bytes are too many for a configuration", p, f.Size)
	}
	b := make([]byte, f.Size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return "", err
	}
	return string(b), nil
}

// under gives a path in the folder of a file, or an absolute one as it is.
func under(file, to string) string {
	if strings.HasPrefix(to, "/") {
		return to
	}
	return path.Join(path.Dir(file), to)
}
