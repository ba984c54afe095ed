package fuzz

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// Outcome is what a run of a case from one state gave.
type Outcome struct {
	Hot, Single, Host native.Context
	Differences       []string
	Steps             uint64 // instructions executed, with one that faulted
	Skipped           string // why the host did not run it
}

// Mask says what of two results is not to be compared.
type Mask struct {
	Flags   uint64   // of RFLAGS
	Memory  [][2]int // ranges, from and length
	FSW     uint16   // of the x87 status word
	Approx  bool     // ST(0) and ST(1) may differ in their last bits
	Address bool     // of a page fault, and whether its page is present
	Lanes   uint8    // XMM registers hold estimates: size of a lane, or 0
}

// comparedFlags are the bits of RFLAGS that programs can change.
const comparedFlags = fArith | x86.FlagTF | x86.FlagDF | x86.FlagNT | x86.FlagAC | x86.FlagID | x86.FlagIOPL | x86.FlagIF

// taskSize is the end of user addresses on Linux: for page faults above it the kernel always reports the page as present.
const taskSize = 1<<47 - 0x1000

// At gives the index of the instruction at rip, or that of the end.
func (c *Case) At(rip uint64) int {
	off := int(rip) - native.ArenaCode - c.Start
	for i := range c.Instrs {
		if c.Instrs[i].Off == off {
			return i
		}
	}
	return len(c.Instrs)
}

// Mask gives what is undefined in a result that ended as end from state st.
func (c *Case) Mask(st *State, end *native.Context) (m Mask) {
	n := len(c.Instrs)
	at := n
	if end.Vector != native.NoFault {
		at = c.At(end.RIP)
	}
	m.Flags = c.Undefined[at]
	if at < n {
		// Which part of a long operand is looked at first is the processor's own.
		in := &c.Instrs[at].In
		m.Address = in.Op == decode.FXSAVE || in.Op == decode.FXRSTOR || in.Op == decode.IRET || in.Op == decode.RETF || in.Op == decode.X87 && longX87(in)
		return m
	}
	in := &c.Instrs[n-1]
	if n == 1 {
		m.stored(in, EA(in, c.Start, &st.Context.GPR), st.Context.GS)
	}
	switch d := &in.In; d.Op {
	case decode.X87:
		if d.Opcode == 0xd9 && d.Flags&decode.FlagMem == 0 && approximate(d.ModRM) {
			m.Approx = true
			m.FSW = 1<<5 | 1<<9 // PE, C1
		}
	case decode.RCPPS, decode.RCPSS, decode.RSQRTPS, decode.RSQRTSS:
		m.Lanes = 4
	}
	return m
}

// longX87 reports FLDENV, FNSTENV, FRSTOR and FNSAVE.
func longX87(in *decode.Inst) bool {
	reg := in.ModRM >> 3 & 7
	return in.ModRM < 0xc0 && (in.Opcode == 0xd9 || in.Opcode == 0xdd) && (reg == 4 || reg == 6)
}

// Vendor says why a result of the processor is not what every processor gives, or "".
func (c *Case) Vendor(st *State, end *native.Context) string {
	at := c.At(end.RIP)
	if at == len(c.Instrs) {
		at = 0
	}
	in := &c.Instrs[at].In
	switch {
	case in.Op == decode.UD && in.Len > 2 && c.Start+len(c.Code) == native.ArenaCodeSize:
		return "UD0 and UD1 have no ModRM byte on AMD"
	case end.Vector >= x86.VectorSS && end.Vector <= x86.VectorPF && (in.Op == decode.MASKMOVQ || in.Op == decode.MASKMOVDQU):
		return "whether masked bytes fault is the processor's own"
	case in.Op == decode.X87 && in.Opcode == 0xd9 && in.ModRM == 0xf0 && !inDomain(&st.Context.FX, 0x3fff):
		return "F2XM1 of more than 1 is undefined"
	case in.Op == decode.X87 && in.Opcode == 0xd9 && in.ModRM == 0xf9 && !inDomain(&st.Context.FX, 0x3ffd):
		return "FYL2XP1 of more than 1-sqrt(1/2) is undefined"
	case end.FX[26] != 0:
		return "misaligned SSE mode is AMD's alone"
	}
	return ""
}

