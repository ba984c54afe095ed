package tiny

import (
	"bytes"
	"encoding/binary"
)

// PVBase is where a PV kernel made by PV finds its memory: as kernels have it, in the last 2 GiB. Hypervisors are made for such kernels: a return to
// lower addresses may be slower.
const PVBase = 0xffffffff80000000

// P2M is where it finds the physical-to-machine list.
const P2M = 512 << 30

// Types of notes (public/elfnote.h, XEN_ELFNOTE_*).
const (
	noteEntry      = 1
	noteHypercalls = 2
	noteVirtBase   = 3
	noteVersion    = 5
	noteGuestOS    = 6
	noteLoader     = 8
	notePAE        = 9
	noteFeatures   = 10
	noteInitP2M    = 15
	emX8664        = 62
	elf64Header    = 64
	elf64Program   = 56
	programLoad    = 1
	programNote    = 4
	programFlags   = 7
	alignSegments  = 16
)

// PV wraps the code of a PV kernel, made for the address PVBase + Base, in a 64-bit ELF file for Xen's PV domain builder. Memory up to end is its own and
// zero, and the hypercall page is at calls; both are offsets from PVBase.
func PV(code []byte, end, calls uint64) []byte {
	le := binary.LittleEndian
	notes := new(bytes.Buffer)
	for _, n := range []struct {
		typ  uint32
		desc []byte
	}{{noteEntry, le.AppendUint64(nil, PVBase+Base)}, {noteHypercalls, le.AppendUint64(nil, PVBase+calls)}, {noteVirtBase, le.AppendUint64(nil, PVBase)},
		{noteVersion, []byte("xen-3.0\x00")}, {noteGuestOS, []byte("tiny\x00\x00\x00\x00")}, {noteLoader, []byte("generic\x00")},
		{notePAE, []byte("yes\x00")}, {noteFeatures, []byte("\x00\x00\x00\x00")}, {noteInitP2M, le.AppendUint64(nil, P2M)}} {
		for _, v := range []uint32{4, uint32(len(n.desc)), n.typ} {
			notes.Write(le.AppendUint32(nil, v))
		}
		notes.WriteString("Xen\x00")
		notes.Write(n.desc)
	}
	out := make([]byte, elf64Header+2*elf64Program)
	copy(out, "\x7fELF\x02\x01\x01")
	le.PutUint16(out[16:], 2) // executable
	le.PutUint16(out[18:], emX8664)
	le.PutUint32(out[20:], 1)
	le.PutUint64(out[24:], PVBase+Base)
	le.PutUint64(out[32:], elf64Header)
	le.PutUint16(out[52:], elf64Header)
	le.PutUint16(out[54:], elf64Program)
	le.PutUint16(out[56:], 2)
	for i, s := range []struct {
		typ          uint32
		addr, memory uint64
		data         []byte
	}{{programLoad, Base, end - Base, code}, {programNote, 0, uint64(notes.Len()), notes.Bytes()}} {
		for len(out)%alignSegments != 0 {
			out = append(out, 0)
		}
		p := out[elf64Header+elf64Program*i:]
		le.PutUint32(p, s.typ)
		le.PutUint32(p[4:], programFlags)
		for k, v := range []uint64{uint64(len(out)), PVBase + s.addr, s.addr, uint64(len(s.data)), s.memory, 4} {
			le.PutUint64(p[8+8*k:], v)
		}
		out = append(out, s.data...)
	}
	return out
}
