package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/softfloat"
)

// FPU is the x87, MMX and SSE state of a vCPU.
type FPU struct {
	// ST holds the physical x87 registers R0-R7; MMX register n is ST[n].Frac.
	ST            [8]x86.F80
	FCW, FSW, FOP uint16
	// Valid has a bit set for each physical register that is not empty.
	Valid    uint8
	FIP, FDP uint64
	MXCSR    uint32
	XMM      [16][2]uint64

	env softfloat.Env // of the computation under way
}

// top gives TOP, the physical register that is ST(0).
func (f *FPU) top() uint8 { return uint8(f.FSW>>11) & 7 }

func (f *FPU) get(s *x86.FXState) {
	s.FCW, s.FSW, s.FTW, s.FOP = f.FCW, f.FSW, f.Valid, f.FOP
	s.FIP, s.FDP, s.MXCSR, s.XMM = f.FIP, f.FDP, f.MXCSR, f.XMM
	for i := range s.ST {
		s.ST[i] = f.ST[(int(f.top())+i)&7]
	}
}

func (f *FPU) set(s *x86.FXState) {
	f.FCW, f.FSW, f.Valid, f.FOP = s.FCW, s.FSW, s.FTW, s.FOP
	f.FIP, f.FDP, f.MXCSR, f.XMM = s.FIP, s.FDP, s.MXCSR, s.XMM
	for i := range s.ST {
		f.ST[(int(f.top())+i)&7] = s.ST[i]
	}
}

// Bits of the x87 status word and control word (SDM 1 8.1.3, 8.1.5).
const (
	fswIE  = 1 << 0
	fswDE  = 1 << 1
	fswZE  = 1 << 2
	fswOE  = 1 << 3
	fswUE  = 1 << 4
	fswPE  = 1 << 5
	fswSF  = 1 << 6
	fswES  = 1 << 7
	fswC0  = 1 << 8
	fswC1  = 1 << 9
	fswC2  = 1 << 10
	fswC3  = 1 << 14
	fswB   = 1 << 15
	fswTop = 7 << 11

	fcwOne  = 0x40
	fcwMask = 0x1f3f // bit 12, infinity control, can be written and does nothing
	fcwInit = 0x37f
)

// summary sets ES and B: whether an unmasked exception is pending.
func (f *FPU) summary() {
	f.FSW &^= fswES | fswB
	if f.FSW&^f.FCW&0x3f != 0 {
		f.FSW |= fswES | fswB
	}
}

// init is FNINIT.
func (f *FPU) init() {
	f.FCW, f.FSW, f.Valid, f.FOP, f.FIP, f.FDP = fcwInit, 0, 0, 0, 0, 0
}
