//go:build linux && amd64

package soft

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
)

// duo executes the same instructions on the software CPU and on the host's, at the same addresses.
type duo struct {
	*testGuest
	win *native.Window
	rng *rand.Rand
}

func newDuo(t *testing.T) *duo {
	t.Helper()
	win, err := native.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { win.Close() })
	return &duo{testGuest: newTestGuest(t), win: win, rng: rand.New(rand.NewPCG(1, 2))}
}

// soft executes code, followed by HLT, on the software CPU. Its data area is data.
func (d *duo) soft(code []byte, st *native.State, data []byte) error {
	hlt := append(append([]byte(nil), code...), 0xf4)
	if err := d.mem.Write(guestWindow, hlt); err != nil {
		return err
	}
	if err := d.mem.Write(guestWindow+native.DataBase-native.Base, data); err != nil {
		return err
	}
	s := d.state()
	s.GPR, s.RFLAGS = st.GPR, st.RFLAGS&x86.FlagsArith|x86.FlagOne
	s.FX = unpackFX(&st.FX)
	if err := d.cpu.Set(&s); err != nil {
		return err
	}
	d.cpu.halted = false
	d.cpu.SetLimit(d.cpu.Instructions() + 1000)
	var e engine.Exit
	if err := d.cpu.Run(&e); err != nil {
		return err
	}
	if e.Kind != engine.ExitHLT {
		return fmt.Errorf("exit %v at %#x, fault %v", e.Kind, d.cpu.rip, d.cpu.fault)
	}
	var out x86.State
	d.cpu.Get(&out)
	st.GPR, st.RFLAGS = out.GPR, out.RFLAGS
	packFX(&out.FX, &st.FX)
	return d.mem.Read(guestWindow+native.DataBase-native.Base, data)
}

func unpackFX(m *[512]byte) (s x86.FXState) {
	le := binary.LittleEndian
	s.FCW, s.FSW, s.FTW, s.FOP = le.Uint16(m[0:]), le.Uint16(m[2:]), m[4], le.Uint16(m[6:])
	s.FIP, s.FDP, s.MXCSR = le.Uint64(m[8:]), le.Uint64(m[16:]), le.Uint32(m[24:])
	for i := range s.ST {
		s.ST[i] = x86.F80{Frac: le.Uint64(m[32+16*i:]), SE: le.Uint16(m[40+16*i:])}
	}
	for i := range s.XMM {
		s.XMM[i] = [2]uint64{le.Uint64(m[160+16*i:]), le.Uint64(m[168+16*i:])}
	}
	return s
}

func packFX(s *x86.FXState, m *[512]byte) {
	le := binary.LittleEndian
	le.PutUint16(m[0:], s.FCW)
	le.PutUint16(m[2:], s.FSW)
	m[4] = s.FTW
	le.PutUint32(m[24:], s.MXCSR)
	for i := range s.ST {
		le.PutUint64(m[32+16*i:], s.ST[i].Frac)
		le.PutUint16(m[40+16*i:], s.ST[i].SE)
	}
	for i := range s.XMM {
		le.PutUint64(m[160+16*i:], s.XMM[i][0])
		le.PutUint64(m[168+16*i:], s.XMM[i][1])
	}
}

// differences lists what differs between two states, pointers of the x87 excepted.
func differences(a, b *native.State, da, db []byte) (out []string) {
	add := func(f string, args ...any) { out = append(out, fmt.Sprintf(f, args...)) }
	for i := range a.GPR {
		if a.GPR[i] != b.GPR[i] {
			add("r%d %#x, host %#x", i, a.GPR[i], b.GPR[i])
		}
	}
	if x, y := a.RFLAGS&x86.FlagsArith, b.RFLAGS&x86.FlagsArith; x != y {
		add("flags %#x, host %#x", x, y)
	}
	x, y := unpackFX(&a.FX), unpackFX(&b.FX)
	if x.FCW != y.FCW || x.FSW != y.FSW || x.FTW != y.FTW {
		add("fcw %#x fsw %#x ftw %#x, host %#x %#x %#x", x.FCW, x.FSW, x.FTW, y.FCW, y.FSW, y.FTW)
	}
	if x.MXCSR != y.MXCSR {
		add("mxcsr %#x, host %#x", x.MXCSR, y.MXCSR)
	}
	for i := range x.ST {
		if x.ST[i] != y.ST[i] {
			add("st%d %x, host %x", i, x.ST[i], y.ST[i])
		}
	}
	for i := range x.XMM {
		if x.XMM[i] != y.XMM[i] {
			add("xmm%d %x, host %x", i, x.XMM[i], y.XMM[i])
		}
	}
	for i := 0; i < len(da); i += 8 {
		if u, v := binary.LittleEndian.Uint64(da[i:]), binary.LittleEndian.Uint64(db[i:]); u != v {
			add("memory +%#x %#x, host %#x", i, u, v)
		}
	}
	return out
}
