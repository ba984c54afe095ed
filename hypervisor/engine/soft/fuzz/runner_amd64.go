//go:build linux

package fuzz

import (
	"bytes"
	"runtime"

	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/engine/soft/native"
	"gozen/hypervisor/x86"
)

// Runner runs cases on the software CPU and on the host's processor and compares.
type Runner struct {
	Gen   *Generator
	Guest *Guest
	Arena *native.Arena
	init  [MemSize]byte
	hot   [MemSize]byte
	one   [MemSize]byte
	host  [MemSize]byte
	start int // of the code in place, and its length
	size  int
	zero  [256]byte
	runs  uint64
}

// NewRunner makes a runner; its goroutine is locked to its thread.
func NewRunner(seed uint64) (*Runner, error) {
	runtime.LockOSThread()
	a, err := native.OpenArena()
	if err != nil {
		return nil, err
	}
	g, err := NewGuest(soft.Config{DestinationFirst: destinationFirst(a, 0xa6), DestinationFirstREPE: destinationFirst(a, 0xf3, 0xa6)})
	if err != nil {
		return nil, err
	}
	return &Runner{Gen: NewGenerator(seed), Guest: g, Arena: a}, nil
}

// destinationFirst finds which operand this processor reads first in a kind of CMPS, by two that cannot be read.
func destinationFirst(a *native.Arena, code ...byte) bool {
	const src, dst = 0x5000, 0x6000
	copy(a.Code(), code)
	c := native.Context{RIP: native.ArenaCode}
	c.GPR[x86.RSI], c.GPR[x86.RDI], c.GPR[x86.RCX], c.GPR[x86.RSP] = src, dst, 1, native.ArenaStack+0x800
	c.FX[0], c.FX[1], c.FX[24], c.FX[25] = 0x7f, 3, 0x80, 0x1f // FCW and MXCSR as after a reset
	a.Run(&c)
	clear(a.Code()[:len(code)])
	return c.Vector == x86.VectorPF && c.CR2 == dst
}

// Place puts a case's code in both machines.
func (r *Runner) Place(c *Case) {
	r.Guest.SetCode(r.start, r.zero[:r.size])
	copy(r.Arena.Code()[r.start:], r.zero[:r.size])
	r.start, r.size = c.Start, len(c.Code)
	r.Guest.SetCode(c.Start, c.Code)
	copy(r.Arena.Code()[c.Start:], c.Code)
}

// Run runs the placed case from one of its states. o is overwritten.
func (r *Runner) Run(c *Case, st *State, o *Outcome) error {
	if r.runs++; r.runs&255 == 0 {
		if err := r.Guest.Reset(); err != nil { // with empty TLBs
			return err
		}
	}
	*o = Outcome{Hot: st.Context, Single: st.Context, Host: st.Context}
	r.Gen.Memory(st, r.init[:])
	r.Guest.SetMemory(r.init[:])
	if err := r.Guest.Run(&o.Hot, false); err != nil {
		o.Differences = []string{"hot: " + err.Error()}
		return nil
	}
	o.Steps = r.Guest.Steps
	r.Guest.Memory(r.hot[:])
	r.Guest.SetMemory(r.init[:])
	if err := r.Guest.Run(&o.Single, true); err != nil {
		o.Differences = []string{"single: " + err.Error()}
		return nil
	}
	r.Guest.Memory(r.one[:])
	for _, d := range Compare(&o.Hot, &o.Single, r.hot[:], r.one[:], &Mask{}) {
		o.Differences = append(o.Differences, "hot against single: "+d)
	}
	if o.Steps != r.Guest.Steps {
		o.Differences = append(o.Differences, "hot against single: another number of instructions")
	}
	if o.Skipped = r.stray(&o.Hot); o.Skipped != "" {
		return nil
	}
	copy(r.Arena.Data(), r.init[:native.ArenaDataSize])
	copy(r.Arena.Stack(), r.init[native.ArenaDataSize:])
	r.Arena.Run(&o.Host)
	if o.Skipped = c.Vendor(st, &o.Host); o.Skipped != "" {
		return nil
	}
	copy(r.host[:], r.Arena.Data())
	copy(r.host[native.ArenaDataSize:], r.Arena.Stack())
	m := c.Mask(st, &o.Host)
	o.Differences = append(o.Differences, Compare(&o.Hot, &o.Host, r.hot[:], r.host[:], &m)...)
	if o.Hot.Vector != native.NoFault && o.Hot.Vector != x86.VectorDB && o.Hot.Vector != x86.VectorBP {
		o.Steps++
	}
	return nil
}

// HostMemory gives the memory that the host left in the last run; it is valid until the next.
func (r *Runner) HostMemory() (before, after []byte) { return r.init[:], r.host[:] }

// Same reports whether the last run changed no memory on the host.
func (r *Runner) Same() bool { return bytes.Equal(r.init[:], r.host[:]) }

// stray says why code that ended so on the software CPU is not to run in this process: it would reach memory that the process may have mapped.
func (r *Runner) stray(c *native.Context) string {
	if c.Vector == native.NoFault {
		return ""
	}
	if c.RIP >= 0x10000 && c.RIP-native.ArenaBase >= native.ArenaSize && c.RIP-native.ArenaExit >= 0x1000 {
		return "execution left the arena"
	}
	if c.Vector != x86.VectorPF {
		return ""
	}
	a := c.CR2
	switch {
	case a < 0x10000, a-native.ArenaBase < native.ArenaSize:
		return ""
	case a < 0x1f000000, a>>16 == native.ArenaExit>>16 || a>>16 == native.ArenaExit>>16-1, a>>36 == r.Arena.Heap()>>36,
		a >= 0x7000_0000_0000 && a < 1<<47, a>>12 == 0xffffffffff600:
		return "an address that the process may use"
	}
	return ""
}
