package fuzz

import (
	"math/rand/v2"

	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/decode"
)

// Instr is one instruction of a case.
type Instr struct {
	Form   int // index in Forms
	Bytes  []byte
	In     decode.Inst
	Target int // of a branch: index of an instruction, or their number for the end; -1 for others
	Off    int // from the case's start
}

// State is what a case starts from.
type State struct {
	Context native.Context
	Pool    int // offset of the memory in the pool
	Patches []Patch
}

// Patch is a piece of memory that differs from the pool.
type Patch struct {
	At   int
	Data []byte
}

// Case is a piece of code and the states to run it from.
type Case struct {
	Instrs []Instr
	End    int    // offset of the final jump from the start
	Start  int    // offset of the code in the arena's code area
	Code   []byte // with the jump to the exit page, cut at the end of the area
	States []State
	// Undefined has, for each instruction and for the end, the flags that may be undefined in front of it.
	Undefined []uint64
	// Branches tells that not all instructions need be executed.
	Branches bool
}

// Form is an encoding that is compared.
type Form struct {
	decode.Encoding
	role role
	imm  int // bytes of immediate
}

// Excluded is an encoding that is not, and the reason.
type Excluded struct {
	decode.Encoding
	Why string
}

// Forms divides the decoder's encodings into those that are compared and those that are not.
func Forms() (forms []Form, out []Excluded) {
	for _, e := range decode.Encodings() {
		if why := exclude(&e); why != "" {
			out = append(out, Excluded{e, why})
			continue
		}
		forms = append(forms, Form{e, roleOf(&e), immediateSize(&e)})
	}
	return forms, out
}

// statesPerCase is the number of states that each piece of code is run from, so that it is run from the block caches too.
const statesPerCase = 4

// Generator makes cases. It is for one goroutine.
type Generator struct {
	forms  []Form
	starts []int // forms that may start a block, by role
	middle []int
	ends   []int
	all    []int
	pool   []byte
	seed   uint64
	r      *rand.Rand
	c      Case
	blk    block
	last   int
	calm   bool // the branch being prepared gets an ordinary target
}

// block is what the generator has settled for the block it is making.
type block struct {
	pointers [16]bool // registers that point into the data area, or stack
	small    [16]bool // registers with small values
	base     []uint8
	index    []uint8
}

// NewGenerator makes a generator of the cases of a seed.
func NewGenerator(seed uint64) *Generator {
	g := &Generator{pool: makePool(), seed: seed}
	g.forms, _ = Forms()
	for i, f := range g.forms {
		g.all = append(g.all, i)
		switch f.role {
		case anywhere, branch:
			g.middle = append(g.middle, i)
		case last:
			g.ends = append(g.ends, i)
		case first:
			g.starts = append(g.starts, i)
		}
	}
	return g
}

// Case makes case number n; it is valid until the next call.
func (g *Generator) Case(n uint64) *Case {
	g.seedCase(n)
	for {
		g.settle()
		g.c = Case{States: g.c.States[:0]}
		g.choose()
		if g.layout() {
			break
		}
	}
	for i := 0; i < statesPerCase; i++ {
		g.c.States = append(g.c.States, g.state())
	}
	return &g.c
}

// Single makes a case of one instruction of a form, number n.
func (g *Generator) Single(form int, n uint64) *Case {
	g.seedCase(uint64(form)<<32 | n)
	for {
		g.settle()
		g.c = Case{States: g.c.States[:0]}
		g.add(form)
		g.define()
		g.aim()
		if g.layout() {
			break
		}
	}
	g.c.States = append(g.c.States, g.state())
	return &g.c
}

func (g *Generator) seedCase(n uint64) { g.r = rand.New(rand.NewPCG(g.seed, n)) }

func (g *Generator) pick(p int) bool { return g.r.IntN(100) < p }

