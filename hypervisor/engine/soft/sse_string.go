package soft

import (
	"math/bits"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// strLanes gives the lanes of an operand of PCMPxSTRx as the control byte's format says.
type strLanes struct {
	v [16]int
	n int // valid ones
}

func (s *strLanes) fill(x vec, imm uint8) {
	width := uint(8) << (imm & 1)
	for i := uint(0); i < 128/width; i++ {
		raw := x[i*width/64] >> (i * width % 64)
		switch imm & 3 {
		case 0:
			s.v[i] = int(uint8(raw))
		case 1:
			s.v[i] = int(uint16(raw))
		case 2:
			s.v[i] = int(int8(raw))
		case 3:
			s.v[i] = int(int16(raw))
		}
	}
}

// implicit sets the length to the lanes in front of the first zero.
func (s *strLanes) implicit(lanes int) {
	for s.n = 0; s.n < lanes && s.v[s.n] != 0; s.n++ {
	}
}

// explicit sets the length from EAX or EDX, or the full register with REX.W, by absolute value.
func (s *strLanes) explicit(v uint64, size uint8, lanes int) {
	n := int64(sext(v, size))
	if n < 0 {
		n = -n
	}
	if n < 0 || n > int64(lanes) {
		n = int64(lanes)
	}
	s.n = int(n)
}

// aggregate gives IntRes1, one bit a lane of b (SDM 1 5.11, 2B 4.1.3 to 4.1.5). Comparisons with lanes behind the end give
// false, or what table 4-7 says.
func aggregate(a, b *strLanes, imm uint8, lanes int) (r uint) {
	for j := 0; j < lanes; j++ {
		var hit bool
		switch imm >> 2 & 3 {
		case 0: // equal any
			for i := 0; i < a.n; i++ {
				hit = hit || j < b.n && a.v[i] == b.v[j]
			}
		case 1: // ranges
			for i := 0; i+1 < a.n; i += 2 {
				hit = hit || j < b.n && a.v[i] <= b.v[j] && b.v[j] <= a.v[i+1]
			}
		case 2: // equal each
			av, bv := j < a.n, j < b.n
			hit = av == bv && (!av || a.v[j] == b.v[j])
		case 3: // equal ordered
			hit = true
			for i := 0; i < a.n && i+j < lanes; i++ {
				hit = hit && i+j < b.n && a.v[i] == b.v[i+j]
			}
		}
		if hit {
			r |= 1 << j
		}
	}
	return r
}

// pcmpstr makes the four PCMPxSTRx.
func pcmpstr(explicit, mask bool) handler {
	return func(c *CPU, in *decode.Inst) bool {
		if !c.sseOK() {
			return false
		}
		y, ok := c.loadXU(in)
		if !ok {
			return false
		}
		imm := uint8(in.Imm)
		lanes := 16 >> (imm & 1)
		var a, b strLanes
		a.fill(c.fx.XMM[in.Reg&15], imm)
		b.fill(y, imm)
		if explicit {
			a.explicit(c.regs[x86.RAX], gsize(in), lanes)
			b.explicit(c.regs[x86.RDX], gsize(in), lanes)
		} else {
			a.implicit(lanes)
			b.implicit(lanes)
		}
		r := aggregate(&a, &b, imm, lanes)
		switch imm >> 4 & 3 {
		case 1:
			r ^= 1<<lanes - 1
		case 3:
			r ^= 1<<b.n - 1
		}
		f := -b2u(r != 0)&x86.FlagCF | -b2u(b.n < lanes)&x86.FlagZF | -b2u(a.n < lanes)&x86.FlagSF | -b2u(r&1 != 0)&x86.FlagOF
		c.setArith(f)
		if mask {
			c.fx.XMM[0] = strMask(r, imm, lanes)
		} else {
			c.regs[x86.RCX] = strIndex(r, imm, lanes)
		}
		return true
	}
}

func strIndex(r uint, imm uint8, lanes int) uint64 {
	switch {
	case r == 0:
		return uint64(lanes)
	case imm&0x40 != 0:
		return uint64(bits.Len(r) - 1)
	}
	return uint64(bits.TrailingZeros(r))
}

func strMask(r uint, imm uint8, lanes int) vec {
	if imm&0x40 == 0 {
		return vec{uint64(r), 0}
	}
	return blend(vec{}, vec{^uint64(0), ^uint64(0)}, uint(128/lanes), r)
}
