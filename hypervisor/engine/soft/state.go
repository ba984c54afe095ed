package soft

import "gozen/hypervisor/x86"

// Get implements engine.VCPU.
func (c *CPU) Get(s *x86.State) {
	copy(s.GPR[:], c.regs[:16])
	s.RIP, s.RFLAGS = c.rip, c.rflags()
	s.Seg, s.TR, s.LDTR, s.GDTR, s.IDTR = c.seg, c.tr, c.ldtr, c.gdtr, c.idtr
	s.CR0, s.CR2, s.CR3, s.CR4, s.CR8 = c.cr0, c.cr2, c.cr3, c.cr4, c.cr8
	s.EFER, s.DR = c.efer, c.dr
	m := &c.msr
	s.STAR, s.LSTAR, s.CSTAR, s.SFMASK, s.KernelGSBase = m.star, m.lstar, m.cstar, m.sfmask, m.kernelGS
	s.SysenterCS, s.SysenterESP, s.SysenterEIP = m.sysCS, m.sysESP, m.sysEIP
	s.PAT, s.TSCAux, s.SpecCtrl, s.TSCOffset, s.APICBase = m.pat, m.tscAux, m.spec, m.tscOffset, m.apicBase
	s.STIShadow, s.MovSSShadow, s.NMIBlocked, s.Halted = c.shadow, c.movss, c.nmiBlocked, c.halted
	s.PendingValid, s.PendingVector = c.inject.valid, c.inject.vector
	s.PendingHasError, s.PendingError = c.inject.hasError, c.inject.err
	c.fx.get(&s.FX)
}

// Set implements engine.VCPU. The TLBs are emptied.
func (c *CPU) Set(s *x86.State) error {
	copy(c.regs[:16], s.GPR[:])
	for i := 16; i < numRegs; i++ {
		c.regs[i] = 0
	}
	c.regs[reg4G] = 1 << 32
	c.rip, c.flags, c.ccOp = s.RIP, s.RFLAGS|x86.FlagOne, ccFlags
	c.seg, c.tr, c.ldtr, c.gdtr, c.idtr = s.Seg, s.TR, s.LDTR, s.GDTR, s.IDTR
	c.cr0, c.cr2, c.cr3, c.cr4, c.cr8 = s.CR0, s.CR2, s.CR3, s.CR4, s.CR8
	c.efer, c.dr = s.EFER, s.DR
	c.msr = msrs{star: s.STAR, lstar: s.LSTAR, cstar: s.CSTAR, sfmask: s.SFMASK, kernelGS: s.KernelGSBase,
		sysCS: s.SysenterCS, sysESP: s.SysenterESP, sysEIP: s.SysenterEIP, pat: s.PAT, tscAux: s.TSCAux,
		spec: s.SpecCtrl, tscOffset: s.TSCOffset, apicBase: s.APICBase}
	c.shadow, c.movss, c.nmiBlocked, c.halted = s.STIShadow, s.MovSSShadow, s.NMIBlocked, s.Halted
	c.inject = injection{valid: s.PendingValid, vector: s.PendingVector, hasError: s.PendingHasError, err: s.PendingError}
	c.fx.set(&s.FX)
	c.answer.reset()
	c.awaiting = false
	c.dbHits, c.single = 0, false
	if c.limit == 0 {
		c.limit = ^uint64(0)
	}
	c.cpl = 0
	if c.cr0&x86.CR0PE != 0 {
		c.cpl = c.seg[x86.SS].DPL()
		if c.seg[x86.SS].Attr&x86.AttrUnusable != 0 {
			c.cpl = uint8(c.seg[x86.CS].Selector & 3)
		}
	}
	// The state has no PDPTE registers: they are what memory holds now. Entries that MOV to CR3 would refuse count as absent.
	if c.pdpte = [4]uint64{}; isPAE(c.cr0, c.cr4, c.efer) {
		c.loadPDPTEs(c.cr3)
	}
	c.watching = false
	c.armBreakpoints()
	c.flushTLB(true)
	c.selectTLB()
	c.updateMode()
	return nil
}
