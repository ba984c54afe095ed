package bpf

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
)

// Maps that all programs share, by the names that their instructions refer to.
const (
	mapProcesses = "processes" // process id: followed
	mapThreads   = "threads"   // thread id: followed
)

// Maps of one probe.
func mapFigures(p *Probe) string { return "f_" + p.Name } // thread, keys and bucket: a value
func mapStarts(p *Probe) string  { return "s_" + p.Name } // thread: when it started, or 0
func mapLost(p *Probe) string    { return "l_" + p.Name } // one number: events for which the maps had no room

// Program is the instructions for one tracepoint of a probe.
type Program struct {
	Tracepoint   string
	ID           uint64 // of the tracepoint
	Instructions asm.Instructions
}

// Programs makes the programs of a probe, in the order of Probe.Points. format gives the layout of a tracepoint.
func Programs(p *Probe, format func(tracepoint string) (*Format, error)) ([]Program, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var out []Program
	for i, at := range p.Points() {
		f, err := format(at.Tracepoint)
		if err != nil {
			return nil, err
		}
		g := &generator{probe: p, format: f}
		g.begin(at)
		switch {
		case p.Count != nil:
			g.key(p.keys(), false)
			g.bump()
		case p.Spread != nil:
			g.field(asm.R8, p.Spread.Value)
			g.key(p.keys(), true)
			g.bump()
		case i == 0:
			g.end()
		default:
			g.start()
		}
		g.finish()
		if g.err != nil {
			return nil, fmt.Errorf("probe %s: %w", p.Name, g.err)
		}
		out = append(out, Program{Tracepoint: at.Tracepoint, ID: f.ID, Instructions: g.code})
	}
	return out, nil
}

// generator writes one program. R6 is the record, R7 the thread's id, R8 the value that goes into a histogram. From the top of the stack down lie
// the key (thread, 0, the keys, the bucket) and below it a fresh value.
type generator struct {
	probe  *Probe
	format *Format
	code   asm.Instructions
	label  string // of the instruction that comes next
	err    error
	lost   bool // the part that counts lost events is needed
}

func (g *generator) emit(ins ...asm.Instruction) {
	for _, i := range ins {
		if g.label != "" {
			i, g.label = i.WithSymbol(g.label), ""
		}
		g.code = append(g.code, i)
	}
}

// at makes name the label of the next instruction. Two labels never meet.
func (g *generator) at(name string) { g.label = name }

func (g *generator) fail(err error) {
	if g.err == nil {
		g.err = err
	}
}

// field loads a field, extended to 64 bits by its own sign.
func (g *generator) field(to asm.Register, name string) {
	d, err := g.format.number(name)
	if err != nil {
		g.fail(err)
		return
	}
	size := map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}[d.Size]
	g.emit(asm.LoadMem(to, asm.R6, int16(d.Offset), size))
	if n := int32(64 - 8*d.Size); d.Signed && n > 0 {
		g.emit(asm.LSh.Imm(to, n), asm.ArSh.Imm(to, n))
	}
}

// begin leaves all events that are not to count.
func (g *generator) begin(at Point) {
	g.emit(asm.Mov.Reg(asm.R6, asm.R1))
	if at.Thread != "" {
		g.field(asm.R7, at.Thread)
		g.emit(asm.StoreMem(asm.RFP, -8, asm.R7, asm.Word))
		g.lookup(mapThreads, -8)
	} else {
		g.emit(asm.FnGetCurrentPidTgid.Call(),
			asm.Mov.Reg(asm.R7, asm.R0), // the low half is the thread
			asm.RSh.Imm(asm.R0, 32),
			asm.StoreMem(asm.RFP, -8, asm.R0, asm.Word))
		g.lookup(mapProcesses, -8)
	}
	g.emit(asm.JEq.Imm(asm.R0, 0, "out"))
	for _, c := range at.Where {
		g.field(asm.R1, c.Field)
		if c.Mask != 0 {
			if c.Mask > 1<<31-1 {
				g.fail(fmt.Errorf("mask %#x of field %s: bit 31 would be extended", c.Mask, c.Field))
			}
			g.emit(asm.And.Imm(asm.R1, int32(c.Mask)))
		}
		leave := asm.JNE
		if c.Not {
			leave = asm.JEq
		}
		g.emit(leave.Imm(asm.R1, c.Value, "out"))
	}
}

// lookup finds the value of a map whose key lies on the stack; R0 is its address, or 0.
func (g *generator) lookup(name string, key int16) {
	g.emit(asm.LoadMapPtr(asm.R1, 0).WithReference(name),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, int32(key)),
		asm.FnMapLookupElem.Call())
}

// start notes the time.
func (g *generator) start() {
	g.emit(asm.StoreMem(asm.RFP, -8, asm.R7, asm.Word),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord),
		asm.LoadMapPtr(asm.R1, 0).WithReference(mapStarts(g.probe)),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -16),
		asm.Mov.Imm(asm.R4, 0), // BPF_ANY
		asm.FnMapUpdateElem.Call(),
		asm.JNE.Imm(asm.R0, 0, "lost"))
	g.emit(asm.Ja.Label("out"))
	g.lost = true
}

