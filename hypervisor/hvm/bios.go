package hvm

import (
	"fmt"

	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Where SeaBIOS finds what hvmloader did (SeaBIOS src/fw/xen.c; Xen tools/firmware/hvmloader/config.h, seabios.c).
const (
	infoAt    = 0x1000
	infoSize  = 14 + 1 + 1 + 4*4
	infoLists = infoAt + 0x40
	signature = "XenHVMSeaBIOS\x00"

	biosEnd    = 1 << 20
	minBIOS    = 64 << 10
	maxBIOS    = 256 << 10
	resetEntry = 16 // bytes before the end
	farJump    = 0xea
)

// MaxBIOS is the largest firmware image.
const MaxBIOS = maxBIOS

// LoadBIOS puts a BIOS and what it is to find into mem, which was made from p.RAM, and gives the state of a processor after a reset, with its first
// instruction at the end of the first MiB, where the BIOS is.
func (p *Plan) LoadBIOS(mem *guestmem.Memory, name string, bios []byte) (*x86.State, error) {
	n := len(bios)
	if n < minBIOS || n > maxBIOS || n%guestmem.PageSize != 0 || bios[n-resetEntry] != farJump {
		return nil, fmt.Errorf("firmware %s: it is no BIOS of %d to %d KiB with a reset vector at its end; take SeaBIOS built for QEMU (bios-256k.bin)",
			name, minBIOS>>10, maxBIOS>>10)
	}
	err := write(mem, piece{"BIOS", guestmem.GPA(biosEnd - n), bios}, piece{"tables", tablesBase, p.tables}, piece{"BIOS information", infoAt, p.info()})
	if err != nil {
		return nil, err
	}
	s := resetState()
	return &s, nil
}

// info is struct xen_seabios_info with the lists it names: addresses of tables, and the memory map.
func (p *Plan) info() []byte {
	b := make([]byte, infoLists-infoAt)
	copy(b, signature)
	b[14] = infoSize
	tables := []uint32{p.rsdpIn, p.smIn}
	le.PutUint32(b[16:], infoLists)
	le.PutUint32(b[20:], uint32(len(tables)))
	le.PutUint32(b[24:], uint32(infoLists+4*len(tables)))
	le.PutUint32(b[28:], uint32(len(p.E820)))
	b[15] = sum(b[:infoSize])
	for _, t := range tables {
		b = le.AppendUint32(b, t)
	}
	for _, e := range p.E820 {
		b = le.AppendUint64(b, e.Addr)
		b = le.AppendUint64(b, e.Size)
		b = le.AppendUint32(b, e.Type)
	}
	return b
}

// Segment attributes after a reset: 16-bit code, data, and system segments (SDM 3A table 9-1).
const (
	attrCode16 = x86.AttrP | x86.AttrS | 0xb
	attrData16 = x86.AttrP | x86.AttrS | 0x3
	attrLDT    = x86.AttrP | 0x2
	limit16    = 0xffff
)

// resetState is a processor after a reset, but that its first instruction is at the end of the first MiB.
func resetState() x86.State {
	s := x86.ResetState()
	s.RIP = 0x10000 - resetEntry
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Attr: attrData16, Limit: limit16}
	}
	s.Seg[x86.CS] = x86.Segment{Selector: 0xf000, Base: 0xf0000, Attr: attrCode16, Limit: limit16}
	s.TR, s.LDTR = x86.Segment{Attr: x86.AttrBusyTSS, Limit: limit16}, x86.Segment{Attr: attrLDT, Limit: limit16}
	s.GDTR.Limit, s.IDTR.Limit = limit16, limit16
	return s
}
