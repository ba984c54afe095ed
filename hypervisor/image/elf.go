package image

import (
	"encoding/binary"
	"fmt"
	"io"

	"gozen/hypervisor/guestmem"
)

// ELF numbers (System V ABI, ELF-64 object file format).
const (
	elfClass32  = 1
	elfClass64  = 2
	elfLittle   = 1
	elfExec     = 2
	elfDyn      = 3
	elfM386     = 3
	elfMx8664   = 62
	elfMaarch64 = 183
	ptLoad      = 1
	pfX         = 1 // segment flag: executable
	ptNote      = 4
	shtNote     = 7
)

var le = binary.LittleEndian

// elfLayout holds the field offsets that differ between the two classes.
type elfLayout struct {
	ehSize, phSize, shSize int
}

var layouts = map[int]elfLayout{32: {52, 32, 40}, 64: {64, 56, 64}}

// parseELF reads the ELF and program headers from k.head.
func (k *Kernel) parseELF() error {
	h := k.head
	if len(h) < 52 || string(h[:4]) != "\x7fELF" {
		return fmt.Errorf("%w: %s", ErrNotKernel, notELF(k.Container, h))
	}
	switch h[4] {
	case elfClass32:
		k.Bits = 32
	case elfClass64:
		k.Bits = 64
	default:
		return fmt.Errorf("%w: ELF class %d", ErrNotKernel, h[4])
	}
	if err := k.checkIdent(h); err != nil {
		return err
	}
	var phoff uint64
	if k.Bits == 64 {
		k.Entry, phoff = le.Uint64(h[24:]), le.Uint64(h[32:])
	} else {
		k.Entry, phoff = uint64(le.Uint32(h[24:])), uint64(le.Uint32(h[28:]))
	}
	lay := layouts[k.Bits]
	cnt := h[lay.ehSize-10:] // e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx
	phent, phnum := uint64(le.Uint16(cnt)), uint64(le.Uint16(cnt[2:]))
	if phnum == 0 || phent < uint64(lay.phSize) {
		return fmt.Errorf("%w: it has no program headers (an object file or a module?)", ErrNotKernel)
	}
	if phoff > uint64(len(h)) || phnum*phent > uint64(len(h))-phoff {
		return fmt.Errorf("%w: %d program headers at %#x lie outside the first %d bytes", ErrNotKernel, phnum, phoff, len(h))
	}
	for i := range phnum {
		if err := k.addHeader(h[phoff+i*phent:]); err != nil {
			return err
		}
	}
	return k.checkSegments()
}

func (k *Kernel) checkIdent(h []byte) error {
	lay := layouts[k.Bits]
	if len(h) < lay.ehSize {
		return fmt.Errorf("%w: the ELF header is cut off", ErrNotKernel)
	}
	if h[5] != elfLittle {
		return fmt.Errorf("%w: big-endian ELF", ErrNotKernel)
	}
	switch m := le.Uint16(h[18:]); {
	case m == elfMaarch64:
		return fmt.Errorf("%w: an arm64 ELF image; it needs an arm64 host", ErrNotKernel)
	case m == elfMx8664 && k.Bits == 64, m == elfM386 && k.Bits == 32, m == elfMx8664:
	default:
		return fmt.Errorf("%w: ELF for machine %d, not x86-64 (62) or i386 (3)", ErrNotKernel, m)
	}
	if t := le.Uint16(h[16:]); t != elfExec && t != elfDyn {
		return fmt.Errorf("%w: ELF of type %d, not an executable (an object file, a module or a core dump)", ErrNotKernel, t)
	}
	return nil
}