// inDomain reports whether the exponent of ST(0) is below limit, or that of an infinity or NaN.
func inDomain(m *[512]byte, limit uint16) bool {
	e := binary.LittleEndian.Uint16(m[40:]) & 0x7fff
	return e < limit
}

// stored masks the x87 pointers in memory: processors keep them in different ways (AMD: only while an exception is pending).
func (m *Mask) stored(in *Instr, ea, gs uint64) {
	d := &in.In
	if d.Seg == x86.GS {
		ea += gs
	}
	from, size := 0, 0
	switch {
	case d.Op == decode.FXSAVE:
		at := memoryAt(ea)
		if at >= 0 {
			m.Memory = append(m.Memory, [2]int{at + 6, 18}, [2]int{at + 28, 4})
		}
		return
	case d.Op == decode.X87 && d.Flags&decode.FlagMem != 0 && d.ModRM>>3&7 == 6 && (d.Opcode == 0xd9 || d.Opcode == 0xdd):
		if from, size = 12, 16; d.Flags&decode.Flag66 != 0 {
			from, size = 6, 8
		}
	default:
		return
	}
	if at := memoryAt(ea); at >= 0 {
		m.Memory = append(m.Memory, [2]int{at + from, size})
	}
}

// memoryAt gives the offset of a linear address in a case's memory, or -1.
func memoryAt(lin uint64) int {
	switch {
	case lin >= native.ArenaData && lin < native.ArenaData+native.ArenaDataSize:
		return int(lin - native.ArenaData)
	case lin >= native.ArenaStack && lin < native.ArenaStack+native.ArenaStackSize:
		return int(lin-native.ArenaStack) + native.ArenaDataSize
	}
	return -1
}

// Compare names the differences between what the software CPU left (a) and what the processor did (b).
func Compare(a, b *native.Context, ma, mb []byte, m *Mask) (out []string) {
	// Almost always everything is equal: no formatting then.
	add := func(f string, args ...any) { out = append(out, fmt.Sprintf(f, args...)) }
	if a.GPR != b.GPR {
		for i := range a.GPR {
			if a.GPR[i] != b.GPR[i] {
				add("%s %#x, host %#x", gprNames[i], a.GPR[i], b.GPR[i])
			}
		}
	}
	if x, y := a.RFLAGS&comparedFlags&^m.Flags, b.RFLAGS&comparedFlags&^m.Flags; x != y {
		add("rflags %#x, host %#x (undefined %#x)", x, y, m.Flags)
	}
	if a.RIP != b.RIP || a.Vector != b.Vector {
		add("vector %d at %#x, host %d at %#x", a.Vector, a.RIP, b.Vector, b.RIP)
	} else if a.Vector != native.NoFault {
		ea, eb := a.Error, b.Error
		if a.Vector == x86.VectorPF && a.CR2 >= taskSize {
			ea, eb = ea|x86.PFPresent, eb|x86.PFPresent
		}
		if m.Address { // it may be another page
			ea, eb = ea|x86.PFPresent, eb|x86.PFPresent
		}
		if hasError(a.Vector) && ea != eb {
			add("error code %#x, host %#x", ea, eb)
		}
		if a.Vector == x86.VectorPF && a.CR2 != b.CR2 && !m.Address {
			add("cr2 %#x, host %#x", a.CR2, b.CR2)
		}
	}
	if a.GS != b.GS {
		add("gs base %#x, host %#x", a.GS, b.GS)
	}
	out = compareFX(out, &a.FX, &b.FX, m)
	if ma != nil && !bytes.Equal(ma, mb) {
		out = compareMemory(out, ma, mb, m)
	}
	return out
}

