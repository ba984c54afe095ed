package fuzz

import (
	"encoding/binary"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86/decode"
)

// aim gives branches their targets, those that take one from a register or memory too.
func (g *Generator) aim() {
	n := len(g.c.Instrs)
	for i := range g.c.Instrs {
		if in := &g.c.Instrs[i]; branches(&in.In) {
			in.Target = i + 1 + g.r.IntN(n-i)
		}
	}
	if g.c.Branches {
		// Conservative: what is undefined on one path is so on all.
		all := uint64(0)
		for _, u := range g.c.Undefined {
			all |= u
		}
		for i := range g.c.Undefined {
			g.c.Undefined[i] = all
		}
	}
}

// layout places the block, patches the branches and writes the final jump. It fails where a short branch does not reach.
func (g *Generator) layout() bool {
	c := &g.c
	if len(c.Instrs) == 0 {
		return false
	}
	off := 0
	for i := range c.Instrs {
		c.Instrs[i].Off = off
		off += len(c.Instrs[i].Bytes)
	}
	total := off + 5
	c.End = off
	switch g.r.IntN(32) {
	case 0, 1: // across the boundary between the pages
		c.Start = 0x1000 - g.r.IntN(min(total, 0x1000))
	case 2: // off the end of the area
		c.Start = native.ArenaCodeSize - 1 - g.r.IntN(total)
	default:
		c.Start = g.r.IntN(0x100)
	}
	for i := range c.Instrs {
		in := &c.Instrs[i]
		if in.Target >= 0 && !g.link(in, i, off) {
			return false
		}
		if in.In.Base == decode.RIPReg && !g.relink(in) {
			return false
		}
		c.Code = append(c.Code, in.Bytes...)
	}
	c.Code = append(c.Code, 0xe9)
	c.Code = binary.LittleEndian.AppendUint32(c.Code, uint32(native.ArenaExit-(native.ArenaCode+c.Start+total)))
	if room := native.ArenaCodeSize - c.Start; len(c.Code) > room {
		c.Code = c.Code[:room]
	}
	return true
}

// link writes the displacement of a direct branch.
func (g *Generator) link(in *Instr, i, end int) bool {
	if in.In.Form != decode.FormJ {
		return true
	}
	d := g.offset(in.Target, end) - in.Off - len(in.Bytes)
	n := len(in.Bytes)
	short := in.In.Opcode>>4 == 7 || in.In.Opcode>>4 == 0xe && in.In.Opcode != 0xe8 && in.In.Opcode != 0xe9
	if short {
		in.Bytes[n-1] = byte(d)
	} else {
		binary.LittleEndian.PutUint32(in.Bytes[n-4:], uint32(d))
	}
	return !short || d < 128
}

func (g *Generator) offset(i, end int) int {
	if i == len(g.c.Instrs) {
		return end
	}
	return g.c.Instrs[i].Off
}

// relink makes a RIP-relative operand's displacement, whose place is known now: in.In.Disp holds the address it is to mean.
func (g *Generator) relink(in *Instr) bool {
	d := int64(uint32(in.In.Disp)) - int64(native.ArenaCode+g.c.Start+in.Off+len(in.Bytes))
	at := dispAt(in)
	if at < 0 {
		return false
	}
	binary.LittleEndian.PutUint32(in.Bytes[at:], uint32(d))
	var again decode.Inst
	if decode.Decode(&again, in.Bytes, decode.Mode64) != decode.OK {
		return false
	}
	in.In = again
	return true
}

// dispAt finds the displacement of a RIP-relative operand: the four bytes behind the ModRM byte.
func dispAt(in *Instr) int {
	imm := len(in.Bytes)
	for i := 0; i+5 <= imm; i++ {
		if in.Bytes[i] == in.In.ModRM && binary.LittleEndian.Uint32(in.Bytes[i+1:]) == uint32(in.In.Disp) {
			return i + 1
		}
	}
	return -1
}
