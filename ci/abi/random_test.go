package abi

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gozen/hypervisor/apic"
	"gozen/hypervisor/domain"
	"gozen/hypervisor/engine"
	"gozen/hypervisor/engine/soft"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/hypercall"
	"gozen/hypervisor/vcpu"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/cpuid"
	"gozen/hypervisor/xen"
)

// The random guests are one vCPU each, put together by hand: memory, domain, software CPU and loop, without backends, so that thousands
// run in seconds. A seed gives everything.
const (
	ramSize   = 2 << 20
	codeAt    = 0x10000 // 64 KiB of random code
	tablesAt  = 0x40000 // 16 pages of page tables
	descsAt   = 0x60000 // descriptor tables
	budget    = 3000    // instructions
	maxSteps  = 6000    // rounds of the loop
	stuckTime = 50 * time.Millisecond
)

// randomGuest is also the platform of its loop.
type randomGuest struct {
	rnd   *rand.Rand
	mem   *guestmem.Memory
	dom   *domain.Domain
	loop  *vcpu.Loop
	time  uint64
	page  [guestmem.PageSize]byte
	ended string
}

func (g *randomGuest) Now() uint64   { g.time += 100; return g.time }
func (g *randomGuest) TSC() uint64   { return g.time }
func (g *randomGuest) TSCHz() uint64 { return 1e9 }

func (g *randomGuest) Port(_ uint16, size uint8, _ bool, _ uint32) uint32 {
	return ^uint32(0) >> (32 - 8*uint32(size))
}

func (g *randomGuest) CPUID(_ int, leaf, sub uint32) (a, b, c, d uint32) {
	if leaf>>24 == 0x40 {
		a, b, c, d, _ = g.dom.VCPUs[0].XenLeaf(leaf, sub)
		return
	}
	r := cpuid.Soft(leaf, sub, cpuid.Processor{VCPUs: 1})
	return r.A, r.B, r.C, r.D
}

func (g *randomGuest) HypercallPage() *[guestmem.PageSize]byte { return &g.page }
func (g *randomGuest) Crashed(_ int, why string)               { g.ended = why; g.dom.Crash(0, why, nil) }
func (g *randomGuest) TripleFault(int)                         { g.Crashed(0, "triple fault") }
func (g *randomGuest) Send(c apic.Command) {
	if g.loop.APIC.Accepts(&c) {
		g.loop.Deliver(&c)
	}
}

func newRandomGuest(seed uint64) (*randomGuest, error) {
	g := &randomGuest{rnd: rand.New(rand.NewPCG(seed, 77))}
	var err error
	if g.mem, err = guestmem.New([]guestmem.Range{{Base: 0, Size: ramSize}}); err != nil {
		return nil, err
	}
	g.dom, err = domain.New(domain.Config{ID: 1, Memory: g.mem, VCPUs: 1, FIFO: true, UpcallVector: true, ABI: xen.ABI64, Source: g, Console: io.Discard,
		OnShutdown: func(s domain.Shutdown) { g.ended = fmt.Sprint("shutdown ", s.Reason, s.Text) }})
	if err != nil {
		return nil, err
	}
	vm, err := soft.New(soft.Config{Memory: g.mem, TSC: func(n uint64) uint64 { return n }, Seed: seed | 1})
	if err != nil {
		return nil, err
	}
	cpu, err := vm.NewVCPU(0)
	if err != nil {
		return nil, err
	}
	g.page = hypercall.Page([]byte(hypercall.VMMCALL))
	g.loop = vcpu.New(0, cpu, g.dom, apic.New(0, g), g, g.TSC)
	return g, nil
}

func (g *randomGuest) put(at uint64, v uint64) { _ = g.mem.Write64(guestmem.GPA(at), v) }

// of gives one of its arguments.
func (g *randomGuest) of(v ...uint64) uint64 { return v[g.rnd.IntN(len(v))] }

