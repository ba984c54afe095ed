// Package imagetest makes small disk images for tests, without any program of the host: FAT12 and ext2 file systems, GPT and MBR around them.
//
// What lives here: writers as simple as can be. What does not: anything that a real file system would want, such as bitmaps.
package imagetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

const sector = 512

var le = binary.LittleEndian

// Link is how the content of a symbolic link begins; its target follows. Only ext2 has them.
const Link = "\x00link:"

// node is a file or a folder.
type node struct {
	name, data string
	children   []*node
	dir        bool
}

// tree makes folders of paths.
func tree(files map[string]string) *node {
	root := &node{dir: true}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		at := root
		parts := strings.Split(strings.Trim(p, "/"), "/")
		for i, name := range parts {
			k := slices.IndexFunc(at.children, func(n *node) bool { return n.name == name })
			if k < 0 {
				k = len(at.children)
				at.children = append(at.children, &node{name: name, dir: i < len(parts)-1})
			}
			at = at.children[k]
		}
		at.data = files[p]
	}
	return root
}

// FAT gives a FAT12 file system with clusters of 512 bytes; all names are long ones.
func FAT(files map[string]string, label string) []byte {
	const clusters, tableSectors, rootEntries = 4000, 12, 64
	b := make([]byte, (1+tableSectors+rootEntries*32/sector+clusters)*sector)
	copy(b, "\xeb\x3c\x90gozen   ")
	le.PutUint16(b[11:], sector)
	b[13], b[16], b[21], b[38] = 1, 1, 0xf8, 0x29
	le.PutUint16(b[14:], 1)
	le.PutUint16(b[17:], rootEntries)
	le.PutUint16(b[19:], uint16(len(b)/sector))
	le.PutUint16(b[22:], tableSectors)
	le.PutUint32(b[39:], 0x1234abcd)
	copy(b[43:54], fmt.Sprintf("%-11s", label))
	b[510], b[511] = 0x55, 0xaa
	w := &fatWriter{b: b, table: sector, data: (1 + tableSectors + rootEntries*32/sector) * sector, free: 2}
	copy(b[(1+tableSectors)*sector:], w.folder(tree(files)))
	return b
}

type fatWriter struct {
	b           []byte
	table, data int
	free        int
}

// put writes data into a chain and gives its first cluster.
func (w *fatWriter) put(data []byte) int {
	first := w.free
	for n := max(1, (len(data)+sector-1)/sector); n > 0; n-- {
		next := 0xfff
		if n > 1 {
			next = w.free + 1
		}
		copy(w.b[w.data+(w.free-2)*sector:][:sector], data)
		data = data[min(len(data), sector):]
		at, shift := w.table+w.free*3/2, 4*(w.free&1)
		le.PutUint16(w.b[at:], le.Uint16(w.b[at:])&^(0xfff<<shift)|uint16(next)<<shift)
		w.free++
	}
	return first
}

func (w *fatWriter) folder(n *node) []byte {
	var out []byte
	for i, c := range n.children {
		data, attr := []byte(c.data), byte(0)
		if c.dir {
			data, attr = w.folder(c), 0x10
		}
		first := w.put(data)
		short := fmt.Sprintf("N%-7dX  ", i)
		out = append(out, longName(c.name, short)...)
		e := make([]byte, 32)
		copy(e, short)
		e[11] = attr
		le.PutUint16(e[26:], uint16(first))
		if !c.dir {
			le.PutUint32(e[28:], uint32(len(data)))
		}
		out = append(out, e...)
	}
	return out
}

func longName(name, short string) (out []byte) {
	u := append(utf16.Encode([]rune(name)), 0)
	for len(u)%13 != 0 {
		u = append(u, 0xffff)
	}
	sum := byte(0)
	for _, c := range []byte(short) {
		sum = sum<<7 | sum>>1
		sum += c
	}
	for n := len(u) / 13; n > 0; n-- {
		e := make([]byte, 32)
		e[0], e[11], e[13] = byte(n), 0x0f, sum
		if n == len(u)/13 {
			e[0] |= 0x40
		}
		for i, at := range []int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30} {
			le.PutUint16(e[at:], u[(n-1)*13+i])
		}
		out = append(out, e...)
	}
	return out
}

const (
	extBlock  = 1024
	extInodes = 256
	extTable  = 5 // block of the inode table
	extData   = extTable + extInodes*128/extBlock
)

// Ext2 gives an ext2 file system with block maps.
func Ext2(files map[string]string, label string) []byte {
	w := &extWriter{inode: 10, b: make([]byte, extData*extBlock)}
	s := w.b[1024:]
	le.PutUint32(s, extInodes)
	le.PutUint32(s[0x14:], 1)
	le.PutUint32(s[0x20:], 8192)
	le.PutUint32(s[0x28:], extInodes)
	le.PutUint16(s[0x38:], 0xef53)
	le.PutUint32(s[0x4c:], 1)
	le.PutUint16(s[0x58:], 128)
	le.PutUint32(s[0x60:], 2) // types in directories
	copy(s[0x68:], "\xaa\xaa\xaa\xaa\xbb\xbb\xcc\xcc\xdd\xdd\xee\xee\xee\xee\xee\xee")
	copy(s[0x78:0x88], label)
	le.PutUint32(w.b[2*extBlock+8:], extTable)
	w.folder(tree(files), 2, 2)
	le.PutUint32(w.b[1024+4:], uint32(len(w.b)/extBlock))
	return w.b
}

type extWriter struct {
	b     []byte
	inode int
}

func (w *extWriter) block(data []byte) uint32 {
	n := len(w.b) / extBlock
	w.b = append(w.b, make([]byte, extBlock)...)
	copy(w.b[n*extBlock:], data)
	return uint32(n)
}

