package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// sysRead reads size bytes at a linear address with the processor's own supervisor rights (SDM 3A 4.6.1: implicit access).
func (c *CPU) loadSystem(lin uint64, size uint8) (uint64, bool) {
	var v uint64
	lin = c.wrapTable(lin)
	if lin&pageMask+uint64(size) <= 4096 {
		var x xlat
		if !c.translate(lin, accRead, false, false, &x) {
			return 0, false
		}
		if p := c.mem.HostPage(x.gpa.GFN()); p != nil {
			for i := uint8(0); i < size; i++ {
				v |= uint64(p[lin&pageMask+uint64(i)]) << (8 * i)
			}
			return v, true
		}
		return ^uint64(0) >> (64 - 8*size), true // a hole reads as ones
	}
	for i := uint8(0); i < size; i++ {
		b, ok := c.loadSystem(lin+uint64(i), 1)
		if !ok {
			return 0, false
		}
		v |= b << (8 * i)
	}
	return v, true
}

// wrapTable: descriptor-table addresses are 32 bits wide outside IA-32e mode.
func (c *CPU) wrapTable(lin uint64) uint64 {
	if c.efer&x86.EFERLMA != 0 {
		return lin
	}
	return lin & 0xffffffff
}

// storeSystem8 writes one byte with supervisor rights (accessed and busy bits of descriptors).
func (c *CPU) storeSystem8(lin uint64, v byte) bool {
	var x xlat
	if !c.translate(c.wrapTable(lin), accWrite, false, false, &x) {
		return false
	}
	if p := c.mem.HostPage(x.gpa.GFN()); p != nil {
		p[lin&pageMask] = v
		c.wroteCode(x.gpa, 1)
	}
	return true
}

// descriptor reads the 8 bytes that a selector names and gives their address. vector and code (with the
// selector's index) make the fault when the selector is beyond its table.
func (c *CPU) descriptor(sel uint16, vector uint8) (desc, addr uint64, ok bool) {
	base, limit := c.gdtr.Base, uint32(c.gdtr.Limit)
	if sel&4 != 0 {
		if c.ldtr.Attr&x86.AttrUnusable != 0 || c.ldtr.Selector&^3 == 0 {
			return 0, 0, c.except(vector, uint32(sel&^3))
		}
		base, limit = c.ldtr.Base, c.ldtr.Limit
	}
	if uint32(sel|7) > limit {
		return 0, 0, c.except(vector, uint32(sel&^3))
	}
	addr = base + uint64(sel&^7)
	desc, ok = c.loadSystem(addr, 8)
	return desc, addr, ok
}

// unpack makes a segment register's hidden part of a descriptor (SDM 3A figure 3-8).
func unpack(sel uint16, d uint64) x86.Segment {
	s := x86.Segment{Selector: sel}
	s.Base = d>>16&0xffffff | d>>56<<24
	s.Limit = uint32(d&0xffff | d>>32&0xf0000)
	s.Attr = uint32(d>>40&0xff | d>>52&0xf<<12)
	if s.Attr&x86.AttrG != 0 {
		s.Limit = s.Limit<<12 | 0xfff
	}
	return s
}

const (
	typeCode       = 8
	typeConforming = 4
	typeRW         = 2
	typeAccessed   = 1
)

// setAccessed sets the accessed bit of a code or data descriptor in memory.
func (c *CPU) setAccessed(s *x86.Segment, desc, addr uint64) bool {
	if s.Attr&typeAccessed != 0 {
		return true
	}
	s.Attr |= typeAccessed
	return c.storeSystem8(addr+5, byte(desc>>40)|typeAccessed)
}

