package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	maxLinks   = 16   // symbolic links on one way
	maxPath    = 4096 // bytes, links included
	maxDirSize = 16 << 20
	maxNames   = 1 << 16 // in a directory that is listed
	entryHead  = 8
)

// File is a regular file. It may be used by one goroutine at a time, and not beside others of the same FS.
type File struct {
	Size int64
	name string
	m    mapper
}

// Open finds a regular file. Symbolic links are followed, and do not lead out of the file system.
func (f *FS) Open(path string) (*File, error) {
	n, err := f.walk(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if !n.is(modeFile) {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return &File{Size: n.size, name: path, m: mapper{fs: f, node: n}}, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.Size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), f.Size-off)
	if err := f.m.read(p[:n], off); err != nil {
		return 0, fmt.Errorf("%s: %w", f.name, err)
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// read reads what lies within the file.
func (m *mapper) read(p []byte, off int64) error {
	if m.node.flags&flagInline != 0 {
		m.node.inline(p, off)
		return nil
	}
	size := m.fs.block
	for len(p) > 0 {
		r, err := m.find(uint64(off / size))
		if err != nil {
			return err
		}
		in := off % size
		n := int64(len(p))
		if r.count < uint64((n+in+size-1)/size) {
			n = int64(r.count)*size - in
		}
		if r.block == 0 {
			clear(p[:n])
		} else {
			at, err := m.fs.at(r.block, in, n)
			if err == nil {
				err = m.fs.readAt(p[:n], at)
			}
			if err != nil {
				return err
			}
		}
		p, off = p[n:], off+n
	}
	return nil
}

// List gives the names in a directory, without those of itself and of its parent.
func (f *FS) List(path string) ([]string, error) {
	n, err := f.walk(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	err = f.entries(n, func(name []byte, _ uint32) bool {
		if s := string(name); s != "." && s != ".." {
			names = append(names, s)
		}
		return len(names) < maxNames
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return names, nil
}

// walk follows a path from the root.
func (f *FS) walk(path string) (*inode, error) {
	at, err := f.inode(rootInode)
	if err != nil {
		return nil, err
	}
	links := 0
	var parents []*inode
	for rest := path; rest != ""; {
		if len(rest) > maxPath || len(parents) > maxPath {
			return nil, errors.New("the path is too long")
		}
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			if k := len(parents); k > 0 {
				at, parents = parents[k-1], parents[:k-1]
			}
			continue
		}
		next, err := f.lookup(at, name)
		if err != nil {
			return nil, err
		}
		if !next.is(modeSymlink) {
			parents, at = append(parents, at), next
			continue
		}
		if links++; links > maxLinks {
			return nil, errors.New("too many symbolic links")
		}
		to, err := f.link(next)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(to, "/") {
			if len(parents) > 0 {
				at = parents[0]
			}
			parents = nil
		}
		rest = to + "/" + rest
	}
	return at, nil
}

// link gives where a symbolic link leads.
func (f *FS) link(n *inode) (string, error) {
	if n.size <= 0 || n.size >= maxPath {
		return "", fmt.Errorf("inode %d: a symbolic link of %d bytes", n.number, n.size)
	}
	b := make([]byte, n.size)
	if n.flags&(flagExtents|flagInline) == 0 && n.size < int64(len(n.blocks)) {
		copy(b, n.blocks[:])
		return string(b), nil
	}
	m := mapper{fs: f, node: n}
	if err := m.read(b, 0); err != nil {
		return "", fmt.Errorf("inode %d: %w", n.number, err)
	}
	return string(b), nil
}

func (f *FS) lookup(dir *inode, name string) (*inode, error) {
	if len(name) > 255 {
		return nil, ErrNotFound
	}
	found := uint32(0)
	err := f.entries(dir, func(n []byte, number uint32) bool {
		if string(n) == name {
			found = number
		}
		return found == 0
	})
	if err != nil {
		return nil, err
	}
	if found == 0 {
		return nil, ErrNotFound
	}
	return f.inode(found)
}

// entries gives the entries of a directory until visit has seen enough. A directory with an index is read like any other: to those who do not know it, the
// index is empty space.
func (f *FS) entries(dir *inode, visit func(name []byte, inode uint32) bool) error {
	if !dir.is(modeDir) {
		return ErrNotFound
	}
	if dir.size > maxDirSize {
		return fmt.Errorf("inode %d: a directory of %d bytes", dir.number, dir.size)
	}
	if dir.flags&flagInline != 0 { // the number of the parent, then entries in two pieces
		if more, err := f.scan(dir.blocks[4:], visit); err != nil || !more {
			return err
		}
		_, err := f.scan(dir.more, visit)
		return err
	}
	m := mapper{fs: f, node: dir}
	b := make([]byte, f.block)
	for off := int64(0); off < dir.size; off += f.block {
		r, err := m.find(uint64(off / f.block))
		if err == nil && r.block == 0 {
			err = errors.New("a directory with a hole")
		}
		if err == nil {
			err = m.read(b, off)
		}
		more := false
		if err == nil {
			more, err = f.scan(b, visit)
		}
		if err != nil {
			return fmt.Errorf("inode %d: %w", dir.number, err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// scan goes through the entries of one block; more says that visit wants others.
func (f *FS) scan(b []byte, visit func(name []byte, inode uint32) bool) (more bool, err error) {
	for len(b) >= entryHead {
		number, length, name := binary.LittleEndian.Uint32(b), int64(binary.LittleEndian.Uint16(b[4:])), int(b[6])
		if f.block == maxBlock && (length == 0 || length == maxBlock-1) {
			length = maxBlock
		}
		if number == 0 && length == 0 { // the unused end of an inode's own space
			return true, nil
		}
		if length < entryHead || length > int64(len(b)) || entryHead+name > int(length) {
			return false, errors.New("a damaged directory")
		}
		if number != 0 && name > 0 && !visit(b[entryHead:entryHead+name], number) {
			return false, nil
		}
		b = b[length:]
	}
	return true, nil
}
