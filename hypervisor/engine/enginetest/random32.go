package enginetest

import (
	"fmt"
	"math/rand/v2"

	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// Where 32-bit programs of ring 3, under a 64-bit kernel, find what others have at userVA and testVA.
const (
	compatVA   = 1 << 30
	compatData = compatVA + 0x2000
	compatTest = 2 << 30
)

// generator32 makes programs of 32-bit code, with the same promises as generator.
type generator32 struct {
	*asm.Asm
	r      *rand.Rand
	labels int
}

// randomProgram32 gives the 32-bit program with a number.
func randomProgram32(seed uint64) Program {
	g := &generator32{Asm: asm.New(compatVA), r: rand.New(rand.NewPCG(seed, 0x33326269))}
	g.Bits = 32
	for range minInsns + g.r.IntN(maxInsns-minInsns) {
		g.insn()
	}
	g.Ud2()
	b, err := g.Bytes()
	if err != nil {
		panic(fmt.Sprintf("random 32-bit program %d: %v", seed, err))
	}
	return Program{Name: fmt.Sprintf("random 32-bit program %d", seed), User: true, Code: b, setup: setup32}
}

// setup32 maps the pages of the others once more, below 4 GiB.
func setup32(m *machine) {
	commonSetup(m)
	if m.get(pdptAt+8) == 0 { // once for a machine
		m.put(pml4At, pdptAt|7)
		m.put(pdptAt+8, userPD|7)
		m.put(pdptAt+16, testPD|7)
	}
	m.st.Seg[x86.CS] = flat(user32Sel, attrCode32|attrDPL3)
	m.st.RIP = compatVA
	for r := range 8 {
		m.st.GPR[r] &= 0xffffffff
	}
	m.st.GPR[x86.RSP], m.st.GPR[x86.RBX] = compatVA+0x7f00, compatData
}

func (g *generator32) label() string {
	g.labels++
	return fmt.Sprintf("l%d", g.labels)
}

// reg gives a register that programs may change; a byte of the first three.
func (g *generator32) reg(size int) asm.Reg {
	if size == 1 {
		return asm.Reg(g.r.IntN(3))
	}
	return []asm.Reg{asm.RAX, asm.RCX, asm.RDX, asm.RSI, asm.RDI, asm.RBP}[g.r.IntN(6)]
}

func (g *generator32) size() int { return 1 << g.r.IntN(3) }

// wide is a size that is no byte.
func (g *generator32) wide() int { return 2 << g.r.IntN(2) }

// mem gives an operand in memory, in all the ways that an address can be made; seldom one that faults. It may emit code that loads ebp and esi.
func (g *generator32) mem() asm.Mem {
	disp := int32(g.r.IntN(0xff0))
	low := uint32(disp)
	switch g.r.IntN(40) {
	case 0:
		return abs32(compatTest + 0x1000 + low) // read-only
	case 1:
		return abs32(compatTest + 0x2000 + low) // nothing
	case 2:
		return abs32(low) // the kernel's
	case 3:
		return abs32(compatTest + 0xff8 + low&15) // may cross into the read-only page
	}
	switch g.r.IntN(8) {
	case 0:
		return abs32(compatTest + low)
	case 1:
		return abs32(compatData + low)
	case 2: // an array at a constant address
		g.MovI(asm.RSI, uint64(disp/4))
		return indexOnly(asm.RSI, 4, compatTest+low&3)
	case 3: // an index that goes back
		g.MovI(asm.RSI, uint64(uint32(-disp)))
		return asm.Idx(asm.RBX, asm.RSI, 1, 0xff8)
	case 4: // a small base with an address as displacement
		g.MovI(asm.RBP, uint64(low))
		return asm.At(asm.RBP, -compatTest) // the same number in 32 bits
	case 5: // a base beyond, and a displacement back
		g.MovI(asm.RBP, compatData+0x1000)
		return asm.At(asm.RBP, -disp-8)
	case 6:
		g.MovI(asm.RBP, uint64(low&0x7fc))
		return asm.Idx(asm.RBX, asm.RBP, 2, disp&7)
	}
	return asm.At(asm.RBX, disp)
}

func abs32(v uint32) asm.Mem { return asm.Abs(int32(v)) }

// indexOnly is [index*scale+disp].
func indexOnly(index asm.Reg, scale uint8, disp uint32) asm.Mem {
	return asm.Index(index, scale, int32(disp))
}

// redefine sets all flags that an instruction left undefined.
func (g *generator32) redefine() { g.Op(asm.ADD, 4, g.reg(4), g.reg(4)) }

// operand emits op with a register and memory, whose address is made first.
func (g *generator32) operand(size int, op ...byte) { m := g.mem(); g.RM(size, op, g.reg(size), m) }

func (g *generator32) insn() {
	switch g.r.IntN(24) {
	case 0, 1, 2:
		n := g.size()
		g.Op(asm.Alu(g.r.IntN(8)), n, g.reg(n), g.reg(n))
	case 3, 4:
		n, m := g.size(), g.mem()
		g.OpLoad(asm.Alu(g.r.IntN(8)), n, g.reg(n), m)
	case 5, 6:
		n, m := g.size(), g.mem()
		g.OpStore(asm.Alu(g.r.IntN(8)), n, m, g.reg(n))
	case 7:
		n := g.wide()
		g.OpI(asm.Alu(g.r.IntN(8)), n, g.reg(n), int32(g.r.Uint32())>>g.r.IntN(32)&0x7fff)
	case 8:
		n, m := g.wide(), g.mem()
		g.Raw(0xf0)
		g.OpStore(asm.Alu(g.r.IntN(7)), n, m, g.reg(n))
	case 9:
		n, m := g.size(), g.mem()
		g.Load(n, g.reg(n), m)
	case 10:
		n, m := g.size(), g.mem()
		g.Store(n, m, g.reg(n))
	case 11:
		g.MovI(g.reg(4), uint64(g.r.Uint32()>>g.r.IntN(32)))
	case 12: // movzx, movsx
		g.operand(g.wide(), 0x0f, []byte{0xb6, 0xb7, 0xbe, 0xbf}[g.r.IntN(4)])
	case 13: // shifts and rotations
		n := g.wide()
		g.RR(n, []byte{0xc1}, asm.Reg([]int{0, 1, 2, 3, 4, 5, 7}[g.r.IntN(7)]), g.reg(n))
		g.Raw(byte(g.r.IntN(32)))
		g.redefine()
	case 14: // mul, imul, and seldom div, idiv
		n, op := g.wide(), g.r.IntN(2)
		if g.r.IntN(8) == 0 {
			op += 2
		}
		g.RR(n, []byte{0xf7}, asm.Reg(4+op), g.reg(n))
		g.redefine()
	case 15: // xchg, xadd, cmpxchg
		g.operand(g.wide(), [][]byte{{0x87}, {0x0f, 0xc1}, {0x0f, 0xb1}}[g.r.IntN(3)]...)
	case 16: // bt and its kind, by an immediate
		m := g.mem()
		g.RM(g.wide(), []byte{0x0f, 0xba}, asm.Reg(4+g.r.IntN(4)), m)
		g.Raw(byte(g.r.IntN(32)))
		g.redefine()
	case 17: // setcc, cmovcc
		if g.r.IntN(2) == 0 {
			m := g.mem()
			g.RM(1, []byte{0x0f, 0x90 | byte(g.r.IntN(16))}, 0, m)
		} else {
			n := g.wide()
			g.RR(n, []byte{0x0f, 0x40 | byte(g.r.IntN(16))}, g.reg(n), g.reg(n))
		}
	case 18:
		g.stack()
	case 19:
		g.branch()
	case 20:
		g.stringInsn()
	case 21: // not, neg, inc, dec
		n := g.wide()
		switch g.r.IntN(3) {
		case 0:
			g.RR(n, []byte{0xf7}, asm.Reg(2+g.r.IntN(2)), g.reg(n))
		case 1:
			g.Raw([]byte{0x40, 0x48}[g.r.IntN(2)] + byte(g.reg(4))) // the forms of one byte
		default:
			m := g.mem()
			g.RM(n, []byte{0xff}, asm.Reg(g.r.IntN(2)), m)
		}
	case 22:
		g.decimal()
	case 23: // high bytes: op ah|ch|dh, al|cl|dl and the other way
		g.Raw(byte(g.r.IntN(8))<<3|byte(g.r.IntN(2))<<1, 0xc0|byte(4+g.r.IntN(3))<<3|byte(g.r.IntN(3)))
	}
}

// stack is PUSH, POP, PUSHA, POPA, ENTER, LEAVE, CALL, RET.
func (g *generator32) stack() {
	switch g.r.IntN(6) {
	case 0:
		g.Push(g.reg(4))
		g.Pop(g.reg(4))
	case 1:
		g.Push(g.reg(4))
	case 2:
		g.Raw(0x60, 0x61) // pusha; popa
	case 3:
		g.Raw(0xc8, byte(g.r.IntN(32)), 0, 0, 0xc9) // enter, not nested: KVM's emulator has no other; leave
	case 4:
		l := g.label()
		g.Call(l)
		g.Label(l)
		g.Pop(g.reg(4))
	case 5:
		g.Raw(0x66, 0x50, 0x66, 0x59) // push ax; pop cx
	}
}

// branch skips an instruction, or not, in one of the ways to do so.
func (g *generator32) branch() {
	l := g.label()
	switch g.r.IntN(5) {
	case 0, 1:
		g.Jcc(asm.Cond(g.r.IntN(16)), l)
	case 2:
		g.MovLabel(asm.RBP, l)
		g.Raw(0xff, 0xe5) // jmp ebp
	case 3:
		g.MovLabel(asm.RBP, l)
		g.Push(asm.RBP)
		g.Ret()
	case 4:
		g.Raw(0xe3, 5) // jecxz over the next
	}
	g.MovI(g.reg(4), uint64(g.r.Uint32()))
	g.Label(l)
}

// stringInsn is one of MOVS, STOS, LODS, SCAS and CMPS, repeated or not, in the data page.
func (g *generator32) stringInsn() {
	g.Lea(4, asm.RSI, asm.At(asm.RBX, int32(0x100+g.r.IntN(0x400))))
	g.Lea(4, asm.RDI, asm.At(asm.RBX, int32(0x800+g.r.IntN(0x400))))
	if g.r.IntN(2) == 0 {
		g.MovI(asm.RCX, uint64(g.r.IntN(20)))
		g.Raw([]byte{0xf2, 0xf3}[g.r.IntN(2)])
	}
	g.Raw([]byte{0xa4, 0xaa, 0xac, 0xae, 0xa6}[g.r.IntN(5)] | byte(g.r.IntN(2)))
}

// decimal is an instruction that 64-bit mode has not, or hardly uses. KVM's emulator has no DAA, AAA and AAS: there is a case for them.
func (g *generator32) decimal() {
	switch g.r.IntN(5) {
	case 0: // AF is an input: it has to be defined
		g.Op(asm.ADD, 4, g.reg(4), g.reg(4))
		g.Raw(0x2f) // das
	case 1:
		g.Raw(0xd5, byte(g.r.Uint32())) // aad
	case 2:
		g.Raw(0xd4, byte(1+g.r.IntN(255))) // aam
	case 3:
		g.Raw(0x9e) // sahf
	case 4:
		g.Raw(0x9f) // lahf: AF is not compared, so it must not stay
		g.Raw(0x80, 0xe4, 0xef)
	}
	g.redefine()
}
