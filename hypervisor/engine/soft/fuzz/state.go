package fuzz

import (
	"encoding/binary"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// state makes the registers and memory that the case starts from.
func (g *Generator) state() State {
	st := State{Pool: g.r.IntN(poolSize/16) * 16}
	c := &st.Context
	c.RIP = native.ArenaCode + uint64(g.c.Start)
	for i := range c.GPR {
		switch {
		case g.blk.pointers[i]:
			c.GPR[i] = g.address(16)
		case g.blk.small[i]:
			c.GPR[i] = uint64(g.r.IntN(48))
		case g.pick(70):
			c.GPR[i] = integer(g.r)
		default:
			c.GPR[i] = word(g.r)
		}
	}
	c.GPR[x86.RSP] = g.stack()
	if g.blk.pointers[x86.RBP] && g.pick(60) {
		c.GPR[x86.RBP] = g.stack()
	}
	if g.pick(20) {
		c.GPR[x86.RAX], c.GPR[x86.RDX] = uint64(int64(g.r.IntN(40)-20)), uint64(int64(g.r.IntN(40)-20))
	}
	c.RFLAGS = g.r.Uint64() & fArith
	if g.pick(20) {
		c.RFLAGS |= x86.FlagDF
	}
	if g.pick(1) {
		c.RFLAGS |= x86.FlagTF
	}
	c.GS = uint64(g.r.IntN(64)) * 16
	g.fx(&c.FX)
	g.prepare(&st)
	return st
}

func (g *Generator) stack() uint64 {
	switch g.r.IntN(24) {
	case 0:
		return native.ArenaStack + uint64(g.r.IntN(64))
	case 1:
		return native.ArenaStack + native.ArenaStackSize - uint64(g.r.IntN(64))
	}
	return native.ArenaStack + 0x400 + uint64(g.r.IntN(0x80))*8
}

// fx fills the FXSAVE image. An x87 exception is pending seldom, since almost no instruction gets past it.
func (g *Generator) fx(m *[512]byte) {
	r := g.r
	le := binary.LittleEndian
	fcw := 0x7f | [4]uint16{0, 0x200, 0x300, 0x300}[r.IntN(4)] | uint16(r.IntN(4))<<10
	if g.pick(20) {
		fcw = fcw&^0x3f | uint16(r.IntN(64))
	}
	fsw := uint16(r.Uint32()) & 0x7f7f
	if !g.pick(1) {
		fsw &^= ^fcw & 0x3f
	} else if fsw&^fcw&0x3f != 0 {
		fsw |= 0x8080
	}
	top := fsw >> 11 & 7
	ftw := uint8(0xff)
	switch r.IntN(4) {
	case 0:
		ftw = uint8(r.Uint32())
	case 1, 2: // room to push
		ftw = ^uint8(1 << ((top + 7) & 7))
	}
	mxcsr := 0x1f80 | uint32(r.IntN(4))<<13
	switch r.IntN(8) {
	case 0:
		mxcsr = r.Uint32() & 0xffff
	case 1, 2:
		mxcsr |= r.Uint32() & 0x807f
	case 3, 4, 5:
		mxcsr = 0x1f80
	}
	le.PutUint16(m[0:], fcw)
	le.PutUint16(m[2:], fsw)
	m[4] = ftw
	le.PutUint32(m[24:], mxcsr)
	for i := 0; i < 8; i++ {
		frac, se := value80(r)
		if g.pick(15) {
			frac, se = word(r), 0xffff // an MMX value
		}
		le.PutUint64(m[32+16*i:], frac)
		le.PutUint16(m[40+16*i:], se)
	}
	for i := 0; i < 32; i++ {
		le.PutUint64(m[160+8*i:], word(r))
	}
}

// EA gives the address of the memory operand of in from registers as they are in front of it, without the segment.
func EA(in *Instr, start int, gpr *[16]uint64) uint64 {
	d := &in.In
	a := uint64(int64(d.Disp))
	switch {
	case d.Base == decode.RIPReg:
		a += native.ArenaCode + uint64(start+in.Off+len(in.Bytes))
	case d.Base < 16:
		a += gpr[d.Base]
	}
	if d.Index < 16 {
		a += gpr[d.Index] << d.Scale
	}
	if d.ASize == 4 {
		a &= 0xffffffff
	}
	return a
}

// patch puts p at a linear address if that lies in memory, and reports whether it does.
func (st *State) patch(lin uint64, p []byte) bool {
	at := -1
	n := uint64(len(p))
	switch {
	case lin >= native.ArenaData && lin+n <= native.ArenaData+native.ArenaDataSize:
		at = int(lin - native.ArenaData)
	case lin >= native.ArenaStack && lin+n <= native.ArenaStack+native.ArenaStackSize:
		at = int(lin-native.ArenaStack) + native.ArenaDataSize
	}
	if at >= 0 {
		st.Patches = append(st.Patches, Patch{at, p})
	}
	return at >= 0
}

// target gives the address of the instruction that in is to branch to.
func (g *Generator) target(in *Instr) uint64 {
	i := in.Target
	off := g.c.End
	if i < len(g.c.Instrs) {
		off = g.c.Instrs[i].Off
	}
	a := native.ArenaCode + uint64(g.c.Start+off)
	switch {
	case !g.calm && g.pick(2):
		a ^= 1 << 60 // not canonical
	case g.pick(2):
		a = native.ArenaData + uint64(g.r.IntN(0x4000)) // not executable
	}
	return a
}

// prepare makes up what the first instruction needs. Without it a branch by way of a register or memory would leave the arena.
func (g *Generator) prepare(st *State) {
	in := &g.c.Instrs[0]
	c := &st.Context
	// A branch with both a bad target and a bad stack: which is found first is the processor's own.
	g.calm = branches(&in.In) && c.GPR[x86.RSP]-native.ArenaStack-0x100 >= native.ArenaStackSize-0x200
	le := binary.LittleEndian
	u64 := func(v ...uint64) (p []byte) {
		for _, x := range v {
			p = le.AppendUint64(p, x)
		}
		return p
	}
	ea := EA(in, g.c.Start, &c.GPR)
	if in.In.Seg == x86.GS {
		ea += c.GS
	}
	mem := in.In.Flags&decode.FlagMem != 0
	switch in.In.Op {
	case decode.SHLD, decode.SHRD:
		if in.In.Form == decode.FormRM_RCL && in.In.Size == 2 {
			c.GPR[x86.RCX] = c.GPR[x86.RCX]&^0x1f | uint64(g.r.IntN(17))
		}
	case decode.JMPI, decode.CALLI:
		if !mem {
			c.GPR[in.In.RM] = g.target(in)
			break
		}
		g.pointAt(st, ea, u64(g.target(in)))
	case decode.RET:
		g.onStack(st, u64(g.target(in)))
	case decode.RETF, decode.IRET:
		g.farReturn(in, st)
	case decode.JMPFI, decode.CALLFI:
		p := le.AppendUint32(nil, uint32(g.target(in)))
		if in.In.Size == 2 {
			p = le.AppendUint16(nil, uint16(g.r.Uint32())|0x8000) // leads to where nothing is mapped
		}
		g.pointAt(st, ea, le.AppendUint16(p, g.selector()))
	case decode.POPF:
		g.onStack(st, u64(g.r.Uint64()&^(x86.FlagAC|x86.FlagTF)|uint64(g.r.IntN(16)/15)<<8))
	case decode.FXRSTOR:
		c.GPR[in.In.Base&15] += -ea & 15
		var m [512]byte
		g.fx(&m)
		g.pointAt(st, EA(in, g.c.Start, &c.GPR), m[:])
	case decode.X87:
		if in.In.Opcode == 0xd9 && (in.In.ModRM == 0xf0 || in.In.ModRM == 0xf9) {
			le.PutUint16(c.FX[40:], uint16(g.r.Uint32())&0x8000|uint16(0x3ffc-g.r.IntN(80)*g.r.IntN(3)))
		}
	case decode.MOVS_RM:
		s := uint64(g.selector())
		if mem {
			g.pointAt(st, ea, le.AppendUint16(nil, uint16(s)))
		} else {
			c.GPR[in.In.RM] = c.GPR[in.In.RM]&^0xffff | s
		}
	case decode.LDMXCSR:
		st.patch(ea, le.AppendUint32(nil, g.r.Uint32()&[...]uint32{0xffff, 0xffff, 0x1ffff &^ 0x10000, 0xffc0ffff}[g.r.IntN(4)]))
	default:
		g.operands(in, st, ea)
	}
}

// selector gives one that a program on 64-bit Linux can load into ES, DS or SS, or can not.
func (g *Generator) selector() uint16 {
	if g.calm {
		return 0x33
	}
	return [...]uint16{0x33, 0x33, 0x33, 0x2b, 0, 3, 0xfff3, 0x1007}[g.r.IntN(8)]
}

// pointAt patches memory, or where ea lies outside makes the base register null so that the access faults.
func (g *Generator) pointAt(st *State, ea uint64, p []byte) {
	if st.patch(ea, p) {
		return
	}
	// Cut at the end of memory: the access faults there.
	for n := len(p) - 1; n > 0 && !st.patch(ea, p[:n]); n-- {
	}
}

func (g *Generator) onStack(st *State, p []byte) { g.pointAt(st, st.Context.GPR[x86.RSP], p) }

// farReturn makes up the frame of RETF and IRET.
func (g *Generator) farReturn(in *Instr, st *State) {
	size := int(in.In.Size)
	words := []uint64{g.target(in), 0x33, g.r.Uint64()&(fArith|x86.FlagDF) | 0x202, g.stack(), 0x2b}
	if g.pick(10) {
		words[1] = uint64(g.selector())
	}
	if g.pick(5) {
		words[4] = uint64(g.selector())
	}
	n := 2
	if in.In.Op == decode.IRET {
		n = 5
	}
	var p []byte
	for _, w := range words[:n] {
		p = append(p, binary.LittleEndian.AppendUint64(nil, w)[:size]...)
	}
	g.onStack(st, p)
}

// operands makes equal comparands, quotients that fit and bit offsets that stay near for the instructions that need them.
func (g *Generator) operands(in *Instr, st *State, ea uint64) {
	c := &st.Context
	d := &in.In
	mem := d.Flags&decode.FlagMem != 0
	low := func(n int) []byte { return binary.LittleEndian.AppendUint64(nil, c.GPR[x86.RAX])[:n] }
	switch d.Op {
	case decode.DIV, decode.IDIV:
		if g.pick(60) {
			c.GPR[x86.RDX] = uint64(int64(int8(g.r.Uint32())) >> 4)
		}
	case decode.CMPXCHG:
		if mem && g.pick(50) {
			st.patch(ea, low(int(d.Size)))
		} else if !mem && g.pick(50) && d.RM < 16 && d.RM != x86.RSP {
			c.GPR[d.RM] = c.GPR[x86.RAX]
		}
	case decode.CMPXCHG8B, decode.CMPXCHG16B:
		if g.pick(50) {
			h := int(d.Size) / 2
			st.patch(ea, append(low(h), binary.LittleEndian.AppendUint64(nil, c.GPR[x86.RDX])[:h]...))
		}
	case decode.BT, decode.BTS, decode.BTR, decode.BTC:
		if mem && d.Form == decode.FormRM_R && g.pick(70) && d.Reg != x86.RSP && d.Reg != d.Base && d.Reg != d.Index {
			c.GPR[d.Reg] = uint64(int64(g.r.IntN(4096) - 2048))
		}
	}
}

// Memory fills m with the memory of a state.
func (g *Generator) Memory(st *State, m []byte) {
	copy(m, g.pool[st.Pool:st.Pool+MemSize])
	for _, p := range st.Patches {
		copy(m[p.At:], p.Data)
	}
}
