//go:build linux && amd64

package soft

import (
	"fmt"
	"testing"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
)

// near reports whether two results agree to a few units in the last place.
func near(a, b x86.F80, ulps uint64) bool {
	if a == b {
		return true
	}
	if a.SE != b.SE {
		// Neighbours across a power of two.
		if a.SE+1 == b.SE {
			a, b = b, a
		}
		return b.SE+1 == a.SE && a.Frac-1<<63 <= ulps && -b.Frac <= 2*ulps
	}
	d := a.Frac - b.Frac
	return min(d, -d) <= ulps
}

func TestX87_transcendental(t *testing.T) {
	d := newDuo(t)
	n := 4000
	if testing.Short() {
		n = 400
	}
	for _, modrm := range []uint8{0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff} {
		t.Run(fmt.Sprintf("d9_%02x", modrm), func(t *testing.T) { d.tryTrans(t, modrm, n) })
	}
}

// inDomain reports whether an instruction is defined for st0 (SDM 2A).
func inDomain(modrm uint8, st0 x86.F80) bool {
	e := st0.SE & 0x7fff
	finite := e < 0x7fff
	switch modrm {
	case 0xf0:
		return e < 0x3fff || !finite
	case 0xf9: // |x| < 1 - sqrt(1/2)
		return e < 0x3ffd || !finite
	}
	return true
}

// atUnderflow reports the one argument at which processors of other vendors do not report underflow: the least normal number, whose sine
// and tangent are the argument itself but for less than half a unit in the last place.
func atUnderflow(modrm uint8, st0 x86.F80) bool {
	return (modrm == 0xfe || modrm == 0xf2 || modrm == 0xfb) && st0.SE&0x7fff <= 1 && st0.Frac == 1<<63
}

func (d *duo) tryTrans(t *testing.T, modrm uint8, n int) {
	data := make([]byte, 0x400)
	var st native.State
	bad := 0
	for i := 0; i < n && bad < 3; i++ {
		d.randomX87(&st, data)
		fx := unpackFX(&st.FX)
		fx.FCW |= 0x3f
		fx.FSW &= 0x7f7f
		packFX(&fx, &st.FX)
		if !inDomain(modrm, fx.ST[0]) {
			continue
		}
		code := []byte{0xd9, modrm}
		a, b := st, st
		da := append([]byte(nil), data...)
		d.win.Run(code, &b)
		if err := d.soft(code, &a, da); err != nil {
			t.Fatal(err)
		}
		x, y := unpackFX(&a.FX), unpackFX(&b.FX)
		ok := (x.FSW^y.FSW)&^(fswC1) == 0 && x.FTW == y.FTW
		for j := range x.ST {
			ok = ok && near(x.ST[j], y.ST[j], 2)
		}
		if !ok && !amdHost() && atUnderflow(modrm, fx.ST[0]) {
			continue
		}
		if !ok {
			bad++
			t.Errorf("% x: st0 %x st1 %x fcw %#x fsw %#x ftw %#x\n\tgot  %x %x fsw %#x ftw %#x\n\thost %x %x fsw %#x ftw %#x", code, fx.ST[0], fx.ST[1], fx.FCW, fx.FSW, fx.FTW,
				x.ST[0], x.ST[1], x.FSW, x.FTW, y.ST[0], y.ST[1], y.FSW, y.FTW)
		}
	}
}