// word gives a number of a size that is interesting, often an address in RAM or near an end.
func (g *randomGuest) word() uint64 {
	switch g.rnd.IntN(8) {
	case 0:
		return g.rnd.Uint64()
	case 1:
		return g.of(0, 1, ^uint64(0), 0x7fffffff, 0x80000000, 0xffff, 0x7fffffffffff, 0xffff800000000000, 1<<46, 0xfee00000, ramSize-1)
	case 2:
		return uint64(g.rnd.IntN(64))
	case 3:
		return g.rnd.Uint64() >> g.rnd.IntN(64)
	}
	return g.rnd.Uint64N(ramSize)
}

// system lists beginnings of instructions that reach into the machine.
var system = [][]byte{{0x0f, 0x00}, {0x0f, 0x01}, {0x0f, 0x01, 0xc1}, {0x0f, 0x01, 0xd9}, {0x0f, 0x20}, {0x0f, 0x21}, {0x0f, 0x22}, {0x0f, 0x23}, {0x0f, 0x30}, {0x0f, 0x32},
	{0x0f, 0xa2}, {0xcf}, {0x48, 0xcf}, {0xcb}, {0x48, 0xcb}, {0x9d}, {0x8e}, {0x0f, 0xae}, {0x0f, 0xc7}, {0xcd}, {0xe4}, {0xec}, {0xf3, 0x6c}, {0xf3, 0x6e}, {0xf3, 0xa4},
	{0xf3, 0xab}, {0xf2, 0xae}, {0xfb}, {0xfa}, {0xea}, {0xff}, {0x9a}, {0x0f, 0x05}, {0x0f, 0x07}, {0x0f, 0x34}, {0x0f, 0x35}, {0x0f, 0xb2}, {0xc8}, {0xd9}, {0xdd}, {0xdb},
	{0x66, 0x0f, 0x38, 0x82}, {0x0f, 0x38, 0xf1}, {0x66, 0x0f, 0x3a}, {0xb8}, {0xf0, 0x0f, 0xc7}, {0xf0, 0x48, 0x0f, 0xb1}, {0x0f, 0xa1}, {0xc4}, {0xc5}, {0x62}, {0x07}, {0x1f}}

// code fills the code area: noise, or instructions that begin sensibly.
func (g *randomGuest) code() {
	b := make([]byte, 0x10000)
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], g.rnd.Uint64())
	}
	if kind := g.rnd.IntN(4); kind > 0 {
		for i := 0; i < len(b)-16; {
			switch g.rnd.IntN(4) {
			case 0:
				i += copy(b[i:], system[g.rnd.IntN(len(system))])
			case 1:
				b[i] = byte(g.of(0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x48, 0x4f, 0x2e, 0x64, 0x65, 0x36))
				i++
				continue
			case 2:
				b[i] = 0x0f
				i += 2
			default:
				i++
			}
			b[i] = byte(g.rnd.Uint32()) // ModRM
			if kind == 2 {
				b[i] = 0xc0 | b[i] // registers only
			}
			i += 1 + g.rnd.IntN(4)
		}
	}
	_ = g.mem.Write(codeAt, b)
}

// pageTables fills the tables: identity over RAM in 4-level form, and then, by the kind, noise in it.
func (g *randomGuest) pageTables(kind int) {
	const t = tablesAt
	g.put(t, t+0x1000|7)
	g.put(t+8*511, t|3) // itself
	g.put(t+0x1000, t+0x2000|7)
	g.put(t+0x2000, t+0x3000|7)
	g.put(t+0x2008, 0|0x87)
	for i := uint64(0); i < 512; i++ {
		g.put(t+0x3000+8*i, i<<12|7)
	}
	if kind == 0 {
		return
	}
	for range 1 << (2 * kind) {
		at := t + g.rnd.Uint64N(0x800)*8
		v := g.word()
		if g.rnd.IntN(2) == 0 {
			v = g.rnd.Uint64N(ramSize)&^0xfff | g.rnd.Uint64()&0xfff | g.of(0, 0, 1<<63, 1<<51, 1<<40)
		}
		g.put(at, v)
	}
}

