package bootloader

import (
	"fmt"
	"path"
	"strings"
)

const maxIncludes = 16

// syslinux reads the configuration of syslinux, extlinux and isolinux (syslinux wiki, "Config").
type syslinux struct {
	m        *menu
	at       place
	append   string // of all labels that have none
	label    *sysLabel
	labels   []*sysLabel
	standard string // DEFAULT
	marked   string // the label with MENU DEFAULT
	files    int
}

type sysLabel struct {
	name, title, kernel, initrd, append string
	hasAppend                           bool
}

func readSyslinux(_ *disk, at place) (*menu, error) {
	s := &syslinux{m: &menu{config: at}, at: at}
	if err := s.file(at); err != nil {
		return nil, err
	}
	for _, l := range s.labels {
		if l.kernel == "" {
			l.kernel = l.name // as syslinux does: a label without a kernel is one
		}
		p, err := s.plan(l)
		s.m.items = append(s.m.items, &item{title: l.title, id: l.name, load: func() (*plan, error) { return p, err }})
	}
	switch {
	case s.marked != "":
		s.m.choice = []string{s.marked}
	case s.standard != "":
		s.m.choice = []string{s.standard}
	}
	return s.m, nil
}

func (s *syslinux) file(at place) error {
	if s.files++; s.files > maxIncludes {
		return errBounds
	}
	text, err := at.text()
	if err != nil {
		return err
	}
	for line := range strings.SplitSeq(text, "\n") {
		key, value := cutBlank(line)
		if err := s.line(strings.ToLower(key), value); err != nil {
			return err
		}
	}
	return nil
}

func (s *syslinux) line(key, value string) error {
	l := s.label
	switch key {
	case "default":
		if s.standard == "" {
			s.standard = value
		}
	case "include":
		return s.file(place{s.at.v, path.Join("/", under(s.at.path, value))})
	case "label":
		if len(s.labels) >= maxItems {
			return errManyItems
		}
		s.label = &sysLabel{name: value, title: value}
		s.labels = append(s.labels, s.label)
	case "menu":
		return s.menu(value)
	case "append":
		if l == nil {
			s.append = value
		} else {
			l.append, l.hasAppend = value, true
		}
	case "kernel", "linux":
		if l != nil {
			l.kernel = value
		}
	case "initrd":
		if l != nil {
			l.initrd = value
		}
	}
	return nil
}

func (s *syslinux) menu(line string) error {
	key, value := cutBlank(line)
	switch strings.ToLower(key) {
	case "include":
		file, _ := cutBlank(value)
		return s.file(place{s.at.v, path.Join("/", under(s.at.path, file))})
	case "default":
		if s.label != nil {
			s.marked = s.label.name
		}
	case "label":
		if s.label != nil {
			s.label.title = strings.ReplaceAll(value, "^", "") // the letter behind it is a key
		}
	}
	return nil
}

func (s *syslinux) plan(l *sysLabel) (*plan, error) {
	if strings.HasSuffix(l.kernel, ".c32") {
		return nil, fmt.Errorf("it is for %s, not for a Linux kernel", l.kernel)
	}
	file := func(name string) place { return place{s.at.v, path.Join("/", under(s.at.path, name))} }
	args := l.append
	if !l.hasAppend {
		args = s.append
	} else if args == "-" {
		args = ""
	}
	p := &plan{kernel: file(l.kernel)}
	var rest []string
	initrd := l.initrd
	for w := range strings.FieldsSeq(args) {
		if v, ok := strings.CutPrefix(w, "initrd="); !ok {
			rest = append(rest, w)
		} else if l.initrd == "" {
			initrd = v
		}
	}
	for f := range strings.SplitSeq(initrd, ",") {
		if f != "" && len(p.initrds) < maxInitrds {
			p.initrds = append(p.initrds, file(f))
		}
	}
	p.cmdline = strings.Join(rest, " ")
	return p, nil
}
