package enginetest

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// The machine of the cases. The first 2 MiB are mapped one to one for ring 0. testVA is up to the case. userVA holds code and stack of ring 3.
const (
	gdtAt   = 0x1000
	idtAt   = 0x2000
	tssAt   = 0x3000
	pml4At  = 0x4000
	stubsAt = 0x8000 // 16 bytes for each vector: HLT
	codeAt  = 0x10000
	stackAt = 0x20000 // grows down
	ist1At  = 0x28000
	dataAt  = 0x50000

	pdptAt, pdAt, ptAt              = 0x5000, 0x6000, 0x7000
	testPDPT, testPD, testPT        = 0x30000, 0x31000, 0x32000
	userPDPT, userPD, userPT        = 0x33000, 0x34000, 0x35000
	testPages                       = 0x200000 // physical: what testVA is mapped to by default
	userPages                       = 0x280000
	highRAM                         = 1 << 30
	nowhere                         = 0xf0000000 // no memory there
	testVA                   uint64 = 1 << 39
	userVA                   uint64 = 2 << 39
	userStack                       = userVA + 0x8000

	code64Sel, data0Sel, code32Sel = 0x08, 0x10, 0x18
	data3Sel, code3Sel             = 0x20 | 3, 0x28 | 3
	tssSel                         = 0x30
	absentSel                      = 0x40 // a data segment that is not present
	user32Sel                      = 0x48 | 3
	lastGDT                        = 0x4f
)

// Segment attributes as x86.Segment has them.
const (
	attrCode64 = 0xa09b
	attrCode32 = 0xc09b
	attrData   = 0xc093
	attrDPL3   = 3 << x86.AttrDPLShift
	attrTSS    = 0x8b
)

// Bits of page-table entries (SDM 3A 4.5).
const (
	pteP  = 1 << 0
	pteW  = 1 << 1
	pteU  = 1 << 2
	pteA  = 1 << 5
	pteD  = 1 << 6
	ptePS = 1 << 7
	pteNX = 1 << 63
)

// patience bounds every run of a vCPU.
const patience = 20 * time.Second

// machine is a VM with one vCPU in ring 0 of 64-bit mode, with GDT, IDT and TSS. Every vector's handler is a HLT.
type machine struct {
	*C
	mem   *guestmem.Memory
	vm    engine.VM
	cpu   engine.VCPU
	st    x86.State
	flush uint64
	// compare is set on the machines of Compare.
	compare *CompareOptions
	// legacy: outside IA-32e mode, where frames have 32-bit words.
	legacy bool
}

func newMachine(c *C) *machine { return newMachineOf(c, 1) }

func newMachineOf(c *C, vcpus int) *machine {
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 8 << 20}, {Base: highRAM, Size: 4 << 20}})
	c.ok(err)
	c.Cleanup(mem.Close)
	m := &machine{C: c, mem: mem, vm: c.open(c, mem, vcpus)}
	c.Cleanup(func() { _ = m.vm.Close() })
	m.tables()
	m.cpu, err = m.vm.NewVCPU(0)
	c.ok(err)
	m.reset()
	return m
}

func (m *machine) put(a guestmem.GPA, v uint64) { m.ok(m.mem.Write64(a, v)) }

func (m *machine) get(a guestmem.GPA) uint64 {
	v, err := m.mem.Read64(a)
	m.ok(err)
	return v
}

func (m *machine) write(a uint64, p []byte) { m.ok(m.mem.Write(guestmem.GPA(a), p)) }

func (m *machine) read(a uint64, n int) []byte {
	p := make([]byte, n)
	m.ok(m.mem.Read(guestmem.GPA(a), p))
	return p
}