// descriptors fills GDT (512 bytes), IDT behind it and a TSS: sensible entries with noise.
func (g *randomGuest) descriptors() {
	for i := uint64(0); i < 64; i++ {
		d := g.of(0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00affb000000ffff, 0x00cff3000000ffff, 0x00009b010000ffff, 0x0000890600000067, 0x00008c0600080000)
		if g.rnd.IntN(4) == 0 {
			d = g.rnd.Uint64()
		}
		g.put(descsAt+8*i, d)
	}
	noisy := g.rnd.IntN(3)
	for v := uint64(0); v < 256; v++ {
		to := codeAt + g.rnd.Uint64N(0x10000)
		d := to&0xffff | g.rnd.Uint64N(8)<<19 | to>>16&0xffff<<48 | g.of(0x8e, 0x8f, 0xee, 0x8d)<<40 | g.of(0, 0, 1, 7)<<32
		if noisy == 1 && g.rnd.IntN(4) == 0 || noisy == 2 {
			d = g.rnd.Uint64()
		}
		g.put(descsAt+0x200+16*v, d)
		g.put(descsAt+0x208+16*v, g.of(0, 0, 0, g.rnd.Uint64()))
	}
	for i := uint64(0); i < 13; i++ {
		g.put(descsAt+0x2000+8*i+4, g.word())
	}
}

// state gives a start: real mode, protected mode, long mode and its compatibility mode, or anything at all.
func (g *randomGuest) state() x86.State {
	var s x86.State
	s.RIP, s.RFLAGS = g.rnd.Uint64N(0x1000), 2|g.rnd.Uint64()&0x240dd5
	for i := range s.GPR {
		s.GPR[i] = g.word()
	}
	s.PAT, s.DR[6], s.DR[7] = x86.PATReset, 0xffff0ff0, 0x400
	s.FX.FCW, s.FX.MXCSR = 0x37f, x86.MXCSRReset
	s.GDTR = x86.Table{Base: descsAt, Limit: 0x1ff}
	s.IDTR = x86.Table{Base: descsAt + 0x200, Limit: 0xfff}
	s.TR = x86.Segment{Selector: 0x30, Base: descsAt + 0x2000, Limit: 0x67, Attr: 0x8b}
	s.LDTR = x86.Segment{Limit: 0xffff, Attr: 0x82}
	flat := func(cs, ds uint32) {
		for i := range s.Seg {
			s.Seg[i] = x86.Segment{Selector: 0x10, Limit: 0xffffffff, Attr: ds}
		}
		s.Seg[x86.CS] = x86.Segment{Selector: 8, Limit: 0xffffffff, Attr: cs}
		s.RIP += codeAt
		s.CR0 = x86.CR0PE | x86.CR0ET
	}
	long := func() {
		s.CR0 |= x86.CR0PG | g.of(0, x86.CR0WP|x86.CR0NE)
		s.CR4 = x86.CR4PAE | x86.CR4OSFXSR | g.of(0, x86.CR4OSXMMEXCPT|x86.CR4FSGSBASE|1<<7|1<<17)
		s.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERSCE | g.of(0, x86.EFERNXE)
		s.CR3 = tablesAt
		g.pageTables(g.rnd.IntN(5))
	}
	switch g.rnd.IntN(8) {
	case 0: // real mode
		for i := range s.Seg {
			sel := uint16(g.rnd.Uint32())
			s.Seg[i] = x86.Segment{Selector: sel, Base: uint64(sel) << 4, Limit: 0xffff, Attr: 0x93}
		}
		s.Seg[x86.CS] = x86.Segment{Selector: codeAt >> 4, Base: codeAt, Limit: 0xffff, Attr: 0x9b}
		s.CR0 = x86.CR0ET
		s.IDTR = x86.Table{Limit: uint16(g.rnd.Uint32())}
	case 1:
		flat(0x809b, 0x8093) // 16-bit
	case 2:
		flat(0xc09b, 0xc093)
	case 3: // 32-bit with some kind of paging
		flat(0xc09b, 0xc093)
		s.CR0 |= x86.CR0PG
		s.CR3, s.CR4 = tablesAt, g.of(0, x86.CR4PAE, 0x10)
		g.pageTables(g.rnd.IntN(5))
	case 4:
		flat(0xc09b, 0xc093) // compatibility mode
		long()
	case 5: // anything
		flat(g.rnd.Uint32()&0x1ffff, g.rnd.Uint32()&0x1ffff)
		s.CR0, s.CR3, s.CR4, s.EFER = g.rnd.Uint64()&0xe005003f, g.word(), g.rnd.Uint64()&0x3fffff, g.rnd.Uint64()&0xd01
		s.RIP, s.CR8 = g.of(s.RIP, g.word()), g.rnd.Uint64N(16)
		s.DR[7] = g.rnd.Uint64() & 0xffffffff
		s.GDTR.Base, s.IDTR.Base = g.of(descsAt, g.word()), g.of(descsAt+0x200, g.word())
		g.pageTables(1 + g.rnd.IntN(4))
	default:
		flat(0xa09b, 0xc093)
		long()
	}
	return s
}

