package fat

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

const (
	maxDir    = 1 << 16 // entries of a directory, as the specification has it
	maxDepth  = 64      // folders on one way
	maxPieces = 1 << 16 // of a file

	entrySize = 32
	attrLabel = 0x08
	attrDir   = 0x10
	attrLong  = 0x0f
	lowerName = 0x08
	lowerExt  = 0x10
	deleted   = 0xe5
	longChars = 13
	maxLong   = 20 // entries of a long name
)

// entry is one file or directory.
type entry struct {
	short, long string
	dir         bool
	first       uint32
	size        int64
}

func (e *entry) name() string {
	if e.long != "" {
		return e.long
	}
	return e.short
}

// File is a regular file. It may be used by one goroutine at a time.
type File struct {
	Size  int64
	name  string
	fs    *FS
	first uint32
	runs  []run // nil until it is read
	piece int   // that was read last
}

// run is a stretch of a file in one piece, in bytes.
type run struct{ from, size, at int64 }

// Open finds a regular file. Case does not matter.
func (f *FS) Open(path string) (*File, error) {
	e, err := f.walk(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if e == nil || e.dir {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	return &File{Size: e.size, name: path, fs: f, first: e.first}, nil
}

// chain gives the pieces of size bytes that begin at a cluster.
func (f *FS) chain(c uint32, size int64) (runs []run, err error) {
	for from := int64(0); from < size; from += f.cluster {
		if !f.valid(c) {
			return nil, fmt.Errorf("its chain ends after %d of %d bytes", from, size)
		}
		at := f.place(c)
		if k := len(runs) - 1; k >= 0 && runs[k].at+runs[k].size == at {
			runs[k].size += f.cluster
		} else if len(runs) == maxPieces {
			return nil, fmt.Errorf("it has more than %d pieces", maxPieces)
		} else {
			runs = append(runs, run{from, f.cluster, at})
		}
		if c, err = f.next(c); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.Size {
		return 0, io.EOF
	}
	if f.runs == nil {
		var err error
		if f.runs, err = f.fs.chain(f.first, f.Size); err != nil {
			return 0, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	n := int(min(int64(len(p)), f.Size-off))
	if f.runs[f.piece].from > off {
		f.piece = 0
	}
	for done := 0; done < n; {
		r := f.runs[f.piece]
		in := off + int64(done) - r.from
		if in >= r.size {
			f.piece++
			continue
		}
		k := int(min(int64(n-done), r.size-in))
		if err := f.fs.readAt(p[done:done+k], r.at+in); err != nil {
			return done, fmt.Errorf("%s: %w", f.name, err)
		}
		done += k
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// List gives the names in a directory.
func (f *FS) List(path string) ([]string, error) {
	e, err := f.walk(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var names []string
	err = f.entries(e, func(e *entry) bool {
		if e.short != "." && e.short != ".." {
			names = append(names, e.name())
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return names, nil
}

// walk follows a path. The root directory is nil.
func (f *FS) walk(path string) (*entry, error) {
	var at *entry
	depth := 0
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		if depth++; depth > maxDepth {
			return nil, fmt.Errorf("more than %d folders", maxDepth)
		}
		var found *entry
		err := f.entries(at, func(e *entry) bool {
			if strings.EqualFold(name, e.long) || strings.EqualFold(name, e.short) {
				found = e
			}
			return found == nil
		})
		if err != nil {
			return nil, err
		}
		if found == nil {
			return nil, ErrNotFound
		}
		if at = found; at.dir && at.first == 0 { // ".." of a folder in the root
			at = nil
		}
	}
	return at, nil
}

// entries gives the entries of a directory until visit has seen enough.
func (f *FS) entries(dir *entry, visit func(*entry) bool) error {
	var s scanner
	c := f.rootChain
	switch {
	case dir != nil && !dir.dir:
		return ErrNotFound
	case dir != nil:
		c = dir.first
	case f.bits != 32:
		_, err := f.scan(&s, f.root, f.rootSize, visit)
		return err
	}
	for s.seen < maxDir && f.valid(c) {
		more, err := f.scan(&s, f.place(c), f.cluster, visit)
		if err != nil || !more {
			return err
		}
		if c, err = f.next(c); err != nil {
			return err
		}
	}
	return nil
}

// scanner joins the pieces of a long name, which lie before the entry that they belong to, the last piece first.
type scanner struct {
	seen int
	long []uint16
	next byte // the number of the piece that has to come; 0 when the name is whole
	sum  byte
}

// scan goes through the entries at a place of the disk; more says that visit wants others and that there may be.
func (f *FS) scan(s *scanner, at, size int64, visit func(*entry) bool) (more bool, err error) {
	b := make([]byte, min(size, pageSize))
	for done := int64(0); done < size && s.seen < maxDir; done += int64(len(b)) {
		b = b[:min(size-done, pageSize)]
		if err := f.readAt(b, at+done); err != nil {
			return false, err
		}
		for e := b; len(e) >= entrySize; e = e[entrySize:] {
			s.seen++
			switch {
			case e[0] == 0:
				return false, nil
			case e[0] == deleted:
				s.long = nil
			case e[11]&0x3f == attrLong:
				s.piece(e)
			case e[11]&attrLabel != 0:
				s.long = nil
			case !visit(s.entry(e, f.bits == 32)):
				return false, nil
			}
		}
	}
	return true, nil
}

// piece takes a piece of a long name.
func (s *scanner) piece(e []byte) {
	n := e[0] & 0x3f
	if e[0]&0x40 != 0 && n >= 1 && n <= maxLong {
		s.long, s.next, s.sum = make([]uint16, int(n)*longChars), n, e[13]
	}
	if s.long == nil || n == 0 || n != s.next || e[13] != s.sum {
		s.long = nil
		return
	}
	s.next--
	to := s.long[int(n-1)*longChars:]
	for i, at := range [longChars]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
		to[i] = binary.LittleEndian.Uint16(e[at:])
	}
}

func (s *scanner) entry(e []byte, wide bool) *entry {
	out := &entry{dir: e[11]&attrDir != 0, size: int64(binary.LittleEndian.Uint32(e[28:])), first: uint32(binary.LittleEndian.Uint16(e[26:]))}
	if wide { // the upper half means something else in the older kinds
		out.first |= uint32(binary.LittleEndian.Uint16(e[20:])) << 16
	}
	base, ext := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if e[12]&lowerName != 0 {
		base = strings.ToLower(base)
	}
	if e[12]&lowerExt != 0 {
		ext = strings.ToLower(ext)
	}
	out.short = base
	if ext != "" {
		out.short += "." + ext
	}
	if s.long != nil && s.next == 0 && s.sum == checksum(e[:11]) {
		u := s.long
		for i, c := range u {
			if c == 0 {
				u = u[:i]
				break
			}
		}
		out.long = string(utf16.Decode(u))
	}
	s.long = nil
	return out
}

// checksum binds a long name to its short one.
func checksum(name []byte) (sum byte) {
	for _, c := range name {
		sum = sum<<7 | sum>>1
		sum += c
	}
	return sum
}
