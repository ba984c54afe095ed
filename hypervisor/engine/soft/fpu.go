package soft

import "gozen/hypervisor/x86"

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
