package initramfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// File types in cpio modes (inode(7)).
const (
	typeFile = 0o100000
	typeDir  = 0o040000
	typeLink = 0o120000
	typeChar = 0o020000
	typeBlk  = 0o060000
)

const trailer = "TRAILER!!!"

// Archive is an initramfs in the making. The zero value is empty and ready. The first error is kept, later calls do nothing, and
// Bytes gives it: so a list of calls needs no checks in between.
type Archive struct {
	buf  []byte
	seen map[string]uint32 // name -> type of what is there
	ino  uint32
	err  error
}

// File adds a regular file. name is the path in the guest, such as /init; perm holds the permission bits.
func (a *Archive) File(name string, perm fs.FileMode, content []byte) {
	a.add(name, typeFile|unixPerm(perm), 0, 0, content)
}

// HostFile adds a copy of the file at hostPath.
func (a *Archive) HostFile(name string, perm fs.FileMode, hostPath string) {
	if a.err != nil {
		return
	}
	content, err := os.ReadFile(hostPath)
	if err != nil {
		a.err = fmt.Errorf("initramfs: %s: %w", name, err)
		return
	}
	a.File(name, perm, content)
}

// Dir adds a folder. Adding one that is there already does nothing.
func (a *Archive) Dir(name string, perm fs.FileMode) {
	a.add(name, typeDir|unixPerm(perm), 0, 0, nil)
}

// Symlink adds a symbolic link to target.
func (a *Archive) Symlink(name, target string) {
	if target == "" && a.err == nil {
		a.err = fmt.Errorf("initramfs: %s: empty link target", name)
	}
	a.add(name, typeLink|0o777, 0, 0, []byte(target))
}

// Device adds a character device node, or with fs.ModeDevice but not fs.ModeCharDevice in perm a block device node.
func (a *Archive) Device(name string, perm fs.FileMode, major, minor uint32) {
	typ := uint32(typeChar)
	if perm&fs.ModeDevice != 0 && perm&fs.ModeCharDevice == 0 {
		typ = typeBlk
	}
	a.add(name, typ|unixPerm(perm), major, minor, nil)
}

// Bytes gives the archive. The Archive can be added to afterwards.
func (a *Archive) Bytes() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	out := entry(append([]byte(nil), a.buf...), trailer, 0, 0, 1, 0, 0, nil)
	for len(out)%512 != 0 {
		out = append(out, 0)
	}
	return out, nil
}

func unixPerm(m fs.FileMode) uint32 {
	p := uint32(m.Perm())
	for _, b := range []struct {
		bit  fs.FileMode
		unix uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.bit != 0 {
			p |= b.unix
		}
	}
	return p
}

var errSize = errors.New("larger than 4 GiB")

// add writes one entry, and before it the folders it needs.
func (a *Archive) add(name string, mode, major, minor uint32, content []byte) {
	if a.err != nil {
		return
	}
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if clean == "" || clean == trailer || strings.ContainsRune(clean, 0) {
		a.err = fmt.Errorf("initramfs: %q is no name for an entry", name)
		return
	}
	if uint64(len(content)) >= 1<<32 {
		a.err = fmt.Errorf("initramfs: %s: %w", name, errSize)
		return
	}
	typ := mode &^ 0o7777
	if old, ok := a.seen[clean]; ok {
		if typ != typeDir || old != typeDir {
			a.err = fmt.Errorf("initramfs: %s is there twice", name)
		}
		return
	}
	if up := path.Dir(clean); up != "." {
		if old, ok := a.seen[up]; !ok {
			a.add(up, typeDir|0o755, 0, 0, nil)
		} else if old != typeDir {
			a.err = fmt.Errorf("initramfs: %s: %s is not a folder", name, up)
		}
		if a.err != nil {
			return
		}
	}
	if a.seen == nil {
		a.seen = map[string]uint32{}
	}
	a.seen[clean] = typ
	a.ino++
	links := uint32(1)
	if typ == typeDir {
		links = 2
	}
	a.buf = entry(a.buf, clean, a.ino, mode, links, major, minor, content)
}

// entry appends one entry: a header of 13 hexadecimal fields behind the magic, the name and the content, the last two padded
// to 4 bytes.
func entry(b []byte, name string, ino, mode, links, major, minor uint32, content []byte) []byte {
	b = fmt.Appendf(b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ino, mode, 0, 0, links, 0,
		len(content), 0, 0, major, minor, len(name)+1, 0)
	b = pad(append(append(b, name...), 0))
	return pad(append(b, content...))
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
