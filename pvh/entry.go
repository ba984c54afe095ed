package pvh

import (
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Segment attributes of the entry state: flat 4 GiB, 32-bit, DPL 0; a busy 32-bit TSS (SDM 3A 3.4.5, 7.2.2).
const (
	attrCode = x86.AttrG | x86.AttrDB | x86.AttrP | x86.AttrS | 0xb
	attrData = x86.AttrG | x86.AttrDB | x86.AttrP | x86.AttrS | 0x3
	attrTSS  = x86.AttrP | 0xb
	tssLimit = 0x67
)

// Reset values that the entry state keeps (SDM 3A table 9-1).
const (
	dr6Reset      = 0xffff0ff0
	dr7Reset      = 0x400
	apicBaseReset = 0xfee00900 // enabled, boot processor
	fcwReset      = 0x37f
	fastStrings   = 1 << 0 // IA32_MISC_ENABLE: Linux drops its REP MOVS paths without it
)

// entryState is how Xen starts the first vCPU of a PVH domain (docs/misc/pvh.pandoc, "x86/HVM direct boot ABI"): flat
// 32-bit protected mode, no paging, no descriptor tables, ebx at the start info.
func entryState(entry uint32, startInfo guestmem.GPA) x86.State {
	s := x86.State{
		RIP:        uint64(entry),
		RFLAGS:     x86.FlagOne,
		CR0:        x86.CR0PE | x86.CR0ET,
		XCR0:       1,
		PAT:        x86.PATReset,
		MiscEnable: fastStrings,
		APICBase:   apicBaseReset,
		TR:         x86.Segment{Attr: attrTSS, Limit: tssLimit},
		LDTR:       x86.Segment{Attr: x86.AttrUnusable},
	}
	s.GPR[x86.RBX] = uint64(startInfo)
	for i := range s.Seg {
		s.Seg[i] = x86.Segment{Attr: attrData, Limit: 0xffffffff}
	}
	s.Seg[x86.CS].Attr = attrCode
	s.DR[6], s.DR[7] = dr6Reset, dr7Reset
	s.FX.FCW, s.FX.MXCSR = fcwReset, x86.MXCSRReset
	return s
}
