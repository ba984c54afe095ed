// Package partition reads the partition tables of a disk: GPT, and MBR with its logical partitions.
//
// What lives here: where the parts of a disk are. What does not: what lies in them (ext4, fat), and which of them matters (bootloader).
//
// The path through it: Table tries GPT, at the disk's start and then its copy at the end, then MBR. All of it is hostile input: the number of
// partitions is bounded, chains end, and a partition beyond the disk is left out.
package partition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"unicode/utf16"
)

// Partition is a part of a disk.
type Partition struct {
	Number      int   // as Linux and GRUB count: from 1, logical partitions from 5
	Start, Size int64 // in bytes; they lie within the disk
	Active      bool  // MBR: the boot flag
	GUID, Name  string
}

// Scheme is a kind of partition table, as GRUB names it in gpt2 or msdos1.
type Scheme string

// The schemes. None is a disk without partitions.
const (
	None Scheme = ""
	GPT  Scheme = "gpt"
	MBR  Scheme = "msdos"
)

const (
	sector     = 512
	maxEntries = 256  // of a GPT; usual are 128
	maxEntry   = 4096 // bytes of an entry
	maxLogical = 128
)

// Table gives the partitions of a disk in the order of their numbers. A disk without a table has none, which is no error: only reading can fail.
func Table(disk io.ReaderAt, size int64) (Scheme, []Partition, error) {
	if size < 2*sector {
		return None, nil, nil
	}
	var mbr [sector]byte
	if _, err := disk.ReadAt(mbr[:], 0); err != nil {
		return None, nil, fmt.Errorf("read the partition table: %w", err)
	}
	for _, unit := range []int64{sector, 4096} {
		for _, at := range []int64{unit, (size/unit - 1) * unit} {
			if p, ok := gpt(disk, size, at, unit); ok {
				return GPT, p, nil
			}
		}
	}
	if p, ok := readMBR(disk, size, mbr[:]); ok {
		return MBR, p, nil
	}
	return None, nil, nil
}

// gpt reads the table whose header is at a byte offset (UEFI 2.10, 5.3), in units of the sector size that it was made for.
func gpt(disk io.ReaderAt, size, at, unit int64) ([]Partition, bool) {
	var h [sector]byte
	if at <= 0 || at > size-sector {
		return nil, false
	}
	if _, err := disk.ReadAt(h[:], at); err != nil || string(h[:8]) != "EFI PART" {
		return nil, false
	}
	length, sum := binary.LittleEndian.Uint32(h[12:]), binary.LittleEndian.Uint32(h[16:])
	if length < 92 || length > sector {
		return nil, false
	}
	clear(h[16:20])
	if crc32.ChecksumIEEE(h[:length]) != sum {
		return nil, false
	}
	lba, count, each := binary.LittleEndian.Uint64(h[72:]), binary.LittleEndian.Uint32(h[80:]), binary.LittleEndian.Uint32(h[84:])
	if each < 128 || each > maxEntry {
		return nil, false
	}
	count = min(count, maxEntries)
	table, ok := place(lba, uint64(count)*uint64(each), unit, size)
	if !ok {
		return nil, false
	}
	out := []Partition{}
	e := make([]byte, each)
	for i := range count {
		if _, err := disk.ReadAt(e, table+int64(i)*int64(each)); err != nil {
			return nil, false
		}
		first, last := binary.LittleEndian.Uint64(e[32:]), binary.LittleEndian.Uint64(e[40:])
		if bytes.Equal(e[:16], make([]byte, 16)) || last < first || last-first >= 1<<50 {
			continue
		}
		bytesOf := (last - first + 1) * uint64(unit)
		if start, ok := place(first, bytesOf, unit, size); ok && start > 0 { // the table itself lies at 0
			out = append(out, Partition{Number: int(i) + 1, Start: start, Size: int64(bytesOf), GUID: guid(e[16:32]), Name: name(e[56:128])})
		}
	}
	return out, true
}

// place gives the byte offset of n bytes at a sector, if they lie within the disk.
func place(lba, n uint64, unit, size int64) (int64, bool) {
	if lba > uint64(size/unit) || n > uint64(size)-lba*uint64(unit) {
		return 0, false
	}
	return int64(lba) * unit, true
}

func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]), b[8:10], b[10:16])
}

func name(b []byte) string {
	var u []uint16
	for ; len(b) >= 2; b = b[2:] {
		c := binary.LittleEndian.Uint16(b)
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u))
}

// slot is one of four entries of a boot record.
type slot struct {
	status, kind byte
	start, size  uint32 // in sectors
}

// slots gives the four entries, and whether the sector can be a boot record with a table: a file system's boot sector has code or text there.
func slots(b []byte) (out [4]slot, ok bool) {
	if b[510] != 0x55 || b[511] != 0xaa {
		return out, false
	}
	for i := range out {
		e := b[446+16*i:]
		out[i] = slot{e[0], e[4], binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])}
		if out[i].status&^0x80 != 0 {
			return out, false
		}
	}
	return out, true
}

func (s slot) extended() bool { return s.kind == 0x05 || s.kind == 0x0f || s.kind == 0x85 }

func (s slot) empty() bool { return s.kind == 0 || s.size == 0 }

func (s slot) partition(number int, base uint64, size int64) (Partition, bool) {
	n := uint64(s.size) * sector
	start, ok := place(base+uint64(s.start), n, sector, size)
	return Partition{Number: number, Start: start, Size: int64(n), Active: s.status == 0x80}, ok && start > 0
}

func readMBR(disk io.ReaderAt, size int64, b []byte) ([]Partition, bool) {
	table, ok := slots(b)
	if !ok {
		return nil, false
	}
	var out []Partition
	var chain uint64
	for i, s := range table {
		switch {
		case s.empty():
		case s.extended():
			if chain == 0 {
				chain = uint64(s.start)
			}
		default:
			if p, ok := s.partition(i+1, 0, size); ok {
				out = append(out, p)
			}
		}
	}
	if chain != 0 {
		out = append(out, logical(disk, size, chain)...)
	}
	return out, len(out) > 0
}

// logical follows the chain of boot records in an extended partition: each has one partition, relative to itself, and the place of the next, relative to
// the first.
func logical(disk io.ReaderAt, size int64, first uint64) (out []Partition) {
	var b [sector]byte
	at := first
	for n := range maxLogical {
		off, ok := place(at, sector, sector, size)
		if !ok {
			return out
		}
		if _, err := disk.ReadAt(b[:], off); err != nil {
			return out
		}
		table, ok := slots(b[:])
		if !ok || table[0].empty() {
			return out
		}
		if p, ok := table[0].partition(5+n, at, size); ok {
			out = append(out, p)
		}
		next := first + uint64(table[1].start)
		if table[1].empty() || !table[1].extended() || next <= at { // chains go up; one that goes back is a loop
			return out
		}
		at = next
	}
	return out
}
