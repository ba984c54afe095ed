package soft

import (
	"bytes"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

const anyRep = decode.FlagRepz | decode.FlagRepn

// maxRep bounds the elements done before the loop looks at events again.
const maxRep = 1 << 16

// maxElements is maxRep, or one under single step: #DB follows each (SDM 3B 17.3.1.4).
func (c *CPU) maxElements() uint64 {
	if c.flags&x86.FlagTF != 0 {
		return 1
	}
	return maxRep
}

// advance moves an index register by n elements of size bytes in the direction of DF.
func (c *CPU) advance(r, asize uint8, n uint64, size uint8) {
	d := n * uint64(size)
	if c.flags&x86.FlagDF != 0 {
		d = -d
	}
	c.setReg(r, asize, c.cut(c.regs[r]+d, asize))
}

// repeat runs step until the count register is zero. step does up to max elements and says how many it did; less than one with false
// means a fault, and the registers show the progress made (SDM 2B REP).
func (c *CPU) repeat(in *decode.Inst, step func(c *CPU, in *decode.Inst, max uint64) (uint64, bool)) bool {
	if in.Flags&anyRep == 0 {
		_, ok := step(c, in, 1)
		return ok
	}
	done, max := uint64(0), c.maxElements()
	for {
		n := c.countReg(in.ASize)
		if n == 0 {
			return true
		}
		if done >= max {
			c.stop = stopRestart
			return false
		}
		k, ok := step(c, in, min(n, max-done))
		if !ok { // nothing was done: a 32-bit count does not lose its upper half
			return false
		}
		c.setReg(x86.RCX, in.ASize, n-k)
		if done += k; c.answered() {
			done = max
		}
	}
}

// answered reports whether the element just done used device memory: events are looked at behind each of those.
func (c *CPU) answered() bool {
	if c.answer.n == 0 {
		return false
	}
	c.answer.reset()
	return true
}

// room limits n elements to those that lie in one page from lin upwards; 0 when even the first crosses or DF is set.
func (c *CPU) room(lin, n uint64, size uint8) uint64 {
	if c.flags&x86.FlagDF != 0 {
		return 0
	}
	return min(n, (4096-lin&pageMask)/uint64(size))
}

// limitRoom limits n to what fits before the index register wraps at its address size and, outside 64-bit mode, is 0: elements are checked
// one by one there.
func (c *CPU) limitRoom(r, asize uint8, n uint64, size uint8) uint64 {
	if !c.long {
		return c.flatRoom(r, asize, n, size)
	}
	if asize == 4 {
		return min(n, (1<<32-c.cut(c.regs[r], 4))/uint64(size))
	}
	return n
}

// flatRoom allows bulk work in 32-bit flat segments.
func (c *CPU) flatRoom(r, asize uint8, n uint64, size uint8) uint64 {
	if asize != 4 || c.seg[x86.ES].Limit != 0xffffffff || c.seg[x86.DS].Limit != 0xffffffff {
		return 0
	}
	return min(n, (1<<32-c.cut(c.regs[r], 4))/uint64(size))
}

func stepMovs(c *CPU, in *decode.Inst, max uint64) (uint64, bool) {
	src, ok := c.linear(in.Seg, c.cut(c.regs[x86.RSI], in.ASize), in.Size, false)
	if !ok {
		return 0, false
	}
	dst, ok := c.linear(x86.ES, c.cut(c.regs[x86.RDI], in.ASize), in.Size, true)
	if !ok {
		return 0, false
	}
	n := c.room(src, c.room(dst, max, in.Size), in.Size)
	n = c.limitRoom(x86.RSI, in.ASize, c.limitRoom(x86.RDI, in.ASize, n, in.Size), in.Size)
	if n > 1 {
		s, ok := c.span(src, n*uint64(in.Size), accRead)
		if !ok {
			return 0, false
		}
		d, ok := c.span(dst, n*uint64(in.Size), accWrite)
		if !ok {
			return 0, false
		}
		// A forward copy onto a later overlapping place repeats a pattern; copy would not.
		if s != nil && d != nil && !overlapsForward(s, d) {
			// span of dst may have evicted src's TLB entry, but not its host page.
			copy(d, s)
			c.advance(x86.RSI, in.ASize, n, in.Size)
			c.advance(x86.RDI, in.ASize, n, in.Size)
			return n, true
		}
	}
	v, ok := c.load(src, in.Size)
	if !ok || !c.store(dst, v, in.Size) {
		return 0, false
	}
	c.advance(x86.RSI, in.ASize, 1, in.Size)
	c.advance(x86.RDI, in.ASize, 1, in.Size)
	return 1, true
}

// overlapsForward reports whether d starts inside s, behind its first byte.
func overlapsForward(s, d []byte) bool {
	diff := distance(s, d)
	return diff > 0 && diff < int64(len(s))
}

func stepStos(c *CPU, in *decode.Inst, max uint64) (uint64, bool) {
	dst, ok := c.linear(x86.ES, c.cut(c.regs[x86.RDI], in.ASize), in.Size, true)
	if !ok {
		return 0, false
	}
	n := c.limitRoom(x86.RDI, in.ASize, c.room(dst, max, in.Size), in.Size)
	v := c.reg(x86.RAX, in.Size)
	if n > 1 {
		d, ok := c.span(dst, n*uint64(in.Size), accWrite)
		if !ok {
			return 0, false
		}
		if d != nil {
			fillPattern(d, v, in.Size)
			c.advance(x86.RDI, in.ASize, n, in.Size)
			return n, true
		}
	}
	if !c.store(dst, v, in.Size) {
		return 0, false
	}
	c.advance(x86.RDI, in.ASize, 1, in.Size)
	return 1, true
}

// fillPattern fills d with copies of the size low bytes of v.
func fillPattern(d []byte, v uint64, size uint8) {
	if v == 0 {
		clear(d)
		return
	}
	for i := uint8(0); i < size; i++ {
		d[i] = byte(v >> (8 * i))
	}
	for n := int(size); n < len(d); n *= 2 {
		copy(d[n:], d[:n])
	}
}

func stepLods(c *CPU, in *decode.Inst, _ uint64) (uint64, bool) {
	src, ok := c.linear(in.Seg, c.cut(c.regs[x86.RSI], in.ASize), in.Size, false)
	if !ok {
		return 0, false
	}
	v, ok := c.load(src, in.Size)
	if !ok {
		return 0, false
	}
	c.setReg(x86.RAX, in.Size, v)
	c.advance(x86.RSI, in.ASize, 1, in.Size)
	return 1, true
}

func opMovs(c *CPU, in *decode.Inst) bool { return c.repeat(in, stepMovs) }
func opStos(c *CPU, in *decode.Inst) bool { return c.repeat(in, stepStos) }
func opLods(c *CPU, in *decode.Inst) bool { return c.repeat(in, stepLods) }

// compareStrings runs CMPS and SCAS with REPE and REPNE.
func (c *CPU) compareStrings(in *decode.Inst, step func(c *CPU, in *decode.Inst, max uint64) (uint64, bool)) bool {
	if in.Flags&anyRep == 0 {
		_, ok := step(c, in, 1)
		return ok
	}
	wantZ := in.Flags&decode.FlagRepz != 0
	done, max := uint64(0), c.maxElements()
	for {
		n := c.countReg(in.ASize)
		if n == 0 {
			return true
		}
		if done >= max {
			c.stop = stopRestart
			return false
		}
		k, ok := step(c, in, min(n, max-done))
		if !ok { // nothing was done: a 32-bit count does not lose its upper half
			return false
		}
		c.setReg(x86.RCX, in.ASize, n-k)
		if c.cond(4) != wantZ {
			return true
		}
		if done += k; c.answered() {
			done = max
		}
	}
}

func stepScas(c *CPU, in *decode.Inst, max uint64) (uint64, bool) {
	dst, ok := c.linear(x86.ES, c.cut(c.regs[x86.RDI], in.ASize), in.Size, false)
	if !ok {
		return 0, false
	}
	n := uint64(1)
	if in.Size == 1 && in.Flags&decode.FlagRepn != 0 {
		if n = c.limitRoom(x86.RDI, in.ASize, c.room(dst, max, 1), 1); n > 1 {
			if n, ok = c.scanByte(dst, n); !ok {
				return 0, false
			}
		}
		n = max1(n)
	}
	lin := dst + n - 1
	if n == 1 {
		lin = dst
	}
	v, ok := c.load(lin, in.Size)
	if !ok {
		return 0, false
	}
	c.setSize(in.Size)
	fnSub(c, c.reg(x86.RAX, in.Size), v)
	c.advance(x86.RDI, in.ASize, n, in.Size)
	return n, true
}

func max1(n uint64) uint64 { return max(n, 1) }

// scanByte gives how many of n bytes at lin to take: up to and with the first that equals AL.
func (c *CPU) scanByte(lin, n uint64) (uint64, bool) {
	s, ok := c.span(lin, n, accRead)
	if !ok || s == nil {
		return 1, ok
	}
	if i := bytes.IndexByte(s, byte(c.regs[x86.RAX])); i >= 0 {
		return uint64(i) + 1, true
	}
	return uint64(len(s)), true
}

func stepCmps(c *CPU, in *decode.Inst, _ uint64) (uint64, bool) {
	kind := 0
	if in.Size == 1 && in.Flags&decode.FlagRepz != 0 {
		kind = 1
	}
	if c.vm.dstFirst[kind] {
		if dst, ok := c.linear(x86.ES, c.cut(c.regs[x86.RDI], in.ASize), in.Size, false); !ok {
			return 0, false
		} else if _, ok := c.load(dst, in.Size); !ok {
			return 0, false
		}
	}
	src, ok := c.linear(in.Seg, c.cut(c.regs[x86.RSI], in.ASize), in.Size, false)
	if !ok {
		return 0, false
	}
	dst, ok := c.linear(x86.ES, c.cut(c.regs[x86.RDI], in.ASize), in.Size, false)
	if !ok {
		return 0, false
	}
	a, ok := c.load(src, in.Size)
	if !ok {
		return 0, false
	}
	b, ok := c.load(dst, in.Size)
	if !ok {
		return 0, false
	}
	c.setSize(in.Size)
	fnSub(c, a, b)
	c.advance(x86.RSI, in.ASize, 1, in.Size)
	c.advance(x86.RDI, in.ASize, 1, in.Size)
	return 1, true
}

func opCmps(c *CPU, in *decode.Inst) bool { return c.compareStrings(in, stepCmps) }
func opScas(c *CPU, in *decode.Inst) bool { return c.compareStrings(in, stepScas) }

// portExit asks the hypervisor for a port access.
func (c *CPU) portExit(port uint16, size uint8, write bool, v uint64) {
	e := c.exit
	e.Kind, e.Port, e.Size, e.Write, e.Data = engine.ExitIO, port, size, write, v
}

// portAllowed checks IOPL and the TSS's permission bitmap (SDM 1 19.5).
func (c *CPU) portAllowed(port uint16, size uint8) bool {
	if c.cr0&x86.CR0PE == 0 || c.flags&x86.FlagVM == 0 && uint64(c.cpl) <= c.flags>>12&3 {
		return true
	}
	if c.tr.Attr&x86.AttrUnusable != 0 || c.tr.Limit < 0x67 || c.tr.Attr&x86.AttrType&^2 != 9 {
		return c.gp(0)
	}
	base, ok := c.loadSystem(c.tr.Base+0x66, 2)
	if !ok {
		return false
	}
	at := base + uint64(port>>3)
	if at+1 > uint64(c.tr.Limit) {
		return c.gp(0)
	}
	bits, ok := c.loadSystem(c.tr.Base+at, 2)
	if !ok {
		return false
	}
	if bits>>(port&7)&(1<<size-1) != 0 {
		return c.gp(0)
	}
	return true
}

func (c *CPU) port(in *decode.Inst) uint16 {
	if in.Form == decode.FormI {
		return uint16(uint8(in.Imm))
	}
	return uint16(c.regs[x86.RDX])
}

// ioSize: there is no 64-bit port access.
func ioSize(in *decode.Inst) uint8 { return min(in.Size, 4) }

func opIn(c *CPU, in *decode.Inst) bool {
	port, size := c.port(in), ioSize(in)
	if !c.portAllowed(port, size) {
		return false
	}
	if c.answer.reg {
		c.setReg(x86.RAX, size, c.answer.data)
		c.answer.reset()
		return true
	}
	c.portExit(port, size, false, 0)
	c.stop = stopExit
	return false
}

func opOut(c *CPU, in *decode.Inst) bool {
	port, size := c.port(in), ioSize(in)
	if !c.portAllowed(port, size) {
		return false
	}
	c.portExit(port, size, true, c.reg(x86.RAX, size))
	c.stop = stopDone
	return false
}

// repDone counts down and says how an INS or OUTS goes on after one element: finished, or once more.
func (c *CPU) repDone(in *decode.Inst) bool {
	if in.Flags&anyRep == 0 {
		return true
	}
	n := c.countReg(in.ASize) - 1
	c.setReg(x86.RCX, in.ASize, n)
	return n == 0
}

func opIns(c *CPU, in *decode.Inst) bool {
	size := ioSize(in)
	port := uint16(c.regs[x86.RDX])
	if !c.portAllowed(port, size) { // even if the count is zero
		return false
	}
	if in.Flags&anyRep != 0 && c.countReg(in.ASize) == 0 {
		return true
	}
	dst, ok := c.linear(x86.ES, c.cut(c.regs[x86.RDI], in.ASize), size, true)
	if !ok || !c.probe(dst, size, accWrite) {
		return false
	}
	if !c.answer.reg {
		c.portExit(port, size, false, 0)
		c.stop = stopExit
		return false
	}
	v := c.answer.data
	if !c.store(dst, v, size) {
		return false
	}
	c.answer.reset()
	c.advance(x86.RDI, in.ASize, 1, size)
	if c.repDone(in) {
		return true
	}
	c.stop = stopRestart
	return false
}

func opOuts(c *CPU, in *decode.Inst) bool {
	size := ioSize(in)
	port := uint16(c.regs[x86.RDX])
	if !c.portAllowed(port, size) { // even if the count is zero
		return false
	}
	if in.Flags&anyRep != 0 && c.countReg(in.ASize) == 0 {
		return true
	}
	src, ok := c.linear(in.Seg, c.cut(c.regs[x86.RSI], in.ASize), size, false)
	if !ok {
		return false
	}
	v, ok := c.load(src, size)
	if !ok {
		return false
	}
	if c.answer.reg { // leave given for the element already handed over
		c.answer.reset()
		c.advance(x86.RSI, in.ASize, 1, size)
		if c.repDone(in) {
			return true
		}
		c.stop = stopRestart
		return false
	}
	c.portExit(port, size, true, v)
	c.stop = stopExit
	return false
}
