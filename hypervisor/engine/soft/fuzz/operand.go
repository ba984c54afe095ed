package fuzz

import (
	"encoding/binary"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86/decode"
)

// instr makes an instruction of a form with random operands. It fails where the bytes do not decode to the form, which happens when
// chance makes them mean something else.
func (g *Generator) instr(form int) (Instr, bool) {
	f := &g.forms[form]
	var pre []byte
	asize := false
	if f.Mem || f.Form == decode.FormStr || f.Form == decode.FormA_M || f.Form == decode.FormM_A {
		asize = g.pick(6)
		switch {
		case g.pick(4):
			pre = append(pre, 0x65)
		case g.pick(4):
			pre = append(pre, [...]byte{0x26, 0x2e, 0x36, 0x3e}[g.r.IntN(4)])
		}
		if f.Lock && g.pick(20) {
			pre = append(pre, 0xf0)
		}
	}
	if asize || (f.Op == decode.JCXZ || f.Op == decode.LOOP || f.Op == decode.LOOPE || f.Op == decode.LOOPNE) && g.pick(20) {
		pre = append(pre, 0x67)
	}
	rex := uint8(0)
	var tail []byte
	if f.ModRM {
		rex, tail = g.modrm(f, asize)
	} else if f.Form == decode.FormO || f.Form == decode.FormO_I {
		n := g.register()
		if n&7 != f.Opcode&7 && !(f.Op == decode.XCHG && f.Opcode == 0x90) {
			n = n&8 | f.Opcode&7 // the register is part of the form
		}
		rex = n >> 3
	}
	b := append(pre, f.Bytes(rex, g.pick(15))...)
	b = append(b, tail...)
	b = append(b, g.immediate(f, asize)...)
	in := Instr{Form: form, Bytes: b, Target: -1}
	if len(b) > decode.MaxLen || decode.Decode(&in.In, b, decode.Mode64) != decode.OK || int(in.In.Len) != len(b) {
		return in, false
	}
	d := &in.In
	ok := d.Op == f.Op && d.Size == f.Size && d.Form == f.Form && (d.Flags&decode.FlagMem != 0) == f.Mem
	return in, ok && g.harmless(&in)
}

// harmless keeps out what would leave the arena on the host.
func (g *Generator) harmless(in *Instr) bool {
	d := &in.In
	switch d.Op {
	case decode.INT:
		return uint8(d.Imm) != vectorExit // the host's kernel takes it as a system call
	case decode.CALLI:
		return d.Flags&decode.FlagMem != 0 || d.RM != 4 // whether the target or the stack is at fault is the processor's own
	case decode.MOVS_RM:
		return d.Reg == 0 || d.Reg == 3 || d.Reg == 2 // ES, DS, SS
	case decode.SHLD, decode.SHRD:
		// A greater count gives an undefined result (SDM 2B SHLD); prepare sees to CL.
		return d.Size != 2 || d.Form == decode.FormRM_RCL || d.Imm&31 <= 16
	}
	return true
}

// register picks a register operand: seldom the stack pointer or one kept for addresses.
func (g *Generator) register() uint8 {
	for {
		n := uint8(g.r.IntN(16))
		if n == 4 && !g.pick(3) || g.blk.pointers[n] && !g.pick(8) || g.blk.small[n] && !g.pick(30) {
			continue
		}
		return n
	}
}

// modrm makes the ModRM byte and what follows it, and the REX bits they need.
func (g *Generator) modrm(f *Form, asize bool) (rex uint8, b []byte) {
	reg := g.register()
	if f.Ext >= 0 {
		reg = uint8(f.Ext)
	}
	if f.Fixed >= 0 {
		return 0, []byte{uint8(f.Fixed)}
	}
	rex = reg >> 3 << 2
	if !f.Mem {
		rm := g.register()
		return rex | rm>>3, []byte{0xc0 | reg&7<<3 | rm&7}
	}
	r, b := g.memory(f, reg, asize)
	return rex | r, b
}

