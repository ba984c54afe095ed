package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNot says that there is no file system of this kind.
var ErrNot = errors.New("not an ext2, ext3 or ext4 file system")

// ErrNotFound says that a path leads nowhere.
var ErrNotFound = errors.New("no such file")

// The feature bits that matter for reading (Linux, Documentation/filesystems/ext4/super.rst).
const (
	incompatExtents  = 0x40
	incompat64bit    = 0x80
	incompatMetaBG   = 0x10
	incompatKnown    = 0x2 | 0x4 | incompatMetaBG | incompatExtents | incompat64bit | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
	roCompatSparse   = 0x1
	compatSparse2    = 0x200
	superOffset      = 1024
	superSize        = 1024
	magic            = 0xef53
	maxBlock         = 64 << 10
	rootInode        = 2
	oldInodeSize     = 128
	firstDescriptor  = 32
	descriptor64Size = 64
)

// FS is a file system. It may be used by one goroutine at a time.
type FS struct {
	r    io.ReaderAt
	size int64

	UUID, Label string
	Kind        string // ext2, ext3 or ext4

	block      int64 // size of a block in bytes
	first      uint64
	perGroup   uint32 // blocks
	inodes     uint32
	groupNodes uint32 // inodes of a group
	inodeSize  int64
	descSize   int64
	metaBG     bool
	firstMeta  uint32
	sparse     bool
	backups    *[2]uint32 // of the sparse_super2 kind
}

// Open reads the superblock; ErrNot says that there is none. The file system takes size bytes of r.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	var b [superSize]byte
	if size < superOffset+superSize {
		return nil, ErrNot
	}
	if _, err := r.ReadAt(b[:], superOffset); err != nil {
		return nil, fmt.Errorf("read the superblock: %w", err)
	}
	if binary.LittleEndian.Uint16(b[0x38:]) != magic {
		return nil, ErrNot
	}
	f := &FS{r: r, size: size}
	if err := f.super(b[:]); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *FS) super(b []byte) error {
	u16 := func(at int) uint16 { return binary.LittleEndian.Uint16(b[at:]) }
	u32 := func(at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
	compat, incompat, roCompat := u32(0x5c), u32(0x60), u32(0x64)
	f.inodeSize = oldInodeSize
	if u32(0x4c) == 0 { // revision 0 knows no features
		compat, incompat, roCompat = 0, 0, 0
	} else {
		f.inodeSize = int64(u16(0x58))
	}
	if x := incompat &^ incompatKnown; x != 0 {
		return fmt.Errorf("the file system has features that cannot be read (%#x)", x)
	}
	shift := u32(0x18)
	if shift > 6 {
		return fmt.Errorf("superblock: blocks of 1024 << %d bytes", shift)
	}
	f.block = 1024 << shift
	f.inodes, f.perGroup, f.groupNodes = u32(0), u32(0x20), u32(0x28)
	f.first = uint64(u32(0x14))
	f.descSize = firstDescriptor
	if incompat&incompat64bit != 0 {
		f.descSize = int64(u16(0xfe))
	}
	f.metaBG, f.firstMeta, f.sparse = incompat&incompatMetaBG != 0, u32(0x104), roCompat&roCompatSparse != 0
	if compat&compatSparse2 != 0 {
		f.backups = &[2]uint32{u32(0x24c), u32(0x250)}
	}
	switch {
	case f.perGroup == 0 || f.groupNodes == 0:
		return errors.New("superblock: empty groups")
	case f.inodeSize < oldInodeSize || f.inodeSize > f.block || f.inodeSize&(f.inodeSize-1) != 0:
		return fmt.Errorf("superblock: inodes of %d bytes", f.inodeSize)
	case f.descSize < firstDescriptor || f.descSize > f.block || f.descSize&(f.descSize-1) != 0:
		return fmt.Errorf("superblock: group descriptors of %d bytes", f.descSize)
	case f.first > 1:
		return fmt.Errorf("superblock: first block %d", f.first)
	}
	f.Kind = "ext2"
	switch {
	case incompat&incompatExtents != 0:
		f.Kind = "ext4"
	case compat&0x4 != 0: // has a journal
		f.Kind = "ext3"
	}
	u := b[0x68:0x78]
	f.UUID = fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
	f.Label, _, _ = strings.Cut(string(b[0x78:0x88]), "\x00")
	return nil
}

// readAt reads within the file system.
func (f *FS) readAt(p []byte, off int64) error {
	if off < 0 || off > f.size-int64(len(p)) {
		return fmt.Errorf("byte %d is beyond the end of the file system", off)
	}
	if n, err := f.r.ReadAt(p, off); n < len(p) {
		return err
	}
	return nil
}

// at gives the byte offset of n bytes at a byte of a block.
func (f *FS) at(block uint64, in, n int64) (int64, error) {
	if block > uint64(f.size/f.block) || in > f.size-n-int64(block)*f.block {
		return 0, fmt.Errorf("block %d is beyond the end of the file system", block)
	}
	return int64(block)*f.block + in, nil
}

// table gives the block at which the inodes of a group begin.
func (f *FS) table(group uint32) (uint64, error) {
	per := uint32(f.block / f.descSize)
	meta := group / per
	block := f.first + 1 + uint64(meta)
	if f.metaBG && meta >= f.firstMeta {
		g := meta * per
		block = f.first + uint64(g)*uint64(f.perGroup)
		if f.hasSuper(g) {
			block++
		}
	}
	off, err := f.at(block, int64(group%per)*f.descSize, f.descSize)
	if err != nil {
		return 0, fmt.Errorf("group %d: %w", group, err)
	}
	var d [descriptor64Size]byte
	n := min(f.descSize, descriptor64Size)
	if err := f.readAt(d[:n], off); err != nil {
		return 0, fmt.Errorf("group %d: %w", group, err)
	}
	t := uint64(binary.LittleEndian.Uint32(d[8:]))
	if n == descriptor64Size {
		t |= uint64(binary.LittleEndian.Uint32(d[0x28:])) << 32
	}
	return t, nil
}

// hasSuper says whether a group begins with a copy of the superblock.
func (f *FS) hasSuper(group uint32) bool {
	switch {
	case group == 0:
		return true
	case f.backups != nil:
		return group == f.backups[0] || group == f.backups[1]
	case !f.sparse || group == 1:
		return true
	}
	for _, base := range []uint32{3, 5, 7} {
		g := group
		for g%base == 0 {
			g /= base
		}
		if g == 1 {
			return true
		}
	}
	return false
}
