package softfloat

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

const allMasked = 0x3f

// bigOf gives the value of a finite number.
func bigOf(n Num) *big.Float {
	f := new(big.Float).SetPrec(200).SetUint64(n.Sig)
	f.SetMantExp(f, int(n.Exp)-63)
	if n.Class == Zero {
		f.SetInt64(0)
	}
	if n.Neg {
		f.Neg(f)
	}
	return f
}

var bigModes = [4]big.RoundingMode{Nearest: big.ToNearestEven, Down: big.ToNegativeInf, Up: big.ToPositiveInf, Truncate: big.ToZero}

func randomNum(r *rand.Rand, prec uint) Num {
	sig := r.Uint64() | intBit
	if r.IntN(3) == 0 {
		sig |= 1<<r.IntN(63) - 1
	}
	if r.IntN(3) == 0 {
		sig &= ^uint64(0) << r.IntN(64)
	}
	return Num{Sig: (sig & (^uint64(0) << (64 - prec))) | intBit, Exp: int32(r.IntN(140) - 70), Class: Finite, Neg: r.IntN(2) == 0}
}

// TestArithmetic_big compares results in the middle of the range with exact arithmetic, in all modes and precisions.
func TestArithmetic_big(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := 0; i < 60000; i++ {
		prec := []uint8{24, 53, 64}[r.IntN(3)]
		e := Env{Rounding: Rounding(r.IntN(4)), Masks: allMasked, X87: true, Prec: prec}
		a, b := randomNum(r, 64), randomNum(r, 64)
		x, y := bigOf(a), bigOf(b)
		exact := new(big.Float).SetPrec(uint(prec)).SetMode(bigModes[e.Rounding])
		var got Num
		op := r.IntN(5)
		switch op {
		case 0:
			got = e.Add(F80, a, b)
			exact.Add(x, y)
		case 1:
			got = e.Sub(F80, a, b)
			exact.Sub(x, y)
		case 2:
			got = e.Mul(F80, a, b)
			exact.Mul(x, y)
		case 3:
			got = e.Div(F80, a, b)
			exact.Quo(x, y)
		case 4:
			a.Neg = false
			got = e.Sqrt(F80, a)
			// Sqrt rounds to nearest; 200 bits are far from any tie or exact value that they do not show.
			root := new(big.Float).SetPrec(200).Sqrt(bigOf(a))
			exact.Set(root)
			if square := new(big.Float).SetPrec(500).Mul(root, root); exact.Acc() == big.Exact && square.Cmp(bigOf(a)) != 0 {
				continue
			}
		}
		if bigOf(got).Cmp(exact) != 0 || (e.Flags == FlagInexact) != (exact.Acc() != big.Exact) || e.Flags&^FlagInexact != 0 {
			t.Fatalf("op %d of %+v, %+v, prec %d, rounding %d: %+v flags %#x, want %s", op, a, b, prec, e.Rounding, got, e.Flags, exact.Text('p', 0))
		}
		if up := exact.Acc() == big.Above != got.Neg && exact.Acc() != big.Exact; up != e.RoundedUp {
			t.Fatalf("op %d of %+v, %+v: rounded up %v, want %v", op, a, b, e.RoundedUp, up)
		}
	}
}

// TestArithmetic_host compares doubles and singles of the whole range with Go's arithmetic.
func TestArithmetic_host(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for i := 0; i < 200000; i++ {
		a, b := r.Uint64(), r.Uint64()
		if i%3 == 0 { // close together
			b = a ^ b>>r.IntN(64)
		}
		x, y := math.Float64frombits(a), math.Float64frombits(b)
		for op, want := range []float64{float64(x + y), float64(x - y), float64(x * y), float64(x / y), math.Sqrt(x)} {
			e := Env{Masks: allMasked}
			m, n := F64.Unpack(a), F64.Unpack(b)
			var got Num
			switch op {
			case 0:
				got = e.Add(F64, m, n)
			case 1:
				got = e.Sub(F64, m, n)
			case 2:
				got = e.Mul(F64, m, n)
			case 3:
				got = e.Div(F64, m, n)
			case 4:
				got = e.Sqrt(F64, m)
			}
			v := F64.Pack(got)
			if v != math.Float64bits(want) && !(want != want && got.IsNaN()) {
				t.Fatalf("op %d of %#x, %#x: %#x, want %#x", op, a, b, v, math.Float64bits(want))
			}
		}
		e := Env{Masks: allMasked}
		if got, want := F32.Pack(e.Convert(F32, F64.Unpack(a))), uint64(math.Float32bits(float32(x))); got != want && x == x {
			t.Fatalf("single of %#x: %#x, want %#x", a, got, want)
		}
	}
}

