package vcpu

import (
	"gozen/hypervisor/apic"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/pv/monitor"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
	"gozen/hypervisor/xen"
)

// Bits of the error code of a fault by a software interrupt (SDM 3A 6.13).
const codeIDT = 2

// pvEmulate does the privileged instruction that a PV kernel executed in ring 3, as far as Xen does; false makes it the guest's fault.
func (l *Loop) pvEmulate(code uint32) bool {
	p := &l.pv
	r := &p.Regs
	var in decode.Inst
	if code&codeIDT != 0 { // INT n
		t := &p.Traps[uint8(code>>3)]
		dpl := uint8(3)
		if p.Kernel {
			dpl = 0
		}
		if t.Address == 0 || t.Flags&3 < dpl || !l.pvInst(&in) {
			return false
		}
		r[monitor.RIP] += uint64(in.Len)
		l.pvDeliver(uint64(uint8(code >> 3)))
		return true
	}
	if code != 0 || !l.pvInst(&in) {
		return false
	}
	if !p.Kernel {
		return false
	}
	if !l.pvPrivileged(&in) {
		return false
	}
	r[monitor.RIP] += uint64(in.Len)
	return true
}

func (l *Loop) pvPrivileged(in *decode.Inst) bool {
	p := &l.pv
	r := &p.Regs
	switch in.Op {
	case decode.IN, decode.OUT:
		l.pvPort(in)
	case decode.RDMSR:
		v, ok := l.pvReadMSR(uint32(r[monitor.RCX]))
		if !ok {
			return false
		}
		r[monitor.RAX], r[monitor.RDX] = v&0xffffffff, v>>32
	case decode.WRMSR:
		return l.pvWriteMSR(uint32(r[monitor.RCX]), r[monitor.RAX]&0xffffffff|r[monitor.RDX]<<32)
	case decode.MOVR_CR:
		v, ok := l.pvReadCR(in.Reg)
		if !ok {
			return false
		}
		l.pvSetReg(in.RM, 8, v)
	case decode.MOVCR_R:
		return l.pvWriteCR(in.Reg, l.pvReg(in.RM, 8))
	case decode.MOVR_DR:
		l.pvSetReg(in.RM, 8, p.Debug[in.Reg&7])
	case decode.MOVDR_R:
		return p.SetDebug(int(in.Reg&7), l.pvReg(in.RM, 8)) == 0
	case decode.CLTS:
		p.SetTS(false)
	case decode.INVD, decode.WBINVD, decode.CLI, decode.STI:
	case decode.HLT:
		l.V.SetMasked(false)
		l.idle = true
	case decode.INVLPG:
		p.Flush()
	case decode.CPUID:
		l.pvCPUID(0)
	default:
		return false
	}
	return true
}

func (l *Loop) pvPort(in *decode.Inst) {
	r := &l.pv.Regs
	port := uint16(in.Imm) & 0xff
	if in.Form == decode.FormDX {
		port = uint16(r[monitor.RDX])
	}
	size := in.Size
	write := in.Op == decode.OUT
	l.Counts.Ports.Add(uint32(port), write)
	v := l.plat.Port(port, size, write, uint32(r[monitor.RAX]&mask(size)))
	if !write {
		l.pvSetReg(x86.RAX, size, uint64(v))
	}
}

// pvReadMSR and pvWriteMSR are as much as Xen lets a PV kernel see of the processor's registers.
func (l *Loop) pvReadMSR(n uint32) (uint64, bool) {
	l.Counts.MSRs.Add(n, false)
	switch n {
	case x86.MSREFER:
		return x86.EFERSCE | x86.EFERLME | x86.EFERLMA | x86.EFERNXE, true
	case x86.MSRPAT:
		return pvPAT, true
	case x86.MSRFSBase, x86.MSRGSBase, x86.MSRKernelGSBase:
		var s x86.State
		l.Eng.Get(&s)
		return map[uint32]uint64{x86.MSRFSBase: s.Seg[x86.FS].Base, x86.MSRGSBase: s.Seg[x86.GS].Base, x86.MSRKernelGSBase: s.KernelGSBase}[n], true
	case x86.MSRAPICBase:
		return apic.BaseEnable, true
	}
	if n >= x86.MSRX2APIC && n < x86.MSRX2APIC+0x100 {
		return 0, false
	}
	return l.readMSR(n)
}

// pvPAT is the page attribute table that all PV guests share (Xen asm-x86/config.h, XEN_MSR_PAT).
const pvPAT = 0x050100070406

