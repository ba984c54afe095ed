package bootloader

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// blsEntry is a file of the Boot Loader Specification (UAPI group, "Type #1").
type blsEntry struct {
	file, title, version, sort string
	plan                       plan
}

// readBLS reads a folder of entries as systemd-boot does; loader.conf beside it may name the default.
func readBLS(_ *disk, dir place) (*menu, error) {
	all, err := blsEntries(dir, func(s string) string { return s })
	if err != nil {
		return nil, err
	}
	m := &menu{config: dir}
	for _, e := range all {
		m.items = append(m.items, e.item())
	}
	s, err := place{dir.v, path.Dir(dir.path) + "/loader.conf"}.text()
	if err != nil {
		return m, nil // it need not be there
	}
	for line := range strings.SplitSeq(s, "\n") {
		key, value := cutBlank(line)
		if key != "default" {
			continue
		}
		for _, e := range all { // a pattern for the entry's name; an old one leaves .conf out
			if ok, _ := path.Match(value, e.file+".conf"); ok || value == e.file {
				m.choice = []string{e.file}
				break
			}
		}
	}
	return m, nil
}

// bls adds the entries of the volume that $root names, as Fedora's GRUB does.
func (g *grub) bls() (bool, error) {
	for _, dir := range []string{"/loader/entries", "/boot/loader/entries"} {
		p, err := g.place(dir)
		if err != nil || !p.isDir() {
			continue
		}
		all, err := blsEntries(p, g.substitute)
		if err != nil {
			g.fault(err)
			return false, nil
		}
		for _, e := range all {
			if g.items == nil || g.plan != nil || len(*g.items) >= maxItems {
				return false, nil
			}
			*g.items = append(*g.items, e.item())
		}
		return true, nil
	}
	return false, nil
}

// substitute replaces variables in an entry's options.
func (g *grub) substitute(s string) string {
	var b strings.Builder
	p := &grubParser{s: s}
	for p.at < len(s) && b.Len() < maxText && g.work < maxWork {
		c := s[p.at]
		p.at++
		if c == '$' {
			if name := p.variable(); name != "" {
				v := g.value(name)
				g.work += len(v)
				b.WriteString(v)
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func (e *blsEntry) item() *item {
	return &item{title: e.title, id: e.file, load: func() (*plan, error) { return &e.plan, nil }}
}

func cutBlank(line string) (key, rest string) {
	line = strings.TrimSpace(line)
	if i := strings.IndexAny(line, " \t"); i >= 0 {
		return line[:i], strings.TrimSpace(line[i:])
	}
	return line, ""
}

func blsEntries(dir place, substitute func(string) string) ([]*blsEntry, error) {
	names, err := dir.v.fs.List(dir.path)
	if err != nil {
		return nil, err
	}
	var all []*blsEntry
	text := 0
	for _, n := range names {
		file, ok := strings.CutSuffix(n, ".conf")
		if !ok || len(all) >= maxItems || text > maxConfig {
			continue
		}
		s, err := place{dir.v, dir.path + "/" + n}.text()
		if err != nil {
			return nil, err
		}
		text += len(s)
		if e := parseBLS(file, s, dir.v, substitute); e != nil {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, compareBLS)
	return all, nil
}

// compareBLS sorts the newest first. Entries with a sort key come before those without.
func compareBLS(a, b *blsEntry) int {
	switch {
	case a.sort != "" && b.sort != "":
		return cmp.Or(cmp.Compare(a.sort, b.sort), compareVersions(b.version, a.version), compareVersions(b.file, a.file))
	case a.sort != "":
		return -1
	case b.sort != "":
		return 1
	}
	return compareVersions(b.file, a.file)
}

func parseBLS(file, s string, v *volume, substitute func(string) string) *blsEntry {
	e := &blsEntry{file: file}
	var options []string
	for line := range strings.SplitSeq(s, "\n") {
		key, value := cutBlank(line)
		switch key {
		case "title":
			e.title = value
		case "version":
			e.version = value
		case "sort-key":
			e.sort = value
		case "linux":
			e.plan.kernel = place{v, path.Join("/", value)}
		case "initrd":
			for f := range strings.FieldsSeq(substitute(value)) {
				if len(e.plan.initrds) < maxInitrds {
					e.plan.initrds = append(e.plan.initrds, place{v, path.Join("/", f)})
				}
			}
		case "options":
			options = append(options, substitute(value))
		}
	}
	if e.plan.kernel.v == nil {
		return nil
	}
	if e.title == "" {
		e.title = file
	}
	e.plan.cmdline = strings.Join(options, " ")
	return e
}

// compareVersions compares numbers in names as numbers; a tilde sorts before everything, even the end.
func compareVersions(a, b string) int {
	isSep := func(c byte) bool { return !letter(c) && !digit(c) && c != '~' || c == '_' }
	span := func(s string, in func(byte) bool) int {
		n := 0
		for n < len(s) && in(s[n]) {
			n++
		}
		return n
	}
	for a != "" || b != "" {
		a, b = a[span(a, isSep):], b[span(b, isSep):]
		ta, tb := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~")
		if ta || tb {
			if ta != tb {
				return map[bool]int{true: -1, false: 1}[ta]
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		kind := digit
		if !digit(a[0]) || !digit(b[0]) {
			if digit(a[0]) != digit(b[0]) { // a number is newer than a word
				return map[bool]int{true: 1, false: -1}[digit(a[0])]
			}
			kind = func(c byte) bool { return letter(c) && c != '_' }
		}
		na, nb := span(a, kind), span(b, kind)
		x, y := a[:na], b[:nb]
		if digit(x[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Compare(len(x), len(y)); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[na:], b[nb:]
	}
	return cmp.Compare(len(a), len(b))
}
