package soft

import (
	"math"

	"gozen/hypervisor/x86/softfloat"
)

// The short way of float arithmetic: the host's own, allowed if MXCSR is plain and operands are zero or normal and the
// result is well above the smallest normal number, or an exact zero. Conversions are explicit so that no compiler fuses a multiplication with an
// addition.

func normal64(v uint64) bool { e := v >> 52 & 0x7ff; return e-2 < 0x7fd }
func normal32(v uint64) bool { e := v >> 23 & 0xff; return e-2 < 0xfd }
func usable64(v uint64) bool { return normal64(v) || v<<1 == 0 }
func usable32(v uint64) bool { return normal32(v) || uint32(v)<<1 == 0 }

func f64(v uint64) float64 { return math.Float64frombits(v) }
func f32(v uint64) float32 { return math.Float32frombits(uint32(v)) }

func fastAdd64(a, b uint64) (uint64, bool) {
	r := math.Float64bits(float64(f64(a) + f64(b)))
	return r, usable64(r) && usable64(a) && usable64(b)
}

func fastSub64(a, b uint64) (uint64, bool) {
	r := math.Float64bits(float64(f64(a) - f64(b)))
	return r, usable64(r) && usable64(a) && usable64(b)
}

func fastMul64(a, b uint64) (uint64, bool) {
	r := math.Float64bits(float64(f64(a) * f64(b)))
	return r, normal64(r) && usable64(a) && usable64(b)
}

func fastDiv64(a, b uint64) (uint64, bool) {
	r := math.Float64bits(float64(f64(a) / f64(b)))
	return r, normal64(r) && usable64(a) && normal64(b)
}

func fastSqrt64(_, b uint64) (uint64, bool) {
	return math.Float64bits(math.Sqrt(f64(b))), normal64(b) && b>>63 == 0
}

func fastAdd32(a, b uint64) (uint64, bool) {
	r := uint64(math.Float32bits(float32(f32(a) + f32(b))))
	return r, usable32(r) && usable32(a) && usable32(b)
}

func fastSub32(a, b uint64) (uint64, bool) {
	r := uint64(math.Float32bits(float32(f32(a) - f32(b))))
	return r, usable32(r) && usable32(a) && usable32(b)
}

func fastMul32(a, b uint64) (uint64, bool) {
	r := uint64(math.Float32bits(float32(f32(a) * f32(b))))
	return r, normal32(r) && usable32(a) && usable32(b)
}

func fastDiv32(a, b uint64) (uint64, bool) {
	r := uint64(math.Float32bits(float32(f32(a) / f32(b))))
	return r, normal32(r) && usable32(a) && normal32(b)
}

func fastSqrt32(_, b uint64) (uint64, bool) {
	return uint64(math.Float32bits(float32(math.Sqrt(float64(f32(b)))))), normal32(b) && uint32(b)>>31 == 0
}

// fastCompare compares what is no NaN, denormal or infinity, and so raises nothing whatever MXCSR says.
func fastCompare(a, b uint64, width uint8) (softfloat.Order, bool) {
	if width == 4 {
		return orderOf(f32(a), f32(b)), usable32(a) && usable32(b)
	}
	return orderOf(f64(a), f64(b)), usable64(a) && usable64(b)
}

func orderOf[T float32 | float64](a, b T) softfloat.Order {
	switch {
	case a < b:
		return softfloat.Less
	case a > b:
		return softfloat.Greater
	}
	return softfloat.Equal
}