// write fills an inode. Blocks of zeros become holes.
func (w *extWriter) write(number int, mode uint16, data []byte) {
	var blocks [15]uint32
	var indirect []byte
	for i := 0; i*extBlock < len(data); i++ {
		piece, at := data[i*extBlock:min(len(data), (i+1)*extBlock)], uint32(0)
		if !bytes.Equal(piece, make([]byte, len(piece))) {
			at = w.block(piece)
		}
		if i < 12 {
			blocks[i] = at
		} else {
			indirect = le.AppendUint32(indirect, at)
		}
	}
	if len(indirect) > extBlock {
		panic("imagetest: a file of more than 268 KiB")
	}
	if indirect != nil {
		blocks[12] = w.block(indirect)
	}
	e := w.b[extTable*extBlock+(number-1)*128:]
	le.PutUint16(e, mode)
	le.PutUint32(e[4:], uint32(len(data)))
	if mode == 0xa1ff && len(data) < 60 {
		copy(e[0x28:], data)
		return
	}
	for i, x := range blocks {
		le.PutUint32(e[0x28+4*i:], x)
	}
}

func (w *extWriter) folder(n *node, self, parent int) {
	var out []byte
	entry := func(name string, inode int, kind byte) []byte {
		e := make([]byte, (8+len(name)+3)&^3)
		le.PutUint32(e, uint32(inode))
		le.PutUint16(e[4:], uint16(len(e)))
		e[6], e[7] = byte(len(name)), kind
		copy(e[8:], name)
		return e
	}
	last := 0
	add := func(e []byte) {
		if room := extBlock - len(out)%extBlock; len(out)%extBlock != 0 && room < len(e) {
			le.PutUint16(out[last+4:], le.Uint16(out[last+4:])+uint16(room))
			out = append(out, make([]byte, room)...)
		}
		last = len(out)
		out = append(out, e...)
	}
	add(entry(".", self, 2))
	add(entry("..", parent, 2))
	for _, c := range n.children {
		w.inode++
		number := w.inode
		kind := byte(1)
		switch to, link := strings.CutPrefix(c.data, Link); {
		case c.dir:
			kind = 2
			w.folder(c, number, self)
		case link:
			kind = 7
			w.write(number, 0xa1ff, []byte(to))
		default:
			w.write(number, 0x81a4, []byte(c.data))
		}
		add(entry(c.name, number, kind))
	}
	if room := -len(out) & (extBlock - 1); room > 0 {
		le.PutUint16(out[last+4:], le.Uint16(out[last+4:])+uint16(room))
		out = append(out, make([]byte, room)...)
	}
	w.write(self, 0x41ed, out)
}

// first is where the first partition begins, in sectors.
const first = 64

func round(b []byte) int { return (len(b) + sector - 1) / sector }

// GPT puts partitions into a disk with a GUID partition table at its start and at its end.
func GPT(parts ...[]byte) []byte {
	table := make([]byte, 128*128)
	at := first
	for i, p := range parts {
		e := table[128*i:]
		copy(e, "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4")
		e[16] = byte(i + 1)
		le.PutUint64(e[32:], uint64(at))
		le.PutUint64(e[40:], uint64(at+round(p)-1))
		le.PutUint16(e[56:], uint16('a'+i))
		at += round(p)
	}
	b := make([]byte, (at+33)*sector)
	b[450], b[454], b[458], b[510], b[511] = 0xee, 1, 0xff, 0x55, 0xaa
	last := len(b)/sector - 1
	for _, h := range [][3]int{{1, last, 2}, {last, 1, last - 32}} {
		head := b[h[0]*sector:]
		copy(head, "EFI PART\x00\x00\x01\x00\x5c")
		le.PutUint64(head[24:], uint64(h[0]))
		le.PutUint64(head[32:], uint64(h[1]))
		le.PutUint64(head[72:], uint64(h[2]))
		le.PutUint32(head[80:], 128)
		le.PutUint32(head[84:], 128)
		le.PutUint32(head[88:], crc32.ChecksumIEEE(table))
		le.PutUint32(head[16:], crc32.ChecksumIEEE(head[:92]))
		copy(b[h[2]*sector:], table)
	}
	at = first
	for _, p := range parts {
		copy(b[at*sector:], p)
		at += round(p)
	}
	return b
}

// MBR puts partitions into a disk with a boot record: up to three primary ones, the rest logical. The one with the index active has the boot flag.
func MBR(active int, parts ...[]byte) []byte {
	b := make([]byte, first*sector)
	slot := func(record, n int, status, kind byte, start, size int) {
		e := b[record*sector+446+16*n:]
		e[0], e[4] = status, kind
		le.PutUint32(e[8:], uint32(start))
		le.PutUint32(e[12:], uint32(size))
		b[record*sector+510], b[record*sector+511] = 0x55, 0xaa
	}
	extended, previous := 0, 0
	for i, p := range parts {
		status := byte(0)
		if i == active {
			status = 0x80
		}
		if at := len(b) / sector; i < 3 {
			slot(0, i, status, 0x83, at, round(p))
		} else { // a boot record of its own, then the partition
			b = append(b, make([]byte, sector)...)
			slot(at, 0, status, 0x83, 1, round(p))
			if extended == 0 {
				extended = at
			} else {
				slot(previous, 1, 0, 5, at-extended, round(p)+1)
			}
			previous = at
		}
		b = append(b, p...)
		b = append(b, make([]byte, round(p)*sector-len(p))...)
	}
	if extended != 0 {
		slot(0, 3, 0, 5, extended, len(b)/sector-extended)
	}
	return b
}
