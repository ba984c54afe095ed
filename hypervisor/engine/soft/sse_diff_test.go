//go:build linux && amd64

package soft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// encode makes the bytes of a form: registers reg and rm, or memory at RSI plus disp.
func encode(f *decode.FormInfo, reg, rm uint8, mem bool, disp int8, rexW bool, imm uint8) (b []byte) {
	if f.Prefix != 0 {
		b = append(b, f.Prefix)
	}
	rex := uint8(0x40)
	if rexW {
		rex |= 8
	}
	rex |= reg >> 3 << 2
	if !mem {
		rex |= rm >> 3
	}
	if rex != 0x40 {
		b = append(b, rex)
	}
	b = append(b, 0x0f)
	if f.Map != 0 {
		b = append(b, f.Map)
	}
	b = append(b, f.Opcode)
	if f.ModRM {
		if mem {
			b = append(b, 0x40|reg&7<<3|6, uint8(disp))
		} else {
			b = append(b, 0xc0|reg&7<<3|rm&7)
		}
	}
	if f.Imm {
		b = append(b, imm)
	}
	return b
}

var special64 = []uint64{
	0, 1 << 63, 1, 1<<63 | 1, 0x000fffffffffffff, 0x0010000000000000, 0x8010000000000000, 0x0010000000000001, 0x0020000000000000,
	0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff0000000000001, 0xfff7ffffffffffff, 0x7ff8000000000000,
	0xfff8000000000000, 0x7ff8000000000123, 0x3ff0000000000000, 0xbff0000000000000, 0x4000000000000000, 0x3fe0000000000000,
	0x43e0000000000000, 0xc3e0000000000000, 0x41dfffffffc00000, 0x41dfffffffe00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000100000, 0x43dfffffffffffff,
	0x3690000000000000, 0x36a0000000000000, 0x380fffffe0000000, 0x380fffffffffffff, 0x47efffffe0000000, 0x47effffff0000000,
}

var special32 = []uint32{
	0, 1 << 31, 1, 0x80000001, 0x7fffff, 0x800000, 0x80800000, 0x800001, 0x1000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
	0x7f800001, 0xffbfffff, 0x7fc00000, 0xffc00000, 0x7fc00123, 0x3f800000, 0xbf800000, 0x40000000, 0x3f000000, 0x4f000000, 0xcf000000, 0x5f000000,
	0xdf000000, 0x4effffff, 0x3fc00000, 0x40200000,
}

// word makes 64 bits: integers, text, singles or doubles, often special ones.
func word(r *rand.Rand) uint64 {
	single := func() uint64 {
		switch r.IntN(4) {
		case 0:
			return uint64(special32[r.IntN(len(special32))])
		case 1:
			return uint64(math.Float32bits(float32(r.NormFloat64())))
		case 2: // near the ends of the range
			return uint64(r.Uint32()&0x807fffff | []uint32{0, 1, 2, 23, 24, 63, 64, 190, 191, 252, 253, 254}[r.IntN(12)]<<23)
		}
		return uint64(r.Uint32()&0x807fffff | uint32(120+r.IntN(14))<<23)
	}
	switch r.IntN(8) {
	case 0:
		return r.Uint64()
	case 1: // text
		v := uint64(0)
		for i := 0; i < 8; i++ {
			v = v<<8 | uint64("\x00abcd\x80\x7f\xff"[r.IntN(8)])
		}
		return v
	case 2:
		return special64[r.IntN(len(special64))]
	case 3:
		return math.Float64bits(r.NormFloat64() * math.Ldexp(1, r.IntN(70)))
	case 4:
		e := []uint64{0, 1, 2, 52, 53, 510, 511, 512, 870, 896, 897, 1023, 1150, 1151, 1534, 2044, 2045, 2046}[r.IntN(18)]
		return r.Uint64()&0x800fffffffffffff | e<<52
	case 5:
		return uint64(r.IntN(40))
	}
	return single() | single()<<32
}

// randomState fills registers and data; the x87 is in its initial state with values in the registers.
func (d *duo) randomState(st *native.State, data []byte) {
	le := binary.LittleEndian
	r := d.rng
	for i := range st.GPR {
		st.GPR[i] = word(r)
	}
	if r.IntN(2) == 0 {
		st.GPR[x86.RAX], st.GPR[x86.RDX] = uint64(int64(r.IntN(40)-20)), uint64(int64(r.IntN(40)-20))
	}
	st.GPR[x86.RSI], st.GPR[x86.RDI] = native.DataBase+0x80, native.DataBase+0x200
	st.RFLAGS = r.Uint64() & x86.FlagsArith
	var fx x86.FXState
	fx.FCW, fx.FTW = 0x37f, uint8(r.Uint32())
	fx.FSW = uint16(r.IntN(8)) << 11
	fx.MXCSR = 0x1f80 | uint32(r.IntN(4))<<13
	switch r.IntN(4) {
	case 0:
		fx.MXCSR |= r.Uint32() & 0x807f
	case 1:
		fx.MXCSR = mxcsrPlain
	}
	for i := range fx.ST {
		fx.ST[i] = x86.F80{Frac: word(r), SE: uint16(r.Uint32())}
	}
	for i := range fx.XMM {
		fx.XMM[i] = [2]uint64{word(r), word(r)}
	}
	packFX(&fx, &st.FX)
	for i := 0; i < len(data); i += 8 {
		le.PutUint64(data[i:], word(r))
	}
}

