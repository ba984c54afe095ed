package soft

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

func (c *CPU) privileged() bool { return c.cpl == 0 || c.gp(0) }

func opMovFromCR(c *CPU, in *decode.Inst) bool {
	if !crExists(in.Reg) {
		return c.ud()
	}
	if !c.privileged() {
		return false
	}
	n := in.Reg
	if in.Flags&decode.FlagLock != 0 && n == 0 {
		n = 8
	}
	var v uint64
	switch n {
	case 0:
		v = c.cr0
	case 2:
		v = c.cr2
	case 3:
		v = c.cr3
	case 4:
		v = c.cr4
	case 8:
		v = c.cr8
	default:
		return c.ud()
	}
	c.setReg(in.RM, in.Size, v)
	return true
}

// crExists: #UD for a register that does not exist comes before #GP for the privilege level.
func crExists(n uint8) bool { return n == 0 || n >= 2 && n <= 4 || n == 8 }

func opMovToCR(c *CPU, in *decode.Inst) bool {
	if !crExists(in.Reg) {
		return c.ud()
	}
	if !c.privileged() {
		return false
	}
	v := c.reg(in.RM, in.Size)
	switch in.Reg {
	case 0:
		return c.setCR0(v)
	case 2:
		c.cr2 = v
	case 3:
		return c.setCR3(v)
	case 4:
		return c.setCR4(v)
	case 8:
		if v>>4 != 0 {
			return c.gp(0)
		}
		c.cr8 = v
	default:
		return c.ud()
	}
	return true
}

// setCR0 applies the rules of SDM 3A 2.5 and 9.8.5 (entering and leaving IA-32e mode).
func (c *CPU) setCR0(v uint64) bool {
	v |= x86.CR0ET
	if v>>32 != 0 || v&x86.CR0PG != 0 && v&x86.CR0PE == 0 || v&x86.CR0NW != 0 && v&x86.CR0CD == 0 {
		return c.gp(0)
	}
	v &= x86.CR0PE | x86.CR0MP | x86.CR0EM | x86.CR0TS | x86.CR0ET | x86.CR0NE | x86.CR0WP | x86.CR0AM | x86.CR0NW | x86.CR0CD | x86.CR0PG
	old, efer := c.cr0, c.efer
	if v&x86.CR0PG != 0 && old&x86.CR0PG == 0 && efer&x86.EFERLME != 0 {
		if c.cr4&x86.CR4PAE == 0 || c.seg[x86.CS].Attr&x86.AttrL != 0 {
			return c.gp(0)
		}
		efer |= x86.EFERLMA
	}
	if v&x86.CR0PG == 0 && old&x86.CR0PG != 0 {
		if c.long || c.cr4&x86.CR4PCIDE != 0 {
			return c.gp(0)
		}
		efer &^= x86.EFERLMA
	}
	if (old^v)&(x86.CR0PG|x86.CR0CD|x86.CR0NW) != 0 && isPAE(v, c.cr4, efer) && !c.loadPDPTEs(c.cr3) {
		return c.gp(0)
	}
	c.cr0, c.efer = v, efer
	if (old^v)&(x86.CR0PG|x86.CR0WP|x86.CR0PE) != 0 {
		c.flushTLB(true)
		c.updateMode()
	}
	return true
}

func (c *CPU) setCR3(v uint64) bool {
	noFlush := false
	if c.cr4&x86.CR4PCIDE != 0 {
		noFlush = v>>63 != 0
		v &^= 1 << 63
	}
	if c.efer&x86.EFERLMA != 0 && v>>physBits != 0 {
		return c.gp(0)
	}
	if isPAE(c.cr0, c.cr4, c.efer) && !c.loadPDPTEs(v) {
		return c.gp(0)
	}
	// Translations are not tagged by PCID: a change of address space must flush even when asked not to.
	if !noFlush || v != c.cr3 {
		c.cr3 = v
		c.flushTLB(false)
	}
	return true
}

// cr4Known are the bits CPUID advertises.
const cr4Known = x86.CR4VME | x86.CR4PVI | x86.CR4TSD | x86.CR4DE | x86.CR4PSE | x86.CR4PAE | x86.CR4MCE | x86.CR4PGE | x86.CR4PCE |
	x86.CR4OSFXSR | x86.CR4OSXMMEXCPT | x86.CR4UMIP | x86.CR4FSGSBASE | x86.CR4PCIDE | x86.CR4SMEP | x86.CR4SMAP

