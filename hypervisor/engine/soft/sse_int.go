package soft

// Lane operations on 64 bits: what PADDB, PCMPEQW and their kind do to each half of an XMM register, or to an MMX register.

const (
	msb8  = 0x8080808080808080
	msb16 = 0x8000800080008000
	msb32 = 0x8000000080000000
)

func each8(a, b uint64, f func(x, y uint8) uint8) (r uint64) {
	for i := 0; i < 64; i += 8 {
		r |= uint64(f(uint8(a>>i), uint8(b>>i))) << i
	}
	return r
}

func each16(a, b uint64, f func(x, y uint16) uint16) (r uint64) {
	for i := 0; i < 64; i += 16 {
		r |= uint64(f(uint16(a>>i), uint16(b>>i))) << i
	}
	return r
}

func each32(a, b uint64, f func(x, y uint32) uint32) uint64 {
	return uint64(f(uint32(a), uint32(b))) | uint64(f(uint32(a>>32), uint32(b>>32)))<<32
}

// addLanes and subLanes add and subtract lanes whose top bits are msb, without carries between them.
func addLanes(a, b, msb uint64) uint64 { return (a&^msb + b&^msb) ^ (a^b)&msb }
func subLanes(a, b, msb uint64) uint64 { return ((a | msb) - b&^msb) ^ ^(a^b)&msb }

func paddb(a, b uint64) uint64 { return addLanes(a, b, msb8) }
func paddw(a, b uint64) uint64 { return addLanes(a, b, msb16) }
func paddd(a, b uint64) uint64 { return addLanes(a, b, msb32) }
func paddq(a, b uint64) uint64 { return a + b }
func psubb(a, b uint64) uint64 { return subLanes(a, b, msb8) }
func psubw(a, b uint64) uint64 { return subLanes(a, b, msb16) }
func psubd(a, b uint64) uint64 { return subLanes(a, b, msb32) }
func psubq(a, b uint64) uint64 { return a - b }
func pand(a, b uint64) uint64  { return a & b }
func pandn(a, b uint64) uint64 { return ^a & b }
func por(a, b uint64) uint64   { return a | b }
func pxor(a, b uint64) uint64  { return a ^ b }

// pcmpeqb finds zero bytes of a^b: the top bit of every byte that has any bit set, inverted and spread.
func pcmpeqb(a, b uint64) uint64 {
	x := a ^ b
	z := ^((x&^msb8 + ^uint64(msb8)) | x) & msb8
	return z >> 7 * 0xff
}

func pcmpeqw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return mask16(x == y) })
}

func pcmpeqd(a, b uint64) uint64 {
	return each32(a, b, func(x, y uint32) uint32 { return mask32(x == y) })
}

func pcmpeqq(a, b uint64) uint64 { return -b2u(a == b) }
func pcmpgtq(a, b uint64) uint64 { return -b2u(int64(a) > int64(b)) }

func mask8(b bool) uint8   { return uint8(-b2u(b)) }
func mask16(b bool) uint16 { return uint16(-b2u(b)) }
func mask32(b bool) uint32 { return uint32(-b2u(b)) }

func pcmpgtb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return mask8(int8(x) > int8(y)) })
}

func pcmpgtw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return mask16(int16(x) > int16(y)) })
}

func pcmpgtd(a, b uint64) uint64 {
	return each32(a, b, func(x, y uint32) uint32 { return mask32(int32(x) > int32(y)) })
}

func satS8(v int) uint8   { return uint8(int8(max(min(v, 127), -128))) }
func satU8(v int) uint8   { return uint8(max(min(v, 255), 0)) }
func satS16(v int) uint16 { return uint16(int16(max(min(v, 32767), -32768))) }
func satU16(v int) uint16 { return uint16(max(min(v, 65535), 0)) }

func paddsb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return satS8(int(int8(x)) + int(int8(y))) })
}

func paddsw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return satS16(int(int16(x)) + int(int16(y))) })
}

func paddusb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return satU8(int(x) + int(y)) })
}

func paddusw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return satU16(int(x) + int(y)) })
}

func psubsb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return satS8(int(int8(x)) - int(int8(y))) })
}

func psubsw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return satS16(int(int16(x)) - int(int16(y))) })
}

func psubusb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return satU8(int(x) - int(y)) })
}

func psubusw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return satU16(int(x) - int(y)) })
}

