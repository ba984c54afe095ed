package fuzz

import (
	"encoding/binary"

	"gozen/hypervisor/x86"
)

// packFX makes the FXSAVE64 image of a state, without the x87 pointers.
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