// end takes the time since the start, once.
func (g *generator) end() {
	g.emit(asm.FnKtimeGetNs.Call(),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.StoreMem(asm.RFP, -8, asm.R7, asm.Word))
	g.lookup(mapStarts(g.probe), -8)
	g.emit(asm.JEq.Imm(asm.R0, 0, "out"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "out"),
		asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.R0, 0, asm.R2, asm.DWord),
		asm.JGT.Reg(asm.R1, asm.R8, "out"),
		asm.Sub.Reg(asm.R8, asm.R1))
	g.key(g.probe.keys(), true)
	g.bump()
}

// key writes the key of the figures.
func (g *generator) key(fields []string, bucket bool) {
	at := int16(-keySize(g.probe))
	g.emit(asm.StoreMem(asm.RFP, at, asm.R7, asm.Word),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.RFP, at+4, asm.R1, asm.Word))
	for i, name := range fields {
		g.field(asm.R1, name)
		g.emit(asm.StoreMem(asm.RFP, at+8+8*int16(i), asm.R1, asm.DWord))
	}
	if bucket {
		g.bucket()
		g.emit(asm.StoreMem(asm.RFP, -8, asm.R2, asm.DWord))
	}
}

// bucket computes bucketOf of R8 into R2: the logarithm by halves, then the bits behind the highest.
func (g *generator) bucket() {
	g.emit(asm.Mov.Reg(asm.R2, asm.R8),
		asm.JLT.Imm(asm.R8, perOctave, "small"),
		asm.Mov.Reg(asm.R1, asm.R8),
		asm.Mov.Imm(asm.R2, 0))
	for _, n := range []int32{32, 16, 8, 4, 2, 1} {
		next := fmt.Sprintf("below%d", n)
		g.emit(asm.Mov.Reg(asm.R3, asm.R1),
			asm.RSh.Imm(asm.R3, n),
			asm.JEq.Imm(asm.R3, 0, next),
			asm.Mov.Reg(asm.R1, asm.R3),
			asm.Add.Imm(asm.R2, n))
		g.at(next)
	}
	g.emit(asm.Mov.Reg(asm.R1, asm.R2),
		asm.Sub.Imm(asm.R1, octaveBits),
		asm.Mov.Reg(asm.R3, asm.R8),
		asm.RSh.Reg(asm.R3, asm.R1),
		asm.And.Imm(asm.R3, perOctave-1),
		asm.Sub.Imm(asm.R2, octaveBits-1),
		asm.LSh.Imm(asm.R2, octaveBits),
		asm.Or.Reg(asm.R2, asm.R3))
	g.at("small")
}

// bump adds one to the figures of the key.
func (g *generator) bump() {
	key, value := int16(-keySize(g.probe)), int16(-keySize(g.probe)-valueSize(g.probe))
	g.lookup(mapFigures(g.probe), key)
	g.emit(asm.JNE.Imm(asm.R0, 0, "found"), asm.Mov.Imm(asm.R1, 0))
	for i := int16(0); i < int16(valueSize(g.probe)); i += 8 {
		g.emit(asm.StoreMem(asm.RFP, value+i, asm.R1, asm.DWord))
	}
	g.emit(asm.LoadMapPtr(asm.R1, 0).WithReference(mapFigures(g.probe)),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, int32(key)),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, int32(value)),
		asm.Mov.Imm(asm.R4, 1), // BPF_NOEXIST: another CPU's figures are kept
		asm.FnMapUpdateElem.Call())
	g.lookup(mapFigures(g.probe), key)
	g.emit(asm.JEq.Imm(asm.R0, 0, "lost"))
	g.at("found")
	g.emit(asm.Mov.Imm(asm.R1, 1), asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0))
	if g.probe.distribution() {
		g.emit(asm.AddAtomic.Mem(asm.R0, asm.R8, asm.DWord, 8),
			asm.LoadMem(asm.R1, asm.R0, 16, asm.DWord),
			asm.JGE.Reg(asm.R1, asm.R8, "out"),
			asm.StoreMem(asm.R0, 16, asm.R8, asm.DWord))
	}
	g.emit(asm.Ja.Label("out"))
	g.lost = true
}

// finish writes the end: where events are lost, and where all ways meet.
func (g *generator) finish() {
	if g.lost {
		g.at("lost")
		g.emit(asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, -8, asm.R1, asm.Word))
		g.lookup(mapLost(g.probe), -8)
		g.emit(asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Imm(asm.R1, 1), asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0))
	}
	g.at("out")
	g.emit(asm.Mov.Imm(asm.R0, 0), asm.Return())
}

// keySize gives the bytes of a key of the figures.
func keySize(p *Probe) int {
	n := 8 + 8*len(p.keys())
	if p.distribution() {
		n += 8
	}
	return n
}

// valueSize gives the bytes of a value of the figures: a count; for distributions the sum and the greatest, too.
func valueSize(p *Probe) int {
	if p.distribution() {
		return 24
	}
	return 8
}