func TestFlags(t *testing.T) {
	const one, snan, qnan, inf, tiny, most = 0x3ff0000000000000, 0x7ff0000000000001, 0x7ff8000000000005, 0x7ff0000000000000, 1, 0x7fefffffffffffff
	for _, tc := range []struct {
		name  string
		env   Env
		op    func(e *Env, a, b Num) Num
		a, b  uint64
		want  uint64
		flags uint8
	}{
		{"snan", Env{}, add64, snan, one, snan | 1<<51, FlagInvalid},
		{"qnan", Env{}, add64, one, qnan, qnan, 0},
		{"first nan", Env{}, add64, qnan, snan, qnan, FlagInvalid},
		{"inf - inf", Env{}, sub64, inf, inf, 0xfff8000000000000, FlagInvalid},
		{"denormal", Env{}, add64, tiny, 0, tiny, FlagDenormal},
		{"daz", Env{DAZ: true}, add64, tiny, 0, 0, 0},
		{"1/0", Env{}, div64, one, 0, inf, FlagDivZero},
		{"0/0", Env{}, div64, 0, 0, 0xfff8000000000000, FlagInvalid},
		{"denormal/0", Env{}, div64, tiny, 0, inf, FlagDivZero},
		{"overflow", Env{}, add64, most, most, inf, FlagOverflow | FlagInexact},
		{"overflow down", Env{Rounding: Down}, add64, most, most, most, FlagOverflow | FlagInexact},
		{"underflow", Env{}, mul64, tiny, one - 1, tiny, FlagUnderflow | FlagInexact | FlagDenormal},
		{"flush", Env{FTZ: true}, mul64, 0x0010000000000000, 0x3fe0000000000000, 0, FlagUnderflow | FlagInexact},
		{"exact tiny", Env{}, mul64, 0x0010000000000000, 0x3fe0000000000000, 0x0008000000000000, 0},
		{"zero down", Env{Rounding: Down}, sub64, one, one, 1 << 63, 0},
	} {
		e := tc.env
		e.Masks = allMasked
		got := F64.Pack(tc.op(&e, F64.Unpack(tc.a), F64.Unpack(tc.b)))
		if got != tc.want || e.Flags != tc.flags {
			t.Errorf("%s: %#x flags %#x, want %#x flags %#x", tc.name, got, e.Flags, tc.want, tc.flags)
		}
	}
}

func add64(e *Env, a, b Num) Num { return e.Add(F64, a, b) }
func sub64(e *Env, a, b Num) Num { return e.Sub(F64, a, b) }
func mul64(e *Env, a, b Num) Num { return e.Mul(F64, a, b) }
func div64(e *Env, a, b Num) Num { return e.Div(F64, a, b) }

func TestToInt(t *testing.T) {
	for _, tc := range []struct {
		v     float64
		width uint
		r     Rounding
		want  int64
		flags uint8
	}{
		{2.5, 32, Nearest, 2, FlagInexact}, {3.5, 32, Nearest, 4, FlagInexact}, {-2.5, 32, Down, -3, FlagInexact}, {2.5, 64, Up, 3, FlagInexact},
		{-2.5, 64, Truncate, -2, FlagInexact}, {2147483647, 32, Nearest, 2147483647, 0}, {2147483648, 32, Nearest, math.MinInt32, FlagInvalid},
		{-2147483648, 32, Nearest, math.MinInt32, 0}, {-2147483648.5, 32, Nearest, math.MinInt32, FlagInexact}, {2147483647.5, 32, Nearest, math.MinInt32, FlagInvalid},
		{1 << 63, 64, Nearest, math.MinInt64, FlagInvalid}, {-1 << 63, 64, Nearest, math.MinInt64, 0}, {math.Inf(1), 64, Nearest, math.MinInt64, FlagInvalid},
		{1e-300, 64, Up, 1, FlagInexact}, {32768, 16, Nearest, -32768, FlagInvalid},
	} {
		e := Env{Masks: allMasked}
		if got := e.ToInt(F64.Unpack(math.Float64bits(tc.v)), tc.width, tc.r); got != tc.want || e.Flags != tc.flags {
			t.Errorf("%v to %d bits by %d: %d flags %#x, want %d flags %#x", tc.v, tc.width, tc.r, got, e.Flags, tc.want, tc.flags)
		}
	}
}

