package symbol

import "slices"

// Limits and numbers of ELF notes (System V ABI; NT_GNU_BUILD_ID of binutils).
const (
	maxNotes      = 64 << 10
	noteHeader    = 12
	gnuBuildID    = 3
	maxBuildID    = 64
	gnuOwner      = "GNU\x00"
	startOfNotes  = "__start_notes"
	endOfNotes    = "__stop_notes"
	noteAlignment = 4
)

// kernelBuildID finds the build ID of a Linux kernel in its notes, which its linker script keeps in memory.
func kernelBuildID(read func(va uint64, p []byte) error, t *Table) []byte {
	start, ok := t.Address(startOfNotes)
	end, ok2 := t.Address(endOfNotes)
	if !ok || !ok2 || end <= start || end-start > maxNotes {
		return nil
	}
	b := make([]byte, end-start)
	if read(start, b) != nil {
		return nil
	}
	return buildID(b)
}

// buildID gives the build ID among notes.
func buildID(b []byte) []byte {
	for len(b) >= noteHeader {
		owner, desc, typ := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), le.Uint32(b[8:])
		b = b[noteHeader:]
		at := (owner + noteAlignment - 1) &^ (noteAlignment - 1)
		if at+desc > uint64(len(b)) {
			return nil
		}
		if typ == gnuBuildID && string(b[:owner]) == gnuOwner && desc > 0 && desc <= maxBuildID {
			return slices.Clone(b[at : at+desc])
		}
		b = b[min(uint64(len(b)), (at+desc+noteAlignment-1)&^(noteAlignment-1)):]
	}
	return nil
}