// pair runs code on both and gives the differences.
func (d *duo) pair(code []byte, st *native.State, data []byte) []string {
	a, b := *st, *st
	da, db := append([]byte(nil), data...), d.win.Data()[:len(data)]
	if err := d.soft(code, &a, da); err != nil {
		return []string{err.Error()}
	}
	copy(db, data)
	d.win.Run(code, &b)
	return differences(&a, &b, da, db)
}

func TestSSE_sameAsHost(t *testing.T) {
	d := newDuo(t)
	n := 400
	if testing.Short() {
		n = 40
	}
	for _, f := range decode.Forms() {
		switch f.Op {
		case decode.RCPPS, decode.RCPSS, decode.RSQRTPS, decode.RSQRTSS:
			continue // processors differ: TestSSE_estimates
		}
		t.Run(fmt.Sprintf("%02x_%02x_%02x_%d", f.Prefix, f.Map, f.Opcode, f.Ext), func(t *testing.T) { d.tryForm(t, &f, n) })
	}
}

func (d *duo) tryForm(t *testing.T, f *decode.FormInfo, n int) {
	r := d.rng
	data := make([]byte, 0x400)
	var st native.State
	bad := 0
	for i := 0; i < n && bad < 3; i++ {
		d.randomState(&st, data)
		reg, rm := registers(r, f.Reg), registers(r, f.RM)
		if f.Ext >= 0 {
			reg = uint8(f.Ext)
		}
		mem := f.Mem != 0 && (f.MemOnly || r.IntN(3) == 0)
		imm := uint8(r.Uint32())
		if f.Ext >= 0 && r.IntN(4) > 0 {
			imm &= 63
		}
		code := encode(f, reg, rm, mem, int8(r.IntN(5)*16), r.IntN(3) == 0, imm)
		st2 := st
		if s := d.pair(code, &st, data); s != nil {
			if !amdHost() && (f.Op == decode.DPPS || f.Op == decode.DPPD) && d.onlyPayloads(code, &st, data, reg) {
				continue
			}
			bad++
			x := unpackFX(&st2.FX)
			t.Errorf("% x: %q\n\tmxcsr %#x reg %x rm %x mem %x rax %#x rdx %#x", code, s, x.MXCSR, x.XMM[reg&15], x.XMM[rm&15],
				data[0x80+int(code[len(code)-1]&0x70)&0x70:][:16], st.GPR[0], st.GPR[2])
		}
	}
}

// registers picks a register number of a kind; general ones are not RSI, RDI or RSP.
func registers(r *rand.Rand, k decode.Kind) uint8 {
	switch k {
	case decode.KindP:
		return uint8(r.IntN(8))
	case decode.KindG:
		return [13]uint8{0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15}[r.IntN(13)]
	}
	return uint8(r.IntN(16))
}

// amdHost reports whether the host's processor is AMD's, whose choices the software CPU follows.
func amdHost() bool {
	b, _ := os.ReadFile("/proc/cpuinfo")
	return bytes.Contains(b, []byte("AuthenticAMD"))
}

// onlyPayloads runs a dot product again and reports whether all that differs is which NaN the destination's elements hold: when several
// meet in the sum, the one that survives depends on the order of additions, which is the processor's own (SDM 2A, DPPS).
func (d *duo) onlyPayloads(code []byte, st *native.State, data []byte, reg uint8) bool {
	a, b := *st, *st
	da, db := append([]byte(nil), data...), d.win.Data()[:len(data)]
	if d.soft(code, &a, da) != nil {
		return false
	}
	copy(db, data)
	d.win.Run(code, &b)
	x, y := unpackFX(&a.FX), unpackFX(&b.FX)
	for i, v := range x.XMM[reg&15] {
		if !sameOrNaN(v, y.XMM[reg&15][i]) {
			return false
		}
	}
	x.XMM[reg&15] = y.XMM[reg&15]
	packFX(&x, &a.FX)
	return differences(&a, &b, da, db) == nil
}

// sameOrNaN compares a double, or two floats, with NaNs taken for equal.
func sameOrNaN(v, w uint64) bool {
	single := func(v uint32) bool { return math.IsNaN(float64(math.Float32frombits(v))) }
	half := func(v, w uint32) bool { return v == w || single(v) && single(w) }
	return math.IsNaN(math.Float64frombits(v)) && math.IsNaN(math.Float64frombits(w)) ||
		half(uint32(v), uint32(w)) && half(uint32(v>>32), uint32(w>>32))
}
