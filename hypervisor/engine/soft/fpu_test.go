package soft

import (
	"testing"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/softfloat"
)

func TestFPU_availability(t *testing.T) {
	const ok = 0xff
	addps, paddb, fld1, wait, fxsave := []byte{0x0f, 0x58, 0xc1}, []byte{0x0f, 0xfc, 0xc1}, []byte{0xd9, 0xe8}, []byte{0x9b}, []byte{0x0f, 0xae, 0x06}
	for _, tc := range []struct {
		name string
		set  func(s *x86.State)
		code []byte
		want uint8
	}{
		{"sse", func(s *x86.State) {}, addps, ok},
		{"sse without OSFXSR", func(s *x86.State) { s.CR4 &^= x86.CR4OSFXSR }, addps, x86.VectorUD},
		{"sse with EM", func(s *x86.State) { s.CR0 |= x86.CR0EM | x86.CR0TS }, addps, x86.VectorUD},
		{"sse with TS", func(s *x86.State) { s.CR0 |= x86.CR0TS }, addps, x86.VectorNM},
		{"mmx without OSFXSR", func(s *x86.State) { s.CR4 &^= x86.CR4OSFXSR }, paddb, ok},
		{"mmx with EM", func(s *x86.State) { s.CR0 |= x86.CR0EM }, paddb, x86.VectorUD},
		{"mmx with TS", func(s *x86.State) { s.CR0 |= x86.CR0TS }, paddb, x86.VectorNM},
		{"mmx with an exception pending", func(s *x86.State) { s.FX.FSW = fswES | fswB | fswIE }, paddb, x86.VectorMF},
		{"x87 with EM", func(s *x86.State) { s.CR0 |= x86.CR0EM }, fld1, x86.VectorNM},
		{"x87 with TS", func(s *x86.State) { s.CR0 |= x86.CR0TS }, fld1, x86.VectorNM},
		{"x87 with an exception pending", func(s *x86.State) { s.FX.FSW = fswES | fswB | fswIE }, fld1, x86.VectorMF},
		{"fninit with an exception pending", func(s *x86.State) { s.FX.FSW = fswES | fswB | fswIE }, []byte{0xdb, 0xe3}, ok},
		{"wait with TS and MP", func(s *x86.State) { s.CR0 |= x86.CR0TS }, wait, x86.VectorNM},
		{"wait with TS", func(s *x86.State) { s.CR0 = s.CR0&^x86.CR0MP | x86.CR0TS }, wait, ok},
		{"wait with an exception pending", func(s *x86.State) { s.FX.FSW = fswES | fswB | fswIE }, wait, x86.VectorMF},
		{"fxsave with TS", func(s *x86.State) { s.CR0 |= x86.CR0TS }, fxsave, x86.VectorNM},
		{"fxsave with EM", func(s *x86.State) { s.CR0 |= x86.CR0EM }, fxsave, x86.VectorUD},
		{"fxsave with an exception pending", func(s *x86.State) { s.FX.FSW = fswES | fswB | fswIE }, fxsave, ok},
		{"fxsave misaligned", func(s *x86.State) { s.GPR[x86.RSI]++ }, fxsave, x86.VectorGP},
		{"movaps misaligned", func(s *x86.State) { s.GPR[x86.RSI]++ }, []byte{0x0f, 0x28, 0x06}, x86.VectorGP},
		{"movups misaligned", func(s *x86.State) { s.GPR[x86.RSI]++ }, []byte{0x0f, 0x10, 0x06}, ok},
		{"pcmpistri misaligned", func(s *x86.State) { s.GPR[x86.RSI]++ }, []byte{0x66, 0x0f, 0x3a, 0x63, 0x06, 0}, ok},
		{"movups over the end", func(s *x86.State) { s.GPR[x86.RSI] = native.Base + native.Size - 8 }, []byte{0x0f, 0x10, 0x06}, x86.VectorPF},
		{"an unmasked exception", func(s *x86.State) { s.FX.MXCSR = 0x1f00 }, []byte{0xf3, 0x0f, 0x5e, 0xd3}, x86.VectorXM},
		{"an unmasked exception without OSXMMEXCPT", func(s *x86.State) { s.FX.MXCSR = 0x1f00; s.CR4 &^= x86.CR4OSXMMEXCPT }, []byte{0xf3, 0x0f, 0x5e, 0xd3}, x86.VectorUD},
	} {
		g := newTestGuest(t)
		s := g.state()
		s.FX.FCW = 0x37e
		s.FX.MXCSR = x86.MXCSRReset
		s.GPR[x86.RSI] = native.DataBase
		tc.set(&s)
		if err := g.cpu.Set(&s); err != nil {
			t.Fatal(err)
		}
		got := uint8(ok)
		if !g.do(tc.code...) {
			got = g.cpu.fault.Vector
		}
		if got != tc.want {
			t.Errorf("%s: vector %d, want %d", tc.name, got, tc.want)
		}
	}
}