func (l *Loop) pvWriteMSR(n uint32, v uint64) bool {
	l.Counts.MSRs.Add(n, true)
	switch n {
	case x86.MSRPAT:
		return v == pvPAT
	case x86.MSRFSBase:
		return l.pv.SetBase(xen.SEGBASE_FS, v) == 0
	case x86.MSRGSBase:
		return l.pv.SetBase(xen.SEGBASE_GS_KERNEL, v) == 0
	case x86.MSRKernelGSBase:
		return l.pv.SetBase(xen.SEGBASE_GS_USER, v) == 0
	case x86.MSREFER:
		return v == x86.EFERSCE|x86.EFERLME|x86.EFERLMA|x86.EFERNXE
	}
	if n == msrHyper || n >= x86.MSRX2APIC && n < x86.MSRX2APIC+0x100 || n == x86.MSRAPICBase {
		return false
	}
	return l.writeMSR(n, v)
}

func (l *Loop) pvReadCR(n uint8) (uint64, bool) {
	p := &l.pv
	switch n {
	case 0:
		cr0 := uint64(x86.CR0PE | x86.CR0MP | x86.CR0ET | x86.CR0NE | x86.CR0WP | x86.CR0PG)
		if p.TS {
			cr0 |= x86.CR0TS
		}
		return cr0, true
	case 2:
		return p.CR2, true
	case 3:
		return uint64(p.KernelRoot), true
	case 4:
		return p.CR4(), true
	}
	return 0, false
}

func (l *Loop) pvWriteCR(n uint8, v uint64) bool {
	p := &l.pv
	switch n {
	case 0:
		p.SetTS(v&x86.CR0TS != 0)
		return true
	case 2:
		l.V.SetCR2(v)
		return true
	case 3:
		return p.SetKernelRoot(guestmem.GPA(v).GFN()) == 0
	case 4:
		return true // Xen passes over what a guest may not change
	}
	return false
}

// pvTableWrite does a write of the guest's kernel to a page table that it has made read-only for itself (Xen's writable page tables).
func (l *Loop) pvTableWrite(addr uint64) bool {
	var in decode.Inst
	if !l.pvInst(&in) || in.Flags&decode.FlagMem == 0 || addr&(uint64(in.Size)-1) != 0 || in.Size > 8 || in.Size == 0 {
		return false
	}
	m := l.Dom.PV.MMU
	at, _ := m.Rights(l.pv.Root(), addr)
	word := at &^ 7
	shift := uint(at&7) * 8
	old, err := l.Dom.Memory.Read64(word)
	if err != nil {
		return false
	}
	was := old >> shift & mask(in.Size)
	v, ok := l.pvResult(&in, was)
	if !ok {
		return false
	}
	nv := old&^(mask(in.Size)<<shift) | v&mask(in.Size)<<shift
	if err := m.Update(word, nv, false); err != 0 {
		return false
	}
	l.pv.Regs[monitor.RIP] += uint64(in.Len)
	return true
}

// pvResult gives what an instruction writes to memory that holds was, and does what else it does.
func (l *Loop) pvResult(in *decode.Inst, was uint64) (v uint64, ok bool) {
	r := &l.pv.Regs
	src := uint64(in.Imm)
	switch in.Form {
	case decode.FormRM_R:
		src = l.pvReg(in.Reg, in.Size)
	case decode.FormRM_I:
	case decode.FormM_A:
		src = r[monitor.RAX]
	default:
		return 0, false
	}
	flags := func(v uint64) {
		f := r[monitor.RFLAGS] &^ (x86.FlagCF | x86.FlagPF | x86.FlagZF | x86.FlagSF | x86.FlagOF)
		if v&mask(in.Size) == 0 {
			f |= x86.FlagZF
		}
		if v>>(8*in.Size-1)&1 == 1 {
			f |= x86.FlagSF
		}
		r[monitor.RFLAGS] = f
	}
	bit := src & uint64(8*in.Size-1)
	carry := func() {
		r[monitor.RFLAGS] = r[monitor.RFLAGS]&^x86.FlagCF | was>>bit&1
	}
	switch in.Op {
	case decode.MOV:
		return src, true
	case decode.XCHG:
		l.pvSetReg(in.Reg, in.Size, was)
		return src, true
	case decode.CMPXCHG:
		if acc := r[monitor.RAX] & mask(in.Size); acc != was {
			l.pvSetReg(x86.RAX, in.Size, was)
			flags(acc - was)
			return was, true
		}
		flags(0)
		return src, true
	case decode.AND, decode.OR, decode.XOR:
		v = map[decode.Op]uint64{decode.AND: was & src, decode.OR: was | src, decode.XOR: was ^ src}[in.Op]
		flags(v)
		return v, true
	case decode.BTR, decode.BTS, decode.BTC:
		carry()
		return map[decode.Op]uint64{decode.BTR: was &^ (1 << bit), decode.BTS: was | 1<<bit, decode.BTC: was ^ 1<<bit}[in.Op], true
	}
	return 0, false
}