// loadSegment loads ES, SS, DS, FS or GS (SDM 2B MOV).
func (c *CPU) loadSegment(n uint8, sel uint16) bool {
	if c.cr0&x86.CR0PE == 0 || c.flags&x86.FlagVM != 0 {
		s := &c.seg[n]
		s.Selector, s.Base = sel, uint64(sel)<<4
		if c.flags&x86.FlagVM != 0 {
			s.Limit, s.Attr = 0xffff, 0xf3
		}
		c.updateMode()
		return true
	}
	if sel&^3 == 0 {
		if n == x86.SS && (!c.long || c.cpl == 3 || uint8(sel&3) != c.cpl) {
			return c.gp(0)
		}
		c.seg[n] = x86.Segment{Selector: sel, Attr: x86.AttrUnusable | uint32(c.cpl)<<x86.AttrDPLShift, Base: 0}
		c.updateMode()
		return true
	}
	desc, addr, ok := c.descriptor(sel, x86.VectorGP)
	if !ok {
		return false
	}
	s := unpack(sel, desc)
	if !c.dataSegmentOK(n, sel, &s) {
		return false
	}
	if s.Attr&x86.AttrP == 0 {
		if n == x86.SS {
			return c.except(x86.VectorSS, uint32(sel&^3))
		}
		return c.except(x86.VectorNP, uint32(sel&^3))
	}
	if !c.setAccessed(&s, desc, addr) {
		return false
	}
	c.seg[n] = s
	c.updateMode()
	return true
}

func (c *CPU) dataSegmentOK(n uint8, sel uint16, s *x86.Segment) bool {
	rpl, dpl := uint8(sel&3), s.DPL()
	bad := s.Attr&x86.AttrS == 0
	code := s.Attr&typeCode != 0
	if n == x86.SS {
		bad = bad || rpl != c.cpl || dpl != c.cpl || code || s.Attr&typeRW == 0
	} else {
		bad = bad || code && s.Attr&typeRW == 0
		if !code || s.Attr&typeConforming == 0 {
			bad = bad || rpl > dpl || c.cpl > dpl
		}
	}
	if bad {
		return c.gp(uint32(sel &^ 3))
	}
	return true
}

// updateMode derives what depends on segments and control registers.
func (c *CPU) updateMode() {
	cs := &c.seg[x86.CS]
	long := c.efer&x86.EFERLMA != 0 && cs.Attr&x86.AttrL != 0
	mode := decode.Mode16
	switch {
	case long:
		mode = decode.Mode64
	case cs.Attr&x86.AttrDB != 0:
		mode = decode.Mode32
	}
	wide := long || cs.Limit == 0xffffffff
	if mode != c.mode || wide != c.wide || !long && cs.Base != c.segBase[6] {
		c.gen++
	}
	c.long, c.mode, c.wide = long, mode, wide
	if long {
		c.segBase = [8]uint64{x86.FS: c.seg[x86.FS].Base, x86.GS: c.seg[x86.GS].Base}
		c.ripMask, c.chains = ^uint64(0), true
		return
	}
	for i := range c.seg {
		c.segBase[i] = checked
		if s := &c.seg[i]; s.Attr&flatMask == flatData && s.Limit == 0xffffffff {
			c.segBase[i] = s.Base
		}
	}
	if c.seg[x86.SS].Attr&x86.AttrDB == 0 {
		c.segBase[x86.SS] = checked
	}
	c.segBase[6] = cs.Base
	c.ripMask, c.chains = 0xffffffff, wide && cs.Base == 0
}

// selectTLB picks the TLB and jump cache for the privilege level and AC.
func (c *CPU) selectTLB() {
	switch {
	case c.cpl == 3:
		c.dtlb, c.jc = &c.tlbs[1], &c.jcs[1]
		return
	case c.flags&x86.FlagAC != 0 && c.cr4&x86.CR4SMAP != 0:
		c.dtlb = &c.tlbs[2]
	default:
		c.dtlb = &c.tlbs[0]
	}
	c.jc = &c.jcs[0]
}

func (c *CPU) setCPL(cpl uint8) {
	c.cpl = cpl
	c.selectTLB()
}

func opMovToSeg(c *CPU, in *decode.Inst) bool {
	if in.Reg == x86.CS || in.Reg > x86.GS {
		return c.ud()
	}
	v, ok := c.rm(in, 2)
	if !ok || !c.loadSegment(in.Reg, uint16(v)) {
		return false
	}
	c.movss = in.Reg == x86.SS
	return true
}

