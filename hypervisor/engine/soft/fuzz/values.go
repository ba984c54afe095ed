package fuzz

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"

	"gozen/hypervisor/engine/soft/native"
)

// MemSize is the size of the memory that a case starts with and that is compared: data, then stack.
const MemSize = native.ArenaDataSize + native.ArenaStackSize

var special64 = [...]uint64{
	0, 1 << 63, 1, 1<<63 | 1, 0x000fffffffffffff, 0x0010000000000000, 0x8010000000000000, 0x0010000000000001, 0x0020000000000000,
	0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff0000000000001, 0xfff7ffffffffffff, 0x7ff8000000000000,
	0xfff8000000000000, 0x7ff8000000000123, 0x3ff0000000000000, 0xbff0000000000000, 0x4000000000000000, 0x3fe0000000000000,
	0x43e0000000000000, 0xc3e0000000000000, 0x41dfffffffc00000, 0x41dfffffffe00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000,
	0x43dfffffffffffff, 0x3690000000000000, 0x36a0000000000000, 0x380fffffe0000000, 0x380fffffffffffff, 0x47efffffe0000000, 0x47effffff0000000,
}

var special32 = [...]uint32{
	0, 1 << 31, 1, 0x80000001, 0x7fffff, 0x800000, 0x80800000, 0x800001, 0x1000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
	0x7f800001, 0xffbfffff, 0x7fc00000, 0xffc00000, 0x7fc00123, 0x3f800000, 0xbf800000, 0x40000000, 0x3f000000, 0x4f000000, 0xcf000000, 0x5f000000,
	0xdf000000, 0x4effffff, 0x3fc00000, 0x40200000,
}

// word makes 64 bits: integers, text, singles or doubles, often special ones.
func word(r *rand.Rand) uint64 {
	switch r.IntN(9) {
	case 0:
		return r.Uint64()
	case 1:
		return integer(r)
	case 2: // text
		v := uint64(0)
		for i := 0; i < 8; i++ {
			v = v<<8 | uint64("\x00abcd\x80\x7f\xff"[r.IntN(8)])
		}
		return v
	case 3:
		return special64[r.IntN(len(special64))]
	case 4:
		return math.Float64bits(r.NormFloat64() * math.Ldexp(1, r.IntN(70)))
	case 5:
		e := [...]uint64{0, 1, 2, 52, 53, 510, 511, 512, 870, 896, 897, 1023, 1150, 1151, 1534, 2044, 2045, 2046}[r.IntN(18)]
		return r.Uint64()&0x800fffffffffffff | e<<52
	case 6:
		return uint64(r.IntN(40))
	}
	return single(r) | single(r)<<32
}

func single(r *rand.Rand) uint64 {
	switch r.IntN(4) {
	case 0:
		return uint64(special32[r.IntN(len(special32))])
	case 1:
		return uint64(math.Float32bits(float32(r.NormFloat64())))
	case 2: // near the ends of the range
		return uint64(r.Uint32()&0x807fffff | [...]uint32{0, 1, 2, 23, 24, 63, 64, 190, 191, 252, 253, 254}[r.IntN(12)]<<23)
	}
	return uint64(r.Uint32()&0x807fffff | uint32(120+r.IntN(14))<<23)
}

// integer makes 64 bits near the limits of the sizes, or anything.
func integer(r *rand.Rand) uint64 {
	v := [...]uint64{0, 1, 2, 1<<7 - 1, 1 << 7, 1<<8 - 1, 1<<15 - 1, 1 << 15, 1<<16 - 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1 << 63}[r.IntN(14)]
	switch r.IntN(8) {
	case 0:
		return v
	case 1:
		return -v
	case 2:
		return ^v
	case 3:
		return v + uint64(r.IntN(8)) - 4
	case 4:
		return 1 << r.IntN(64)
	case 5:
		return r.Uint64() >> r.IntN(64)
	case 6:
		return uint64(int64(r.Uint64()) >> r.IntN(64))
	}
	return r.Uint64()
}

// value80 makes a double extended value, significand then sign and exponent: ordinary, near the ends of the range, an integer, or one of
// the odd encodings.
func value80(r *rand.Rand) (uint64, uint16) {
	frac := r.Uint64() | 1<<63
	switch r.IntN(4) {
	case 0:
		frac &= ^uint64(0) << r.IntN(64)
	case 1:
		frac |= 1<<r.IntN(64) - 1
	}
	frac |= 1 << 63
	sign := uint16(r.IntN(2)) << 15
	switch r.IntN(12) {
	case 0:
		return 0, sign
	case 1: // infinity
		return 1 << 63, sign | 0x7fff
	case 2: // NaN
		return frac, sign | 0x7fff
	case 3:
		return frac &^ (1 << 62), sign | 0x7fff
	case 4: // denormal
		return frac >> (1 + r.IntN(63)), sign
	case 5:
		if r.IntN(4) == 0 {
			return frac &^ (1 << 63), uint16(r.Uint32()) // unsupported
		}
		return frac, sign // pseudo-denormal
	case 6:
		return frac, sign | [...]uint16{1, 2, 63, 64, 0x7ffe, 0x7ffd, 0x3f80, 0x3f81, 0x3f6a, 0x407e, 0x407f, 0x3c00, 0x3c01, 0x3bcd, 0x43fe, 0x43ff}[r.IntN(16)]
	case 7: // an integer
		v := uint64(r.IntN(1<<(1+r.IntN(40)))) | 1
		lz := bits.LeadingZeros64(v)
		return v << lz, sign | uint16(0x3fff+63-lz)
	case 8:
		return 1 << 63, sign | uint16(0x3fff+r.IntN(8)-4)
	case 9:
		return frac, sign | uint16(0x3fff+r.IntN(70))
	}
	return frac, sign | uint16(0x3fff+r.IntN(8)-4)
}

// poolSize is the length of the pool that memory is cut from.
const poolSize = 1 << 18

// makePool fills the pool, the same in every run and on every host: a case's memory is known by its offset in it.
func makePool() []byte {
	r := rand.New(rand.NewPCG(0x676f, 0x7a656e))
	p := make([]byte, poolSize+MemSize)
	for i := 0; i < len(p); i += 8 {
		binary.LittleEndian.PutUint64(p[i:], word(r))
	}
	for i := 0; i+16 < len(p); i += 16 * (1 + r.IntN(8)) {
		frac, se := value80(r)
		binary.LittleEndian.PutUint64(p[i:], frac)
		binary.LittleEndian.PutUint16(p[i+8:], se)
	}
	return p
}
