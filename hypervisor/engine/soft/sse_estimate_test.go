//go:build linux && amd64

package soft

import (
	"math"
	"testing"

	"gozen/hypervisor/engine/soft/native"
)

// TestSSE_estimates compares RCPPS and RSQRTPS with the host's within the manual's bound, and with the same special cases.
func TestSSE_estimates(t *testing.T) {
	d := newDuo(t)
	data := make([]byte, 0x100)
	var st native.State
	for _, op := range []uint8{0x52, 0x53} {
		bad := 0
		for i := 0; i < 3000 && bad < 5; i++ {
			d.randomState(&st, data)
			code := []byte{0x0f, op, 0xc1}
			a, b := st, st
			da := append([]byte(nil), data...)
			if err := d.soft(code, &a, da); err != nil {
				t.Fatal(err)
			}
			d.win.Run(code, &b)
			x, y, src := unpackFX(&a.FX), unpackFX(&b.FX), unpackFX(&st.FX)
			for lane := uint8(0); lane < 4; lane++ {
				u, v := lane32(x.XMM[0], lane), lane32(y.XMM[0], lane)
				fu, fv := float64(f32(u)), float64(f32(v))
				if u != v && !(math.Abs(fu-fv) <= 2*1.5/4096*math.Abs(fv)) || x.MXCSR != y.MXCSR {
					bad++
					t.Errorf("% x of %#x: %#x, host %#x", code, lane32(src.XMM[1], lane), u, v)
				}
			}
		}
	}
}

// TestFXSAVE_sameAsHost: what FXSAVE64 and FXSAVE store, pointers of the x87 excepted.
func TestFXSAVE_sameAsHost(t *testing.T) {
	d := newDuo(t)
	data := make([]byte, 0x400)
	var st native.State
	for i := 0; i < 200; i++ {
		for _, code := range [][]byte{{0x48, 0x0f, 0xae, 0x06}, {0x0f, 0xae, 0x06}, {0x48, 0x0f, 0xae, 0x0f, 0x0f, 0xae, 0x1e}} {
			d.randomX87(&st, data)
			copy(data[0x200:], st.FX[:]) // for FXRSTOR at RDI
			d.randomX87(&st, data[:0x200])
			a, b := st, st
			da, db := append([]byte(nil), data...), d.win.Data()[:len(data)]
			if err := d.soft(code, &a, da); err != nil {
				t.Fatal(err)
			}
			copy(db, data)
			d.win.Run(code, &b)
			for _, p := range [][]byte{da, db} { // FOP, FIP, FDP, the mask of MXCSR
				clear(p[0x86:0x98])
				clear(p[0x9c:0xa0])
			}
			if s := differences(&a, &b, da, db); s != nil {
				t.Fatalf("% x: %q", code, s)
			}
		}
	}
}