func opMovFromSeg(c *CPU, in *decode.Inst) bool {
	if in.Reg > x86.GS {
		return c.ud()
	}
	v := uint64(c.seg[in.Reg].Selector)
	if in.Flags&decode.FlagMem != 0 {
		return c.setRM(in, 2, v)
	}
	return c.setRM(in, in.Size, v)
}

func opPushSeg(c *CPU, in *decode.Inst) bool {
	return c.push(uint64(c.seg[in.Reg].Selector), in.Size)
}

func opPopSeg(c *CPU, in *decode.Inst) bool {
	v, ok := c.peekStack(0, in.Size)
	if !ok || !c.loadSegment(in.Reg, uint16(v)) {
		return false
	}
	c.setSP(c.regs[x86.RSP] + uint64(in.Size))
	c.movss = in.Reg == x86.SS
	return true
}

// opLoadFar executes LDS, LES, LSS, LFS and LGS.
func opLoadFar(c *CPU, in *decode.Inst) bool {
	seg := map1(in.Op)
	lin, ok := c.lin(in, in.Size+2, false)
	if !ok {
		return false
	}
	off, ok := c.load(lin, in.Size)
	if !ok {
		return false
	}
	sel, ok := c.load16(c.wrap(lin + uint64(in.Size)))
	if !ok || !c.loadSegment(seg, uint16(sel)) {
		return false
	}
	c.setReg(in.Reg, in.Size, off)
	c.movss = seg == x86.SS
	return true
}

func map1(op decode.Op) uint8 {
	switch op {
	case decode.LDS:
		return x86.DS
	case decode.LES:
		return x86.ES
	case decode.LSS:
		return x86.SS
	case decode.LFS:
		return x86.FS
	}
	return x86.GS
}

// systemSegment loads LDTR or TR.
func (c *CPU) systemSegment(sel uint16, tr bool) bool {
	if sel&^3 == 0 {
		if tr {
			return c.gp(0)
		}
		c.ldtr = x86.Segment{Selector: sel, Attr: x86.AttrUnusable}
		return true
	}
	if sel&4 != 0 {
		return c.gp(uint32(sel &^ 3))
	}
	desc, addr, ok := c.descriptor(sel, x86.VectorGP)
	if !ok {
		return false
	}
	s := unpack(sel, desc)
	want := uint32(2)
	if tr {
		want = 9
	}
	if s.Attr&0x1f != want && !(tr && c.efer&x86.EFERLMA == 0 && s.Attr&0x1f == 1) {
		return c.gp(uint32(sel &^ 3))
	}
	if s.Attr&x86.AttrP == 0 {
		return c.except(x86.VectorNP, uint32(sel&^3))
	}
	if c.efer&x86.EFERLMA != 0 {
		high, ok := c.loadSystem(addr+8, 8)
		if !ok {
			return false
		}
		s.Base = s.Base&0xffffffff | high<<32
		if !canonical(s.Base) {
			return c.gp(uint32(sel &^ 3))
		}
	}
	if tr {
		if !c.storeSystem8(addr+5, byte(desc>>40)|2) {
			return false
		}
		s.Attr |= 2
		c.tr = s
		return true
	}
	c.ldtr = s
	return true
}

func (c *CPU) protected() bool { return c.cr0&x86.CR0PE != 0 && c.flags&x86.FlagVM == 0 }

func opLldt(c *CPU, in *decode.Inst) bool { return c.loadTableReg(in, false) }
func opLtr(c *CPU, in *decode.Inst) bool  { return c.loadTableReg(in, true) }

func (c *CPU) loadTableReg(in *decode.Inst, tr bool) bool {
	if !c.protected() {
		return c.ud()
	}
	if c.cpl != 0 {
		return c.gp(0)
	}
	v, ok := c.rm(in, 2)
	return ok && c.systemSegment(uint16(v), tr)
}

