package bootloader

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// legacyEntry is an entry of GRUB legacy, whose files are on its root.
type legacyEntry struct {
	title, root, kernel, args string
	modules, initrds          []string
}

// readLegacy reads the configuration of GRUB legacy (GRUB 0.97 manual, "Configuration"), which xen-tools writes, too.
func readLegacy(d *disk, at place) (*menu, error) {
	s, err := at.text()
	if err != nil {
		return nil, err
	}
	m := &menu{config: at}
	var e *legacyEntry
	for line := range strings.SplitSeq(s, "\n") {
		key, value := cutBlank(line)
		if k, v, ok := strings.Cut(key, "="); ok && e == nil { // default=0
			key, value = k, strings.TrimSpace(v+" "+value)
		}
		switch {
		case key == "title":
			if len(m.items) >= maxItems {
				return nil, errManyItems
			}
			e = &legacyEntry{title: value}
			m.items = append(m.items, &item{title: value, load: func(e *legacyEntry) func() (*plan, error) {
				return func() (*plan, error) { return e.plan(d, at.v) }
			}(e)})
		case e != nil:
			e.line(key, value)
		case key == "default" && value != "saved":
			m.choice = append([]string{value}, m.choice...)
		case key == "fallback":
			m.choice = append(m.choice, strings.Fields(value)...)
		}
	}
	return m, nil
}

func (e *legacyEntry) line(key, value string) {
	switch key {
	case "root", "rootnoverify":
		e.root, _ = cutBlank(value)
	case "kernel":
		for strings.HasPrefix(value, "--") {
			_, value = cutBlank(value)
		}
		e.kernel, e.args = cutBlank(value)
	case "module":
		if len(e.modules) < maxInitrds {
			e.modules = append(e.modules, value)
		}
	case "initrd":
		for f := range strings.FieldsSeq(value) {
			if len(e.initrds) < maxInitrds {
				e.initrds = append(e.initrds, f)
			}
		}
	}
}

// plan opens what the entry names. One that starts Xen has the kernel as its first module.
func (e *legacyEntry) plan(d *disk, home *volume) (*plan, error) {
	kernel, args, initrds := e.kernel, e.args, e.initrds
	if strings.HasPrefix(path.Base(kernel), "xen") && len(e.modules) > 0 {
		kernel, args = cutBlank(e.modules[0])
		initrds = e.modules[1:]
	}
	if kernel == "" {
		return nil, errors.New("it starts no Linux kernel")
	}
	p := &plan{cmdline: args}
	var err error
	if p.kernel, err = e.file(d, home, kernel); err != nil {
		return nil, err
	}
	for _, i := range initrds {
		i, _ = cutBlank(i)
		f, err := e.file(d, home, i)
		if err != nil {
			return nil, err
		}
		p.initrds = append(p.initrds, f)
	}
	return p, nil
}

// file finds a file on the entry's root: partitions count from 0. A root that is not there is the volume of the configuration, since images for Xen name
// partitions of disks without any.
func (e *legacyEntry) file(d *disk, home *volume, name string) (place, error) {
	root, rest := e.root, name
	if strings.HasPrefix(name, "(") {
		var ok bool
		if root, rest, ok = strings.Cut(name, ")"); !ok {
			return place{}, fmt.Errorf("%s names no file", name)
		}
	}
	drive, part, _ := strings.Cut(strings.Trim(root, "()"), ",")
	v := home
	if n, err := strconv.Atoi(part); err == nil && n >= 0 && n < 1<<16 {
		if other := d.device(drive + "," + strconv.Itoa(n+1)); other != nil && other.fs != nil {
			v = other
		}
	}
	return place{v, path.Join("/", rest)}, nil
}
