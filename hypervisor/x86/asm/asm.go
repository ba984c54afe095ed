// Package asm is a small x86 instruction encoder: for guests of a page or two that tests and benchmarks run, and for code that
// the hypervisor puts into a guest.
//
// It encodes what it is asked to, with the shortest displacement that fits and no other cleverness. Errors (an unknown label, a branch
// out of reach) are kept and given by Bytes.
package asm

import (
	"encoding/binary"
	"fmt"
)

// Reg is a general register by its encoding; the operand size comes from the method.
type Reg uint8

// General registers.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	none Reg = 0xff
)

// Mem is a memory operand: base + index*scale + disp. Scale is 1, 2, 4 or 8.
type Mem struct {
	Base, Index Reg
	Scale       uint8
	Disp        int32
	hasIndex    bool
	noBase      bool
}

// At is [base+disp].
func At(base Reg, disp int32) Mem { return Mem{Base: base, Disp: disp} }

// Idx is [base+index*scale+disp].
func Idx(base, index Reg, scale uint8, disp int32) Mem {
	return Mem{Base: base, Index: index, Scale: scale, Disp: disp, hasIndex: true}
}

// Abs is [disp], a 32-bit absolute address, sign-extended in 64-bit mode.
func Abs(disp int32) Mem { return Mem{Disp: disp, noBase: true} }

// Index is [index*scale+disp], without a base.
func Index(index Reg, scale uint8, disp int32) Mem {
	return Mem{Index: index, Scale: scale, Disp: disp, hasIndex: true, noBase: true}
}

// Asm collects code for one address.
type Asm struct {
	// Bits is the mode of the code that follows: 16, 32 or 64.
	Bits   int
	org    uint64
	buf    []byte
	labels map[string]int
	fixups []fixup
	err    error
}

type fixup struct {
	at, size int
	label    string
	abs      bool
}

// New starts code that will lie at address org, in 64-bit mode.
func New(org uint64) *Asm { return &Asm{Bits: 64, org: org, labels: map[string]int{}} }

// Len gives the number of bytes so far.
func (a *Asm) Len() int { return len(a.buf) }

// Raw appends bytes.
func (a *Asm) Raw(b ...byte) { a.buf = append(a.buf, b...) }

// Label names the current place.
func (a *Asm) Label(name string) {
	if _, ok := a.labels[name]; ok {
		a.fail("label %s is defined twice", name)
	}
	a.labels[name] = len(a.buf)
}

// Addr gives the address of a label defined so far.
func (a *Asm) Addr(name string) uint64 {
	off, ok := a.labels[name]
	if !ok {
		a.fail("label %s is not defined yet", name)
	}
	return a.org + uint64(off)
}

// Align pads with nop to a multiple of n.
func (a *Asm) Align(n int) {
	for (a.org+uint64(len(a.buf)))%uint64(n) != 0 {
		a.Raw(0x90)
	}
}

func (a *Asm) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf("asm: "+format, args...)
	}
}

// Bytes resolves labels and gives the code.
func (a *Asm) Bytes() ([]byte, error) {
	for _, f := range a.fixups {
		to, ok := a.labels[f.label]
		if !ok {
			a.fail("label %s is not defined", f.label)
			continue
		}
		v := int64(to - (f.at + f.size))
		if f.abs {
			v = int64(a.org) + int64(to)
		}
		switch f.size {
		case 1:
			if int64(int8(v)) != v {
				a.fail("%s is out of reach of a short branch", f.label)
			}
			a.buf[f.at] = byte(v)
		case 4:
			binary.LittleEndian.PutUint32(a.buf[f.at:], uint32(v))
		case 8:
			binary.LittleEndian.PutUint64(a.buf[f.at:], uint64(v))
		}
	}
	return a.buf, a.err
}

func (a *Asm) imm(v int64, n int) {
	for i := 0; i < n; i++ {
		a.Raw(byte(v >> (8 * i)))
	}
}

// prefix emits 66 and REX for an operand size in bytes.
func (a *Asm) prefix(size int, reg, index, base Reg, byteReg bool) {
	if size == 2 && a.Bits != 16 || size == 4 && a.Bits == 16 {
		a.Raw(0x66)
	}
	rex := byte(0)
	if size == 8 {
		rex |= 8
	}
	for i, r := range []Reg{base, index, reg} {
		if r != none && r >= 8 {
			rex |= 1 << i
		}
	}
	if rex != 0 || byteReg {
		a.Raw(0x40 | rex)
	}
}

// RR emits an instruction with a register r/m operand.
func (a *Asm) RR(size int, op []byte, reg, rm Reg) {
	byteReg := size == 1 && (reg >= 4 && reg < 8 || rm >= 4 && rm < 8)
	a.mandatory(&op)
	a.prefix(size, reg, none, rm, byteReg)
	a.Raw(op...)
	a.Raw(0xc0 | byte(reg&7)<<3 | byte(rm&7))
}

// mandatory moves a leading 66, F2 or F3 in front of REX.
func (a *Asm) mandatory(op *[]byte) {
	for len(*op) > 1 && ((*op)[0] == 0x66 || (*op)[0] == 0xf2 || (*op)[0] == 0xf3 || (*op)[0] == 0xf0) {
		a.Raw((*op)[0])
		*op = (*op)[1:]
	}
}

// RM emits an instruction with a memory r/m operand.
func (a *Asm) RM(size int, op []byte, reg Reg, m Mem) {
	index, base := none, m.Base
	if m.hasIndex {
		index = m.Index
	}
	if m.noBase {
		base = none
	}
	a.mandatory(&op)
	a.prefix(size, reg, index, base, size == 1 && reg >= 4 && reg < 8)
	a.Raw(op...)
	r := byte(reg&7) << 3
	if m.noBase && !m.hasIndex {
		if a.Bits == 64 {
			a.Raw(r|4, 0x25)
		} else {
			a.Raw(r | 5)
		}
		a.imm(int64(m.Disp), 4)
		return
	}
	mod := byte(0x80)
	switch {
	case m.noBase: // with an index: mod 0 and base 5 mean a displacement of 32 bits
		scale := map[uint8]byte{1: 0, 2: 1, 4: 2, 8: 3}[m.Scale]
		a.Raw(r|4, scale<<6|byte(m.Index&7)<<3|5)
		a.imm(int64(m.Disp), 4)
		return
	case m.Disp == 0 && m.Base&7 != RBP:
		mod = 0
	case int32(int8(m.Disp)) == m.Disp:
		mod = 0x40
	}
	if m.hasIndex || m.Base&7 == RSP {
		scale := map[uint8]byte{0: 0, 1: 0, 2: 1, 4: 2, 8: 3}[m.Scale]
		x := byte(4)
		if m.hasIndex {
			x = byte(m.Index & 7)
		}
		a.Raw(mod|r|4, scale<<6|x<<3|byte(m.Base&7))
	} else {
		a.Raw(mod | r | byte(m.Base&7))
	}
	switch mod {
	case 0x40:
		a.imm(int64(m.Disp), 1)
	case 0x80:
		a.imm(int64(m.Disp), 4)
	}
}
