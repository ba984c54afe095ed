package soft

import (
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// fxImage is the part of the 512-byte FXSAVE image that the processor reads and writes.
type fxImage [52]uint64

const fxHead = 20 // 8-byte words in front of the XMM registers

func (c *CPU) fxsaveOK() bool {
	if c.cr0&x86.CR0EM != 0 {
		return c.ud()
	}
	if c.cr0&x86.CR0TS != 0 {
		return c.raise(x86.VectorNM)
	}
	return true
}

// fxAddress checks the whole 512-byte operand and gives its linear address.
func (c *CPU) fxAddress(in *decode.Inst, write bool) (uint64, bool) {
	acc := accRead
	if write {
		acc = accWrite
	}
	lin, ok := c.lin(in, 16, write)
	if !ok {
		return 0, false
	}
	if _, ok = c.linear(in.Seg, c.cut(c.ea(in)+496, in.ASize), 16, write); !ok {
		return 0, false
	}
	if lin&15 != 0 && (!c.long || canonical(lin)) { // else it is the #GP or #SS of the address
		return 0, c.gp(0)
	}
	return lin, c.probe(lin, 16, acc) && c.probe(c.wrap(lin+496), 16, acc)
}

// fxWords is the number of words in use: outside 64-bit mode XMM8-15 are neither saved nor restored.
func (c *CPU) fxWords() int {
	if c.long {
		return fxHead + 32
	}
	return fxHead + 16
}

func opFxsave(c *CPU, in *decode.Inst) bool {
	if !c.fxsaveOK() {
		return false
	}
	lin, ok := c.fxAddress(in, true)
	if !ok {
		return false
	}
	var m fxImage
	c.fx.image(&m, in.Size == 8)
	for i := range m[:c.fxWords()] {
		if !c.store64(c.wrap(lin+uint64(i)*8), m[i]) {
			return false
		}
	}
	return true
}

// image fills m in the 64-bit or 32-bit layout (SDM 1 tables 10-2 and 10-3). The selectors of the 32-bit layout are zero, as on processors that
// no longer keep them (CPUID.7.EBX[13]).
func (f *FPU) image(m *fxImage, wide bool) {
	m[0] = uint64(f.FCW) | uint64(f.FSW)<<16 | uint64(f.Valid)<<32 | uint64(f.FOP)<<48
	m[1], m[2] = f.FIP, f.FDP
	if !wide {
		m[1], m[2] = f.FIP&0xffffffff, f.FDP&0xffffffff
	}
	m[3] = uint64(f.MXCSR) | x86.MXCSRMask<<32
	for i := uint8(0); i < 8; i++ {
		r := f.ST[(f.top()+i)&7]
		m[4+2*i], m[5+2*i] = r.Frac, uint64(r.SE)
	}
	for i, x := range f.XMM {
		m[fxHead+2*i], m[fxHead+2*i+1] = x[0], x[1]
	}
}

func opFxrstor(c *CPU, in *decode.Inst) bool {
	if !c.fxsaveOK() {
		return false
	}
	lin, ok := c.fxAddress(in, false)
	if !ok {
		return false
	}
	var m fxImage
	n := c.fxWords()
	for i := range m[:n] {
		if m[i], ok = c.load64(c.wrap(lin + uint64(i)*8)); !ok {
			return false
		}
	}
	if uint32(m[3])&^x86.MXCSRMask != 0 {
		return c.gp(0)
	}
	f := &c.fx
	f.FCW, f.FSW, f.Valid, f.FOP = uint16(m[0])&fcwMask|fcwOne, uint16(m[0]>>16), uint8(m[0]>>32), uint16(m[0]>>48)&0x7ff
	f.FIP, f.FDP, f.MXCSR = m[1], m[2], uint32(m[3])
	if in.Size != 8 {
		f.FIP, f.FDP = m[1]&0xffffffff, m[2]&0xffffffff
	}
	f.summary()
	for i := uint8(0); i < 8; i++ {
		f.ST[(f.top()+i)&7] = x86.F80{Frac: m[4+2*i], SE: uint16(m[5+2*i])}
	}
	for i := 0; i < (n-fxHead)/2; i++ {
		f.XMM[i] = vec{m[fxHead+2*i], m[fxHead+2*i+1]}
	}
	return true
}

func opLdmxcsr(c *CPU, in *decode.Inst) bool {
	if !c.sseOK() {
		return false
	}
	v, ok := c.loadM(in, 4)
	if !ok {
		return false
	}
	if v&^x86.MXCSRMask != 0 {
		return c.gp(0)
	}
	c.fx.MXCSR = uint32(v)
	return true
}

func opStmxcsr(c *CPU, in *decode.Inst) bool {
	return c.sseOK() && c.storeM(in, uint64(c.fx.MXCSR), 4)
}
