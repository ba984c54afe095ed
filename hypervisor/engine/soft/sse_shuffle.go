package soft

import "gozen/hypervisor/x86/decode"

// interleave interleaves the low 32 bits of a and b in lanes of n bits.
func interleave(a, b uint64, n int) (r uint64) {
	m := uint64(1)<<n - 1
	for i := 0; i < 32; i += n {
		r |= a >> i & m << (2 * i)
		r |= b >> i & m << (2*i + n)
	}
	return r
}

func unpackLow(n int) handler {
	return bothForms(func(a, b vec) vec { return vec{interleave(a[0], b[0], n), interleave(a[0]>>32, b[0]>>32, n)} },
		func(a, b uint64) uint64 { return interleave(a, b, n) })
}

func unpackHigh(n int) handler {
	return bothForms(func(a, b vec) vec { return vec{interleave(a[1], b[1], n), interleave(a[1]>>32, b[1]>>32, n)} },
		func(a, b uint64) uint64 { return interleave(a>>32, b>>32, n) })
}

func unpckl64(a, b vec) vec { return vec{a[0], b[0]} }
func unpckh64(a, b vec) vec { return vec{a[1], b[1]} }
func unpckl32(a, b vec) vec {
	return vec{interleave(a[0], b[0], 32), interleave(a[0]>>32, b[0]>>32, 32)}
}
func unpckh32(a, b vec) vec {
	return vec{interleave(a[1], b[1], 32), interleave(a[1]>>32, b[1]>>32, 32)}
}

// packW narrows eight words to bytes, packD four doublewords to words.
func packW(x, y uint64, f func(int) uint8) (r uint64) {
	for i := 0; i < 4; i++ {
		r |= uint64(f(int(int16(x>>(16*i))))) << (8 * i)
		r |= uint64(f(int(int16(y>>(16*i))))) << (8*i + 32)
	}
	return r
}

func packD(x, y uint64, f func(int) uint16) uint64 {
	return uint64(f(int(int32(x)))) | uint64(f(int(int32(x>>32))))<<16 |
		uint64(f(int(int32(y))))<<32 | uint64(f(int(int32(y>>32))))<<48
}

func packsswb(x, y uint64) uint64 { return packW(x, y, satS8) }
func packuswb(x, y uint64) uint64 { return packW(x, y, satU8) }
func packssdw(x, y uint64) uint64 { return packD(x, y, satS16) }
func packusdw(a, b vec) vec {
	return vec{packD(a[0], a[1], satU16), packD(b[0], b[1], satU16)}
}

// pairs16 and pairs32 combine neighbouring lanes of x:y.
func pairs16(x, y uint64, f func(a, b int) uint16) (r uint64) {
	for i := 0; i < 2; i++ {
		r |= uint64(f(int(int16(x>>(32*i))), int(int16(x>>(32*i+16))))) << (16 * i)
		r |= uint64(f(int(int16(y>>(32*i))), int(int16(y>>(32*i+16))))) << (16*i + 32)
	}
	return r
}

func phaddw(x, y uint64) uint64 {
	return pairs16(x, y, func(a, b int) uint16 { return uint16(a + b) })
}

func phsubw(x, y uint64) uint64 {
	return pairs16(x, y, func(a, b int) uint16 { return uint16(a - b) })
}

func phaddsw(x, y uint64) uint64 {
	return pairs16(x, y, func(a, b int) uint16 { return satS16(a + b) })
}

func phsubsw(x, y uint64) uint64 {
	return pairs16(x, y, func(a, b int) uint16 { return satS16(a - b) })
}

func phaddd(x, y uint64) uint64 {
	return uint64(uint32(x)+uint32(x>>32)) | uint64(uint32(y)+uint32(y>>32))<<32
}

func phsubd(x, y uint64) uint64 {
	return uint64(uint32(x)-uint32(x>>32)) | uint64(uint32(y)-uint32(y>>32))<<32
}

// shuffle16 and shuffle32 select lanes by the bit pairs of imm.
func shuffle16(v uint64, imm uint8) (r uint64) {
	for i := 0; i < 4; i++ {
		r |= v >> (imm >> (2 * i) & 3 * 16) & 0xffff << (16 * i)
	}
	return r
}

func lane32(v vec, i uint8) uint64 { return v[i>>1&1] >> (i & 1 * 32) & 0xffffffff }

func pshufd(_, b vec, imm uint8) vec {
	return vec{lane32(b, imm) | lane32(b, imm>>2)<<32, lane32(b, imm>>4) | lane32(b, imm>>6)<<32}
}

