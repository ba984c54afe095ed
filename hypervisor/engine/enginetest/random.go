package enginetest

import (
	"fmt"
	"math/rand/v2"

	"gozen/hypervisor/x86/asm"
)

// Lengths of random programs, in instructions.
const (
	minInsns = 5
	maxInsns = 60
)

// generator makes programs that end: they branch forward only, and repeat a bounded number of times. Flags that an instruction leaves undefined
// are defined again before the next one can use them; AF is never used and never compared.
type generator struct {
	*asm.Asm
	r      *rand.Rand
	labels int
}

// randomProgram gives the program with a number; the same number gives the same program for ever.
func randomProgram(seed uint64, user bool) Program {
	at := uint64(codeAt)
	if user {
		at = userVA
	}
	g := &generator{Asm: asm.New(at), r: rand.New(rand.NewPCG(seed, 0x676f7a656e))}
	for range minInsns + g.r.IntN(maxInsns-minInsns) {
		g.insn()
	}
	g.Ud2()
	b, err := g.Bytes()
	if err != nil {
		panic(fmt.Sprintf("random program %d: %v", seed, err))
	}
	return Program{Name: fmt.Sprintf("random program %d", seed), User: user, Code: b, setup: commonSetup}
}

// reg gives a register that programs may change: not those that hold addresses, nor the stack pointer.
func (g *generator) reg() asm.Reg {
	return []asm.Reg{asm.RAX, asm.RCX, asm.RDX, asm.RSI, asm.RDI, asm.RBP, asm.R8, asm.R9, asm.R10, asm.R11}[g.r.IntN(10)]
}

func (g *generator) size() int { return 1 << g.r.IntN(4) }

// wide is a size that is no byte.
func (g *generator) wide() int { return 2 << g.r.IntN(3) }

// mem gives an operand in memory: mostly a good one, seldom one that faults.
func (g *generator) mem() asm.Mem {
	disp := int32(g.r.IntN(0xff0))
	switch g.r.IntN(40) {
	case 0:
		return asm.At(asm.R13, disp) // read-only
	case 1:
		return asm.At(asm.R14, disp) // nothing
	case 2:
		return asm.At(asm.R15, disp) // not canonical
	case 3:
		return asm.At(asm.R12, 0xff8+disp&15) // may cross into the read-only page
	}
	if g.r.IntN(2) == 0 {
		return asm.At(asm.R12, disp)
	}
	return asm.At(asm.RBX, disp)
}

// redefine sets all flags that an instruction left undefined.
func (g *generator) redefine() { g.Op(asm.ADD, 8, g.reg(), g.reg()) }

func (g *generator) insn() {
	switch g.r.IntN(22) {
	case 0, 1, 2:
		g.Op(asm.Alu(g.r.IntN(8)), g.size(), g.reg(), g.reg())
	case 3, 4:
		g.OpLoad(asm.Alu(g.r.IntN(8)), g.size(), g.reg(), g.mem())
	case 5, 6:
		g.OpStore(asm.Alu(g.r.IntN(8)), g.size(), g.mem(), g.reg())
	case 7:
		g.OpI(asm.Alu(g.r.IntN(8)), g.wide(), g.reg(), int32(g.r.Uint32())>>g.r.IntN(32)&0x7fff)
	case 8:
		g.Raw(0xf0)
		g.OpStore(asm.Alu(g.r.IntN(7)), g.size(), g.mem(), g.reg())
	case 9:
		g.Load(g.size(), g.reg(), g.mem())
	case 10:
		g.Store(g.size(), g.mem(), g.reg())
	case 11:
		g.MovI(g.reg(), g.r.Uint64()>>g.r.IntN(64))
	case 12: // movzx, movsx
		g.RM(g.wide(), []byte{0x0f, []byte{0xb6, 0xb7, 0xbe, 0xbf}[g.r.IntN(4)]}, g.reg(), g.mem())
	case 13: // shifts and rotations
		g.RR(g.wide(), []byte{0xc1}, asm.Reg([]int{0, 1, 2, 3, 4, 5, 7}[g.r.IntN(7)]), g.reg())
		g.Raw(byte(g.r.IntN(64)))
		g.redefine()
	case 14: // mul, imul, div, idiv
		g.RR(g.wide(), []byte{0xf7}, asm.Reg(4+g.multiply()), g.reg())
		g.redefine()
	case 15: // xchg, xadd, cmpxchg
		g.RM(g.wide(), [][]byte{{0x87}, {0x0f, 0xc1}, {0x0f, 0xb1}}[g.r.IntN(3)], g.reg(), g.mem())
	case 16: // bt and its kind, by an immediate
		g.RM(g.wide(), []byte{0x0f, 0xba}, asm.Reg(4+g.r.IntN(4)), g.mem())
		g.Raw(byte(g.r.IntN(64)))
		g.redefine()
	case 17: // setcc, cmovcc
		if g.r.IntN(2) == 0 {
			g.RM(1, []byte{0x0f, 0x90 | byte(g.r.IntN(16))}, 0, g.mem())
		} else {
			g.RR(g.wide(), []byte{0x0f, 0x40 | byte(g.r.IntN(16))}, g.reg(), g.reg())
		}
	case 18:
		g.Push(g.reg())
		if g.r.IntN(2) == 0 {
			g.Pop(g.reg())
		}
	case 19:
		l := fmt.Sprintf("l%d", g.labels)
		g.labels++
		g.Jcc(asm.Cond(g.r.IntN(16)), l)
		g.MovI(g.reg(), g.r.Uint64())
		g.Label(l)
	case 20:
		g.stringInsn()
	case 21: // not, neg, inc, dec, bswap
		switch g.r.IntN(3) {
		case 0:
			g.RR(g.size(), []byte{0xf7}, asm.Reg(2+g.r.IntN(2)), g.reg())
		case 1:
			g.RR(g.wide(), []byte{0xff}, asm.Reg(g.r.IntN(2)), g.reg())
		default:
			g.RM(g.wide(), []byte{0xff}, asm.Reg(g.r.IntN(2)), g.mem())
		}
	}
}

// multiply chooses mul or imul mostly, since a division mostly ends the program.
func (g *generator) multiply() int {
	if g.r.IntN(8) == 0 {
		return 2 + g.r.IntN(2)
	}
	return g.r.IntN(2)
}

// stringInsn is one of MOVS, STOS, LODS, SCAS and CMPS, repeated or not, in the data page.
func (g *generator) stringInsn() {
	g.Lea(8, asm.RSI, asm.At(asm.RBX, int32(0x100+g.r.IntN(0x400))))
	g.Lea(8, asm.RDI, asm.At(asm.RBX, int32(0x800+g.r.IntN(0x400))))
	if g.r.IntN(2) == 0 {
		g.MovI(asm.RCX, uint64(g.r.IntN(20)))
		g.Raw([]byte{0xf2, 0xf3}[g.r.IntN(2)])
	}
	op := []byte{0xa4, 0xaa, 0xac, 0xae, 0xa6}[g.r.IntN(5)]
	switch g.r.IntN(3) {
	case 0:
		g.Raw(op)
	case 1:
		g.Raw(op | 1)
	default:
		g.Raw(0x48, op|1)
	}
}