func opSldt(c *CPU, in *decode.Inst) bool { return c.storeTableReg(in, c.ldtr.Selector) }
func opStr(c *CPU, in *decode.Inst) bool  { return c.storeTableReg(in, c.tr.Selector) }

func (c *CPU) storeTableReg(in *decode.Inst, sel uint16) bool {
	if !c.protected() {
		return c.ud()
	}
	if c.umip() {
		return c.gp(0)
	}
	if in.Flags&decode.FlagMem != 0 {
		return c.setRM(in, 2, uint64(sel))
	}
	return c.setRM(in, in.Size, uint64(sel))
}

func (c *CPU) umip() bool { return c.cpl != 0 && c.cr4&x86.CR4UMIP != 0 }

// probeSelector reads a descriptor for LAR, LSL, VERR and VERW; ok false with stopNone means not accessible.
func (c *CPU) probeSelector(sel uint16) (desc uint64, visible, ok bool) {
	if sel&^3 == 0 {
		return 0, false, true
	}
	desc, _, ok = c.descriptor(sel, x86.VectorGP)
	if !ok {
		if c.fault.Vector == x86.VectorPF {
			return 0, false, false
		}
		c.stop = stopNone
		return 0, false, true
	}
	s := unpack(sel, desc)
	conforming := s.Attr&x86.AttrS != 0 && s.Attr&typeCode != 0 && s.Attr&typeConforming != 0
	if !conforming && (c.cpl > s.DPL() || uint8(sel&3) > s.DPL()) {
		return desc, false, true
	}
	return desc, true, true
}

func (c *CPU) setZF(z bool) { c.flags = c.rflags()&^x86.FlagZF | b2u(z)<<6 }

func opLar(c *CPU, in *decode.Inst) bool {
	return c.inspect(in, 0x1b3e|1<<9|1<<11, func(d uint64) uint64 { return d >> 32 & 0xffff00 })
}

func opLsl(c *CPU, in *decode.Inst) bool {
	return c.inspect(in, 0x0b0e|1<<9|1<<11, func(d uint64) uint64 {
		s := unpack(0, d)
		return uint64(s.Limit)
	})
}

// inspect executes LAR and LSL; system types allowed are those whose bit is set in types.
func (c *CPU) inspect(in *decode.Inst, types uint32, f func(uint64) uint64) bool {
	if !c.protected() {
		return c.ud()
	}
	sel, ok := c.rm(in, 2)
	if !ok {
		return false
	}
	d, visible, ok := c.probeSelector(uint16(sel))
	if !ok {
		return false
	}
	typ := d >> 40 & 15
	if visible && d>>44&1 == 0 {
		if c.efer&x86.EFERLMA != 0 {
			types &= 1<<2 | 1<<9 | 1<<11 | 1<<12
		}
		visible = types>>typ&1 != 0
	}
	if visible {
		c.setReg(in.Reg, in.Size, f(d))
	}
	c.setZF(visible)
	return true
}

func opVerr(c *CPU, in *decode.Inst) bool { return c.verify(in, false) }
func opVerw(c *CPU, in *decode.Inst) bool { return c.verify(in, true) }

func (c *CPU) verify(in *decode.Inst, write bool) bool {
	if !c.protected() {
		return c.ud()
	}
	sel, ok := c.rm(in, 2)
	if !ok {
		return false
	}
	d, visible, ok := c.probeSelector(uint16(sel))
	if !ok {
		return false
	}
	s := unpack(uint16(sel), d)
	code, rw := s.Attr&typeCode != 0, s.Attr&typeRW != 0
	good := visible && s.Attr&x86.AttrS != 0 && (write && !code && rw || !write && (!code || rw))
	c.setZF(good)
	return true
}

func opArpl(c *CPU, in *decode.Inst) bool {
	if !c.protected() {
		return c.ud()
	}
	d, ok := c.rmForWrite(in)
	if !ok {
		return false
	}
	s := c.reg(in.Reg, 2)
	if d&3 < s&3 {
		if !c.setRM(in, 2, d&^3|s&3) {
			return false
		}
		c.setZF(true)
		return true
	}
	c.setZF(false)
	return true
}