// tables writes descriptor tables, handlers and page tables.
func (m *machine) tables() {
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff,
		0x0000890000000067 | tssAt<<16, 0, 0x00cf13000000ffff, 0x00cffb000000ffff} {
		m.put(guestmem.GPA(gdtAt+8*i), d)
	}
	for v := 0; v < 256; v++ {
		m.gate(v, uint64(stubsAt+16*v), 0)
		m.write(uint64(stubsAt+16*v), []byte{0xf4})
	}
	m.put(tssAt+4, stackAt)     // RSP0 (SDM 3A figure 7-11)
	m.put(tssAt+0x24, ist1At)   // IST1
	m.put(tssAt+0x60, 0x68<<48) // I/O map beyond the limit
	m.put(pml4At, pdptAt|3)
	m.put(pdptAt, pdAt|3)
	m.put(pdAt, ptAt|3)
	for i := uint64(0); i < 512; i++ {
		m.put(guestmem.GPA(ptAt+8*i), i<<12|3)
		m.put(guestmem.GPA(testPT+8*i), 0)
	}
	m.put(pml4At+8, testPDPT|7)
	m.put(testPDPT, testPD|7)
	m.put(testPD, testPT|7)
	m.put(pml4At+16, userPDPT|7)
	m.put(userPDPT, userPD|7)
	m.put(userPD, userPT|7)
	for i := uint64(0); i < 16; i++ {
		m.put(guestmem.GPA(userPT+8*i), userPages+i<<12|7)
	}
}

// gate makes an interrupt gate; those that programs raise themselves are open to ring 3.
func (m *machine) gate(v int, handler uint64, ist uint64) {
	dpl := uint64(0)
	if v == x86.VectorBP || v == x86.VectorOF || v == 0x80 || v == 0x81 {
		dpl = 3
	}
	m.put(guestmem.GPA(idtAt+16*v), handler&0xffff|code64Sel<<16|(0x8e00|dpl<<13|ist)<<32|handler>>16<<48)
	m.put(guestmem.GPA(idtAt+16*v+8), handler>>32)
}

func flat(sel uint16, attr uint32) x86.Segment {
	return x86.Segment{Selector: sel, Limit: 0xffffffff, Attr: attr}
}

// reset makes the state that a case starts from.
func (m *machine) reset() {
	st := x86.State{RIP: codeAt, RFLAGS: x86.FlagOne}
	st.GPR[x86.RSP] = stackAt
	st.Seg[x86.CS] = flat(code64Sel, attrCode64)
	for _, n := range []int{x86.SS, x86.DS, x86.ES, x86.FS, x86.GS} {
		st.Seg[n] = flat(data0Sel, attrData)
	}
	st.TR = x86.Segment{Selector: tssSel, Base: tssAt, Limit: 0x67, Attr: attrTSS}
	st.LDTR = x86.Segment{Attr: x86.AttrUnusable}
	st.GDTR, st.IDTR = x86.Table{Base: gdtAt, Limit: lastGDT}, x86.Table{Base: idtAt, Limit: 0xfff}
	st.CR0, st.CR3 = x86.CR0PE|x86.CR0PG|x86.CR0WP|x86.CR0ET|x86.CR0NE|x86.CR0MP, pml4At
	st.CR4 = x86.CR4PAE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT | x86.CR4PGE
	st.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERNXE | x86.EFERSCE
	st.DR[6], st.DR[7] = 0xffff0ff0, 0x400
	st.PAT, st.XCR0, st.MiscEnable = x86.PATReset, 1, 1
	st.FX.FCW, st.FX.MXCSR = 0x37f, x86.MXCSRReset
	m.st = st
}

// user makes the state one of ring 3, at userVA.
func (m *machine) user() {
	m.st.Seg[x86.CS] = flat(code3Sel, attrCode64|attrDPL3)
	for _, n := range []int{x86.SS, x86.DS, x86.ES} {
		m.st.Seg[n] = flat(data3Sel, attrData|attrDPL3)
	}
	m.st.RIP, m.st.GPR[x86.RSP] = userVA, userStack
}

// endless says that the guest loops without exits: with interrupts on, since there are emulated hosts (Bochs 2.7) that do not come back from a guest
// that has them off.
func (m *machine) endless() { m.st.RFLAGS |= x86.FlagIF }

// code puts code where the state begins, for ring 0 or 3.
func (m *machine) code(f func(a *asm.Asm)) {
	if m.st.RIP == userVA {
		m.assemble(userVA, userPages, f)
		return
	}
	m.assemble(codeAt, codeAt, f)
}

// assemble puts code that runs at address va into physical memory at pa, and gives its labels.
func (m *machine) assemble(va, pa uint64, f func(a *asm.Asm)) *asm.Asm {
	a := asm.New(va)
	f(a)
	b, err := a.Bytes()
	m.ok(err)
	m.write(pa, b)
	return a
}

