package cpuid

import (
	"math/bits"

	"gozen/hypervisor/x86"
)

// What a processor's leaves must not show to a guest, because it belongs to the host: SDM 2A and APM 3, CPUID.
const (
	c1Hidden = 1<<2 | 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11 | 1<<15 | 1<<18 | 1<<27 // DTES64 MONITOR DS-CPL VMX SMX EST TM2 CNXT-ID SDBG PDCM DCA OSXSAVE
	d1Hidden = 1<<21 | 1<<22 | 1<<27 | 1<<29 | 1<<31                                                  // DS ACPI SS TM PBE
	// SVM, extended APIC space, OSVW, IBS, SKINIT, WDT, LWP, node id, topology, performance counters, MWAITX.
	xc1Hidden = 1<<2 | 1<<3 | 1<<9 | 1<<10 | 1<<12 | 1<<13 | 1<<15 | 1<<19 | 1<<22 | 1<<23 | 1<<24 | 1<<26 | 1<<27 | 1<<28 | 1<<29
	b7Hidden  = 1<<2 | 1<<12 | 1<<15 | 1<<25 // SGX, PQM, PQE, Intel PT
	c7Hidden  = 1 << 16                      // LA57: hypercalls walk four levels of page tables, and Xen has no more for its guests either
	xc1Legacy = 1 << 1
	invariant = 1 << 8
)

// Host gives the leaves that a guest sees on a processor whose hypervisor can show supported: the same features without what belongs to
// the host, the guest's own topology, and Xen in place of whatever hypervisor supported names. stable tells whether the time-stamp counter
// runs at one rate for ever. xen answers for leaves from 0x40000000 on.
func Host(supported []x86.CPUIDLeaf, p Processor, stable bool, xen func(leaf, sub uint32) (a, b, c, d uint32, ok bool)) []x86.CPUIDLeaf {
	out := make([]x86.CPUIDLeaf, 0, len(supported)+8)
	amd := false
	for _, l := range supported {
		if l.Leaf == 0 {
			amd = l.B == word(vendor, 0)
		}
		if hostLeaf(&l, p, amd, stable) {
			out = append(out, l)
		}
	}
	for leaf := uint32(0x40000000); ; leaf++ {
		sub := uint32(0)
		for ; sub < 3; sub++ {
			a, b, c, d, ok := xen(leaf, sub)
			if !ok {
				return out
			}
			if sub > 0 && leaf != 0x40000003 {
				break
			}
			out = append(out, x86.CPUIDLeaf{Leaf: leaf, Sub: sub, Indexed: leaf == 0x40000003, A: a, B: b, C: c, D: d})
		}
	}
}

// hostLeaf makes one leaf the guest's; false drops it.
func hostLeaf(l *x86.CPUIDLeaf, p Processor, amd, stable bool) bool {
	many := p.VCPUs > 1
	switch l.Leaf {
	case 1:
		l.B = l.B&0xff00 | p.APICID<<24 | uint32(p.VCPUs&0xff)<<16
		l.C = l.C&^c1Hidden | C1Hypervisor | C1X2APIC | C1Deadline
		l.D = l.D&^(d1Hidden|D1HTT) | D1APIC
		if many {
			l.D |= D1HTT
		}
	case 4:
		if l.A&0x1f != 0 {
			l.A = l.A&0x3fff | uint32(min(p.VCPUs, 64)-1)<<26
		}
	case 7:
		if l.Sub == 0 {
			l.B &^= b7Hidden
			l.C &^= c7Hidden
		}
	case 0xb, 0x1f:
		return topologyLeaf(l, p)
	case 0x80000001:
		l.C &^= xc1Hidden | xc1Legacy
		if amd && many {
			l.C |= xc1Legacy // the logical processors are cores
		}
	case 0x80000007:
		l.A, l.B, l.C, l.D = 0, 0, 0, 0
		if stable {
			l.D = invariant
		}
	case 0x80000008:
		if amd {
			l.C = uint32(max(p.VCPUs-1, 0) & 0xff)
		}
	case 2, 0xd, 0x80000000, 0x80000002, 0x80000003, 0x80000004, 0x80000005, 0x80000006, 0x80000021, 0:
	case 6:
		l.A, l.B, l.C, l.D = l.A&4, 0, 0, 0 // ARAT
	default:
		return false
	}
	return true
}

// topologyLeaf says: one thread a core, APIC ids in steps of two, all cores in one package (SDM 2A, leaf 0BH). Subleaves beyond are
// empty.
func topologyLeaf(l *x86.CPUIDLeaf, p Processor) bool {
	const smt, core = 1 << 8, 2 << 8
	switch l.Sub {
	case 0:
		l.A, l.B, l.C = 1, 1, smt
	case 1:
		l.A, l.B, l.C = uint32(bits.Len32(uint32(2*p.VCPUs-1))), uint32(p.VCPUs), core|1
	default:
		return false
	}
	l.D = p.APICID
	return true
}