func pminub(a, b uint64) uint64 { return each8(a, b, func(x, y uint8) uint8 { return min(x, y) }) }
func pmaxub(a, b uint64) uint64 { return each8(a, b, func(x, y uint8) uint8 { return max(x, y) }) }
func pminuw(a, b uint64) uint64 { return each16(a, b, func(x, y uint16) uint16 { return min(x, y) }) }
func pmaxuw(a, b uint64) uint64 { return each16(a, b, func(x, y uint16) uint16 { return max(x, y) }) }
func pminud(a, b uint64) uint64 { return each32(a, b, func(x, y uint32) uint32 { return min(x, y) }) }
func pmaxud(a, b uint64) uint64 { return each32(a, b, func(x, y uint32) uint32 { return max(x, y) }) }

func pminsb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return uint8(min(int8(x), int8(y))) })
}

func pmaxsb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return uint8(max(int8(x), int8(y))) })
}

func pminsw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return uint16(min(int16(x), int16(y))) })
}

func pmaxsw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return uint16(max(int16(x), int16(y))) })
}

func pminsd(a, b uint64) uint64 {
	return each32(a, b, func(x, y uint32) uint32 { return uint32(min(int32(x), int32(y))) })
}

func pmaxsd(a, b uint64) uint64 {
	return each32(a, b, func(x, y uint32) uint32 { return uint32(max(int32(x), int32(y))) })
}

func pavgb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 { return uint8((uint(x) + uint(y) + 1) / 2) })
}

func pavgw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return uint16((uint(x) + uint(y) + 1) / 2) })
}

func pmullw(a, b uint64) uint64 { return each16(a, b, func(x, y uint16) uint16 { return x * y }) }
func pmulld(a, b uint64) uint64 { return each32(a, b, func(x, y uint32) uint32 { return x * y }) }

func pmulhw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return uint16(int32(int16(x)) * int32(int16(y)) >> 16) })
}

func pmulhuw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 { return uint16(uint32(x) * uint32(y) >> 16) })
}

func pmulhrsw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 {
		return uint16((int32(int16(x))*int32(int16(y))>>14 + 1) >> 1)
	})
}

func pmuludq(a, b uint64) uint64 { return a & 0xffffffff * (b & 0xffffffff) }
func pmuldq(a, b uint64) uint64  { return uint64(int64(int32(a)) * int64(int32(b))) }

func pmaddwd(a, b uint64) uint64 {
	return each32(a, b, func(x, y uint32) uint32 {
		return uint32(int32(int16(x))*int32(int16(y)) + int32(x)>>16*(int32(y)>>16))
	})
}

// pmaddubsw multiplies unsigned bytes of a by signed bytes of b.
func pmaddubsw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 {
		return satS16(int(uint8(x))*int(int8(y)) + int(x>>8)*int(int8(y>>8)))
	})
}

func psadbw(a, b uint64) (sum uint64) {
	for i := 0; i < 64; i += 8 {
		x, y := a>>i&0xff, b>>i&0xff
		sum += max(x, y) - min(x, y)
	}
	return sum
}

func pabsb(a, b uint64) uint64 {
	return each8(b, 0, func(x, _ uint8) uint8 {
		if int8(x) < 0 {
			return -x
		}
		return x
	})
}

func pabsw(a, b uint64) uint64 {
	return each16(b, 0, func(x, _ uint16) uint16 {
		if int16(x) < 0 {
			return -x
		}
		return x
	})
}

func pabsd(a, b uint64) uint64 {
	return each32(b, 0, func(x, _ uint32) uint32 {
		if int32(x) < 0 {
			return -x
		}
		return x
	})
}

func psignb(a, b uint64) uint64 {
	return each8(a, b, func(x, y uint8) uint8 {
		switch {
		case int8(y) < 0:
			return -x
		case y == 0:
			return 0
		}
		return x
	})
}

func psignw(a, b uint64) uint64 {
	return each16(a, b, func(x, y uint16) uint16 {
		switch {
		case int16(y) < 0:
			return -x
		case y == 0:
			return 0
		}
		return x
	})
}

func psignd(a, b uint64) uint64 {
	return each32(a, b, func(x, y uint32) uint32 {
		switch {
		case int32(y) < 0:
			return -x
		case y == 0:
			return 0
		}
		return x
	})
}

func phminposuw(_, b vec) vec {
	best, at := uint64(0xffff), uint64(0)
	for i := 7; i >= 0; i-- {
		if v := b[i/4] >> (i % 4 * 16) & 0xffff; v <= best {
			best, at = v, uint64(i)
		}
	}
	return vec{best | at<<16, 0}
}
