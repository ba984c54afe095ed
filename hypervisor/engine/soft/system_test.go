package soft

import (
	"encoding/binary"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// Layout of the machine that the tests of system behaviour use. The first 2 MiB are mapped one to one for ring 0; what lies
// at testVA is up to the test.
const (
	sysGDT    = 0x1000
	sysIDT    = 0x2000
	sysTSS    = 0x3000
	sysPML4   = 0x4000
	sysPDPT   = 0x5000
	sysPD     = 0x6000
	sysPT     = 0x7000
	sysStubs  = 0x8000 // 16 bytes for each vector: HLT
	sysCode   = 0x10000
	sysStack  = 0x20000
	sysIST1   = 0x28000
	testPDPT  = 0x30000
	testPD    = 0x31000
	testPT    = 0x32000
	testPages = 0x200000 // physical: what testVA is mapped to
	testVA    = 1 << 39

	selCode0, selData0 = 0x08, 0x10
	selCode3, selData3 = 0x28 | 3, 0x20 | 3
	selTSS             = 0x30
	selCode32          = 0x18
)

// sys is a vCPU in ring 0 of 64-bit mode with GDT, IDT and TSS. Every vector's handler is a HLT.
type sys struct {
	t   testing.TB
	mem *guestmem.Memory
	vm  *VM
	cpu *CPU
	st  x86.State
}

func newSys(t testing.TB) *sys {
	t.Helper()
	mem, err := guestmem.New([]guestmem.Range{{Base: 0, Size: 8 << 20}, {Base: 1 << 30, Size: 4 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mem.Close)
	vm, err := New(Config{Memory: mem})
	if err != nil {
		t.Fatal(err)
	}
	s := &sys{t: t, mem: mem, vm: vm}
	s.tables()
	s.cpu = s.newCPU(0)
	s.reset()
	return s
}

func (s *sys) newCPU(id int) *CPU {
	v, err := s.vm.NewVCPU(id)
	if err != nil {
		s.t.Fatal(err)
	}
	return v.(*CPU)
}

func (s *sys) put(a guestmem.GPA, v uint64) {
	s.t.Helper()
	if err := s.mem.Write64(a, v); err != nil {
		s.t.Fatal(err)
	}
}

func (s *sys) get(a guestmem.GPA) uint64 {
	s.t.Helper()
	v, err := s.mem.Read64(a)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *sys) tables() {
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff,
		0x0000890000000067 | sysTSS<<16, 0} {
		s.put(guestmem.GPA(sysGDT+8*i), d)
	}
	for v := 0; v < 256; v++ {
		h := uint64(sysStubs + 16*v)
		dpl := uint64(0)
		if v == 3 || v == 0x80 {
			dpl = 3
		}
		s.put(guestmem.GPA(sysIDT+16*v), h&0xffff|selCode0<<16|(0x8e00|dpl<<13)<<32|h>>16<<48)
		s.write(h, []byte{0xf4})
	}
	s.put(sysTSS+4, sysStack)    // RSP0
	s.put(sysTSS+0x24, sysIST1)  // IST1
	s.put(sysTSS+0x60, 0x67<<48) // I/O map beyond the limit
	s.put(sysPML4, sysPDPT|3)
	s.put(sysPDPT, sysPD|3)
	s.put(sysPD, sysPT|3)
	for i := uint64(0); i < 512; i++ {
		s.put(guestmem.GPA(sysPT+8*i), i<<12|3)
	}
	s.put(sysPML4+8, testPDPT|7)
	s.put(testPDPT, testPD|7)
	s.put(testPD, testPT|7)
}

// reset makes the state that a test starts from.
func (s *sys) reset() {
	st := x86.State{RIP: sysCode, RFLAGS: 2}
	st.GPR[x86.RSP] = sysStack
	st.Seg[x86.CS] = flat(selCode0, attrCode64)
	for _, n := range []int{x86.SS, x86.DS, x86.ES, x86.FS, x86.GS} {
		st.Seg[n] = flat(selData0, attrData)
	}
	st.TR = x86.Segment{Selector: selTSS, Base: sysTSS, Limit: 0x67, Attr: 0x8b}
	st.LDTR = x86.Segment{Attr: x86.AttrUnusable}
	st.GDTR, st.IDTR = x86.Table{Base: sysGDT, Limit: 0x3f}, x86.Table{Base: sysIDT, Limit: 0xfff}
	st.CR0, st.CR3, st.CR4 = x86.CR0PE|x86.CR0PG|x86.CR0WP|x86.CR0ET|x86.CR0NE, sysPML4, x86.CR4PAE|x86.CR4OSFXSR|x86.CR4PGE
	st.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERNXE | x86.EFERSCE
	st.DR[6], st.DR[7] = dr6Fixed, dr7Fixed
	st.PAT, st.FX.FCW, st.FX.MXCSR = x86.PATReset, 0x37f, x86.MXCSRReset
	s.st = st
}

// user makes the state one of ring 3.
func (s *sys) user() {
	s.st.Seg[x86.CS] = flat(selCode3, attrCode64|attrDPL3)
	for _, n := range []int{x86.SS, x86.DS, x86.ES} {
		s.st.Seg[n] = flat(selData3, attrData|attrDPL3)
	}
}

func (s *sys) write(a uint64, p []byte) {
	s.t.Helper()
	if err := s.mem.Write(guestmem.GPA(a), p); err != nil {
		s.t.Fatal(err)
	}
}

// code puts code at sysCode.
func (s *sys) code(f func(a *asm.Asm)) { s.codeAt(sysCode, sysCode, f) }

// codeAt puts code that runs at address va into physical memory at pa.
func (s *sys) codeAt(va, pa uint64, f func(a *asm.Asm)) {
	s.t.Helper()
	a := asm.New(va)
	f(a)
	b, err := a.Bytes()
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(pa, b)
}

// run loads the state and runs to the first exit.
func (s *sys) run() engine.Exit {
	s.t.Helper()
	if err := s.cpu.Set(&s.st); err != nil {
		s.t.Fatal(err)
	}
	return s.cont()
}

func (s *sys) cont() (e engine.Exit) {
	s.t.Helper()
	s.cpu.SetLimit(s.cpu.Instructions() + 1e6)
	if err := s.cpu.Run(&e); err != nil {
		s.t.Fatal(err)
	}
	s.cpu.Get(&s.st)
	return e
}

// fault is an exception as the handler finds it.
type gotFault struct {
	vector int
	err    uint64
	rip    uint64
	flags  uint64
}

// event reads the frame of the handler that the CPU halted in; vector -1 if it is in none.
func (s *sys) event(e engine.Exit) gotFault {
	s.t.Helper()
	if e.Kind != engine.ExitHLT || s.st.RIP < sysStubs || s.st.RIP >= sysStubs+16*256 {
		return gotFault{vector: -1}
	}
	g := gotFault{vector: int(s.st.RIP-sysStubs) / 16}
	sp := guestmem.GPA(s.st.GPR[x86.RSP])
	switch g.vector {
	case x86.VectorDF, x86.VectorTS, x86.VectorNP, x86.VectorSS, x86.VectorGP, x86.VectorPF, x86.VectorAC:
		g.err = s.get(sp)
		sp += 8
	}
	g.rip, g.flags = s.get(sp), s.get(sp+16)
	return g
}

func (s *sys) want(e engine.Exit, vector int, err uint64) gotFault {
	s.t.Helper()
	g := s.event(e)
	if g.vector != vector || g.err != err {
		s.t.Errorf("vector %d error %#x (exit %v at %#x), want vector %d error %#x", g.vector, g.err, e.Kind, s.st.RIP, vector, err)
	}
	return g
}

// loadImm is a helper: mov rax, [address in rbx].
func loadRBX(a *asm.Asm)  { a.Load(8, asm.RAX, asm.At(asm.RBX, 0)); a.Hlt() }
func storeRBX(a *asm.Asm) { a.Store(8, asm.At(asm.RBX, 0), asm.RAX); a.Hlt() }

func le(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