// TestSSE_unmaskedKeepsDestination: flags of the result are not reported along with an unmasked exception of the operands.
func TestSSE_unmaskedKeepsDestination(t *testing.T) {
	g := newTestGuest(t)
	c := g.cpu
	c.fx.MXCSR = 0x1f80 &^ (softfloat.FlagDivZero << 7)
	c.fx.XMM[0], c.fx.XMM[1] = vec{0x3f8000003f800000, 7}, vec{0x4040000000000000, 0}
	if g.do(0x0f, 0x5e, 0xc1) {
		t.Fatal("DIVPS by zero did not fault")
	}
	if c.fx.XMM[0] != (vec{0x3f8000003f800000, 7}) || c.fx.MXCSR&mxcsrFlags != softfloat.FlagDivZero|softfloat.FlagInvalid {
		t.Errorf("xmm0 %x mxcsr %#x", c.fx.XMM[0], c.fx.MXCSR)
	}
}

func TestMXCSR_reservedBits(t *testing.T) {
	g := newTestGuest(t)
	c := g.cpu
	c.regs[x86.RSI] = native.DataBase
	const at = guestWindow + native.DataBase - native.Base
	for _, tc := range []struct {
		v  uint64
		ok bool
	}{{0x1f80, true}, {0xffff, true}, {0x1ffff, false}, {1 << 31, false}} {
		for _, code := range [][]byte{{0x0f, 0xae, 0x16}, {0x0f, 0xae, 0x0e}} {
			a := guestmem.GPA(at)
			if code[2] == 0x0e { // FXRSTOR
				a += 24
			}
			if err := g.mem.Write64(a, tc.v); err != nil {
				t.Fatal(err)
			}
			if ok := g.do(code...); ok != tc.ok || !ok && c.fault.Vector != x86.VectorGP || ok && c.fx.MXCSR != uint32(tc.v) {
				t.Errorf("% x with %#x: %v, mxcsr %#x", code, tc.v, ok, c.fx.MXCSR)
			}
		}
	}
}

// TestFXSAVE_layouts saves in both layouts and restores from them.
func TestFXSAVE_layouts(t *testing.T) {
	g := newTestGuest(t)
	c := g.cpu
	c.regs[x86.RSI] = native.DataBase
	for _, wide := range []bool{false, true} {
		want := FPU{FCW: 0x27f, FSW: 0x3801, FOP: 0x123, Valid: 0x81, FIP: 0x1122334455667788, FDP: 0x99aabbccddeeff00, MXCSR: 0x1fa0}
		for i := range want.ST {
			want.ST[i] = x86.F80{Frac: uint64(i) << 60, SE: uint16(i)}
		}
		for i := range want.XMM {
			want.XMM[i] = vec{uint64(i), ^uint64(i)}
		}
		c.fx = want
		prefix := []byte{}
		if wide {
			prefix = []byte{0x48}
		} else {
			want.FIP, want.FDP = 0x55667788, 0xddeeff00
		}
		if !g.do(append(prefix, 0x0f, 0xae, 0x06)...) {
			t.Fatal(c.fault)
		}
		c.fx = FPU{}
		if !g.do(append(prefix, 0x0f, 0xae, 0x0e)...) {
			t.Fatal(c.fault)
		}
		if c.fx != want {
			t.Errorf("wide %v:\n%+v\nwant\n%+v", wide, c.fx, want)
		}
	}
}

// TestX87_environment stores and loads the environment in both sizes.
func TestX87_environment(t *testing.T) {
	g := newTestGuest(t)
	c := g.cpu
	c.regs[x86.RSI] = native.DataBase
	for _, prefix := range [][]byte{{}, {0x66}} {
		for _, op := range []uint8{0xdd, 0xd9} { // FNSAVE and FRSTOR, FNSTENV and FLDENV
			want := FPU{FCW: 0x27f, FSW: 0x3801, Valid: 0x81, FIP: 0x1234, FDP: 0x5678, MXCSR: 0x1f80}
			for i := range want.ST {
				want.ST[i] = x86.F80{Frac: 1<<63 | uint64(i), SE: 0x3fff}
			}
			c.fx = want
			if !g.do(append(append([]byte{}, prefix...), op, 0x36)...) {
				t.Fatal(c.fault)
			}
			if op == 0xdd && (c.fx.FCW != 0x37f || c.fx.Valid != 0) {
				t.Errorf("FNSAVE left fcw %#x, tags %#x", c.fx.FCW, c.fx.Valid)
			}
			if !g.do(append(append([]byte{}, prefix...), op, 0x26)...) {
				t.Fatal(c.fault)
			}
			c.fx.env = softfloat.Env{}
			if c.fx != want {
				t.Errorf("% x %x:\n%+v\nwant\n%+v", prefix, op, c.fx, want)
			}
		}
	}
}

