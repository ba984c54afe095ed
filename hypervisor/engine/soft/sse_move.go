package soft

import (
	"math/bits"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// moveX makes the handler of a 16-byte move.
func moveX(aligned bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		if in.Form == decode.FormXM_X {
			return c.storeX(in, c.fx.XMM[in.Reg&15], aligned)
		}
		var v vec
		var ok bool
		if aligned {
			v, ok = c.loadX(in)
		} else {
			v, ok = c.loadXU(in)
		}
		if ok {
			c.fx.XMM[in.Reg&15] = v
		}
		return ok
	}
}

// opMovss also does MOVSD: loads clear the rest of the register, moves between registers leave it.
func opMovss(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	if in.Form == decode.FormXM_X {
		v := c.fx.XMM[in.Reg&15][0]
		if isMem(in) {
			return c.storeM(in, v, in.Size)
		}
		merge(&c.fx.XMM[in.RM&15], v, in.Size)
		return true
	}
	if isMem(in) {
		v, ok := c.loadM(in, in.Size)
		if ok {
			c.fx.XMM[in.Reg&15] = vec{v, 0}
		}
		return ok
	}
	merge(&c.fx.XMM[in.Reg&15], c.fx.XMM[in.RM&15][0], in.Size)
	return true
}

// merge replaces the low 4 or 8 bytes of d.
func merge(d *vec, v uint64, size uint8) {
	if size == 4 {
		v = d[0]&^0xffffffff | v&0xffffffff
	}
	d[0] = v
}

// opMovlps is MOVLPS, MOVLPD and MOVHLPS.
func opMovlps(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	d := &c.fx.XMM[in.Reg&15]
	if in.Form == decode.FormXM_X {
		return c.storeM(in, d[0], 8)
	}
	if !isMem(in) {
		d[0] = c.fx.XMM[in.RM&15][1]
		return true
	}
	v, ok := c.loadM(in, 8)
	if ok {
		d[0] = v
	}
	return ok
}

// opMovhps is MOVHPS, MOVHPD and MOVLHPS.
func opMovhps(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	d := &c.fx.XMM[in.Reg&15]
	if in.Form == decode.FormXM_X {
		return c.storeM(in, d[1], 8)
	}
	v, ok := c.loadLow(in, 8)
	if ok {
		d[1] = v
	}
	return ok
}

func opMovd(c *CPU, in *decode.Inst) bool {
	x := isX(in)
	if x && !c.sseOK() || !x && !c.mmxOK() {
		return false
	}
	if in.Form == decode.FormXM_X {
		v := c.fx.XMM[in.Reg&15][0]
		if !x {
			v = c.mm(in.Reg)
		}
		ok := c.setRM(in, in.Size, v)
		if ok && !x {
			c.mmxUsed()
		}
		return ok
	}
	v, ok := c.rm(in, in.Size)
	if !ok {
		return false
	}
	if x {
		c.fx.XMM[in.Reg&15] = vec{v, 0}
	} else {
		c.setMM(in.Reg, v)
	}
	return true
}

// opMovq is MOVQ between XMM (F3 0F 7E, 66 0F D6) or MMX registers and memory, and MOVNTQ.
func opMovq(c *CPU, in *decode.Inst) bool {
	if in.Opcode == 0x7e || in.Opcode == 0xd6 {
		return c.movqX(in)
	}
	if !c.mmxOK() {
		return false
	}
	if in.Form == decode.FormXM_X {
		if isMem(in) {
			ok := c.storeM(in, c.mm(in.Reg), 8)
			if ok {
				c.mmxUsed()
			}
			return ok
		}
		c.setMM(in.RM, c.mm(in.Reg))
		return true
	}
	v, ok := c.loadP(in, 8)
	if ok {
		c.setMM(in.Reg, v)
	}
	return ok
}

func (c *CPU) movqX(in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	if in.Form == decode.FormXM_X {
		v := c.fx.XMM[in.Reg&15][0]
		if isMem(in) {
			return c.storeM(in, v, 8)
		}
		c.fx.XMM[in.RM&15] = vec{v, 0}
		return true
	}
	v, ok := c.loadLow(in, 8)
	if ok {
		c.fx.XMM[in.Reg&15] = vec{v, 0}
	}
	return ok
}

func opMovq2dq(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() || !c.mmxOK() {
		return false
	}
	c.mmxUsed()
	c.fx.XMM[in.Reg&15] = vec{c.mm(in.RM), 0}
	return true
}

func opMovdq2q(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() || !c.mmxOK() {
		return false
	}
	c.setMM(in.Reg, c.fx.XMM[in.RM&15][0])
	return true
}

func opMovddup(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	v, ok := c.loadLow(in, 8)
	if ok {
		c.fx.XMM[in.Reg&15] = vec{v, v}
	}
	return ok
}

func movsldup(a, b vec) vec {
	f := func(v uint64) uint64 { return v<<32 | v&0xffffffff }
	return vec{f(b[0]), f(b[1])}
}

func movshdup(a, b vec) vec {
	f := func(v uint64) uint64 { return v>>32 | v&^0xffffffff }
	return vec{f(b[0]), f(b[1])}
}

// signs gathers the top bit of every byte of v.
func signs(v uint64) uint64 {
	return (v >> 7 & 0x0101010101010101) * 0x0102040810204080 >> 56
}

func opPmovmskb(c *CPU, in *decode.Inst) bool {
	if isX(in) {
		if !c.sseOK() {
			return false
		}
		v := c.fx.XMM[in.RM&15]
		c.regs[in.Reg&15] = signs(v[0]) | signs(v[1])<<8
		return true
	}
	if !c.mmxOK() {
		return false
	}
	c.mmxUsed()
	c.regs[in.Reg&15] = signs(c.mm(in.RM))
	return true
}

func opMovmskps(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	v := c.fx.XMM[in.RM&15]
	c.regs[in.Reg&15] = v[0]>>31&1 | v[0]>>63<<1 | v[1]>>31&1<<2 | v[1]>>63<<3
	return true
}

func opMovmskpd(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	v := c.fx.XMM[in.RM&15]
	c.regs[in.Reg&15] = v[0]>>63 | v[1]>>63<<1
	return true
}

// opMaskmov is MASKMOVQ and MASKMOVDQU: the bytes of the first operand that the second selects go to DS:rDI. All
// bytes to be written are checked before any is.
func opMaskmov(c *CPU, in *decode.Inst) bool {
	var v, m vec
	n := uint8(8)
	if isX(in) {
		if !c.sseOK() {
			return false
		}
		v, m, n = c.fx.XMM[in.Reg&15], c.fx.XMM[in.RM&15], 16
	} else {
		if !c.mmxOK() {
			return false
		}
		v[0], m[0] = c.mm(in.Reg), c.mm(in.RM)
	}
	mask := signs(m[0]) | signs(m[1])<<8
	if n == 8 {
		mask &= 0xff
	}
	lin, ok := c.linear(in.Seg, c.cut(c.regs[x86.RDI], in.ASize), n, true)
	if !ok {
		return false
	}
	if mask != 0 {
		first, last := bits.TrailingZeros64(mask), bits.Len64(mask)-1
		if !c.probe(c.wrap(lin+uint64(first)), uint8(last-first+1), accWrite) {
			return false
		}
	}
	for i := uint8(0); i < n; i++ {
		if mask>>i&1 != 0 && !c.store8(c.wrap(lin+uint64(i)), v[i/8]>>(i%8*8)&0xff) {
			return false
		}
	}
	if n == 8 {
		c.mmxUsed()
	}
	return true
}