var gprNames = [16]string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

func compareFX(out []string, a, b *[512]byte, m *Mask) []string {
	le := binary.LittleEndian
	add := func(f string, args ...any) { out = append(out, fmt.Sprintf(f, args...)) }
	if x, y := le.Uint16(a[:]), le.Uint16(b[:]); x != y {
		add("fcw %#x, host %#x", x, y)
	}
	if x, y := le.Uint16(a[2:])&^m.FSW, le.Uint16(b[2:])&^m.FSW; x != y {
		add("fsw %#x, host %#x", x, y)
	}
	if a[4] != b[4] {
		add("ftw %#x, host %#x", a[4], b[4])
	}
	if x, y := le.Uint32(a[24:]), le.Uint32(b[24:]); x != y {
		add("mxcsr %#x, host %#x", x, y)
	}
	for i := 0; i < 8; i++ {
		x, y := a[32+16*i:42+16*i], b[32+16*i:42+16*i]
		if !bytes.Equal(x, y) && !(m.Approx && i < 2 && near80(x, y)) {
			add("st%d %04x %016x, host %04x %016x", i, le.Uint16(x[8:]), le.Uint64(x), le.Uint16(y[8:]), le.Uint64(y))
		}
	}
	if bytes.Equal(a[160:416], b[160:416]) {
		return out
	}
	for i := 0; i < 16; i++ {
		x, y := a[160+16*i:176+16*i], b[160+16*i:176+16*i]
		if !bytes.Equal(x, y) && !(m.Lanes == 4 && nearLanes(x, y)) {
			add("xmm%d %016x %016x, host %016x %016x", i, le.Uint64(x[8:]), le.Uint64(x), le.Uint64(y[8:]), le.Uint64(y))
		}
	}
	return out
}

// near80 allows a difference of a few units in the last of the 64 places.
func near80(a, b []byte) bool {
	le := binary.LittleEndian
	x, y := le.Uint64(a), le.Uint64(b)
	if le.Uint16(a[8:]) != le.Uint16(b[8:]) {
		// Next to a power of two the exponents differ.
		d := int(le.Uint16(a[8:])) - int(le.Uint16(b[8:]))
		return d == 1 && x == 1<<63 && y >= ^uint64(3) || d == -1 && y == 1<<63 && x >= ^uint64(3)
	}
	d := int64(x - y)
	return d >= -4 && d <= 4
}

// nearLanes allows single-precision estimates their relative error of 1.5 * 2^-12 each.
func nearLanes(a, b []byte) bool {
	le := binary.LittleEndian
	for i := 0; i < 16; i += 4 {
		x, y := le.Uint32(a[i:]), le.Uint32(b[i:])
		if x == y {
			continue
		}
		f, g := float64(math.Float32frombits(x)), float64(math.Float32frombits(y))
		if !(math.Abs(f-g) <= math.Abs(g)*(3.0/4096)) {
			return false
		}
	}
	return true
}

func compareMemory(out []string, a, b []byte, m *Mask) []string {
	le := binary.LittleEndian
	masked := func(i int) bool {
		for _, r := range m.Memory {
			if i >= r[0] && i < r[0]+r[1] {
				return true
			}
		}
		return false
	}
	for i := 0; i < len(a); i += 8 {
		if le.Uint64(a[i:]) == le.Uint64(b[i:]) {
			continue
		}
		for k := i; k < i+8; k++ {
			if a[k] != b[k] && !masked(k) {
				out = append(out, fmt.Sprintf("memory at %#x %016x, host %016x", linear(i), le.Uint64(a[i:]), le.Uint64(b[i:])))
				break
			}
		}
		if len(out) > 12 {
			return append(out, "...")
		}
	}
	return out
}

// linear gives the address of an offset in a case's memory.
func linear(at int) uint64 {
	if at < native.ArenaDataSize {
		return native.ArenaData + uint64(at)
	}
	return native.ArenaStack + uint64(at-native.ArenaDataSize)
}
