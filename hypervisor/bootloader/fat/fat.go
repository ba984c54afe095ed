// Package fat reads FAT12, FAT16 and FAT32 file systems: enough to find a file by its name, long or short, and to read it.
//
// What lives here: boot sector, allocation table, directories. What does not: writing.
//
// The path through it: Open reads the boot sector, FS.Open walks a path and gives a File, which follows its chain once and then reads any part. All that
// lies in the file system is hostile input: chains are no longer than the file that they are of, directories end, and a file in too many pieces is refused.
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNot says that there is no file system of this kind.
var ErrNot = errors.New("not a FAT file system")

// ErrNotFound says that a path leads nowhere.
var ErrNotFound = errors.New("no such file")

// FS is a file system. It may be used by one goroutine at a time.
type FS struct {
	r    io.ReaderAt
	size int64

	UUID, Label string // UUID as Linux writes it: 1234-ABCD

	bits       int   // of a table entry: 12, 16 or 32
	cluster    int64 // bytes
	table      int64 // byte offset of the first allocation table
	root       int64 // byte offset of a root directory that is no chain
	rootSize   int64
	rootChain  uint32 // the first cluster of one that is
	data       int64  // byte offset of cluster 2
	clusters   uint32
	page       []byte // of the table
	pageAt     int64
	pageLoaded bool
}

const (
	bootSize  = 512
	pageSize  = 4096
	max12     = 4085 // clusters: below it FAT12, below the next FAT16 (Microsoft, FAT specification)
	max16     = 65525
	max32     = 1 << 28
	firstData = 2
)

// Open reads the boot sector; ErrNot says that there is none. The file system takes size bytes of r.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	var b [bootSize]byte
	if size < bootSize {
		return nil, ErrNot
	}
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return nil, fmt.Errorf("read the boot sector: %w", err)
	}
	f := &FS{r: r, size: size, page: make([]byte, pageSize)}
	if !f.boot(b[:]) {
		return nil, ErrNot
	}
	return f, nil
}

func power(n int64) bool { return n > 0 && n&(n-1) == 0 }

// boot understands the boot sector, and says whether it is one.
func (f *FS) boot(b []byte) bool {
	u16 := func(at int) int64 { return int64(binary.LittleEndian.Uint16(b[at:])) }
	u32 := func(at int) int64 { return int64(binary.LittleEndian.Uint32(b[at:])) }
	sector, per, reserved, tables, entries := u16(11), int64(b[13]), u16(14), int64(b[16]), u16(17)
	if b[510] != 0x55 || b[511] != 0xaa || !power(sector) || sector < 512 || sector > 4096 || !power(per) || reserved == 0 || tables == 0 || b[21] < 0xf0 {
		return false
	}
	total, tableSize := u16(19), u16(22)
	if total == 0 {
		total = u32(32)
	}
	wide := tableSize == 0
	ext := 36 // where the extended part begins
	if wide {
		tableSize, ext = u32(36), 64
		f.rootChain = uint32(u32(44))
	}
	f.cluster, f.table = sector*per, reserved*sector
	f.root, f.rootSize = f.table+tables*tableSize*sector, entries*32
	f.data = f.root + (f.rootSize+sector-1)/sector*sector
	n := (total*sector - f.data) / f.cluster
	if tableSize == 0 || n <= 0 || n > max32 || f.data > f.size || !wide && entries == 0 {
		return false
	}
	switch {
	case wide:
		f.bits = 32
	case n < max12:
		f.bits = 12
	case n < max16:
		f.bits = 16
	default:
		return false
	}
	f.clusters = uint32(min(n, tableSize*sector*8/int64(f.bits)-firstData, (f.size-f.data)/f.cluster))
	if b[ext+2] == 0x29 {
		f.UUID = fmt.Sprintf("%04X-%04X", u16(ext+5), u16(ext+3))
		f.Label = strings.TrimRight(string(b[ext+7:ext+18]), " \x00")
	}
	return true
}

func (f *FS) readAt(p []byte, off int64) error {
	if off < 0 || off > f.size-int64(len(p)) {
		return fmt.Errorf("byte %d is beyond the end of the file system", off)
	}
	if n, err := f.r.ReadAt(p, off); n < len(p) {
		return err
	}
	return nil
}

// valid says whether a cluster exists.
func (f *FS) valid(c uint32) bool { return c >= firstData && c-firstData < f.clusters }

// place gives the byte offset of a valid cluster.
func (f *FS) place(c uint32) int64 { return f.data + int64(c-firstData)*f.cluster }

// next gives the cluster behind a valid one. It is not valid at the end of a chain.
func (f *FS) next(c uint32) (uint32, error) {
	if f.bits == 12 {
		lo, err := f.tableByte(int64(c) * 3 / 2)
		if err != nil {
			return 0, err
		}
		hi, err := f.tableByte(int64(c)*3/2 + 1)
		return (uint32(hi)<<8 | uint32(lo)) >> (4 * (c & 1)) & 0xfff, err
	}
	var v uint32
	for i := range int64(f.bits / 8) {
		b, err := f.tableByte(int64(c)*int64(f.bits/8) + i)
		if err != nil {
			return 0, err
		}
		v |= uint32(b) << (8 * i)
	}
	return v & 0x0fffffff, nil
}

func (f *FS) tableByte(n int64) (byte, error) {
	at := (f.table + n) &^ (pageSize - 1)
	if !f.pageLoaded || f.pageAt != at {
		f.pageLoaded = false
		if at > f.size {
			return 0, errors.New("the allocation table is beyond the end of the file system")
		}
		k := min(pageSize, f.size-at)
		if err := f.readAt(f.page[:k], at); err != nil {
			return 0, err
		}
		clear(f.page[k:])
		f.pageAt, f.pageLoaded = at, true
	}
	return f.page[f.table+n-at], nil
}