// run lets a guest go until it ends, has nothing to do, or has used its budget. It gives how it ended.
func (g *randomGuest) run() (how string) {
	g.code()
	g.descriptors()
	s := g.state()
	g.loop.V.BringUp()
	g.loop.Start(&s)
	var stuck atomic.Bool
	timer := time.AfterFunc(stuckTime, func() { stuck.Store(true); g.loop.Stop() })
	defer timer.Stop()
	limit := g.loop.Eng.(engine.Timed)
	limit.SetLimit(budget)
	for range maxSteps {
		switch g.loop.Step() {
		case vcpu.Ended:
			if stuck.Load() {
				return "stopped"
			}
			return "ended"
		case vcpu.Waiting:
			return "waits"
		}
		if g.loop.Eng.Instructions() >= budget {
			return "budget"
		}
	}
	return "steps"
}

// one runs the guest of a seed; a panic is a failure that names the seed.
func one(seed uint64) (how string, err error) {
	g, err := newRandomGuest(seed)
	if err != nil {
		return "", err
	}
	defer g.mem.Close()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("seed %d: panic: %v\n%s", seed, p, debug.Stack())
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	began := time.Now()
	how = g.run()
	if d := time.Since(began); d > 10*time.Second {
		return how, fmt.Errorf("seed %d: could be stopped only after %v", seed, d)
	}
	var s x86.State
	g.loop.Eng.Get(&s)
	return how, nil
}

// TestRandom runs guests of random code, tables and state. GOZEN_FUZZ_GUEST=5m makes it go on with seeds of its own for so long,
// GOZEN_FUZZ_GUEST_SEED=N runs one.
func TestRandom(t *testing.T) {
	if v := os.Getenv("GOZEN_FUZZ_GUEST_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		how, err := one(n)
		t.Log(how, err)
		return
	}
	var next, first atomic.Uint64
	count, until := uint64(3000), time.Time{}
	if v := os.Getenv("GOZEN_FUZZ_GUEST"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		count, until = 1<<63, time.Now().Add(d)
		next.Store(rand.Uint64() >> 1)
	}
	first.Store(next.Load())
	var mu sync.Mutex
	hows := map[string]int{}
	failed := 0
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				seed := next.Add(1)
				mu.Lock()
				over := seed-first.Load() > count || !until.IsZero() && time.Now().After(until) || failed >= 5
				mu.Unlock()
				if over {
					return
				}
				how, err := one(seed)
				mu.Lock()
				hows[how]++
				if err != nil {
					failed++
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("ends: %v", hows)
	verdict := "ok"
	if failed > 0 {
		verdict = "MISSED"
	}
	t.Logf("target random-guests-not-contained %d of %d (limit 0) %s", failed, next.Load()-first.Load(), verdict)
}
