// Package paging walks the stage 1 page tables of an arm64 guest on the hypervisor's behalf: hypercall pointers are
// guest-virtual addresses, and KVM has no translation call on arm64.
//
// All granules (4, 16 and 64 KiB), block mappings, the large address formats (52 bits, with and without FEAT_LPA2), top-byte-ignore
// and concatenation by TnSZ are understood. It reads only. Rights are those of the kernel: presence, and for writes that neither a
// level's APTable nor the last descriptor makes memory read-only; the access flag is not asked for, since the hardware may manage it.
package paging

import (
	"errors"

	"gozen/hypervisor/a64"
	"gozen/hypervisor/guestmem"
)

// ErrNotMapped is returned for an address that the tables do not map, or not for the access wanted.
var ErrNotMapped = errors.New("address not mapped by the guest")

// Fields of TCR_EL1 (D19.2.139).
const (
	tcrT0SZ = 0
	tcrEPD0 = 7
	tcrTG0  = 14
	tcrT1SZ = 16
	tcrEPD1 = 23
	tcrTG1  = 30
	tcrIPS  = 32
	tcrTBI0 = 37
	tcrTBI1 = 38
	tcrHD   = 40
	tcrHPD0 = 41
	tcrHPD1 = 42
	tcrDS   = 59

	ips52 = 6
)

// Bits of a descriptor (D8.3).
const (
	descValid    = 1
	descTable    = 2
	descReadOnly = 1 << 7  // AP[2]
	descDBM      = 1 << 51 // with it, AP[2] means clean
	tableRO      = 1 << 62 // APTable[1]
	lowAddr      = 0x0000fffffffff000
	lpa2Addr     = 0x0003fffffffff000
)

// regime is how one half of the address space is translated.
type regime struct {
	base   guestmem.GPA
	shift  uint // of the granule: 12, 14, 16
	bits   uint // of the input address
	ds     bool // descriptors of FEAT_LPA2
	pa52   bool // 64 KiB descriptors with 52-bit addresses
	hpd    bool // no rights in table descriptors
	dbm    bool // hardware turns a clean page into a writable one by itself
	levels uint // below and with the first one walked
}

// Granule shifts by the TG fields, 0 where reserved (they are coded differently).
var (
	granule0 = [4]uint{12, 16, 14, 0}
	granule1 = [4]uint{0, 14, 12, 16}
)

// regimeOf chooses by the address and reads TCR; ok is false where a walk would fault at once.
func regimeOf(t *a64.Translation, va uint64) (r regime, ok bool) {
	tcr := t.TCR
	field := func(at, width uint) uint64 { return tcr >> at & (1<<width - 1) }
	upper := va>>55&1 != 0
	ttbr, size, off, tbi, hpd := t.TTBR0, field(tcrT0SZ, 6), field(tcrEPD0, 1), field(tcrTBI0, 1), field(tcrHPD0, 1)
	r.shift = granule0[field(tcrTG0, 2)]
	if upper {
		ttbr, size, off, tbi, hpd = t.TTBR1, field(tcrT1SZ, 6), field(tcrEPD1, 1), field(tcrTBI1, 1), field(tcrHPD1, 1)
		r.shift = granule1[field(tcrTG1, 2)]
	}
	if off != 0 || r.shift == 0 || size > 48 || size < 12 {
		return r, false
	}
	r.bits = uint(64 - size)
	r.ds = field(tcrDS, 1) != 0 && r.shift != 16
	r.pa52 = r.shift == 16 && field(tcrIPS, 3) == ips52
	r.hpd, r.dbm = hpd != 0, field(tcrHD, 1) != 0
	if r.bits > 48 && !r.ds && r.shift != 16 {
		return r, false
	}
	top := va
	if tbi != 0 {
		top = uint64(int64(va<<8) >> 8)
	}
	if upper && ^top>>r.bits != 0 || !upper && top>>r.bits != 0 {
		return r, false
	}
	stride := r.shift - 3
	r.levels = (r.bits - r.shift + stride - 1) / stride
	r.base = baseOf(ttbr, r)
	return r, true
}

// baseOf gives the address of the first table. Tables smaller than 64 bytes do not exist; low bits are RES0 and ignored.
func baseOf(ttbr uint64, r regime) guestmem.GPA {
	a := ttbr & 0x0000fffffffffffe
	if r.ds || r.pa52 {
		a = ttbr&0x0000ffffffffffc0 | ttbr>>2&0xf<<48
	}
	entries := uint64(1) << (r.bits - r.shift - (r.levels-1)*(r.shift-3))
	return guestmem.GPA(a &^ (max(entries*8, 64) - 1))
}

// address takes the output or next-table address out of a descriptor.
func (r *regime) address(d uint64) uint64 {
	switch {
	case r.ds:
		return d&lpa2Addr | d>>8&3<<50
	case r.pa52:
		return d&0x0000ffffffff0000 | d>>12&0xf<<48
	}
	return d & lowAddr
}

// block says whether a block descriptor may stand n levels above the last one.
func (r *regime) block(n uint) bool {
	switch r.shift {
	case 12:
		return n <= 2 || n == 3 && r.ds
	case 14:
		return n == 1 || n == 2 && r.ds
	}
	return n == 1 || n == 2 && r.pa52
}

// writable says whether the kernel may write through a block or page descriptor.
func (r *regime) writable(d uint64) bool {
	return d&descReadOnly == 0 || r.dbm && d&descDBM != 0
}

// Translate gives the guest-physical address of a guest-virtual one. write asks that the kernel may write there.
func Translate(m *guestmem.Memory, t *a64.Translation, va uint64, write bool) (guestmem.GPA, error) {
	if t.SCTLR&a64.SCTLRM == 0 {
		return guestmem.GPA(va), nil
	}
	r, ok := regimeOf(t, va)
	if !ok || t.SCTLR&a64.SCTLREE != 0 {
		return 0, ErrNotMapped
	}
	stride := r.shift - 3
	in := va & (1<<r.bits - 1)
	table := uint64(r.base)
	for n := r.levels - 1; ; n-- {
		at := r.shift + n*stride
		// The first level is indexed by all that is left of the address, at most one stride.
		index := in >> at & (1<<stride - 1)
		entry := guestmem.GPA(table + index*8)
		d, err := m.Read64(entry)
		if err != nil || d&descValid == 0 {
			return 0, ErrNotMapped
		}
		if n > 0 && d&descTable != 0 {
			if write && !r.hpd && d&tableRO != 0 {
				return 0, ErrNotMapped
			}
			table = r.address(d) &^ (1<<r.shift - 1)
			continue
		}
		if n == 0 && d&descTable == 0 || n > 0 && !r.block(n) || write && !r.writable(d) {
			return 0, ErrNotMapped
		}
		size := uint64(1)<<at - 1
		return guestmem.GPA(r.address(d)&^size | va&size), nil
	}
}

// Copy moves len(p) bytes between p and guest-virtual memory at va, page by page.
func Copy(m *guestmem.Memory, t *a64.Translation, va uint64, p []byte, write bool) error {
	for len(p) > 0 {
		n := min(len(p), int(guestmem.PageSize-va&(guestmem.PageSize-1)))
		gpa, err := Translate(m, t, va, write)
		if err != nil {
			return err
		}
		if write {
			err = m.Write(gpa, p[:n])
		} else {
			err = m.Read(gpa, p[:n])
		}
		if err != nil {
			return err
		}
		p, va = p[n:], va+uint64(n)
	}
	return nil
}