// addHeader takes in one program header.
func (k *Kernel) addHeader(p []byte) error {
	var s Segment
	typ := le.Uint32(p)
	if k.Bits == 64 {
		s = Segment{Offset: le.Uint64(p[8:]), Virt: le.Uint64(p[16:]), Phys: guestmem.GPA(le.Uint64(p[24:])),
			FileSize: le.Uint64(p[32:]), MemSize: le.Uint64(p[40:]), Exec: le.Uint32(p[4:])&pfX != 0}
	} else {
		s = Segment{Offset: uint64(le.Uint32(p[4:])), Virt: uint64(le.Uint32(p[8:])), Phys: guestmem.GPA(le.Uint32(p[12:])),
			FileSize: uint64(le.Uint32(p[16:])), MemSize: uint64(le.Uint32(p[20:])), Exec: le.Uint32(p[24:])&pfX != 0}
	}
	switch {
	case typ == ptNote:
		return k.addNotes(span{s.Offset, s.FileSize})
	case typ != ptLoad || s.MemSize == 0:
		return nil
	}
	if s.FileSize > s.MemSize || s.Offset+s.FileSize < s.Offset || s.Offset+s.FileSize > maxImage ||
		s.MemSize > maxImage || s.End() < s.Phys {
		return fmt.Errorf("%w: a segment of %#x bytes (%#x in memory) at offset %#x for address %#x is impossible",
			ErrNotKernel, s.FileSize, s.MemSize, s.Offset, uint64(s.Phys))
	}
	if len(k.Segments) == maxSegments {
		return fmt.Errorf("%w: more than %d loadable segments", ErrNotKernel, maxSegments)
	}
	k.Segments = append(k.Segments, s)
	return nil
}

func (k *Kernel) addNotes(s span) error {
	total := s.size
	for _, o := range k.noteAt {
		total += o.size
	}
	if s.size > maxNotes || total > maxNotes || s.off > maxImage {
		return fmt.Errorf("%w: %#x bytes of ELF notes at %#x (limit %#x)", ErrNotKernel, s.size, s.off, maxNotes)
	}
	if s.size > 0 {
		k.noteAt = append(k.noteAt, s)
	}
	return nil
}

// checkSegments refuses segments that overlap in memory: which one would win is not defined.
func (k *Kernel) checkSegments() error {
	if len(k.Segments) == 0 {
		return fmt.Errorf("%w: no loadable segment", ErrNotKernel)
	}
	for i, a := range k.Segments {
		for _, b := range k.Segments[i+1:] {
			if a.Phys < b.End() && b.Phys < a.End() {
				return fmt.Errorf("%w: segments at %#x and %#x overlap", ErrNotKernel, uint64(a.Phys), uint64(b.Phys))
			}
		}
	}
	return nil
}

// sectionNotes adds SHT_NOTE sections of an uncompressed image whose linker made no PT_NOTE (some unikernels).
// Section headers are optional and often stripped: what cannot be read is left out.
func (k *Kernel) sectionNotes(r io.ReaderAt, size int64) {
	if len(k.noteAt) > 0 {
		return
	}
	lay, h := layouts[k.Bits], k.head
	shoff := uint64(le.Uint32(h[32:]))
	if k.Bits == 64 {
		shoff = le.Uint64(h[40:])
	}
	cnt := h[lay.ehSize-6:]
	shent, shnum := uint64(le.Uint16(cnt)), uint64(le.Uint16(cnt[2:]))
	if shent < uint64(lay.shSize) || shent*shnum > maxHeaders || shoff > uint64(size) {
		return
	}
	buf := make([]byte, shent*shnum)
	if n, _ := r.ReadAt(buf, int64(shoff)); n < len(buf) {
		return
	}
	for i := range shnum {
		s := buf[i*shent:]
		if le.Uint32(s[4:]) != shtNote {
			continue
		}
		at := span{uint64(le.Uint32(s[16:])), uint64(le.Uint32(s[20:]))}
		if k.Bits == 64 {
			at = span{le.Uint64(s[24:]), le.Uint64(s[32:])}
		}
		if at.size <= uint64(size) && at.off <= uint64(size)-at.size && k.addNotes(at) != nil {
			return
		}
	}
}
