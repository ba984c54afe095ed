package hypercall

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"gozen/hypervisor/domain"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/xen"
)

// testSource is a clock that moves by hand, 1 tick per nanosecond.
type testSource struct{ ns atomic.Uint64 }

func (s *testSource) Now() uint64   { return s.ns.Load() }
func (s *testSource) TSC() uint64   { return s.ns.Load() }
func (s *testSource) TSCHz() uint64 { return 1e9 }

// flat is guest-virtual memory that is guest-physical memory.
// Translate implements domain.VirtMem.
func (f flat) Translate(va uint64) (guestmem.GPA, error) { return guestmem.GPA(va), nil }

type flat struct{ m *guestmem.Memory }

func (f flat) ReadVirt(va uint64, p []byte) error  { return f.m.Read(guestmem.GPA(va), p) }
func (f flat) WriteVirt(va uint64, p []byte) error { return f.m.Write(guestmem.GPA(va), p) }

const (
	ramSize = 16 << 20
	argAt   = 0x10000 // where the tests put arguments
	listAt  = 0x20000
	unmap   = ramSize + 0x100000 // no memory there
)

type guest struct {
	t       testing.TB
	d       *domain.Domain
	v       *domain.VCPU
	src     *testSource
	console bytes.Buffer
	ended   []domain.Shutdown
	kicks   [2]int
	started []*x86.State
	regs    [16]uint64
	res     Result
	long    bool
}

func newGuest(t testing.TB) *guest {
	t.Helper()
	m, err := guestmem.New([]guestmem.Range{{Base: 0, Size: ramSize}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	g := &guest{t: t, src: &testSource{}, long: true}
	g.src.ns.Store(1000)
	g.d, err = domain.New(domain.Config{ID: 7, UUID: [16]byte{1, 2, 3}, Memory: m, VCPUs: 2, FIFO: true, UpcallVector: true,
		Source: g.src, Wall: time.Unix(1_700_000_000, 5000), Console: &g.console,
		E820:       []xen.HVMMemmapTableEntry{{Addr: 0, Size: 0xa0000, Type: 1}, {Addr: 0x100000, Size: ramSize - 0x100000, Type: 1}},
		OnShutdown: func(s domain.Shutdown) { g.ended = append(g.ended, s) }})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range g.d.VCPUs {
		v.Virt = flat{m}
		v.Kick = func() { g.kicks[i]++ }
		v.Start = func(st *x86.State) { g.started = append(g.started, st) }
	}
	g.v = g.d.VCPUs[0]
	g.v.BringUp()
	return g
}

// call does one hypercall and gives its result, or what the registers hold if it is to be continued.
func (g *guest) call(nr uint64, args ...uint64) uint64 {
	order := [6]int{x86.RDI, x86.RSI, x86.RDX, x86.R10, x86.R8, x86.R9}
	if !g.long {
		order = [6]int{x86.RBX, x86.RCX, x86.RDX, x86.RSI, x86.RDI, x86.RBP}
	}
	g.regs = [16]uint64{x86.RAX: nr}
	for i, a := range args {
		g.regs[order[i]] = a
	}
	g.res = Call(g.d, g.v, &g.regs, g.long, 0)
	return g.regs[x86.RAX]
}

// finish continues a call to its end and gives the number of continuations.
func (g *guest) finish() (ret uint64, n int) {
	for g.res.Again {
		n++
		if n > 10000 {
			g.t.Fatal("does not end")
		}
		g.res = Call(g.d, g.v, &g.regs, g.long, 0)
	}
	return g.regs[x86.RAX], n
}

// put writes little-endian values: uint16, uint32, uint64 or bytes.
func (g *guest) put(va uint64, vals ...any) {
	g.t.Helper()
	var b []byte
	for _, v := range vals {
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, v); err != nil {
			g.t.Fatal(err)
		}
	}
	if err := g.d.Memory.Write(guestmem.GPA(va), b); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) u64(va uint64) uint64 {
	x, err := g.d.Memory.Read64(guestmem.GPA(va))
	if err != nil {
		g.t.Fatal(err)
	}
	return x
}

func (g *guest) u32(va uint64) uint32 {
	x, err := g.d.Memory.Read32(guestmem.GPA(va))
	if err != nil {
		g.t.Fatal(err)
	}
	return x
}

func (g *guest) bytes(va uint64, n int) []byte {
	b := make([]byte, n)
	if err := g.d.Memory.Read(guestmem.GPA(va), b); err != nil {
		g.t.Fatal(err)
	}
	return b
}

// want checks a result.
func (g *guest) want(what string, got, want uint64) {
	g.t.Helper()
	if got != want {
		g.t.Errorf("%s: %d (%#x), want %d (%#x)", what, int64(got), got, int64(want), want)
	}
}

func neg(e xen.Errno) uint64 { return e.Ret() }
