package enginetest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
)

// Side is one of the two engines of Compare.
type Side struct {
	Name string
	Open Open
}

// CompareOptions says which differences are known.
type CompareOptions struct {
	// Except names programs of the table that end differently, with the reason.
	Except map[string]string
	// Sometimes names programs that end differently on some runs only, by the host's timing, with the reason.
	Sometimes map[string]string
	// Random is how many random programs run in each ring; 0 for a default. The environment variable GOZEN_COMPARE gives another number.
	Random int
	// Seed is the first random program.
	Seed uint64
	// NoRF: one of them does not set RF in the flags that a fault pushes.
	NoRF bool
	// Known says whether a difference in a random program is a known one of the host, and why.
	Known func(p *Program, differences []string) (why string, ok bool)
}

// Program is a guest of a page that runs to its end without help: in a handler, or halted.
type Program struct {
	Name  string
	User  bool // ring 3
	Code  []byte
	setup func(m *machine)
}

// defaultRandom keeps the ordinary test at some seconds.
const defaultRandom = 300

// Compare runs programs on two engines, side by side, and compares what they leave: registers, CR2, error codes, memory, and the exits on
// the way. A program that one of them says it cannot execute is counted, and no more.
func Compare(t *testing.T, a, b Side, o CompareOptions) {
	t.Run("programs", func(t *testing.T) { compareTable(t, a, b, &o) })
	for _, user := range []bool{false, true} {
		name := "random ring 0"
		if user {
			name = "random ring 3"
		}
		t.Run(name, func(t *testing.T) {
			compareRandom(t, a, b, &o, func(seed uint64) Program { return randomProgram(seed, user) })
		})
	}
	t.Run("random 32-bit", func(t *testing.T) { compareRandom(t, a, b, &o, randomProgram32) })
}

// outcome is what a program left.
type outcome struct {
	state x86.State
	last  engine.Exit
	exits []string
	mem   [][]byte
}

// maxExits bounds a program.
const maxExits = 200

// regions are the parts of memory that are compared.
var regions = []struct {
	name string
	at   guestmem.GPA
	size int
}{{"stack", stackAt - 0x800, 0x800}, {"data", dataAt, 0x1000}, {"user pages", userPages, 0x10000}, {"test pages", testPages, 0x3000},
	{"test page table", testPT, 64}}

// execute runs a program from the state of m to its end.
func (m *machine) execute(p *Program) outcome {
	var o outcome
	m.reset()
	if p.User {
		m.user()
	}
	if p.setup != nil {
		p.setup(m)
	}
	at := uint64(codeAt)
	if p.User {
		at = userPages
	}
	m.write(at, p.Code)
	m.load()
	for n := uint64(1); ; n++ {
		e := &o.last
		m.enter(m.cpu, e)
		if e.Kind == engine.ExitHLT || e.Kind == engine.ExitShutdown || e.Kind == engine.ExitInternal || n > maxExits {
			break
		}
		if e.Write {
			o.exits = append(o.exits, fmt.Sprintf("%v %s", e.Kind, describe(e)))
			continue
		}
		e.Data = 0x9e3779b97f4a7c15 * n
		o.exits = append(o.exits, fmt.Sprintf("%v %s", e.Kind, describe(e)))
	}
	m.cpu.Get(&m.st)
	o.state = m.st
	o.state.CR3 &^= 1 << 3
	for _, r := range regions {
		o.mem = append(o.mem, m.read(uint64(r.at), r.size))
	}
	// An entry may be marked accessed before it is used (SDM 3A 4.8), so only "dirty" is compared.
	for i, last := 0, o.mem[len(o.mem)-1]; i < len(last); i += 8 {
		last[i] &^= pteA
	}
	m.maskFrame(&o)
	return o
}

// maskFrame takes flags that instructions leave undefined (AF) out of the frame that the handler's stack holds.
func (m *machine) maskFrame(o *outcome) {
	noRF := m.compare != nil && m.compare.NoRF
	g := m.event()
	if g.vector < 0 {
		return
	}
	at := int64(m.st.GPR[x86.RSP]) + 16
	if hasError(g.vector) {
		at += 8
	}
	for i, r := range regions {
		if off := at - int64(r.at); off >= 0 && off < int64(r.size) {
			o.mem[i][off] &^= x86.FlagAF
			if noRF {
				o.mem[i][off+2] &^= x86.FlagRF >> 16
			}
		}
	}
}