// load sets the vCPU's state. The page tables may have been changed behind the processor's back: a bit of CR3 that
// means nothing here (PWT, SDM 3A table 4-12) changes each time, so that engines which keep translations drop them.
func (m *machine) load() {
	m.flush ^= 1 << 3
	st := m.st
	st.CR3 |= m.flush
	if m.legacy && m.opts.IdleTSS {
		st.TR.Attr &^= 2
	}
	m.ok(m.cpu.Set(&st))
}

// run loads the state and runs to the first exit.
func (m *machine) run() engine.Exit {
	m.load()
	var e engine.Exit
	m.cont(&e)
	return e
}

// cont runs to the next exit, with the answer to the last one in e, and reads the state.
func (m *machine) cont(e *engine.Exit) {
	m.enter(m.cpu, e)
	m.cpu.Get(&m.st)
	m.st.CR3 &^= 1 << 3
}

// enter runs a vCPU to the next exit.
func (m *machine) enter(cpu engine.VCPU, e *engine.Exit) {
	var stuck atomic.Bool
	defer time.AfterFunc(patience, func() { stuck.Store(true); cpu.Kick() }).Stop()
	for {
		if err := cpu.Run(e); err != nil {
			m.Fatalf("Run: %v", err)
		}
		switch {
		case stuck.Load():
			m.Fatalf("the vCPU did not exit within %v", patience)
		case e.Kind != engine.ExitSignal:
			return
		}
	}
}

// expect wants an exit of a kind.
func (m *machine) expect(e *engine.Exit, k engine.Kind) {
	if e.Kind != k {
		m.Fatalf("exit %v %s, want %v; %v", e.Kind, describe(e), k, m.where())
	}
}

func describe(e *engine.Exit) string {
	switch e.Kind {
	case engine.ExitIO:
		return fmt.Sprintf("(port %#x size %d write %v data %#x)", e.Port, e.Size, e.Write, e.Data)
	case engine.ExitMMIO:
		return fmt.Sprintf("(%#x size %d write %v data %#x)", uint64(e.GPA), e.Size, e.Write, e.Data)
	case engine.ExitRDMSR, engine.ExitWRMSR:
		return fmt.Sprintf("(msr %#x)", e.MSR)
	case engine.ExitInternal:
		return "(" + e.Reason + ")"
	}
	return ""
}

// where says where the vCPU is, with the event it is in.
func (m *machine) where() string {
	s := fmt.Sprintf("rip %#x", m.st.RIP)
	if g := m.event(); g.vector >= 0 {
		s += fmt.Sprintf(", in the handler of vector %d, error %#x, saved rip %#x, cr2 %#x", g.vector, g.err, g.rip, m.st.CR2)
	}
	return s
}

// event is an exception or interrupt as its handler finds it.
type event struct {
	vector         int // -1: the vCPU is in no handler
	err            uint64
	rip, cs, flags uint64
	rsp, ss        uint64
}

func hasError(vector int) bool {
	switch vector {
	case x86.VectorDF, x86.VectorTS, x86.VectorNP, x86.VectorSS, x86.VectorGP, x86.VectorPF, x86.VectorAC:
		return true
	}
	return false
}

// event reads the frame of the handler that the vCPU halted in.
func (m *machine) event() event {
	if m.st.RIP <= stubsAt || m.st.RIP >= stubsAt+16*256 {
		return event{vector: -1}
	}
	g := event{vector: int(m.st.RIP-stubsAt) / 16}
	sp := m.st.GPR[x86.RSP]
	if sp >= 8<<20-64 {
		return g
	}
	word := func() (v uint64) {
		if v = m.get(guestmem.GPA(sp)); m.legacy {
			v &= 0xffffffff
			sp -= 4
		}
		sp += 8
		return v
	}
	if hasError(g.vector) {
		g.err = word()
	}
	g.rip, g.cs, g.flags, g.rsp, g.ss = word(), word(), word(), word(), word()
	return g
}

// want wants the vCPU to have halted in the handler of a vector with an error code.
func (m *machine) want(e *engine.Exit, vector int, err uint64) event {
	g := m.event()
	if e.Kind != engine.ExitHLT || g.vector != vector || hasError(vector) && g.err != err {
		m.Fatalf("exit %v %s; %s; want vector %d error %#x", e.Kind, describe(e), m.where(), vector, err)
	}
	return g
}

func le(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func guestGPA(n int) guestmem.GPA { return guestmem.GPA(n) }