func TestBCD_roundTrip(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 99, 1234567890123456, -999999999999999999, 999999999999999999} {
		e := Env{Masks: allMasked}
		lo, hi := e.ToBCD(e.FromInt(F80, v))
		back := e.FromBCD(lo, hi)
		if got := e.ToInt(back, 64, Nearest); got != v || e.Flags != 0 {
			t.Errorf("%d: %#x %#x, back %d, flags %#x", v, hi, lo, got, e.Flags)
		}
	}
	e := Env{Masks: allMasked}
	if lo, hi := e.ToBCD(e.FromInt(F80, 1e18)); lo != 0xc000000000000000 || hi != 0xffff || e.Flags != FlagInvalid {
		t.Errorf("19 digits: %#x %#x flags %#x", hi, lo, e.Flags)
	}
}

// TestTranscendental_math compares with package math, as far as that is exact (its Log2 loses digits near 1).
func TestTranscendental_math(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	double := func(n Num) float64 {
		e := Env{Masks: allMasked}
		return math.Float64frombits(F64.Pack(e.Convert(F64, n)))
	}
	for i := 0; i < 5000; i++ {
		x, y := r.NormFloat64(), r.NormFloat64()*10
		a, b := F64.Unpack(math.Float64bits(x)), F64.Unpack(math.Float64bits(y))
		small := F64.Unpack(math.Float64bits(math.Mod(x, 0.25)))
		e := Env{Masks: allMasked, X87: true, Prec: 64}
		sin, _ := e.Sin(a)
		cos, _ := e.Cos(a)
		tan, _ := e.Tan(a)
		pos := a
		pos.Neg = false
		for _, tc := range []struct {
			name string
			got  Num
			want float64
		}{
			{"sin", sin, math.Sin(x)}, {"cos", cos, math.Cos(x)}, {"tan", tan, math.Tan(x)},
			{"atan2", e.PATan(a, b), math.Atan2(y, x)},
			{"f2xm1", e.F2XM1(small), math.Expm1(double(small) * math.Ln2)},
			{"yl2x", e.YL2X(pos, b), y * math.Log2(math.Abs(x))},
			{"yl2xp1", e.YL2XP1(small, b), y * math.Log1p(double(small)) / math.Ln2},
		} {
			if got := double(tc.got); math.Abs(got-tc.want) > 1e-10*math.Abs(tc.want)+1e-15 {
				t.Fatalf("%s of %v, %v: %v, want %v", tc.name, x, y, got, tc.want)
			}
		}
	}
}

func FuzzArithmetic(f *testing.F) {
	f.Add(uint64(0x8000000000000000), uint16(0x3fff), uint64(1), uint16(0), uint8(0))
	f.Add(uint64(0xffffffffffffffff), uint16(0x7ffe), uint64(1)<<63, uint16(0xbfff), uint8(3))
	f.Fuzz(func(t *testing.T, as uint64, ae uint16, bs uint64, be uint16, mode uint8) {
		a, b := Unpack80(as, ae), Unpack80(bs, be)
		e := Env{Rounding: Rounding(mode & 3), Masks: mode >> 2, X87: true, Prec: 64}
		sin, _ := e.Sin(a)
		rem, _, _ := e.Rem(a, b, mode&64 != 0)
		for _, n := range []Num{
			e.Add(F80, a, b), e.Sub(F80, a, b), e.Mul(F80, a, b), e.Div(F80, a, b), e.Sqrt(F80, a), e.Scale(a, b), rem,
			e.F2XM1(a), e.YL2X(a, b), e.YL2XP1(a, b), e.PATan(a, b), sin, e.RoundInt(F80, a, e.Rounding, false),
		} {
			if n.Class == Finite && n.Sig == 0 {
				t.Fatalf("finite zero from %+v, %+v", a, b)
			}
		}
	})
}
