package image

import "strings"

// NoteType numbers the ELF notes of owner "Xen" (public/elfnote.h).
type NoteType uint32

// The notes, with the header's names less XEN_ELFNOTE_.
const (
	NoteInfo              NoteType = 0
	NoteEntry             NoteType = 1
	NoteHypercallPage     NoteType = 2
	NoteVirtBase          NoteType = 3
	NotePaddrOffset       NoteType = 4
	NoteXenVersion        NoteType = 5
	NoteGuestOS           NoteType = 6
	NoteGuestVersion      NoteType = 7
	NoteLoader            NoteType = 8
	NotePAEMode           NoteType = 9
	NoteFeatures          NoteType = 10
	NoteBSDSymtab         NoteType = 11
	NoteHVStartLow        NoteType = 12
	NoteL1MFNValid        NoteType = 13
	NoteSuspendCancel     NoteType = 14
	NoteInitP2M           NoteType = 15
	NoteModStartPFN       NoteType = 16
	NoteSupportedFeatures NoteType = 17
	NotePhys32Entry       NoteType = 18
	NotePhys32Reloc       NoteType = 19
)

var noteNames = [...]string{"INFO", "ENTRY", "HYPERCALL_PAGE", "VIRT_BASE", "PADDR_OFFSET", "XEN_VERSION", "GUEST_OS",
	"GUEST_VERSION", "LOADER", "PAE_MODE", "FEATURES", "BSD_SYMTAB", "HV_START_LOW", "L1_MFN_VALID", "SUSPEND_CANCEL",
	"INIT_P2M", "MOD_START_PFN", "SUPPORTED_FEATURES", "PHYS32_ENTRY", "PHYS32_RELOC"}

// String gives the note's name in Xen's headers, less XEN_ELFNOTE_.
func (t NoteType) String() string {
	if int(t) < len(noteNames) {
		return noteNames[t]
	}
	return "unknown"
}

// Note is one Xen note.
type Note struct {
	Type NoteType
	Desc []byte
}

// Notes are the Xen notes of a kernel in file order. Where a type occurs twice the last one counts, as in Xen.
type Notes []Note

func (n Notes) find(t NoteType) ([]byte, bool) {
	for i := len(n) - 1; i >= 0; i-- {
		if n[i].Type == t {
			return n[i].Desc, true
		}
	}
	return nil, false
}

// Has reports whether the kernel has a note of type t.
func (n Notes) Has(t NoteType) bool {
	_, ok := n.find(t)
	return ok
}

// Uint gives a numeric note: 1, 2, 4 or 8 bytes, little-endian. It is false if the note is missing or of another size.
func (n Notes) Uint(t NoteType) (uint64, bool) {
	d, ok := n.find(t)
	if !ok {
		return 0, false
	}
	switch len(d) {
	case 1:
		return uint64(d[0]), true
	case 2:
		return uint64(le.Uint16(d)), true
	case 4:
		return uint64(le.Uint32(d)), true
	case 8:
		return le.Uint64(d), true
	}
	return 0, false
}

// Text gives a string note without its terminating NUL. It is false if the note is missing.
func (n Notes) Text(t NoteType) (string, bool) {
	d, ok := n.find(t)
	s, _, _ := strings.Cut(string(d), "\x00")
	return s, ok
}

func parseAll(bufs [][]byte) Notes {
	var all Notes
	for _, b := range bufs {
		all = append(all, parseNotes(b)...)
	}
	return all
}

// parseNotes picks the notes of owner "Xen" out of b: name size, descriptor size, type, then both padded to 4 bytes
// (ELF, "Note Section"). It stops at the first one that does not fit.
func parseNotes(b []byte) Notes {
	var out Notes
	for len(b) >= 12 {
		nameSize, descSize, typ := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
		descAt := 12 + (nameSize+3)&^3
		if descAt+descSize > uint64(len(b)) {
			return out
		}
		if string(b[12:12+nameSize]) == "Xen\x00" {
			out = append(out, Note{NoteType(typ), b[descAt : descAt+descSize : descAt+descSize]})
		}
		b = b[min(descAt+(descSize+3)&^3, uint64(len(b))):]
	}
	return out
}
