// Package tiny makes kernels of a page or two: ELF images with a PVH entry that set up long mode (Image), or paging in 32-bit mode (Image32), and then
// run what a test or a benchmark gives them. The same image boots under Xen's PVH protocol anywhere, QEMU included.
package tiny

import (
	"bytes"
	"encoding/binary"

	"gozen/hypervisor/x86/asm"
)

// Where things lie in guest-physical (and, identity-mapped, linear) memory.
const (
	Base     = 0x100000 // entry and code
	Tables   = 0x180000 // page tables: of level 4, then 3, then 2, then those of the first 16 MiB
	Stack    = 0x178000 // initial stack pointer
	Data     = 0x200000 // free for the payload, up to Limit
	Limit    = 0x1000000
	gdtSlots = 5
)

// Code segment selectors of the GDT.
const (
	Code64 = 0x08
	Data64 = 0x10
	Code32 = 0x18
	User64 = 0x20
)

// Power-off ports: gozen's sleep control register and QEMU's isa-debug-exit.
const (
	sleepPort  = 0xb004
	sleepS5    = 0x34
	debugExit  = 0xf4
	debugValue = 0x21 // QEMU exits with twice that plus one
)

// Note is an ELF note of owner Xen (public/elfnote.h).
type Note struct {
	Type uint32
	Desc []byte // a multiple of 4 bytes
}

// Image is a kernel: payload is called in 64-bit mode with a stack, interrupts off, rbx holding the address of the PVH start info. When it
// returns, the machine is powered off. The notes stand behind that of the PVH entry.
func Image(payload func(a *asm.Asm), notes ...Note) ([]byte, error) {
	a := asm.New(Base)
	a.Bits = 32
	a.Lgdt(asm.Abs(gdtPointer))
	a.FromCR(asm.RAX, 4)
	a.OpI(asm.OR, 4, asm.RAX, 0x620) // PAE, OSFXSR, OSXMMEXCPT
	a.ToCR(4, asm.RAX)
	a.MovI(asm.RAX, Tables)
	a.ToCR(3, asm.RAX)
	a.MovI(asm.RCX, 0xc0000080)
	a.Rdmsr()
	a.OpI(asm.OR, 4, asm.RAX, 0x101) // LME, SCE
	a.Wrmsr()
	a.FromCR(asm.RAX, 0)
	a.MovI(asm.RDX, 0x80010002) // PG, WP, MP
	a.Op(asm.OR, 4, asm.RAX, asm.RDX)
	a.OpI(asm.AND, 4, asm.RAX, ^int32(4)) // EM off
	a.ToCR(0, asm.RAX)
	a.FarJmp(Code64, "long")
	a.Bits = 64
	a.Label("long")
	a.MovI(asm.RAX, Data64)
	for _, seg := range []byte{0xd8, 0xc0, 0xd0} { // mov ds, es, ss
		a.Raw(0x8e, seg)
	}
	a.MovI(asm.RSP, Stack)
	a.Call("payload")
	return finish(a, payload, pageTables(), notes)
}

// finish emits the power-off and the payload, and makes the image.
func finish(a *asm.Asm, payload func(a *asm.Asm), tables []byte, notes []Note) ([]byte, error) {
	a.Label("off")
	a.Out8(sleepPort, sleepS5)
	a.Out8(debugExit, debugValue)
	a.Cli()
	a.Hlt()
	a.Jmp("off")
	a.Align(16)
	a.Label("payload")
	payload(a)
	code, err := a.Bytes()
	if err != nil {
		return nil, err
	}
	return elf(code, tables, notes), nil
}

const gdtPointer = Tables - 0x1000

// descriptors is the GDT's page: the pointer for LGDT, then the table.
func descriptors() []byte {
	p := make([]byte, 0x1000)
	binary.LittleEndian.PutUint16(p, gdtSlots*8-1)
	binary.LittleEndian.PutUint32(p[2:], gdtPointer+16)
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00affb000000ffff} {
		binary.LittleEndian.PutUint64(p[16+8*i:], d)
	}
	return p
}

// pageTables maps the first 16 MiB one to one with 4 KiB pages.
func pageTables() []byte {
	const n = 8 // page tables
	p := make([]byte, (3+n)*0x1000)
	put := func(off int, v uint64) { binary.LittleEndian.PutUint64(p[off:], v) }
	put(0, Tables+0x1000|3)
	put(0x1000, Tables+0x2000|3)
	for t := 0; t < n; t++ {
		put(0x2000+8*t, uint64(Tables+0x3000+t*0x1000)|3)
		for i := 0; i < 512; i++ {
			put(0x3000+t*0x1000+8*i, uint64(t*512+i)<<12|3)
		}
	}
	return p
}

// phys32Entry is XEN_ELFNOTE_PHYS32_ENTRY.
const phys32Entry = 18

// elf wraps the parts in a 32-bit ELF file with a Xen PHYS32_ENTRY note, and others.
func elf(code, tables []byte, notes []Note) []byte {
	const hdr, ph = 52, 32
	note := new(bytes.Buffer)
	le := binary.LittleEndian
	for _, n := range append([]Note{{phys32Entry, le.AppendUint32(nil, Base)}}, notes...) {
		for _, v := range []uint32{4, uint32(len(n.Desc)), n.Type} {
			_ = binary.Write(note, le, v)
		}
		note.WriteString("Xen\x00")
		note.Write(n.Desc)
	}
	segs := []struct {
		typ  uint32
		addr uint32
		data []byte
	}{{1, Base, code}, {1, gdtPointer, append(descriptors(), tables...)}, {4, 0, note.Bytes()}}
	out := make([]byte, hdr+ph*len(segs))
	copy(out, "\x7fELF\x01\x01\x01")
	le.PutUint16(out[16:], 2)
	le.PutUint16(out[18:], 3)
	le.PutUint32(out[20:], 1)
	le.PutUint32(out[24:], Base)
	le.PutUint32(out[28:], hdr)
	le.PutUint16(out[40:], hdr)
	le.PutUint16(out[42:], ph)
	le.PutUint16(out[44:], uint16(len(segs)))
	for i, s := range segs {
		for len(out)%16 != 0 {
			out = append(out, 0)
		}
		p := out[hdr+ph*i:]
		le.PutUint32(p, s.typ)
		le.PutUint32(p[4:], uint32(len(out)))
		le.PutUint32(p[8:], s.addr)
		le.PutUint32(p[12:], s.addr)
		le.PutUint32(p[16:], uint32(len(s.data)))
		le.PutUint32(p[20:], uint32(len(s.data)))
		le.PutUint32(p[24:], 7)
		le.PutUint32(p[28:], 4) // a note's fields are aligned to this
		out = append(out, s.data...)
	}
	return out
}

// QEMUExit is QEMU's exit status when an image has powered off through isa-debug-exit.
const QEMUExit = debugValue*2 + 1