func (c *CPU) setCR4(v uint64) bool {
	old := c.cr4
	switch {
	case v&^cr4Known != 0,
		c.efer&x86.EFERLMA != 0 && v&x86.CR4PAE == 0,
		v&x86.CR4PCIDE != 0 && old&x86.CR4PCIDE == 0 && (c.efer&x86.EFERLMA == 0 || c.cr3&0xfff != 0):
		return c.gp(0)
	}
	const reload = x86.CR4PSE | x86.CR4PAE | x86.CR4PGE | x86.CR4SMEP
	if (old^v)&reload != 0 && isPAE(c.cr0, v, c.efer) && !c.loadPDPTEs(c.cr3) {
		return c.gp(0)
	}
	c.cr4 = v
	if (old^v)&(x86.CR4PSE|x86.CR4PAE|x86.CR4PGE|x86.CR4SMEP|x86.CR4SMAP|x86.CR4PCIDE) != 0 {
		c.flushTLB(true)
		c.selectTLB()
	}
	return true
}

func opClts(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	c.cr0 &^= x86.CR0TS
	return true
}

func opLmsw(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	v, ok := c.rm(in, 2)
	return ok && c.setCR0(c.cr0&^0xe|v&0xf|c.cr0&1)
}

func opSmsw(c *CPU, in *decode.Inst) bool {
	if c.umip() {
		return c.gp(0)
	}
	if in.Flags&decode.FlagMem != 0 {
		return c.setRM(in, 2, c.cr0)
	}
	return c.setRM(in, in.Size, c.cr0)
}

func opLgdt(c *CPU, in *decode.Inst) bool { return c.loadTable(in, &c.gdtr) }
func opLidt(c *CPU, in *decode.Inst) bool { return c.loadTable(in, &c.idtr) }
func opSgdt(c *CPU, in *decode.Inst) bool { return c.storeTable(in, c.gdtr) }
func opSidt(c *CPU, in *decode.Inst) bool { return c.storeTable(in, c.idtr) }

func (c *CPU) loadTable(in *decode.Inst, t *x86.Table) bool {
	if !c.privileged() {
		return false
	}
	size := uint8(4)
	if c.long {
		size = 8
	}
	lin, ok := c.lin(in, 2+size, false)
	if !ok {
		return false
	}
	limit, ok := c.load16(lin)
	if !ok {
		return false
	}
	base, ok := c.load(c.wrap(lin+2), size)
	if !ok {
		return false
	}
	if c.mode == decode.Mode16 != (in.Flags&decode.Flag66 != 0) && !c.long {
		base &= 0xffffff
	}
	if c.long && !canonical(base) {
		return c.gp(0)
	}
	*t = x86.Table{Base: base, Limit: uint16(limit)}
	return true
}

func (c *CPU) storeTable(in *decode.Inst, t x86.Table) bool {
	if c.umip() {
		return c.gp(0)
	}
	size := uint8(4)
	if c.long {
		size = 8
	}
	lin, ok := c.lin(in, 2+size, true)
	if !ok || !c.probe(lin, 2+size, accWrite) {
		return false
	}
	return c.store16(lin, uint64(t.Limit)) && c.store(c.wrap(lin+2), t.Base, size)
}

func opInvlpg(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	lin := c.ea(in) + c.segBase[in.Seg]
	if !c.long {
		lin = (c.ea(in) + c.seg[in.Seg].Base) & 0xffffffff
	}
	c.flushPage(lin)
	return true
}

// opInvpcid: translations are not tagged by PCID, so each kind flushes at least what it must (SDM 2A INVPCID).
func opInvpcid(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	lin, ok := c.lin(in, 16, false)
	if !ok {
		return false
	}
	lo, ok := c.load64(lin)
	if !ok {
		return false
	}
	addr, ok := c.load64(c.wrap(lin + 8))
	if !ok {
		return false
	}
	kind := c.reg(in.Reg, in.Size)
	if kind > 3 || kind < 2 && lo>>12 != 0 || kind == 0 && !canonical(addr) ||
		kind < 2 && c.cr4&x86.CR4PCIDE == 0 && lo&0xfff != 0 {
		return c.gp(0)
	}
	switch kind {
	case 0:
		c.flushPage(addr)
	case 2:
		c.flushTLB(true)
	default:
		c.flushTLB(false)
	}
	return true
}

func opWbinvd(c *CPU, in *decode.Inst) bool { return c.privileged() }

func opCli(c *CPU, in *decode.Inst) bool {
	if c.cr0&x86.CR0PE != 0 && uint64(c.cpl) > c.flags>>12&3 {
		return c.gp(0)
	}
	c.flags &^= x86.FlagIF
	return true
}

