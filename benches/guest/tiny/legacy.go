package tiny

import (
	"encoding/binary"

	"gozen/hypervisor/x86/asm"
)

// Paging is what a 32-bit kernel turns on.
type Paging int

// The two ways of paging outside long mode.
const (
	Legacy Paging = iota // 32-bit tables
	PAE
)

// High is where Image32 maps the first 16 MiB a second time, as kernels do. Everything else is mapped one to one, up to 4 GiB.
const High = 0xc0000000

// Bits of page-table entries.
const (
	entryRW    = 3
	entryLarge = 0x83
)

// Image32 is Image for a kernel that stays in 32-bit mode, with paging: payload is called with ebx holding the address of the start info, and flat segments
// (Code32, Data64). The first table has pages of 4 KiB, the rest of memory large ones.
func Image32(p Paging, payload func(a *asm.Asm), notes ...Note) ([]byte, error) {
	a := asm.New(Base)
	a.Bits = 32
	a.Lgdt(asm.Abs(gdtPointer))
	a.FromCR(asm.RAX, 4)
	bits, image := int32(0x610), tables32() // PSE, OSFXSR, OSXMMEXCPT
	if p == PAE {
		bits, image = 0x620, tablesPAE()
	}
	a.OpI(asm.OR, 4, asm.RAX, bits)
	a.ToCR(4, asm.RAX)
	a.MovI(asm.RAX, Tables)
	a.ToCR(3, asm.RAX)
	a.FromCR(asm.RAX, 0)
	a.MovI(asm.RDX, 0x80010002) // PG, WP, MP
	a.Op(asm.OR, 4, asm.RAX, asm.RDX)
	a.OpI(asm.AND, 4, asm.RAX, ^int32(4)) // EM off
	a.ToCR(0, asm.RAX)
	a.FarJmp(Code32, "paged")
	a.Label("paged")
	a.MovI(asm.RAX, Data64)
	for _, seg := range []byte{0xd8, 0xc0, 0xd0, 0xe0, 0xe8} { // mov ds, es, ss, fs, gs
		a.Raw(0x8e, seg)
	}
	a.MovI(asm.RSP, Stack)
	a.Call("payload")
	return finish(a, payload, image, notes)
}

// tables32 is a directory and one table (SDM 3A 4.3).
func tables32() []byte {
	b := make([]byte, 0x2000)
	put := func(off, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }
	for i := range uint32(1024) {
		put(4*i, i<<22|entryLarge)
		put(0x1000+4*i, i<<12|entryRW)
	}
	for i := range uint32(4) {
		put(4*(High>>22+i), i<<22|entryLarge)
	}
	put(0, Tables+0x1000|entryRW)
	put(4*(High>>22), Tables+0x1000|entryRW)
	return b
}

// tablesPAE is the pointers, four directories and one table (SDM 3A 4.4).
func tablesPAE() []byte {
	b := make([]byte, 0x6000)
	put := func(off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }
	for i := range 4 {
		put(8*i, uint64(Tables+0x1000*(i+1))|1)
	}
	for i := range 4 * 512 {
		put(0x1000+8*i, uint64(i)<<21|entryLarge)
	}
	for i := range 512 {
		put(0x5000+8*i, uint64(i)<<12|entryRW)
	}
	for i := range 8 {
		put(0x4000+8*i, uint64(i)<<21|entryLarge)
	}
	put(0x1000, Tables+0x5000|entryRW)
	put(0x4000, Tables+0x5000|entryRW)
	return b
}
