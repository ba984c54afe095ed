package bootloader

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"gozen/hypervisor/config"
)

// Options say what to start.
type Options struct {
	// Entry is what a person chose: the number of an entry, counted from 0 through all submenus; its title or its id; or the way to it, such as 1>2. Empty is
	// what the disk's configuration says.
	Entry string
	// Kernel and Ramdisk name files in the disk, instead of any configuration's.
	Kernel, Ramdisk string
	// Args are appended to the command line.
	Args string
	// Offset is where a file system begins, in bytes; 0 is to look for partitions.
	Offset int64
}

// Item is an entry of a configuration.
type Item struct {
	Number int    // in the order of the configuration, from 0
	Title  string // with those of the submenus around it: Advanced options>Linux 6.1
	ID     string
}

// Entry is what to start.
type Entry struct {
	Item
	Config  string // the configuration: (hd0,gpt2)/boot/grub/grub.cfg; empty if Options has a kernel
	Kernel  *File
	Initrds []*File
	Cmdline string
}

// File is a file in the disk. All files of an Entry read from one place: they may be used by one goroutine at a time.
type File struct {
	Path string // with the volume: (hd0,gpt2)/boot/vmlinuz
	Size int64
	r    io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.r.ReadAt(p, off) }

const (
	maxConfig  = 1 << 20 // bytes
	maxItems   = 4096
	maxInitrds = 32
	maxCmdline = 64 << 10
	listed     = 20 // entries in a message
)

// A menu is what one configuration offers.
type menu struct {
	config place
	items  []*item
	choice []string // the configuration's own, first one first; nothing is the first item
	note   error    // what went wrong while it was read
}

// item is an entry, or a submenu.
type item struct {
	title, id string
	sub       func() ([]*item, error) // of a submenu
	load      func() (*plan, error)   // of an entry
}

// plan is what an entry says.
type plan struct {
	kernel  place
	initrds []place
	cmdline string
}

// Find chooses what to start from a disk of the given size. The disk has to be readable as long as the Entry is used. Errors are *config.Error.
func Find(r io.ReaderAt, size int64, o Options) (*Entry, error) {
	d, err := openDisk(r, size, o.Offset)
	if err != nil {
		return nil, err
	}
	if o.Kernel != "" {
		return d.named(&o)
	}
	m, err := d.menu()
	if err != nil {
		return nil, err
	}
	it, at, err := m.choose(o.Entry)
	if err != nil {
		return nil, err
	}
	p, err := it.load()
	for _, next := range m.choice { // the configuration's own fallbacks
		if err == nil || o.Entry != "" {
			break
		}
		if other, where, e := m.choose(next); e == nil && other != it {
			if q, e := other.load(); e == nil {
				p, it, at, err = q, other, where, nil
			}
		}
	}
	if err != nil {
		return nil, &config.Error{Field: "bootloader", What: fmt.Sprintf("entry %q of %s cannot be started", at.Title, m.config), Why: err.Error(),
			Fix: "choose another with --entry= in bootloader_args: " + m.list()}
	}
	e := &Entry{Item: at, Config: m.config.String()}
	return e, d.fill(e, p, &o)
}

// Entries lists what a disk offers to start.
func Entries(r io.ReaderAt, size int64) ([]Item, error) {
	d, err := openDisk(r, size, 0)
	if err != nil {
		return nil, err
	}
	m, err := d.menu()
	if err != nil {
		return nil, err
	}
	all, err := m.flat()
	var out []Item
	for _, f := range all {
		out = append(out, f.at)
	}
	return out, err
}

// named starts files that a person named.
func (d *disk) named(o *Options) (*Entry, error) {
	file := path.Join("/", o.Kernel)
	for _, v := range d.volumes {
		p := place{v, file}
		if !p.exists() {
			continue
		}
		e := &Entry{Item: Item{Title: file}}
		plan := &plan{kernel: p}
		if o.Ramdisk != "" {
			plan.initrds = []place{{v, path.Join("/", o.Ramdisk)}}
		}
		return e, d.fill(e, plan, o)
	}
	return nil, &config.Error{Field: "bootloader", What: fmt.Sprintf("there is no file %s in the domain's first disk", file), Why: d.summary(),
		Fix: "with bootloader=, kernel= and --kernel= name a file in the disk: correct the path, or remove it to have the disk's own configuration used"}
}