// differ gives what two outcomes do not agree on.
func differ(a, b *outcome) []string {
	var d []string
	note := func(what string, x, y any) {
		if sx, sy := fmt.Sprintf("%#x", x), fmt.Sprintf("%#x", y); sx != sy {
			d = append(d, fmt.Sprintf("%s: %s, %s", what, sx, sy))
		}
	}
	if a.last.Kind != b.last.Kind {
		d = append(d, fmt.Sprintf("end: %v %s, %v %s", a.last.Kind, describe(&a.last), b.last.Kind, describe(&b.last)))
	}
	s, u := &a.state, &b.state
	for i := range s.GPR {
		note(fmt.Sprintf("register %d", i), s.GPR[i], u.GPR[i])
	}
	const flags = ^uint64(x86.FlagAF)
	note("rip", s.RIP, u.RIP)
	note("rflags", s.RFLAGS&flags, u.RFLAGS&flags)
	note("cr0 cr2 cr3 cr4 efer", []uint64{s.CR0, s.CR2, s.CR3, s.CR4, s.EFER}, []uint64{u.CR0, u.CR2, u.CR3, u.CR4, u.EFER})
	note("dr6", s.DR[6], u.DR[6])
	for i := range s.Seg {
		note(fmt.Sprintf("segment %d", i), s.Seg[i].Selector, u.Seg[i].Selector)
	}
	note("fs gs", []uint64{s.Seg[x86.FS].Base, s.Seg[x86.GS].Base, s.KernelGSBase}, []uint64{u.Seg[x86.FS].Base, u.Seg[x86.GS].Base, u.KernelGSBase})
	note("xmm", s.FX.XMM, u.FX.XMM)
	note("mxcsr", s.FX.MXCSR, u.FX.MXCSR)
	note("x87", []any{s.FX.ST, s.FX.FTW, s.FX.FCW, s.FX.FSW}, []any{u.FX.ST, u.FX.FTW, u.FX.FCW, u.FX.FSW})
	if x, y := fmt.Sprint(a.exits), fmt.Sprint(b.exits); x != y {
		d = append(d, fmt.Sprintf("exits: %s, %s", x, y))
	}
	for i, r := range regions {
		if bytes.Equal(a.mem[i], b.mem[i]) {
			continue
		}
		for j := range a.mem[i] {
			if a.mem[i][j] != b.mem[i][j] {
				j &^= 7
				d = append(d, fmt.Sprintf("%s at %#x: % x, % x", r.name, int(r.at)+j, a.mem[i][j:j+8], b.mem[i][j:j+8]))
				break
			}
		}
	}
	return d
}

// pair is a machine on each side.
type pair struct{ a, b *machine }

// with calls f with a pair; an engine's own failure ends the test.
func with(t *testing.T, a, b Side, o *CompareOptions, f func(p pair)) {
	c := &C{TB: t, open: a.Open, opts: &Options{}}
	c.do(func(c *C) {
		one := newMachine(c)
		c.open = b.Open
		two := newMachine(c)
		one.compare, two.compare = o, o
		f(pair{one, two})
	})
	for _, e := range c.errs {
		t.Error(e)
	}
}

// try runs a program on both sides. able is false if one cannot execute it.
func (p pair) try(prog *Program) (differences []string, able bool) {
	x, y := p.a.execute(prog), p.b.execute(prog)
	if x.last.Kind == engine.ExitInternal || y.last.Kind == engine.ExitInternal {
		return nil, false
	}
	return differ(&x, &y), true
}

func compareTable(t *testing.T, a, b Side, o *CompareOptions) {
	known, unable := map[string]bool{}, 0
	for _, prog := range programs() {
		known[prog.Name] = true
		with(t, a, b, o, func(p pair) {
			d, able := p.try(&prog)
			why, excepted := o.Except[prog.Name]
			switch {
			case !able:
				unable++
			case excepted && len(d) > 0:
				t.Logf("%s: exception (%s): %s", prog.Name, why, d)
			case o.Sometimes[prog.Name] != "":
				if len(d) > 0 {
					t.Logf("%s: exception on this run (%s): %s", prog.Name, o.Sometimes[prog.Name], d)
				}
			case excepted:
				t.Errorf("%s: no difference, though an exception says so (%s): take it off the list", prog.Name, why)
			case len(d) > 0:
				t.Errorf("%s (%s, %s): %s", prog.Name, a.Name, b.Name, lines(d))
			}
		})
	}
	for _, list := range []map[string]string{o.Except, o.Sometimes} {
		for n := range list {
			if !known[n] {
				t.Errorf("an exception names program %s, which does not exist", n)
			}
		}
	}
	t.Logf("%d programs on %s and %s; %d could not be executed by one of them; %d exceptions", len(known), a.Name, b.Name, unable, len(o.Except))
}

func lines(d []string) string {
	var s string
	for _, l := range d {
		s += "\n  " + l
	}
	return s
}

func compareRandom(t *testing.T, a, b Side, o *CompareOptions, program func(seed uint64) Program) {
	n := o.Random
	if n == 0 {
		n = defaultRandom
	}
	if v, err := strconv.Atoi(os.Getenv("GOZEN_COMPARE")); err == nil {
		n = v
	}
	unable, excused, bad := 0, map[string]int{}, 0
	with(t, a, b, o, func(p pair) {
		for i := range n {
			prog := program(o.Seed + uint64(i))
			d, able := p.try(&prog)
			if !able {
				unable++
				continue
			}
			if len(d) == 0 {
				continue
			}
			if o.Known != nil {
				if why, ok := o.Known(&prog, d); ok {
					excused[why]++
					continue
				}
			}
			t.Errorf("%s (%s, %s): ... % x%s", prog.Name, a.Name, b.Name, prog.Code[max(0, len(prog.Code)-64):], lines(d))
			if bad++; bad == 5 {
				t.Error("more differences are not looked for")
				return
			}
		}
	})
	t.Logf("%d programs on %s and %s; %d could not be executed by one of them; known differences: %v", n, a.Name, b.Name, unable, excused)
}
