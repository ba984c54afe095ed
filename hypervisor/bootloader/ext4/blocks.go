package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A run is a stretch of a file that lies in one piece, or is a hole.
type run struct {
	from, count uint64 // blocks of the file
	block       uint64 // of the disk; 0 is a hole
}

func (r run) holds(b uint64) bool { return b >= r.from && b-r.from < r.count }

// mapper finds a file's blocks. It remembers the last run, and the last block of pointers at each level.
type mapper struct {
	fs    *FS
	node  *inode
	last  run
	cache [maxDepth + 1]struct {
		block uint64
		data  []byte
	}
}

// find gives the run that holds a block of the file, from that block on.
func (m *mapper) find(b uint64) (run, error) {
	if !m.last.holds(b) {
		r, err := run{}, error(nil)
		if m.node.flags&flagExtents != 0 {
			r, err = m.extent(b)
		} else {
			r, err = m.pointer(b)
		}
		if err != nil {
			return run{}, err
		}
		m.last = r
	}
	r := m.last
	skip := b - r.from
	r.from, r.count = b, r.count-skip
	if r.block != 0 {
		r.block += skip
	}
	return r, nil
}

// load reads a block of pointers or extents.
func (m *mapper) load(level int, block uint64) ([]byte, error) {
	c := &m.cache[level]
	if c.data != nil && c.block == block {
		return c.data, nil
	}
	off, err := m.fs.at(block, 0, m.fs.block)
	if err != nil {
		return nil, err
	}
	if c.data == nil {
		c.data = make([]byte, m.fs.block)
	}
	c.block = 0 // until it is read
	if err := m.fs.readAt(c.data, off); err != nil {
		return nil, err
	}
	c.block = block
	return c.data, nil
}

const (
	extentMagic  = 0xf30a
	extentSize   = 12
	maxDepth     = 5
	unwritten    = 1 << 15 // a length beyond it is that of an extent that reads as zeros
	endOfFile    = 1 << 32 // block numbers of a file have 32 bits
	directBlocks = 12
)

var errExtents = errors.New("its extents are damaged")

// extent walks the tree of extents.
func (m *mapper) extent(b uint64) (run, error) {
	if b >= endOfFile {
		return run{}, errExtents
	}
	node := m.node.blocks[:]
	next := uint64(endOfFile) // where what is right of here begins
	for level := 0; ; level++ {
		if binary.LittleEndian.Uint16(node) != extentMagic {
			return run{}, errExtents
		}
		count, depth := int(binary.LittleEndian.Uint16(node[2:])), int(binary.LittleEndian.Uint16(node[6:]))
		if count > len(node)/extentSize-1 || level+depth > maxDepth {
			return run{}, errExtents
		}
		at := func(i int) []byte { return node[extentSize*(i+1):][:extentSize] }
		key := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(at(i))) }
		i := count // the last entry at or before b
		for i > 0 && key(i-1) > b {
			i--
			next = min(next, key(i))
		}
		if i == 0 { // a hole before the first
			return run{from: b, count: next - b}, nil
		}
		e := at(i - 1)
		if depth == 0 {
			return leaf(e, b, next), nil
		}
		block := uint64(binary.LittleEndian.Uint32(e[4:])) | uint64(binary.LittleEndian.Uint16(e[8:]))<<32
		var err error
		if node, err = m.load(level, block); err != nil {
			return run{}, err
		}
		if binary.LittleEndian.Uint16(node[6:]) != uint16(depth-1) {
			return run{}, errExtents
		}
	}
}

// leaf gives the run of an extent, or the hole behind it up to next.
func leaf(e []byte, b, next uint64) run {
	from, n := uint64(binary.LittleEndian.Uint32(e)), uint64(binary.LittleEndian.Uint16(e[4:]))
	block := uint64(binary.LittleEndian.Uint32(e[8:])) | uint64(binary.LittleEndian.Uint16(e[6:]))<<32
	if n > unwritten {
		n, block = n-unwritten, 0
	}
	if b-from >= n {
		return run{from: b, count: next - b}
	}
	return run{from: from, count: n, block: block}
}

// pointer walks the block map of ext2 and ext3: twelve blocks, then one tree each of one, two and three levels.
func (m *mapper) pointer(b uint64) (run, error) {
	per := uint64(m.fs.block / 4)
	slots := m.node.blocks[:]
	if b < directBlocks {
		return pointerRun(slots[:4*directBlocks], b, b), nil
	}
	rest, size := b-directBlocks, per
	for level := 1; level <= 3; level++ {
		if rest < size {
			block := uint64(binary.LittleEndian.Uint32(slots[4*(directBlocks+level-1):]))
			return m.descend(block, level, b, rest, size)
		}
		rest -= size
		size *= per
	}
	return run{}, fmt.Errorf("block %d is beyond what its map can hold", b)
}

// descend finds a block, the rest-th of the size blocks below a block of pointers of the given level.
func (m *mapper) descend(block uint64, level int, b, rest, size uint64) (run, error) {
	per := uint64(m.fs.block / 4)
	for ; level > 0; level-- {
		if block == 0 {
			return run{from: b, count: size - rest}, nil
		}
		data, err := m.load(level, block)
		if err != nil {
			return run{}, err
		}
		if level == 1 {
			return pointerRun(data, rest, b), nil
		}
		size /= per
		block = uint64(binary.LittleEndian.Uint32(data[4*(rest/size):]))
		rest %= size
	}
	return run{}, nil // not reached
}

// pointerRun joins what lies in one piece from the i-th pointer on, which is for block b of the file.
func pointerRun(p []byte, i, b uint64) run {
	get := func(i uint64) uint64 { return uint64(binary.LittleEndian.Uint32(p[4*i:])) }
	r := run{from: b, count: 1, block: get(i)}
	for j := i + 1; j < uint64(len(p)/4); j++ {
		if x := get(j); r.block == 0 && x != 0 || r.block != 0 && x != r.block+r.count {
			break
		}
		r.count++
	}
	return r
}
