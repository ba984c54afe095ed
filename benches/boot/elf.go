package boot

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/image"
)

// Sizes of the ELF-64 structures written here.
const (
	elfHeader  = 64
	elfProgram = 56
)

// VMLinux gives the kernel in the file at path, whatever it is wrapped in, as an ELF image with its segments and the note that names the
// PVH entry.
func VMLinux(path string) ([]byte, error) {
	k, err := image.OpenFile(path)
	if err != nil {
		return nil, err
	}
	defer k.Close()
	_, end := k.Extent()
	mem, err := guestmem.New([]guestmem.Range{{Size: (uint64(end) + guestmem.PageSize - 1) &^ (guestmem.PageSize - 1)}})
	if err != nil {
		return nil, err
	}
	defer mem.Close()
	if _, err := k.Load(mem); err != nil {
		return nil, err
	}
	notes, err := k.Notes()
	if err != nil {
		return nil, err
	}
	entry, ok := notes.Uint(image.NotePhys32Entry)
	if !ok {
		return nil, fmt.Errorf("kernel %s has no PVH entry", path)
	}
	return assemble(k, mem, entry)
}

// assemble writes header, program headers, note and segments.
func assemble(k *image.Kernel, mem *guestmem.Memory, entry uint64) ([]byte, error) {
	var note bytes.Buffer
	le := binary.LittleEndian
	for _, v := range []any{uint32(4), uint32(8), uint32(image.NotePhys32Entry), [4]byte{'X', 'e', 'n'}, entry} {
		if err := binary.Write(&note, le, v); err != nil {
			return nil, err
		}
	}
	n := len(k.Segments) + 1
	off := uint64(elfHeader + n*elfProgram)
	progs := []elf.Prog64{{Type: uint32(elf.PT_NOTE), Flags: uint32(elf.PF_R), Off: off, Filesz: uint64(note.Len()), Memsz: uint64(note.Len()), Align: 4}}
	body := note.Bytes()
	for _, s := range k.Segments {
		data := make([]byte, s.FileSize)
		if err := mem.Read(s.Phys, data); err != nil {
			return nil, err
		}
		progs = append(progs, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W | elf.PF_X), Off: off + uint64(len(body)),
			Vaddr: s.Virt, Paddr: uint64(s.Phys), Filesz: s.FileSize, Memsz: s.MemSize, Align: 1})
		body = append(body, data...)
	}
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1, Entry: entry, Phoff: elfHeader,
		Ehsize: elfHeader, Phentsize: elfProgram, Phnum: uint16(n)}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), 1
	var out bytes.Buffer
	for _, v := range []any{h, progs} {
		if err := binary.Write(&out, le, v); err != nil {
			return nil, err
		}
	}
	return append(out.Bytes(), body...), nil
}
