package gauge

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"gozen/hypervisor/x86/asm"
)

// Layout of the boot sector and of low memory while it works.
const (
	bootAt     = 0x7c00
	protected  = bootAt + 0x80  // its 32-bit half
	packetAt   = bootAt + 0x180 // disk address packet of INT 13h, function 42h
	countAt    = bootAt + 0x190 // reads that are left
	bootGDTPtr = bootAt + 0x198
	bootGDTAt  = bootAt + 0x1a0
	payloadAt  = 0x10000 // what the disk has behind the boot sector
	payloadTo  = 0x90000
	sector     = 512
	perRead    = 64 // sectors
)

// Disk makes a disk whose boot sector starts an image of mode hvm in 32-bit protected mode: firmware reads the image to low memory (INT 13h,
// function 42h), and the sector moves its segments to where they belong.
func Disk(image []byte) ([]byte, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return nil, fmt.Errorf("disk from an image: %w", err)
	}
	var payload []byte
	a := asm.New(protected)
	a.Bits = 32
	a.MovI(asm.RAX, 0x10)
	a.Raw(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0) // mov ds, es, ss
	for _, s := range f.Progs {
		if s.Type != elf.PT_LOAD {
			continue
		}
		b := make([]byte, (s.Filesz+3)&^3)
		if _, err := s.ReadAt(b[:s.Filesz], 0); err != nil {
			return nil, fmt.Errorf("disk from an image: %w", err)
		}
		a.MovI(asm.RSI, payloadAt+uint64(len(payload)))
		a.MovI(asm.RDI, s.Paddr)
		a.MovI(asm.RCX, uint64(len(b)/4))
		a.Raw(0xf3, 0xa5) // rep movsd
		payload = append(payload, b...)
	}
	a.MovI(asm.RBX, 0) // no start info
	a.MovI(asm.RAX, f.Entry)
	a.Raw(0xff, 0xe0) // jmp eax
	move, err := a.Bytes()
	if err != nil {
		return nil, err
	}
	if len(payload) > payloadTo-payloadAt || len(move) > packetAt-protected {
		return nil, errors.New("disk from an image: it is too large for low memory")
	}
	reads := (len(payload) + perRead*sector - 1) / (perRead * sector)
	disk := make([]byte, sector+reads*perRead*sector)
	copy(disk[sector:], payload)
	return disk, bootSector(disk[:sector], move, reads)
}

// bootSector fills in the sector: its 16-bit half reads everything and switches to protected mode.
func bootSector(b, move []byte, reads int) error {
	a := asm.New(bootAt)
	a.Bits = 16
	a.Cli()
	a.Raw(0x31, 0xc0)                         // xor ax, ax
	a.Raw(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0) // mov ds, es, ss
	a.Raw(0xbc, bootAt&0xff, bootAt>>8)       // mov sp
	a.Sti()
	a.Label("read")
	a.Raw(0xbe, packetAt&0xff, packetAt>>8) // mov si
	a.Raw(0xb4, 0x42, 0xcd, 0x13)           // int 13h; the drive is in dl
	a.JccShort(asm.B, "failed")
	const paragraphs = perRead * sector / 16
	a.Raw(0x81, 0x06, (packetAt+6)&0xff, (packetAt+6)>>8, paragraphs&0xff, paragraphs>>8) // add word [segment]
	a.Raw(0x83, 0x06, (packetAt+8)&0xff, (packetAt+8)>>8, perRead)                        // add word [block]
	a.Raw(0xff, 0x0e, countAt&0xff, countAt>>8)                                           // dec word [count]
	a.JccShort(asm.NE, "read")
	a.Cli()
	a.Raw(0x0f, 0x01, 0x16, bootGDTPtr&0xff, bootGDTPtr>>8) // lgdt
	a.Raw(0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0)   // cr0 |= 1
	a.Raw(0xea, protected&0xff, protected>>8, 0x08, 0)      // far jump
	a.Label("failed")
	a.Hlt()
	a.Raw(0xeb, 0xfd)
	code, err := a.Bytes()
	if err != nil {
		return err
	}
	if len(code) > protected-bootAt {
		return errors.New("disk: the boot sector is full")
	}
	copy(b, code)
	copy(b[protected-bootAt:], move)
	le := binary.LittleEndian
	p := b[packetAt-bootAt:]
	p[0], p[2] = 16, perRead
	le.PutUint16(p[6:], payloadAt>>4)
	le.PutUint64(p[8:], 1)
	le.PutUint16(b[countAt-bootAt:], uint16(reads))
	le.PutUint16(b[bootGDTPtr-bootAt:], 3*8-1)
	le.PutUint32(b[bootGDTPtr-bootAt+2:], bootGDTAt)
	for i, d := range []uint64{0, 0x00cf9b000000ffff, 0x00cf93000000ffff} {
		le.PutUint64(b[bootGDTAt-bootAt+8*i:], d)
	}
	b[510], b[511] = 0x55, 0xaa
	return nil
}