func shufps(a, b vec, imm uint8) vec {
	return vec{lane32(a, imm) | lane32(a, imm>>2)<<32, lane32(b, imm>>4) | lane32(b, imm>>6)<<32}
}

func shufpd(a, b vec, imm uint8) vec  { return vec{a[imm&1], b[imm>>1&1]} }
func pshuflw(_, b vec, imm uint8) vec { return vec{shuffle16(b[0], imm), b[1]} }
func pshufhw(_, b vec, imm uint8) vec { return vec{b[0], shuffle16(b[1], imm)} }
func blendps(a, b vec, imm uint8) vec { return blend(a, b, 32, uint(imm)) }
func blendpd(a, b vec, imm uint8) vec { return blend(a, b, 64, uint(imm)) }
func pblendw(a, b vec, imm uint8) vec { return blend(a, b, 16, uint(imm)) }

// blend takes lane i of n bits from b if bit i of sel is set.
func blend(a, b vec, n uint, sel uint) vec {
	for i := uint(0); i < 128/n; i++ {
		if sel>>i&1 != 0 {
			m := (uint64(1)<<n - 1) << (i * n % 64)
			a[i*n/64] = a[i*n/64]&^m | b[i*n/64]&m
		}
	}
	return a
}

// blendMask blends by the top bits of the lanes of XMM0.
func blendMask(n uint) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		b, ok := c.loadX(in)
		if !ok {
			return false
		}
		m, sel := c.fx.XMM[0], uint(0)
		for i := uint(0); i < 128/n; i++ {
			sel |= uint(m[i*n/64]>>(i*n%64+n-1)&1) << i
		}
		d := &c.fx.XMM[in.Reg&15]
		*d = blend(*d, b, n, sel)
		return true
	}
}

func opPshufw(c *CPU, in *decode.Inst) bool {
	if !c.mmxOK() {
		return false
	}
	v, ok := c.loadP(in, 8)
	if ok {
		c.setMM(in.Reg, shuffle16(v, uint8(in.Imm)))
	}
	return ok
}

func pshufbX(a, b vec) (r vec) {
	for i := 0; i < 16; i++ {
		s := b[i/8] >> (i % 8 * 8)
		if s&0x80 == 0 {
			r[i/8] |= a[s>>3&1] >> (s & 7 * 8) & 0xff << (i % 8 * 8)
		}
	}
	return r
}

func pshufbP(a, b uint64) (r uint64) {
	for i := 0; i < 64; i += 8 {
		if s := b >> i; s&0x80 == 0 {
			r |= a >> (s & 7 * 8) & 0xff << i
		}
	}
	return r
}

// shiftRight and shiftLeft move a value by n bytes.
func shiftRight(v vec, n uint) vec {
	switch {
	case n >= 16:
		return vec{}
	case n >= 8:
		return vec{v[1] >> (8 * (n - 8)), 0}
	}
	return vec{v[0]>>(8*n) | v[1]<<(64-8*n), v[1] >> (8 * n)}
}

func shiftLeft(v vec, n uint) vec {
	switch {
	case n >= 16:
		return vec{}
	case n >= 8:
		return vec{0, v[0] << (8 * (n - 8))}
	}
	return vec{v[0] << (8 * n), v[1]<<(8*n) | v[0]>>(64-8*n)}
}

func palignrX(a, b vec, imm uint8) vec {
	n := uint(imm)
	if n >= 16 {
		return shiftRight(a, n-16)
	}
	lo, hi := shiftRight(b, n), shiftLeft(a, 16-n)
	return vec{lo[0] | hi[0], lo[1] | hi[1]}
}

func palignrP(a, b uint64, imm uint8) uint64 {
	n := uint(imm) * 8
	if n >= 64 {
		return a >> (n - 64)
	}
	return b>>n | a<<(64-n)
}

func opPalignr(c *CPU, in *decode.Inst) bool {
	if isX(in) {
		if !c.sseOK() {
			return false
		}
		b, ok := c.loadX(in)
		if ok {
			d := &c.fx.XMM[in.Reg&15]
			*d = palignrX(*d, b, uint8(in.Imm))
		}
		return ok
	}
	if !c.mmxOK() {
		return false
	}
	b, ok := c.loadP(in, 8)
	if ok {
		c.setMM(in.Reg, palignrP(c.mm(in.Reg), b, uint8(in.Imm)))
	}
	return ok
}
