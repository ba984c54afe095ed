package soft

import "gozen/hypervisor/x86"

// maxNested bounds the exceptions that one delivery may lead to. Contributory ones end in a shutdown after three; an alignment check whose own
// frame is not aligned would lead to itself for ever.
const maxNested = 8

// deliver takes an event through the IDT, with the double-fault rules of SDM 3A 6.15. false: shutdown.
// c.rip is the address to be saved; fault tells that it is that of the faulting instruction. A stack in device memory is a shutdown too.
func (c *CPU) deliver(ev injection, fault bool) bool {
	for range maxNested {
		if ev.vector == x86.VectorPF && !ev.soft && !ev.external {
			c.cr2 = ev.addr
		}
		if c.enterGate(ev, fault) {
			c.halted = false
			return true
		}
		next, stop := c.fault, c.stop
		c.stop = stopNone
		if stop != stopFault { // the frame would go to device memory, which nothing could do half-way through a delivery
			c.answer.reset()
			return false
		}
		if ev.soft || ev.external {
			ev = fromFault(next)
			continue
		}
		first, second := class(ev.vector), class(next.Vector)
		switch {
		case ev.vector == x86.VectorDF:
			return false
		case first == 1 && second == 1, first == 2 && second != 0:
			ev = injection{valid: true, vector: x86.VectorDF, hasError: true}
		default:
			ev = fromFault(next)
		}
		fault = true
	}
	return false
}

func fromFault(f x86.Fault) injection {
	return injection{valid: true, vector: f.Vector, hasError: f.HasError, err: f.Error, addr: f.Addr}
}

// class: 0 benign, 1 contributory, 2 page fault (SDM 3A table 6-4).
func class(vector uint8) int {
	switch vector {
	case x86.VectorDE, x86.VectorTS, x86.VectorNP, x86.VectorSS, x86.VectorGP:
		return 1
	case x86.VectorPF:
		return 2
	}
	return 0
}

// cpuState is what a failed delivery or return has to put back.
type cpuState struct {
	seg   [6]x86.Segment
	rsp   uint64
	flags uint64
	cpl   uint8
}

func (c *CPU) save() cpuState {
	return cpuState{c.seg, c.regs[x86.RSP], c.rflags(), c.cpl}
}

func (c *CPU) restore(s *cpuState) {
	c.seg, c.regs[x86.RSP] = s.seg, s.rsp
	c.flags, c.ccOp = s.flags, ccFlags
	c.setCPL(s.cpl)
	c.updateMode()
}

func (c *CPU) enterGate(ev injection, fault bool) bool {
	switch {
	case c.efer&x86.EFERLMA != 0:
		return c.gate64(ev, fault)
	case c.cr0&x86.CR0PE != 0:
		return c.gate32(ev, fault)
	}
	return c.gateReal(ev)
}

// ext is the EXT bit of an error code: set unless the event is a software interrupt.
func (ev *injection) ext() uint32 {
	if ev.soft {
		return 0
	}
	return 1
}

// savedFlags gives RFLAGS as pushed: faults push RF set, so that a code breakpoint does not repeat.
func (c *CPU) savedFlags(ev *injection, fault bool) uint64 {
	f := c.rflags()
	if fault && !ev.external && !ev.soft && ev.vector != x86.VectorDB {
		f |= x86.FlagRF
	}
	return f
}

// gate64 is delivery in IA-32e mode (SDM 3A 6.14).
func (c *CPU) gate64(ev injection, fault bool) bool {
	bad := uint32(ev.vector)*8 + 2 + ev.ext()
	if uint32(ev.vector)*16+15 > uint32(c.idtr.Limit) {
		return c.gp(bad)
	}
	lo, ok := c.loadSystem(c.idtr.Base+uint64(ev.vector)*16, 8)
	if !ok {
		return false
	}
	hi, ok := c.loadSystem(c.idtr.Base+uint64(ev.vector)*16+8, 8)
	if !ok {
		return false
	}
	typ, dpl := lo>>40&31, uint8(lo>>45&3)
	if typ != 14 && typ != 15 || ev.soft && dpl < c.cpl {
		return c.gp(bad)
	}
	if lo>>47&1 == 0 {
		return c.except(x86.VectorNP, bad)
	}
	sel := uint16(lo >> 16)
	cs, ok := c.gateTarget(sel, &ev)
	if !ok {
		return false
	}
	if cs.Attr&(x86.AttrL|x86.AttrDB) != x86.AttrL {
		return c.gp(uint32(sel&^3) | ev.ext())
	}
	target := lo&0xffff | lo>>48<<16 | hi<<32
	if !canonical(target) {
		return c.gp(ev.ext())
	}
	return c.frame64(&ev, fault, cs, target, uint8(lo>>32&7), typ == 14)
}