// fill opens an entry's files.
func (d *disk) fill(e *Entry, p *plan, o *Options) (err error) {
	e.Cmdline = strings.TrimSpace(p.cmdline)
	if o.Args != "" {
		e.Cmdline = strings.TrimSpace(e.Cmdline + " " + o.Args)
	}
	if len(e.Cmdline) > maxCmdline || strings.IndexByte(e.Cmdline, 0) >= 0 {
		return &config.Error{Field: "bootloader", What: fmt.Sprintf("entry %q has a command line that no kernel takes", e.Title), Fix: "correct it in " + e.Config}
	}
	total := int64(0)
	open := func(p place) (*File, error) {
		f, err := p.open()
		if err == nil && f.Size == 0 {
			err = fmt.Errorf("%s: the file is empty", p)
		}
		if err != nil {
			return nil, &config.Error{Field: "bootloader", What: fmt.Sprintf("entry %q cannot be started", e.Title), Why: err.Error(),
				Fix: "correct the configuration in the disk, or choose another entry with --entry= in bootloader_args"}
		}
		total = min(total+f.Size, 1<<50)
		return f, nil
	}
	if e.Kernel, err = open(p.kernel); err != nil {
		return err
	}
	for _, i := range p.initrds {
		f, err := open(i)
		if err != nil {
			return err
		}
		e.Initrds = append(e.Initrds, f)
	}
	d.meter.left = 8*total + findBudget // to load them
	return nil
}

// initrdAlign is the boundary at which a further initial RAM disk begins, as GRUB has it.
const initrdAlign = 4

// Initrd joins the initial RAM disks; nil if there are none.
func (e *Entry) Initrd() (r io.Reader, size int64) {
	var all []io.Reader
	for _, f := range e.Initrds {
		if pad := -size & (initrdAlign - 1); pad > 0 {
			all, size = append(all, strings.NewReader(string(make([]byte, pad)))), size+pad
		}
		all, size = append(all, io.NewSectionReader(f, 0, f.Size)), size+f.Size
	}
	if all == nil {
		return nil, 0
	}
	return io.MultiReader(all...), size
}

// menu reads the first configuration that offers something.
func (d *disk) menu() (*menu, error) {
	var notes []string
	for _, first := range []bool{true, false} { // a partition with the boot flag goes first
		for _, v := range d.volumes {
			if v.active != first || v.fs == nil {
				continue
			}
			for _, kind := range configurations {
				for _, p := range kind.find(v) {
					m, err := kind.read(d, p)
					if errors.Is(err, errBudget) || d.meter.left < 0 {
						return nil, &config.Error{Field: "bootloader", What: fmt.Sprintf("%s leads nowhere", p), Why: errBudget.Error(), Fix: "check the file system in the disk"}
					}
					if err == nil && len(m.items) == 0 {
						if err = m.note; err == nil {
							err = errors.New("it offers nothing to start")
						}
					}
					if err == nil {
						return m, nil
					}
					notes = append(notes, fmt.Sprintf("%s: %v", p, err))
				}
			}
		}
	}
	why := d.summary()
	if notes != nil {
		why = strings.Join(notes[:min(len(notes), 8)], "; ")
	}
	fix := "install a boot loader's configuration in the disk (update-grub), name files in it with --kernel= and --ramdisk= in bootloader_args, or use kernel= instead of bootloader="
	return nil, &config.Error{Field: "bootloader", What: "nothing to start was found in the domain's first disk", Why: why, Fix: fix}
}

// configuration is a kind of them: where they are, and how they are read.
type configuration struct {
	find func(v *volume) []place
	read func(d *disk, p place) (*menu, error)
}

var configurations = [...]configuration{
	{files("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/grub/grub.cfg", "/grub2/grub.cfg"), readGrub},
	{files("/boot/grub/menu.lst", "/grub/menu.lst", "/boot/grub/grub.conf", "/grub/grub.conf"), readLegacy},
	{folders("/loader/entries", "/boot/loader/entries"), readBLS},
	{files("/boot/extlinux/extlinux.conf", "/extlinux/extlinux.conf", "/boot/extlinux.conf", "/extlinux.conf", "/boot/syslinux/syslinux.cfg", "/syslinux/syslinux.cfg",
		"/syslinux.cfg", "/isolinux/isolinux.cfg"), readSyslinux},
	{vendors, readGrub},
}

func files(paths ...string) func(*volume) []place {
	return func(v *volume) (out []place) {
		for _, f := range paths {
			if p := (place{v, f}); p.exists() {
				out = append(out, p)
			}
		}
		return out
	}
}

func folders(paths ...string) func(*volume) []place {
	return func(v *volume) (out []place) {
		for _, f := range paths {
			if p := (place{v, f}); p.isDir() {
				out = append(out, p)
			}
		}
		return out
	}
}

// vendors finds GRUB's configurations of an EFI system partition: each lies in a folder named for who made it.
func vendors(v *volume) (out []place) {
	names, _ := v.fs.List("/EFI")
	for _, n := range names[:min(len(names), 64)] {
		if p := (place{v, "/EFI/" + n + "/grub.cfg"}); p.exists() {
			out = append(out, p)
		}
	}
	return out
}

// summary tells what lies in the disk.
func (d *disk) summary() string {
	var out []string
	for _, v := range d.volumes[:min(len(d.volumes), 16)] {
		s := v.what()
		if v.why != nil {
			s += ": " + v.why.Error()
		}
		out = append(out, s)
	}
	return "it has " + strings.Join(out, "; ")
}
