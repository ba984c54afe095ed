package guestdisk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"unicode/utf16"
)

// The partitions, in sectors: first what GRUB would keep its code in on a PC with a BIOS, then the root file system.
const (
	sector    = 512
	biosStart = 2048
	rootStart = 4096
	rootSize  = 1200 << 20 / sector
	diskSize  = rootStart + rootSize + 2048 // with room for the second table

	tableEntries = 128
	entrySize    = 128
	tableSectors = tableEntries * entrySize / sector
)

// RootOffset is where the root file system begins in the image, in bytes.
const RootOffset = rootStart * sector

// Types of partitions as they lie on disk (UEFI 2.10, 5.3.3: the first three groups are little-endian).
var (
	biosBoot  = [16]byte{0x48, 0x61, 0x68, 0x21, 0x49, 0x64, 0x6f, 0x6e, 0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49}
	linuxData = [16]byte{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}
)

// makeDisk makes an empty image with the partition tables.
func makeDisk(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = f.Truncate(diskSize * sector)
	if err == nil {
		err = writeTables(f)
	}
	return errors.Join(err, f.Close())
}

func writeTables(f *os.File) error {
	mbr := make([]byte, sector)
	mbr[450], mbr[510], mbr[511] = 0xee, 0x55, 0xaa
	binary.LittleEndian.PutUint32(mbr[454:], 1)
	binary.LittleEndian.PutUint32(mbr[458:], diskSize-1)
	table := make([]byte, tableEntries*entrySize)
	entry(table, 1, biosBoot, biosStart, rootStart-1, "bios")
	entry(table[entrySize:], 2, linuxData, rootStart, rootStart+rootSize-1, "root")
	last := uint64(diskSize - 1)
	for _, w := range []struct {
		at   uint64
		data []byte
	}{{0, mbr}, {1, header(1, last, 2, table)}, {2, table}, {last - tableSectors, table}, {last, header(last, 1, last-tableSectors, table)}} {
		if _, err := f.WriteAt(w.data, int64(w.at*sector)); err != nil {
			return err
		}
	}
	return nil
}

func entry(e []byte, id byte, kind [16]byte, first, last uint64, name string) {
	copy(e, kind[:])
	e[16+15] = id // of the partition's own GUID
	binary.LittleEndian.PutUint64(e[32:], first)
	binary.LittleEndian.PutUint64(e[40:], last)
	for i, c := range utf16.Encode([]rune(name)) {
		binary.LittleEndian.PutUint16(e[56+2*i:], c)
	}
}

func header(at, other, entries uint64, table []byte) []byte {
	const size = 92
	b := make([]byte, sector)
	copy(b, "EFI PART")
	binary.LittleEndian.PutUint32(b[8:], 0x10000)
	binary.LittleEndian.PutUint32(b[12:], size)
	binary.LittleEndian.PutUint64(b[24:], at)
	binary.LittleEndian.PutUint64(b[32:], other)
	binary.LittleEndian.PutUint64(b[40:], 2+tableSectors)
	binary.LittleEndian.PutUint64(b[48:], diskSize-2-tableSectors)
	b[56+15] = 0xd0 // the disk's GUID
	binary.LittleEndian.PutUint64(b[72:], entries)
	binary.LittleEndian.PutUint32(b[80:], tableEntries)
	binary.LittleEndian.PutUint32(b[84:], entrySize)
	binary.LittleEndian.PutUint32(b[88:], crc32.ChecksumIEEE(table))
	binary.LittleEndian.PutUint32(b[16:], crc32.ChecksumIEEE(b[:size]))
	return b
}