func opSti(c *CPU, in *decode.Inst) bool {
	if c.cr0&x86.CR0PE != 0 && uint64(c.cpl) > c.flags>>12&3 {
		return c.gp(0)
	}
	c.shadow = c.flags&x86.FlagIF == 0
	c.flags |= x86.FlagIF
	return true
}

func opStac(c *CPU, in *decode.Inst) bool { return c.setAC(true) }
func opClac(c *CPU, in *decode.Inst) bool { return c.setAC(false) }

func (c *CPU) setAC(on bool) bool {
	if c.cpl != 0 {
		return c.ud()
	}
	c.flags &^= x86.FlagAC
	if on {
		c.flags |= x86.FlagAC
	}
	c.selectTLB()
	return true
}

func opHlt(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	c.halted = true
	c.exit.Kind = engine.ExitHLT
	c.stop = stopDone
	return false
}

func opCpuid(c *CPU, in *decode.Inst) bool {
	c.exit.Kind = engine.ExitCPUID
	c.stop = stopDone
	return false
}

func opVmcall(c *CPU, in *decode.Inst) bool {
	c.exit.Kind = engine.ExitHypercall
	c.stop = stopDone
	return false
}

func opRdtsc(c *CPU, in *decode.Inst) bool {
	if c.cr4&x86.CR4TSD != 0 && c.cpl != 0 {
		return c.gp(0)
	}
	t := c.tsc()
	c.regs[x86.RAX], c.regs[x86.RDX] = t&0xffffffff, t>>32
	if in.Op == decode.RDTSCP {
		c.regs[x86.RCX] = c.msr.tscAux & 0xffffffff
	}
	return true
}

func opRdpmc(c *CPU, in *decode.Inst) bool { return c.gp(0) }

func opRdpid(c *CPU, in *decode.Inst) bool {
	c.regs[in.RM] = c.msr.tscAux
	return true
}

// opUndefined is every instruction that CPUID does not advertise, and UD.
func opUndefined(c *CPU, in *decode.Inst) bool { return c.ud() }

func opInvalid(c *CPU, in *decode.Inst) bool {
	if in.Imm == x86.VectorGP {
		return c.gp(0)
	}
	return c.ud()
}

// localMSR gives the place of an MSR that the CPU keeps itself.
func (c *CPU) localMSR(n uint32) *uint64 {
	switch n {
	case x86.MSRSTAR:
		return &c.msr.star
	case x86.MSRLSTAR:
		return &c.msr.lstar
	case x86.MSRCSTAR:
		return &c.msr.cstar
	case x86.MSRSFMASK:
		return &c.msr.sfmask
	case x86.MSRKernelGSBase:
		return &c.msr.kernelGS
	case x86.MSRFSBase:
		return &c.seg[x86.FS].Base
	case x86.MSRGSBase:
		return &c.seg[x86.GS].Base
	case x86.MSRSysenterCS:
		return &c.msr.sysCS
	case x86.MSRSysenterESP:
		return &c.msr.sysESP
	case x86.MSRSysenterEIP:
		return &c.msr.sysEIP
	case x86.MSRPAT:
		return &c.msr.pat
	case x86.MSRTSCAux:
		return &c.msr.tscAux
	case x86.MSREFER:
		return &c.efer
	}
	return nil
}

func opRdmsr(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	n := uint32(c.regs[x86.RCX])
	var v uint64
	if p := c.localMSR(n); p != nil {
		v = *p
	} else if n == x86.MSRTSC {
		v = c.tsc()
	} else if c.answer.reg {
		v = c.answer.data
		c.answer.reset()
	} else {
		c.exit.Kind, c.exit.MSR = engine.ExitRDMSR, n
		c.stop = stopExit
		return false
	}
	c.regs[x86.RAX], c.regs[x86.RDX] = v&0xffffffff, v>>32
	return true
}

func opWrmsr(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	n := uint32(c.regs[x86.RCX])
	v := c.regs[x86.RAX]&0xffffffff | c.regs[x86.RDX]<<32
	if p := c.localMSR(n); p != nil {
		return c.setMSR(n, p, v)
	}
	if n == x86.MSRTSC {
		c.msr.tscOffset += v - c.tsc()
		return true
	}
	if c.answer.reg {
		c.answer.reset()
		return true
	}
	c.exit.Kind, c.exit.MSR, c.exit.Data = engine.ExitWRMSR, n, v
	c.stop = stopExit
	return false
}

