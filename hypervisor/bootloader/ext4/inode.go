package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

const (
	flagEncrypt = 0x800
	flagCompr   = 0x4
	flagExtents = 0x80000
	flagInline  = 0x10000000

	modeKind    = 0xf000
	modeDir     = 0x4000
	modeFile    = 0x8000
	modeSymlink = 0xa000
)

// inode is a file, a directory or a symbolic link.
type inode struct {
	number uint32
	mode   uint16
	flags  uint32
	size   int64
	blocks [60]byte // the map, or the first bytes of what is kept in the inode
	more   []byte   // inline data beyond these
}

func (n *inode) is(kind uint16) bool { return n.mode&modeKind == kind }

func (f *FS) inode(number uint32) (*inode, error) {
	n, err := f.readInode(number)
	if err != nil {
		return nil, fmt.Errorf("inode %d: %w", number, err)
	}
	return n, nil
}

func (f *FS) readInode(number uint32) (*inode, error) {
	if number == 0 || number > f.inodes {
		return nil, errors.New("there is no such inode")
	}
	table, err := f.table((number - 1) / f.groupNodes)
	if err != nil {
		return nil, err
	}
	if table > uint64(f.size/f.block) {
		return nil, errors.New("its table is beyond the end of the file system")
	}
	b := make([]byte, f.inodeSize)
	off := int64(table)*f.block + int64((number-1)%f.groupNodes)*f.inodeSize
	if err := f.readAt(b, off); err != nil {
		return nil, err
	}
	size := uint64(binary.LittleEndian.Uint32(b[4:])) | uint64(binary.LittleEndian.Uint32(b[0x6c:]))<<32
	if size > math.MaxInt64 {
		return nil, fmt.Errorf("its size is %d bytes", size)
	}
	n := &inode{number: number, mode: binary.LittleEndian.Uint16(b), flags: binary.LittleEndian.Uint32(b[0x20:]), size: int64(size), blocks: [60]byte(b[0x28:0x64])}
	switch {
	case n.flags&flagEncrypt != 0:
		return nil, errors.New("it is encrypted")
	case n.flags&flagCompr != 0 && n.flags&flagExtents == 0:
		return nil, errors.New("it is compressed")
	}
	if n.flags&flagInline != 0 {
		n.more = inlineRest(b)
		if room := int64(len(n.blocks) + len(n.more)); n.size > room {
			return nil, fmt.Errorf("it keeps %d bytes where there is room for %d", n.size, room)
		}
	}
	return n, nil
}

const (
	attrMagic    = 0xea020000
	attrSystem   = 7
	attrEntry    = 16
	attrDataName = "data"
)

// inlineRest gives the value of the attribute system.data inside an inode: what the block map has no room for.
func inlineRest(b []byte) []byte {
	if len(b) < oldInodeSize+4 {
		return nil
	}
	at := oldInodeSize + int(binary.LittleEndian.Uint16(b[oldInodeSize:]))
	if at+4 > len(b) || binary.LittleEndian.Uint32(b[at:]) != attrMagic {
		return nil
	}
	b = b[at+4:]
	for e := b; len(e) >= attrEntry; {
		length, index := int(e[0]), e[1]
		from, inode, size := int(binary.LittleEndian.Uint16(e[2:])), binary.LittleEndian.Uint32(e[4:]), uint64(binary.LittleEndian.Uint32(e[8:]))
		if length == 0 && index == 0 || attrEntry+length > len(e) {
			return nil
		}
		if index == attrSystem && string(e[attrEntry:attrEntry+length]) == attrDataName && inode == 0 && from <= len(b) && size <= uint64(len(b)-from) {
			return b[from:][:size]
		}
		e = e[min(len(e), (attrEntry+length+3)&^3):]
	}
	return nil
}

// inline reads data that is kept in the inode.
func (n *inode) inline(p []byte, off int64) {
	clear(p)
	if off < int64(len(n.blocks)) {
		k := copy(p, n.blocks[off:])
		p, off = p[k:], off+int64(k)
	}
	if off -= int64(len(n.blocks)); off >= 0 && off < int64(len(n.more)) {
		copy(p, n.more[off:])
	}
}
