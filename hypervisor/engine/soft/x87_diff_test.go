//go:build linux && amd64

package soft

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
)

// value80 makes a double extended value: ordinary, near the ends of the range, an integer, or one of the odd encodings.
func value80(r *rand.Rand) x86.F80 {
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
		return x86.F80{SE: sign} // zero
	case 1:
		return x86.F80{Frac: 1 << 63, SE: sign | 0x7fff} // infinity
	case 2:
		return x86.F80{Frac: frac, SE: sign | 0x7fff} // NaN
	case 3:
		return x86.F80{Frac: frac &^ (1 << 62), SE: sign | 0x7fff}
	case 4:
		return x86.F80{Frac: frac >> (1 + r.IntN(63)), SE: sign} // denormal
	case 5:
		if r.IntN(4) == 0 {
			return x86.F80{Frac: frac &^ (1 << 63), SE: uint16(r.Uint32())} // unsupported
		}
		return x86.F80{Frac: frac, SE: sign} // pseudo-denormal
	case 6:
		return x86.F80{Frac: frac, SE: sign | []uint16{1, 2, 63, 64, 0x7ffe, 0x7ffd, 0x3f80, 0x3f81, 0x3f6a, 0x407e, 0x407f, 0x3c00, 0x3c01, 0x3bcd, 0x43fe, 0x43ff}[r.IntN(16)]}
	case 7: // an integer
		v := uint64(r.IntN(1 << (1 + r.IntN(40))))
		lz := bits.LeadingZeros64(v | 1)
		return x86.F80{Frac: (v | 1) << lz, SE: sign | uint16(0x3fff+63-lz)}
	case 8:
		return x86.F80{Frac: 1 << 63, SE: sign | uint16(0x3fff+r.IntN(8)-4)}
	case 9:
		return x86.F80{Frac: frac, SE: sign | uint16(0x3fff+r.IntN(70))}
	}
	return x86.F80{Frac: frac, SE: sign | uint16(0x3fff+r.IntN(8)-4)}
}

// randomX87 is randomState with x87 registers of all kinds; unmasked exceptions stay pending, which nothing here waits for.
func (d *duo) randomX87(st *native.State, data []byte) {
	d.randomState(st, data)
	r := d.rng
	fx := unpackFX(&st.FX)
	fx.FCW = 0x7f | [4]uint16{0, 0x200, 0x300, 0x300}[r.IntN(4)] | uint16(r.IntN(4))<<10
	if r.IntN(3) == 0 {
		fx.FCW &= 0xffc0 | uint16(r.Uint32())
		fx.FCW |= 0x40
	}
	fx.FSW = uint16(r.Uint32()) & (fswTop | fswC0 | fswC1 | fswC2 | fswC3 | 0x7f) &^ (^fx.FCW & 0x3f)
	fx.FTW = 0xff
	switch r.IntN(4) {
	case 0:
		fx.FTW = uint8(r.Uint32())
	case 1, 2: // room to push
		fx.FTW = ^uint8(1 << ((fx.FSW>>11 + 7) & 7))
	}
	for i := range fx.ST {
		fx.ST[i] = value80(r)
	}
	packFX(&fx, &st.FX)
	for at := 0x80; at < 0xd0; at += 16 {
		if v := value80(r); r.IntN(2) == 0 {
			putF80(data[at:], v)
		}
	}
}

func putF80(p []byte, v x86.F80) {
	for i := 0; i < 8; i++ {
		p[i] = byte(v.Frac >> (8 * i))
	}
	p[8], p[9] = byte(v.SE), byte(v.SE>>8)
}

// approximate reports whether an instruction's result is not exact on every processor.
func approximate(op, modrm uint8) bool {
	if op != 0xd9 {
		return false
	}
	switch modrm {
	case 0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff:
		return true
	}
	return false
}

func TestX87_sameAsHost(t *testing.T) {
	d := newDuo(t)
	n := 300
	if testing.Short() {
		n = 30
	}
	for op := 0xd8; op <= 0xdf; op++ {
		for reg := uint8(0); reg < 8; reg++ {
			t.Run(fmt.Sprintf("%02x_mem_%d", op, reg), func(t *testing.T) { d.tryX87(t, uint8(op), 0x40|reg<<3|6, 2*n) })
		}
		for modrm := 0xc0; modrm <= 0xff; modrm++ {
			if !approximate(uint8(op), uint8(modrm)) {
				t.Run(fmt.Sprintf("%02x_%02x", op, modrm), func(t *testing.T) { d.tryX87(t, uint8(op), uint8(modrm), n) })
			}
		}
	}
}

// undefinedX87 reports encodings that are #UD.
func undefinedX87(op, modrm uint8) bool {
	code := []byte{op, modrm, 0}
	var in = decodeOne(code)
	h, _ := x87Lookup(&in)
	if fmt.Sprintf("%p", h) == fmt.Sprintf("%p", handler(opUndefined)) {
		return true
	}
	return op == 0xd9 && modrm&0xf8 == 0xd0 && modrm != 0xd0 || op == 0xde && modrm&0xf8 == 0xd8 && modrm != 0xd9 || op == 0xda && modrm&0xf8 == 0xe8 && modrm != 0xe9
}

func (d *duo) tryX87(t *testing.T, op, modrm uint8, n int) {
	if undefinedX87(op, modrm) {
		t.SkipNow()
	}
	data := make([]byte, 0x400)
	var st native.State
	bad := 0
	for i := 0; i < n && bad < 3; i++ {
		d.randomX87(&st, data)
		code := []byte{op, modrm}
		at := 0
		if modrm < 0xc0 {
			disp := d.rng.IntN(5) * 16
			code, at = append(code, uint8(disp)), 0x80+disp
		}
		a, b := st, st
		da, db := append([]byte(nil), data...), d.win.Data()[:len(data)]
		copy(db, data)
		d.win.Run(code, &b)
		if err := d.soft(code, &a, da); err != nil {
			t.Fatal(err)
		}
		if modrm < 0xc0 && modrm>>3&7 == 6 && (op == 0xd9 || op == 0xdd) { // the pointers of an environment
			clear(da[at+12 : at+28])
			clear(db[at+12 : at+28])
		}
		if s := differences(&a, &b, da, db); s != nil {
			bad++
			x := unpackFX(&st.FX)
			t.Errorf("% x: %q\n\tfcw %#x fsw %#x ftw %#x st0 %x st1 %x st%d %x mem %x flags %#x", code, s, x.FCW, x.FSW, x.FTW, x.ST[0], x.ST[1],
				modrm&7, x.ST[modrm&7], data[at:at+16], st.RFLAGS)
		}
	}
}
