package enginetest

import (
	"encoding/binary"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// The machine of the cases outside IA-32e mode: 32-bit code, paging as a pager has it. Descriptors, handlers, code and stack lie where machine.go puts them,
// and the first 4 MiB are mapped one to one for ring 0.
const (
	idt32At, tss32At    = 0x60000, 0x61000
	root32At            = 0x62000
	low32PT             = 0x63000 // and a second page under PAE
	low32PD, test32PD   = 0x65000, 0x66000
	user32PD            = 0x67000
	test32PT, user32PT  = 0x68000, 0x69000
	other32             = 0x6a000 // a page for the case
	testVA32            = 0x40000000
	userVA32            = 0x80000000
	userStack32         = userVA32 + 0x8000
	prologue32, frame32 = codeAt + 0x800, 0x2f000
	large32             = 0x400000 // physical: a page of 4 MiB
)

// pager is a kind of paging.
type pager struct {
	name  string
	pae   bool
	entry uint64       // bytes
	root  uint64       // CR3
	dir   guestmem.GPA // the directory's entry for testVA32; its table begins with the one for the page
	leafs []leaf
}

var pagers = []pager{
	{name: "32-bit", entry: 4, root: root32At, dir: root32At + 4*(testVA32>>22),
		leafs: []leaf{{"4k", test32PT, testPages, 0}, {"4m", root32At + 4*(testVA32>>22), large32, ptePS}}},
	{name: "pae", pae: true, entry: 8, root: root32At + 0x20, dir: test32PD,
		leafs: []leaf{{"4k", test32PT, testPages, 0}, {"2m", test32PD, testPages, ptePS}}},
}

// under makes a case of a function that wants a machine in 32-bit mode.
func under(p *pager, name string, f func(*machine, *pager)) testCase {
	return on(p.name+" "+name, func(m *machine) {
		m.legacy = true
		m.tables32(p)
		m.reset32(p)
		f(m, p)
	})
}

func (m *machine) put32(a guestmem.GPA, v uint64) {
	m.ok(m.mem.Write(a, binary.LittleEndian.AppendUint32(nil, uint32(v))))
}

func (m *machine) get32(a guestmem.GPA) uint64 { return m.get(a) & 0xffffffff }

// putEntry writes an entry of a pager's tables, getEntry reads one.
func (m *machine) putEntry(p *pager, a guestmem.GPA, v uint64) {
	if p.pae {
		m.put(a, v)
		return
	}
	m.put32(a, v)
}

func (m *machine) getEntry(p *pager, a guestmem.GPA) uint64 {
	if p.pae {
		return m.get(a)
	}
	return m.get32(a)
}

// tables32 writes page tables, gates and a TSS of 32 bits.
func (m *machine) tables32(p *pager) {
	for v := range 256 {
		m.gate32(v, stubsAt+16*uint64(v), 0x8e)
	}
	m.put32(tss32At+4, stackAt)     // ESP0 (SDM 3A figure 7-2)
	m.put32(tss32At+8, data0Sel)    // SS0
	m.put32(tss32At+0x64, 0x68<<16) // I/O map beyond the limit
	n := guestmem.GPA(p.entry)
	for i := range guestmem.GPA(1024) {
		m.putEntry(p, low32PT+n*i, uint64(i)<<12|3)
	}
	for i := range guestmem.GPA(16) {
		m.putEntry(p, user32PT+n*i, userPages+uint64(i)<<12|7)
	}
	if !p.pae {
		m.put32(root32At, low32PT|3)
		m.put32(root32At+4*(testVA32>>22), test32PT|7)
		m.put32(root32At+4*(userVA32>>22), user32PT|7)
		return
	}
	root := guestmem.GPA(p.root)
	m.put(root, low32PD|1)
	m.put(root+8, test32PD|1)
	m.put(root+16, user32PD|1)
	m.put(root+24, 0)
	m.put(low32PD, low32PT|3)
	m.put(low32PD+8, low32PT+0x1000|3)
	m.put(test32PD, test32PT|7)
	m.put(user32PD, user32PT|7)
}

// gate32 makes a gate; kind is its access byte: 8e an interrupt gate, 8f a trap gate, 86 one of 16 bits. Those that programs raise themselves are open to
// ring 3.
func (m *machine) gate32(v int, handler, kind uint64) {
	if v == x86.VectorBP || v == x86.VectorOF || v == 0x80 || v == 0x81 {
		kind |= 3 << 5
	}
	m.put(guestmem.GPA(idt32At+8*v), handler&0xffff|code32Sel<<16|kind<<40|handler>>16<<48)
}

// reset32 makes the state that a case starts from: ring 0, paging on.
func (m *machine) reset32(p *pager) {
	m.reset()
	st := &m.st
	st.Seg[x86.CS] = flat(code32Sel, attrCode32)
	st.TR = x86.Segment{Selector: tssSel, Base: tss32At, Limit: 0x67, Attr: attrTSS}
	st.IDTR = x86.Table{Base: idt32At, Limit: 0x7ff}
	st.CR3, st.EFER = p.root, 0
	st.CR4 = st.CR4&^x86.CR4PAE | x86.CR4PSE
	if p.pae {
		st.CR4 |= x86.CR4PAE
		st.EFER = x86.EFERNXE
	}
}

// user32 makes the state one of ring 3, at userVA32.
func (m *machine) user32() {
	m.st.Seg[x86.CS] = flat(user32Sel, attrCode32|attrDPL3)
	for _, n := range []int{x86.SS, x86.DS, x86.ES} {
		m.st.Seg[n] = flat(data3Sel, attrData|attrDPL3)
	}
	m.st.RIP, m.st.GPR[x86.RSP] = userVA32, userStack32
}

// code32 puts 32-bit code where the state begins.
func (m *machine) code32(f func(a *asm.Asm)) {
	va, pa := m.st.RIP, uint64(codeAt)
	if va == userVA32 {
		pa = userPages
	}
	m.assemble32(va, pa, f)
}

func (m *machine) assemble32(va, pa uint64, f func(a *asm.Asm)) {
	m.assemble(va, pa, func(a *asm.Asm) {
		a.Bits = 32
		f(a)
	})
}

// through32 is through for this machine: the guest writes the entry, drops its translations and goes on in the state of m by IRET.
func (m *machine) through32(p *pager, entry guestmem.GPA, value uint64) {
	st := &m.st
	words := []uint64{st.RIP, uint64(st.Seg[x86.CS].Selector), st.RFLAGS, st.GPR[x86.RSP], uint64(st.Seg[x86.SS].Selector)}
	at := uint64(frame32)
	if st.Seg[x86.CS].Selector&3 == 0 { // no change of rings: ESP is what is behind the three words
		words = words[:3]
		at = st.GPR[x86.RSP] - 12
	}
	for i, v := range words {
		m.put32(guestmem.GPA(at)+4*guestmem.GPA(i), v)
	}
	m.assemble32(prologue32, prologue32, func(a *asm.Asm) {
		if p.pae {
			a.Store(4, asm.At(asm.RDI, 4), asm.RDX)
		}
		a.Store(4, asm.At(asm.RDI, 0), asm.RSI)
		a.FromCR(asm.RSI, 3)
		a.ToCR(3, asm.RSI)
		a.Raw(0xcf)
	})
	st.GPR[x86.RDI], st.GPR[x86.RSI], st.GPR[x86.RDX] = uint64(entry), value&0xffffffff, value>>32
	st.RIP, st.RFLAGS, st.GPR[x86.RSP] = prologue32, x86.FlagOne, at
	st.Seg[x86.CS], st.Seg[x86.SS] = flat(code32Sel, attrCode32), flat(data0Sel, attrData)
}

// accessAt32 puts code where the state begins that does k at [ebx], and then UD2; what is fetched is UD2, too.
func (m *machine) accessAt32(k accessKind) {
	m.code32(func(a *asm.Asm) {
		switch k {
		case reads:
			a.Load(4, asm.RAX, asm.At(asm.RBX, 0))
		case writes:
			a.Store(4, asm.At(asm.RBX, 0), asm.RAX)
		case fetches:
			a.Raw(0xff, 0xe3) // jmp ebx
		}
		a.Ud2()
	})
	m.st.GPR[x86.RBX] = testVA32
}

// went32 reports whether the access was made: the vCPU halted in the handler of the UD2.
func (m *machine) went32(k accessKind, start uint64, e *engine.Exit) bool {
	g := m.event()
	if e.Kind != engine.ExitHLT || g.vector != x86.VectorUD {
		return false
	}
	if k == fetches {
		return g.rip == testVA32
	}
	return g.rip == start+2
}