// TestX87_exceptionWaits: an unmasked exception is delivered by the next waiting instruction.
func TestX87_exceptionWaits(t *testing.T) {
	g := newTestGuest(t)
	c := g.cpu
	c.fx.init()
	c.fx.FCW &^= fswZE
	for _, code := range [][]byte{{0xd9, 0xe8}, {0xd9, 0xee}, {0xde, 0xf9}} { // FLD1, FLDZ, FDIVP
		if !g.do(code...) {
			t.Fatal(c.fault)
		}
	}
	if c.fx.FSW&(fswZE|fswES|fswB) != fswZE|fswES|fswB || c.fx.empty(1) {
		t.Errorf("fsw %#x, tags %#x", c.fx.FSW, c.fx.Valid)
	}
	if g.do(0xd9, 0xe8) || c.fault.Vector != x86.VectorMF {
		t.Errorf("FLD1: %v", c.fault)
	}
	if !g.do(0xdb, 0xe2) || !g.do(0x9b) {
		t.Errorf("behind FNCLEX: %v", c.fault)
	}
}

func TestFPU_noAllocation(t *testing.T) {
	g := newTestGuest(t)
	c := g.cpu
	c.fx.init()
	c.fx.MXCSR = 0x1f80
	g.do(0xd9, 0xe8)
	for _, code := range [][]byte{
		{0xf2, 0x0f, 0x58, 0xc1}, {0x0f, 0x5e, 0xc1}, {0x66, 0x0f, 0x3a, 0x08, 0xc1, 0}, {0x0f, 0xc2, 0xc1, 1}, {0xf2, 0x0f, 0x2d, 0xc1}, {0x0f, 0x53, 0xc1},
		{0x66, 0x0f, 0x3a, 0x40, 0xc1, 0xff}, {0xf2, 0x0f, 0x7c, 0xc1}, {0x0f, 0x2f, 0xc1}, {0x66, 0x0f, 0x3a, 0x63, 0xc1, 0}, {0x66, 0x0f, 0x38, 0x00, 0xc1},
		{0xd8, 0xc0}, {0xd9, 0xfe}, {0xd9, 0xfa}, {0xd9, 0x16}, {0xd9, 0xe0},
	} {
		in := decodeOne(code)
		c.regs[x86.RSI] = native.DataBase
		if n := testing.AllocsPerRun(100, func() { c.handler[in.Op](c, &in) }); n != 0 {
			t.Errorf("% x allocates %v times", code, n)
		}
	}
}

func BenchmarkSSE(b *testing.B) {
	g := newTestGuest(b)
	c := g.cpu
	c.fx.init()
	g.do(0xd9, 0xe8)
	for _, bc := range []struct {
		name  string
		mxcsr uint32
		code  []byte
	}{
		{"pxor", 0x1f80, []byte{0x66, 0x0f, 0xef, 0xc1}},
		{"pcmpeqb", 0x1f80, []byte{0x66, 0x0f, 0x74, 0xc1}},
		{"pminub", 0x1f80, []byte{0x66, 0x0f, 0xda, 0xc1}},
		{"movups_load", 0x1f80, []byte{0x0f, 0x10, 0x06}},
		{"addsd_fast", mxcsrPlain, []byte{0xf2, 0x0f, 0x58, 0xc1}},
		{"addsd_slow", 0x1f80, []byte{0xf2, 0x0f, 0x58, 0xc1}},
		{"divsd_slow", 0x1f80, []byte{0xf2, 0x0f, 0x5e, 0xc1}},
		{"fadd", 0x1f80, []byte{0xd8, 0xc0}},
		{"fsin", 0x1f80, []byte{0xd9, 0xfe}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			in := decodeOne(bc.code)
			c.regs[x86.RSI] = native.DataBase
			for range b.N {
				c.fx.MXCSR = bc.mxcsr
				c.fx.XMM[0], c.fx.XMM[1] = vec{0x3ff8000000000001, 1}, vec{0x4008000000000003, 2}
				c.handler[in.Op](c, &in)
			}
		})
	}
}
