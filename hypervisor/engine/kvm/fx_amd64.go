package kvm

import (
	"encoding/binary"

	"gozen/hypervisor/x86"
)

// xsave is struct kvm_xsave: the FXSAVE image (SDM 1, table 10-2) with the XSAVE header behind it (SDM 1, 13.4.2).
type xsave [4096]byte

const (
	fxFCW, fxFSW, fxFTW, fxFOP, fxFIP, fxFDP, fxMXCSR = 0, 2, 4, 6, 8, 16, 24
	fxST, fxXMM                                       = 32, 160
	xstateBV                                          = 512
	xstateFXSSE                                       = 3
)

func (c *VCPU) getFX(s *x86.State) {
	b := new(xsave)
	if err := request(c.fd, kvmGetXSave, b); err != nil {
		c.note(fail("read floating-point state", err))
		return
	}
	le := binary.LittleEndian
	f := &s.FX
	f.FCW, f.FSW, f.FTW, f.FOP = le.Uint16(b[fxFCW:]), le.Uint16(b[fxFSW:]), b[fxFTW], le.Uint16(b[fxFOP:])
	f.FIP, f.FDP, f.MXCSR = le.Uint64(b[fxFIP:]), le.Uint64(b[fxFDP:]), le.Uint32(b[fxMXCSR:])
	for i := range f.ST {
		f.ST[i] = x86.F80{Frac: le.Uint64(b[fxST+16*i:]), SE: le.Uint16(b[fxST+16*i+8:])}
	}
	for i := range f.XMM {
		f.XMM[i] = [2]uint64{le.Uint64(b[fxXMM+16*i:]), le.Uint64(b[fxXMM+16*i+8:])}
	}
	var x xcrs
	if err := request(c.fd, kvmGetXCRs, &x); err == nil && x.n > 0 {
		s.XCR0 = x.list[0].value
	}
}

func (c *VCPU) setFX(s *x86.State) error {
	if s.XCR0 != 0 {
		x := xcrs{n: 1}
		x.list[0].value = s.XCR0
		if err := request(c.fd, kvmSetXCRs, &x); err != nil && s.XCR0 != 1 {
			return fail("write XCR0", err)
		}
	}
	b := new(xsave)
	if err := request(c.fd, kvmGetXSave, b); err != nil {
		return fail("read floating-point state", err)
	}
	le := binary.LittleEndian
	f := &s.FX
	le.PutUint16(b[fxFCW:], f.FCW)
	le.PutUint16(b[fxFSW:], f.FSW)
	b[fxFTW] = f.FTW
	le.PutUint16(b[fxFOP:], f.FOP)
	le.PutUint64(b[fxFIP:], f.FIP)
	le.PutUint64(b[fxFDP:], f.FDP)
	le.PutUint32(b[fxMXCSR:], f.MXCSR)
	for i := range f.ST {
		le.PutUint64(b[fxST+16*i:], f.ST[i].Frac)
		le.PutUint16(b[fxST+16*i+8:], f.ST[i].SE)
	}
	for i := range f.XMM {
		le.PutUint64(b[fxXMM+16*i:], f.XMM[i][0])
		le.PutUint64(b[fxXMM+16*i+8:], f.XMM[i][1])
	}
	le.PutUint64(b[xstateBV:], le.Uint64(b[xstateBV:])|xstateFXSSE)
	if err := request(c.fd, kvmSetXSave, b); err != nil {
		return fail("write floating-point state", err)
	}
	return nil
}