// memory makes a memory operand that mostly lies in the data area.
func (g *Generator) memory(f *Form, reg uint8, asize bool) (rex uint8, b []byte) {
	disp := g.displacement(f)
	switch g.r.IntN(24) {
	case 0, 1: // relative to RIP: the address stands in for the displacement until the place is known
		return 0, binary.LittleEndian.AppendUint32([]byte{reg&7<<3 | 5}, uint32(g.address(f.Size)))
	case 2: // absolute
		return 0, binary.LittleEndian.AppendUint32([]byte{reg&7<<3 | 4, 0x25}, uint32(g.address(f.Size)))
	}
	base, index, scale := g.base(), uint8(4), uint8(0)
	if g.pick(25) && len(g.blk.index) > 0 {
		index, scale = g.blk.index[g.r.IntN(len(g.blk.index))], uint8(g.r.IntN(4))
	}
	mod := uint8(2)
	switch {
	case disp == 0 && base&7 != 5:
		mod = 0
	case disp >= -128 && disp < 128 && !g.pick(10):
		mod = 1
	}
	if index != 4 || base&7 == 4 {
		b = []byte{mod<<6 | reg&7<<3 | 4, scale<<6 | index&7<<3 | base&7}
		rex = base>>3 | index>>3<<1
	} else {
		b = []byte{mod<<6 | reg&7<<3 | base&7}
		rex = base >> 3
	}
	switch mod {
	case 1:
		b = append(b, byte(disp))
	case 2:
		b = binary.LittleEndian.AppendUint32(b, uint32(disp))
	}
	return rex, b
}

func (g *Generator) base() uint8 {
	switch {
	case g.pick(3):
		return uint8(g.r.IntN(16))
	case g.pick(8):
		return 4
	}
	return g.blk.base[g.r.IntN(len(g.blk.base))]
}

func (g *Generator) displacement(f *Form) int {
	if g.pick(25) {
		return 0
	}
	d := g.r.IntN(256) - 128
	if f.Size == 16 || g.pick(50) {
		if !g.pick(8) {
			d &^= 15
		}
	}
	if g.pick(4) {
		d *= 16
	}
	return d
}

// address gives an address in or near the data area.
func (g *Generator) address(size uint8) uint64 {
	a := uint64(native.ArenaData)
	switch g.r.IntN(16) {
	case 0: // across the two pages
		a += 0x1000 - uint64(g.r.IntN(17))
	case 1: // into the page that can only be read
		a += 0x2000 - uint64(g.r.IntN(17))
	case 2: // only to be read
		a += 0x2000 + uint64(g.r.IntN(0xf00))
	case 3: // off the start or the end
		if g.pick(50) {
			return a - uint64(g.r.IntN(17))
		}
		return a + 0x3000 - uint64(g.r.IntN(17))
	default:
		a += 0x100 + uint64(g.r.IntN(0x1e00))
	}
	if !g.pick(10) {
		a &^= 15
	} else if size <= 8 && g.pick(50) {
		a &^= 7
	}
	return a
}

// immediate makes what follows the operand.
func (g *Generator) immediate(f *Form, asize bool) (b []byte) {
	le := binary.LittleEndian
	switch f.Form {
	case decode.FormA_M, decode.FormM_A:
		a := g.address(f.Size)
		if asize {
			return le.AppendUint32(nil, uint32(a))
		}
		return le.AppendUint64(nil, a)
	case decode.FormI_I:
		n := g.r.IntN(64)
		if g.pick(10) {
			n = g.r.IntN(0x10000)
		}
		level := g.r.IntN(3)
		if g.pick(20) {
			level = g.r.IntN(256)
		}
		return []byte{byte(n), byte(n >> 8), byte(level)}
	}
	n := f.imm
	v := integer(g.r)
	if f.Op == decode.RET || f.Op == decode.RETF {
		v = uint64(g.r.IntN(64))
	}
	if n == 1 && g.pick(50) {
		v = uint64(g.r.IntN(66))
	}
	return le.AppendUint64(nil, v)[:n]
}

// immediateSize finds the number of immediate bytes by decoding with none.
func immediateSize(f *decode.Encoding) int {
	b := f.Bytes(0, false)
	if f.ModRM {
		m := uint8(1)
		if !f.Mem {
			m = 0xc1
		}
		if f.Ext > 0 {
			m |= uint8(f.Ext) << 3
		}
		if f.Fixed >= 0 {
			m = uint8(f.Fixed)
		}
		b = append(b, m)
	}
	n := len(b)
	b = append(b, make([]byte, decode.MaxLen-n)...)
	var in decode.Inst
	if decode.Decode(&in, b, decode.Mode64) != decode.OK {
		return 0
	}
	return int(in.Len) - n
}