// gateTarget reads and checks the code segment of a gate; on return its DPL is the new CPL.
func (c *CPU) gateTarget(sel uint16, ev *injection) (*x86.Segment, bool) {
	if sel&^3 == 0 {
		return nil, c.gp(ev.ext())
	}
	desc, addr, ok := c.descriptor(sel, x86.VectorGP)
	if !ok {
		c.fault.Error |= ev.ext()
		return nil, false
	}
	s := unpack(sel, desc)
	if s.Attr&x86.AttrS == 0 || s.Attr&typeCode == 0 || s.DPL() > c.cpl {
		return nil, c.gp(uint32(sel&^3) | ev.ext())
	}
	if s.Attr&x86.AttrP == 0 {
		return nil, c.except(x86.VectorNP, uint32(sel&^3)|ev.ext())
	}
	if !c.setAccessed(&s, desc, addr) {
		return nil, false
	}
	cpl := s.DPL()
	if s.Attr&typeConforming != 0 {
		cpl = c.cpl
	}
	s.Selector = sel&^3 | uint16(cpl)
	return &s, true
}

func (c *CPU) frame64(ev *injection, fault bool, cs *x86.Segment, target uint64, ist uint8, clearIF bool) bool {
	old := c.save()
	flags := c.savedFlags(ev, fault)
	cpl := uint8(cs.Selector & 3)
	rsp := c.regs[x86.RSP]
	var ok bool
	switch {
	case ist != 0:
		rsp, ok = c.tssStack(0x24+8*uint32(ist-1), ev)
	case cpl < old.cpl:
		rsp, ok = c.tssStack(4+8*uint32(cpl), ev)
	default:
		ok = true
	}
	if !ok {
		return false
	}
	oldSS := old.seg[x86.SS].Selector
	c.seg[x86.CS] = *cs
	if cpl != old.cpl {
		c.seg[x86.SS] = x86.Segment{Selector: uint16(cpl), Attr: x86.AttrUnusable | uint32(cpl)<<x86.AttrDPLShift}
	}
	c.setCPL(cpl)
	c.updateMode()
	rsp &^= 15
	words := [6]uint64{uint64(oldSS), old.rsp, flags, uint64(old.seg[x86.CS].Selector), c.rip, uint64(ev.err)}
	n := 5
	if ev.hasError {
		n = 6
	}
	// AC must not open user pages to these pushes, but they are explicit supervisor accesses of the new CPL.
	for i := 0; i < n; i++ {
		rsp -= 8
		if !canonical(rsp) {
			c.restore(&old)
			return c.except(x86.VectorSS, ev.ext())
		}
		if !c.store64(rsp, words[i]) {
			c.restore(&old)
			return false
		}
	}
	c.regs[x86.RSP] = rsp
	c.rip = target
	f := flags &^ (x86.FlagTF | x86.FlagNT | x86.FlagRF | x86.FlagVM)
	if clearIF {
		f &^= x86.FlagIF
	}
	c.setFlags(f)
	c.selectTLB()
	return true
}

// tssStack reads a stack pointer from the 64-bit TSS (SDM 3A figure 7-11).
func (c *CPU) tssStack(off uint32, ev *injection) (uint64, bool) {
	if c.tr.Attr&x86.AttrUnusable != 0 || off+7 > c.tr.Limit {
		return 0, c.except(x86.VectorTS, uint32(c.tr.Selector&^3)|ev.ext())
	}
	v, ok := c.loadSystem(c.tr.Base+uint64(off), 8)
	if ok && !canonical(v) {
		return 0, c.except(x86.VectorSS, ev.ext())
	}
	return v, ok
}

