package x86

// ResetState is the boot processor after a reset (SDM 3A table 9-1), but for its instruction pointer, segments and descriptor tables. The x87 is as
// after FINIT, and fast strings are on in IA32_MISC_ENABLE: Linux drops its REP MOVS paths without it.
func ResetState() State {
	const (
		dr6, dr7    = 0xffff0ff0, 0x400
		apicBase    = 0xfee00900 // enabled, boot processor
		fcw         = 0x37f
		fastStrings = 1 << 0
	)
	s := State{RFLAGS: FlagOne, CR0: CR0ET, XCR0: 1, PAT: PATReset, MiscEnable: fastStrings, APICBase: apicBase}
	s.DR[6], s.DR[7] = dr6, dr7
	s.FX.FCW, s.FX.MXCSR = fcw, MXCSRReset
	return s
}

// Attributes of flat segments of DPL 0, without the size of the code, and of a busy 32-bit TSS (SDM 3A 3.4.5, 7.2.2).
const (
	AttrFlatCode = AttrG | AttrP | AttrS | 0xb
	AttrFlatData = AttrG | AttrDB | AttrP | AttrS | 0x3
	AttrBusyTSS  = AttrP | 0xb
)

// FlatState is how boot protocols start a kernel with 32 bits: in protected mode without paging and without descriptor tables, all segments flat.
func FlatState(rip uint64) State {
	s := ResetState()
	s.RIP, s.CR0 = rip, CR0PE|CR0ET
	s.TR, s.LDTR = Segment{Attr: AttrBusyTSS, Limit: 0x67}, Segment{Attr: AttrUnusable}
	for i := range s.Seg {
		s.Seg[i] = Segment{Attr: AttrFlatData, Limit: 0xffffffff}
	}
	s.Seg[CS].Attr = AttrFlatCode | AttrDB
	return s
}
