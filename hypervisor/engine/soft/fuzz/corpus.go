package fuzz

import (
	"compress/gzip"
	"encoding/gob"
	"fmt"
	"io"

	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/engine/soft/native"
)

// Record is a case that a processor ran, with what it gave, so that every host can compare.
type Record struct {
	Name   string
	Vendor string // of the processor, as CPUID has it
	Start  int
	Code   []byte
	// The context at the start: registers from Context, but those of the FX image from the pool at FXPool, behind its head.
	Context native.Context
	FXPool  int
	Pool    int
	Patches []Patch
	// What the processor gave: its context exclusive-or the one at the start, and memory that it changed.
	Result native.Context
	Memory []Patch
	Mask   Mask
}

// fxRegisters is the part of the FX image that a record takes from the pool.
const fxRegisters, fxEnd = 32, 416

// start gives the context and memory that the record starts from.
func (r *Record) start(pool []byte, mem []byte) native.Context {
	c := r.Context
	copy(c.FX[fxRegisters:fxEnd], pool[r.FXPool:])
	copy(mem, pool[r.Pool:r.Pool+MemSize])
	for _, p := range r.Patches {
		copy(mem[p.At:], p.Data)
	}
	return c
}

// difference is its own inverse.
func difference(a, b *native.Context) (d native.Context) {
	d = *b
	for i := range d.GPR {
		d.GPR[i] ^= a.GPR[i]
	}
	d.RIP, d.RFLAGS, d.GS = a.RIP^b.RIP, a.RFLAGS^b.RFLAGS, a.GS^b.GS
	for i := range d.FX {
		d.FX[i] ^= a.FX[i]
	}
	return d
}

// set notes what the processor made of the record.
func (r *Record) set(pool []byte, host *native.Context, before, after []byte) {
	mem := make([]byte, MemSize)
	c := r.start(pool, mem)
	out := *host
	copy(out.FX[6:24], c.FX[6:24]) // the x87 pointers are not compared
	copy(out.FX[28:32], c.FX[28:32])
	copy(out.FX[fxEnd:], c.FX[fxEnd:])
	r.Result = difference(&c, &out)
	r.Memory = nil
	for i := 0; i < MemSize; i++ {
		if before[i] == after[i] {
			continue
		}
		j := i
		for j < MemSize && before[j] != after[j] {
			j++
		}
		r.Memory = append(r.Memory, Patch{i, append([]byte(nil), after[i:j]...)})
		i = j
	}
}

// Replayer runs records on the software CPU. It is for one goroutine.
type Replayer struct {
	guest            *Guest
	pool             []byte
	zero             [native.ArenaCodeSize]byte
	want, have, init []byte
}

// NewReplayer makes one.
func NewReplayer() (*Replayer, error) {
	g, err := NewGuest(soft.Config{})
	if err != nil {
		return nil, err
	}
	return &Replayer{guest: g, pool: makePool(), want: make([]byte, MemSize), have: make([]byte, MemSize), init: make([]byte, MemSize)}, nil
}

// Close frees the guest.
func (p *Replayer) Close() { p.guest.Close() }

// Replay runs a record both ways and names the differences from what the processor gave.
func (p *Replayer) Replay(r *Record) (out []string) {
	c := r.start(p.pool, p.init)
	copy(p.want, p.init)
	for _, m := range r.Memory {
		copy(p.want[m.At:], m.Data)
	}
	want := difference(&c, &r.Result)
	want.Vector, want.Error, want.CR2 = r.Result.Vector, r.Result.Error, r.Result.CR2
	p.guest.SetCode(r.Start, r.Code)
	defer p.guest.SetCode(r.Start, p.zero[:len(r.Code)])
	for _, single := range []bool{false, true} {
		p.guest.SetMemory(p.init)
		have := c
		if err := p.guest.Run(&have, single); err != nil {
			return append(out, err.Error())
		}
		p.guest.Memory(p.have)
		for _, d := range Compare(&have, &want, p.have, p.want, &r.Mask) {
			out = append(out, fmt.Sprintf("single %v: %s", single, d))
		}
	}
	return out
}

// WriteCorpus and ReadCorpus keep records as compressed gob.
func WriteCorpus(w io.Writer, rs []Record) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := gob.NewEncoder(z).Encode(rs); err != nil {
		return fmt.Errorf("write corpus: %w", err)
	}
	return z.Close()
}

// ReadCorpus reads what WriteCorpus wrote.
func ReadCorpus(r io.Reader) (rs []Record, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	if err := gob.NewDecoder(z).Decode(&rs); err != nil {
		return nil, fmt.Errorf("read corpus: %w", err)
	}
	return rs, nil
}