// gate32 is delivery in protected mode (SDM 3A 6.12). Task gates are not supported: #GP (QUIRKS.md).
func (c *CPU) gate32(ev injection, fault bool) bool {
	bad := uint32(ev.vector)*8 + 2 + ev.ext()
	if uint32(ev.vector)*8+7 > uint32(c.idtr.Limit) {
		return c.gp(bad)
	}
	g, ok := c.loadSystem(c.idtr.Base+uint64(ev.vector)*8, 8)
	if !ok {
		return false
	}
	typ, dpl := g>>40&31, uint8(g>>45&3)
	if typ&^9 != 6 || ev.soft && dpl < c.cpl {
		return c.gp(bad)
	}
	if g>>47&1 == 0 {
		return c.except(x86.VectorNP, bad)
	}
	cs, ok := c.gateTarget(uint16(g>>16), &ev)
	if !ok {
		return false
	}
	size := uint8(2)
	target := g & 0xffff
	if typ&8 != 0 {
		size = 4
		target |= g >> 48 << 16
	}
	old := c.save()
	flags := c.savedFlags(&ev, fault)
	stackError := ev.ext() // of a stack that the frame does not fit
	if cpl := uint8(cs.Selector & 3); cpl < old.cpl {
		if !c.innerStack32(cpl, &ev) {
			c.restore(&old)
			return false
		}
		stackError |= uint32(c.seg[x86.SS].Selector &^ 3)
		ok = c.push(uint64(old.seg[x86.SS].Selector), size) && c.push(old.rsp, size)
	}
	ok = ok && c.push(flags, size) && c.push(uint64(old.seg[x86.CS].Selector), size) && c.push(c.rip, size)
	if ok && ev.hasError {
		ok = c.push(uint64(ev.err), size)
	}
	if !ok || target > uint64(cs.Limit) {
		c.restore(&old)
		switch {
		case ok:
			c.gp(ev.ext())
		case c.stop == stopFault && c.fault.Vector == x86.VectorSS:
			c.fault.Error = stackError
		}
		return false
	}
	c.seg[x86.CS] = *cs
	c.setCPL(uint8(cs.Selector & 3))
	c.updateMode()
	c.rip = target
	f := flags &^ (x86.FlagTF | x86.FlagNT | x86.FlagRF | x86.FlagVM)
	if typ&1 == 0 {
		f &^= x86.FlagIF
	}
	c.setFlags(f)
	c.selectTLB()
	return true
}

// innerStack32 switches to the stack that the TSS, of 32 or of 16 bits, names for a privilege level (SDM 3A 7.2.1, 7.6).
func (c *CPU) innerStack32(cpl uint8, ev *injection) bool {
	size, off := uint8(4), 4+8*uint64(cpl)
	if c.tr.Attr&x86.AttrType&^2 == 1 {
		size, off = 2, 2+4*uint64(cpl)
	}
	if c.tr.Attr&x86.AttrUnusable != 0 || off+uint64(size)+1 > uint64(c.tr.Limit) {
		return c.except(x86.VectorTS, uint32(c.tr.Selector&^3)|ev.ext())
	}
	esp, ok := c.loadSystem(c.tr.Base+off, size)
	if !ok {
		return false
	}
	ss, ok := c.loadSystem(c.tr.Base+off+uint64(size), 2)
	if !ok {
		return false
	}
	c.setCPL(cpl)
	if !c.loadSegment(x86.SS, uint16(ss)) {
		switch c.fault.Vector {
		case x86.VectorGP:
			c.fault.Vector = x86.VectorTS
			c.fault.Error |= ev.ext()
		case x86.VectorSS:
			c.fault.Error |= ev.ext()
		}
		return false
	}
	c.regs[x86.RSP] = esp
	return true
}

// gateReal is delivery in real mode (SDM 3A 20.1.4).
func (c *CPU) gateReal(ev injection) bool {
	if uint32(ev.vector)*4+3 > uint32(c.idtr.Limit) {
		return c.gp(0)
	}
	g, ok := c.loadSystem(c.idtr.Base+uint64(ev.vector)*4, 4)
	if !ok {
		return false
	}
	old := c.save()
	if !c.push(c.rflags(), 2) || !c.push(uint64(c.seg[x86.CS].Selector), 2) || !c.push(c.rip, 2) {
		c.restore(&old)
		return false
	}
	c.setFlags(c.rflags() &^ (x86.FlagIF | x86.FlagTF | x86.FlagAC | x86.FlagRF))
	c.seg[x86.CS].Selector, c.seg[x86.CS].Base = uint16(g>>16), g>>16<<4
	c.rip = g & 0xffff
	c.updateMode()
	return true
}
