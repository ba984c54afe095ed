package symbol

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Limits of ELF files.
const (
	maxSymtab = 64 << 20 // bytes of a symbol table, and of its names
	maxSpans  = 64       // pieces of text
)

// ELF reads the symbol table of an ELF file: a kernel with symbols (vmlinux, a unikernel) or a program; without one, the symbols it has for
// dynamic linking. slide is added to every address: what KASLR, or the loader of a position-independent program, added. The file
// need not be trusted.
func ELF(r io.ReaderAt, slide uint64) (*Table, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("read symbols: %w", err)
	}
	for _, s := range f.Sections {
		if (s.Type == elf.SHT_SYMTAB || s.Type == elf.SHT_DYNSYM || s.Type == elf.SHT_STRTAB) &&
			(s.Size > maxSymtab || s.FileSize > maxSymtab || s.Flags&elf.SHF_COMPRESSED != 0) {
			return nil, fmt.Errorf("read symbols: section %q of %d bytes is too large or compressed", s.Name, s.Size)
		}
	}
	syms, _ := f.Symbols() // none is no error: there may be others
	if len(syms) == 0 {
		if syms, err = f.DynamicSymbols(); len(syms) == 0 {
			return nil, fmt.Errorf("read symbols: none in the file: %w", cmp.Or(err, elf.ErrNoSymbols))
		}
	}
	var b builder
	for _, s := range syms {
		if typ, ok := symbolType(f, s); ok && len(s.Name) <= maxSymtab {
			b.add(s.Value+slide, typ, []byte(s.Name))
		}
	}
	t := b.table()
	if t.text = elfText(f, slide); len(t.text) == 0 || b.cut {
		return nil, errors.New("read symbols: the file has no text, or too many symbols")
	}
	t.buildID = elfBuildID(f)
	return t, nil
}

// symbolType gives the type of a symbol as nm prints it; false for what has no address in memory.
func symbolType(f *elf.File, s elf.Symbol) (byte, bool) {
	typ, bind := elf.ST_TYPE(s.Info), elf.ST_BIND(s.Info)
	if int(s.Section) >= len(f.Sections) || s.Section == elf.SHN_UNDEF || typ == elf.STT_SECTION || typ == elf.STT_FILE || typ == elf.STT_TLS {
		return 0, false
	}
	flags := f.Sections[s.Section].Flags
	switch {
	case flags&elf.SHF_ALLOC == 0:
		return 0, false
	case flags&elf.SHF_EXECINSTR == 0 || typ == elf.STT_OBJECT:
		return 'd', true
	case bind == elf.STB_GLOBAL:
		return 'T', true
	case bind == elf.STB_WEAK:
		return 'W', true
	}
	return 't', true
}

// elfText gives the executable segments, the largest first as for a kernel's text, or the executable sections of a file without any.
func elfText(f *elf.File, slide uint64) []span {
	var out []span
	add := func(at, size uint64) {
		if start := at + slide; size > 0 && start+size > start && len(out) < maxSpans {
			out = append(out, span{start, start + size})
		}
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			add(p.Vaddr, p.Memsz)
		}
	}
	if out == nil {
		for _, s := range f.Sections {
			if s.Flags&elf.SHF_EXECINSTR != 0 {
				add(s.Addr, s.Size)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b span) int { return cmp.Compare(b.end-b.start, a.end-a.start) })
	return out
}

func elfBuildID(f *elf.File) []byte {
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOTE || s.Size > maxNotes || s.FileSize > maxNotes || s.Flags&elf.SHF_COMPRESSED != 0 {
			continue
		}
		var b bytes.Buffer
		if _, err := io.Copy(&b, io.LimitReader(s.Open(), maxNotes)); err != nil {
			continue
		}
		if id := buildID(b.Bytes()); id != nil {
			return id
		}
	}
	return nil
}