// settle chooses the registers that are kept for addresses.
func (g *Generator) settle() {
	b := &g.blk
	*b = block{base: b.base[:0], index: b.index[:0]}
	for _, r := range []uint8{x86.RSI, x86.RDI} {
		b.pointers[r] = g.pick(85)
	}
	b.pointers[x86.RBX], b.pointers[x86.RBP] = g.pick(50), g.pick(50)
	b.pointers[8+g.r.IntN(8)], b.pointers[8+g.r.IntN(8)] = true, true
	b.small[x86.RCX] = g.pick(60)
	b.small[8+g.r.IntN(8)] = true
	for r := uint8(0); r < 16; r++ {
		if b.pointers[r] {
			b.small[r] = false
			b.base = append(b.base, r)
		}
		if b.small[r] {
			b.index = append(b.index, r)
		}
	}
}

// choose picks the instructions. One form of all starts it, so that every form is met equally often.
func (g *Generator) choose() {
	n := 1 + g.r.IntN(14)
	g.last = g.all[g.r.IntN(len(g.all))]
	switch g.forms[g.last].role {
	case alone:
		g.add(g.last)
	case first:
		for g.add(g.last); n > 1; n-- {
			g.add(g.middle[g.r.IntN(len(g.middle))])
		}
	case last:
		for ; n > 4; n-- {
			g.add(g.middle[g.r.IntN(len(g.middle))])
		}
		g.add(g.last)
	default:
		at := g.r.IntN(n)
		if at > 3 {
			at = 0
		}
		for i := 0; i < n; i++ {
			if i == at {
				g.add(g.last)
			} else {
				g.add(g.middle[g.r.IntN(len(g.middle))])
			}
		}
	}
	g.define()
	g.aim()
}

func (g *Generator) add(form int) {
	for range 20 {
		if in, ok := g.instr(form); ok {
			g.c.Instrs = append(g.c.Instrs, in)
			return
		}
	}
}

// define puts a comparison in front of instructions that would read flags left undefined. Behind a branch, which may skip the comparison, they
// are dropped.
func (g *Generator) define() {
	c := &g.c
	for i := 0; i < len(c.Instrs); i++ {
		c.Branches = false
		if c.undefined(i + 1) {
			continue
		}
		if c.Branches {
			c.Instrs = append(c.Instrs[:i], c.Instrs[i+1:]...)
			i--
			continue
		}
		c.Instrs = append(c.Instrs, Instr{})
		copy(c.Instrs[i+1:], c.Instrs[i:])
		c.Instrs[i] = g.compare()
	}
	c.Branches = false
	c.undefined(len(c.Instrs))
}

// undefined works out, for the first n instructions, the flags that may be undefined in front of each. It reports whether none reads
// such a flag.
func (c *Case) undefined(n int) bool {
	c.Undefined = append(c.Undefined[:0], 0)
	u := uint64(0)
	for i := range c.Instrs[:n] {
		e := effectOf(&c.Instrs[i].In)
		if e.reads&u != 0 {
			return false
		}
		// Behind a branch nothing is defined for certain: it may have been skipped.
		if !c.Branches || i == 0 {
			u &^= e.defines
		}
		u |= e.undefined
		c.Undefined = append(c.Undefined, u)
		c.Branches = c.Branches || branches(&c.Instrs[i].In)
	}
	return true
}

// branches reports whether in may skip instructions behind it.
func branches(in *decode.Inst) bool {
	switch in.Op {
	case decode.JCC, decode.JMP, decode.CALL, decode.JCXZ, decode.LOOP, decode.LOOPE, decode.LOOPNE,
		decode.JMPI, decode.CALLI, decode.RET, decode.RETF, decode.IRET, decode.JMPFI, decode.CALLFI:
		return true
	}
	return false
}

// compare makes a CMP of two registers, in any size.
func (g *Generator) compare() Instr {
	for {
		f := g.all[g.r.IntN(len(g.all))]
		if e := &g.forms[f]; e.Op == decode.CMP && !e.Mem && e.Opcode == 0x39 {
			if in, ok := g.instr(f); ok {
				return in
			}
		}
	}
}