func (c *CPU) setMSR(n uint32, p *uint64, v uint64) bool {
	switch n {
	case x86.MSREFER:
		const known = x86.EFERSCE | x86.EFERLME | x86.EFERLMA | x86.EFERNXE
		if v&^known != 0 || c.cr0&x86.CR0PG != 0 && (v^c.efer)&x86.EFERLME != 0 {
			return c.gp(0)
		}
		v = v&^x86.EFERLMA | c.efer&x86.EFERLMA
		if (v^c.efer)&x86.EFERNXE != 0 {
			c.flushTLB(true)
		}
	case x86.MSRLSTAR, x86.MSRCSTAR, x86.MSRKernelGSBase, x86.MSRFSBase, x86.MSRGSBase, x86.MSRSysenterESP, x86.MSRSysenterEIP:
		if !canonical(v) {
			return c.gp(0)
		}
	case x86.MSRPAT:
		for i := 0; i < 64; i += 8 {
			if t := v >> i & 0xff; t > 7 || t == 2 || t == 3 {
				return c.gp(0)
			}
		}
	case x86.MSRTSCAux, x86.MSRSFMASK:
		v &= 0xffffffff
	}
	*p = v
	if n == x86.MSRFSBase || n == x86.MSRGSBase || n == x86.MSREFER {
		c.updateMode()
	}
	return true
}

func opSwapgs(c *CPU, in *decode.Inst) bool {
	if !c.privileged() {
		return false
	}
	gs := &c.seg[x86.GS]
	gs.Base, c.msr.kernelGS = c.msr.kernelGS, gs.Base
	c.segBase[x86.GS] = gs.Base
	return true
}

// opFSGSBase executes RDFSBASE, RDGSBASE, WRFSBASE and WRGSBASE.
func opFSGSBase(c *CPU, in *decode.Inst) bool {
	if c.cr4&x86.CR4FSGSBASE == 0 {
		return c.ud()
	}
	n := uint8(x86.FS)
	if in.Op == decode.RDGSBASE || in.Op == decode.WRGSBASE {
		n = x86.GS
	}
	if in.Op == decode.RDFSBASE || in.Op == decode.RDGSBASE {
		c.setReg(in.RM, in.Size, c.seg[n].Base)
		return true
	}
	v := c.reg(in.RM, in.Size)
	if !canonical(v) {
		return c.gp(0)
	}
	c.seg[n].Base, c.segBase[n] = v, v
	return true
}

// softInt delivers INT n, INT3, INTO and INT1 behind the instruction.
func (c *CPU) softInt(in *decode.Inst, vector uint8, soft bool) bool {
	at := c.rip
	c.rip = c.nextRIP(in)
	if c.enterGate(injection{vector: vector, soft: soft, external: false}, false) {
		return true
	}
	c.rip = at
	return false
}

func opInt(c *CPU, in *decode.Inst) bool {
	if c.flags&x86.FlagVM != 0 && c.flags&x86.FlagIOPL != x86.FlagIOPL {
		return c.gp(0)
	}
	return c.softInt(in, uint8(in.Imm), true)
}

func opInt3(c *CPU, in *decode.Inst) bool { return c.softInt(in, x86.VectorBP, true) }

func opInt1(c *CPU, in *decode.Inst) bool { return c.softInt(in, x86.VectorDB, false) }

func opInto(c *CPU, in *decode.Inst) bool {
	if c.rflags()&x86.FlagOF != 0 {
		return c.softInt(in, x86.VectorOF, true)
	}
	c.rip = c.nextRIP(in)
	return true
}

func opBound(c *CPU, in *decode.Inst) bool {
	lin, ok := c.lin(in, 2*in.Size, false)
	if !ok {
		return false
	}
	lo, ok := c.load(lin, in.Size)
	if !ok {
		return false
	}
	hi, ok := c.load(c.wrap(lin+uint64(in.Size)), in.Size)
	if !ok {
		return false
	}
	v := int64(sext(c.reg(in.Reg, in.Size), in.Size))
	if v < int64(sext(lo, in.Size)) || v > int64(sext(hi, in.Size)) {
		return c.raise(x86.VectorBR)
	}
	return true
}

// opClflush only checks its operand.
func opClflush(c *CPU, in *decode.Inst) bool {
	lin, ok := c.lin(in, 1, false)
	if !ok {
		return false
	}
	_, ok = c.load8(lin)
	return ok
}

// opRdrand executes RDRAND and RDSEED: always successful.
func opRdrand(c *CPU, in *decode.Inst) bool {
	c.setReg(in.RM, in.Size, c.random())
	c.setArith(x86.FlagCF)
	return true
}
