package enginetest

import (
	"fmt"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// accessKind is what a program does at an address.
type accessKind int

const (
	reads accessKind = iota
	writes
	fetches
)

func (k accessKind) String() string { return [...]string{"read", "write", "fetch"}[k] }

// leaf is a size of page: where its entry is and what memory it maps testVA to.
type leaf struct {
	name  string
	entry guestmem.GPA
	base  uint64
	bits  uint64
}

var leaves = []leaf{{"4k", testPT, testPages, 0}, {"2m", testPD, testPages, ptePS}, {"1g", testPDPT, highRAM, ptePS}}

func pagingCases() []testCase {
	var list []testCase
	for _, l := range leaves {
		for _, k := range []accessKind{reads, writes, fetches} {
			list = append(list, on(fmt.Sprintf("rights %s %v", l.name, k), func(m *machine) { rights(m, l, k) }))
		}
		list = append(list, on("contents "+l.name, func(m *machine) { contents(m, l) }))
	}
	for _, r := range badEntries {
		list = append(list, on(r.name, func(m *machine) { badEntry(m, r) }))
	}
	return append(list,
		on("rights of upper levels", upperRights),
		on("write across pages writes nothing on a fault", writeCrossing),
		on("fetch across pages", fetchCrossing),
		on("read-modify-write faults as a write", rmwFault),
		on("invlpg", func(m *machine) { flushes(m, 0, func(a *asm.Asm) { a.Raw(0x0f, 0x01, 0x3b) }) }),
		on("invlpg of a global page", func(m *machine) { flushes(m, 1<<8, func(a *asm.Asm) { a.Raw(0x0f, 0x01, 0x3b) }) }),
		on("mov cr3 flushes", func(m *machine) { flushes(m, 0, func(a *asm.Asm) { a.FromCR(asm.RAX, 3); a.ToCR(3, asm.RAX) }) }),
		on("toggling pge flushes global pages", func(m *machine) {
			flushes(m, 1<<8, func(a *asm.Asm) {
				a.FromCR(asm.RAX, 4)
				a.OpI(asm.XOR, 8, asm.RAX, x86.CR4PGE)
				a.ToCR(4, asm.RAX)
				a.OpI(asm.XOR, 8, asm.RAX, x86.CR4PGE)
				a.ToCR(4, asm.RAX)
			})
		}),
		on("guest changes its tables", changesTables),
		on("implicit access is the supervisor's", implicitAccess),
	)
}

// need skips pages that the processor shown to the guest does not have.
func (m *machine) need(l leaf) {
	if l.name == "1g" && m.opts.No1GPages {
		m.Skipf("this host shows guests no pages of 1 GiB (CPUID 0x80000001 EDX bit 26)")
	}
}

// mapTest maps testVA by a leaf with rights.
func (m *machine) mapTest(l leaf, rights uint64) {
	m.put(testPDPT, testPD|7)
	m.put(testPD, testPT|7)
	m.put(l.entry, l.base|l.bits|rights)
}

// accessAt puts code where the state begins that does k at [rbx] and then UD2. What is fetched is UD2, too. (INT would do, but a host
// that interprets guest kernels may not know it there.)
func (m *machine) accessAt(k accessKind) {
	m.code(func(a *asm.Asm) {
		switch k {
		case reads:
			a.Load(8, asm.RAX, asm.At(asm.RBX, 0))
		case writes:
			a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		case fetches:
			a.Raw(0xff, 0xe3) // jmp rbx
		}
		a.Label("done")
		a.Ud2()
	})
	m.st.GPR[x86.RBX] = testVA
}

// went reports whether the access was made: the vCPU halted in the handler of UD2.
func (m *machine) went(k accessKind, e *engine.Exit) bool {
	at := m.get(guestmem.GPA(m.st.GPR[x86.RSP]))
	start := uint64(codeAt)
	if at>>39 == userVA>>39 {
		start = userVA
	}
	if k == fetches {
		return e.Kind == engine.ExitHLT && m.event().vector == x86.VectorUD && at == testVA
	}
	return e.Kind == engine.ExitHLT && m.event().vector == x86.VectorUD && at == start+3
}

func bit(on bool, n int) uint64 {
	if on {
		return 1 << n
	}
	return 0
}

// through makes the guest itself write an entry of its page tables, drop its translations, and go on in the state of m by IRETQ. What a host
// writes behind a guest's back need not be seen by one that shadows page tables.
func (m *machine) through(entry guestmem.GPA, value uint64) {
	const prologue, frame = codeAt + 0x800, 0x2f000
	st := &m.st
	for i, v := range []uint64{st.RIP, uint64(st.Seg[x86.CS].Selector), st.RFLAGS, st.GPR[x86.RSP], uint64(st.Seg[x86.SS].Selector)} {
		m.put(guestGPA(frame+8*i), v)
	}
	m.assemble(prologue, prologue, func(a *asm.Asm) {
		a.Store(8, asm.At(asm.RDI, 0), asm.RSI)
		a.FromCR(asm.RSI, 3)
		a.ToCR(3, asm.RSI)
		a.Iretq()
	})
	st.GPR[x86.RDI], st.GPR[x86.RSI] = uint64(entry), value
	st.RIP, st.RFLAGS, st.GPR[x86.RSP] = prologue, x86.FlagOne, frame
	st.Seg[x86.CS], st.Seg[x86.SS] = flat(code64Sel, attrCode64), flat(data0Sel, attrData)
}

// allowed gives the error code of an access to a present page, or -1 (SDM 3A 4.6 and 4.7).
func allowed(k accessKind, user, ac, w, u, nx, wp, smep, smap bool) int {
	bad := false
	switch {
	case user && !u, k == fetches && nx, k == fetches && !user && u && smep, k != fetches && !user && u && smap && !ac,
		k == writes && !w && (user || wp):
		bad = true
	}
	if !bad {
		return -1
	}
	code := x86.PFPresent
	if k == writes {
		code |= x86.PFWrite
	}
	if user {
		code |= x86.PFUser
	}
	if k == fetches {
		code |= x86.PFFetch // EFER.NXE is set
	}
	return code
}

// rights tries every combination of rights, ring and control bits for one size of page and one kind of access.
func rights(m *machine, l leaf, k accessKind) {
	m.need(l)
	m.mapTest(l, 0)
	for n := range 1 << 8 {
		on := func(i int) bool { return n>>i&1 != 0 }
		w, u, nx, user, wp, smep, smap, ac := on(0), on(1), on(2), on(3), on(4), on(5), on(6), on(7)
		m.reset()
		if user {
			m.user()
		}
		m.accessAt(k)
		m.write(l.base, []byte{0x0f, 0x0b})
		m.st.CR0 = m.st.CR0&^x86.CR0WP | bit(wp, 16)
		m.st.CR4 |= bit(smep, 20) | bit(smap, 21)
		m.st.RFLAGS |= bit(ac, 18)
		m.st.GPR[x86.RAX] = 0x0b0f
		m.through(l.entry, l.base|l.bits|pteP|bit(w, 1)|bit(u, 2)|bit(nx, 63))
		want := allowed(k, user, ac, w, u, nx, wp, smep, smap)
		e := m.run()
		g := m.event()
		name := fmt.Sprintf("w %v u %v nx %v user %v wp %v smep %v smap %v ac %v", w, u, nx, user, wp, smep, smap, ac)
		entry := m.get(l.entry)
		switch {
		case e.Kind != engine.ExitHLT || want < 0 && !m.went(k, &e) || want >= 0 && (g.vector != x86.VectorPF || g.err != uint64(want)):
			m.Errorf("%s: exit %v; %s; want error code %#x", name, e.Kind, m.where(), want)
		case want >= 0 && m.st.CR2 != testVA:
			m.Errorf("%s: cr2 %#x", name, m.st.CR2)
		case want < 0 && (entry&pteA == 0 || (entry&pteD != 0) != (k == writes)):
			m.Errorf("%s: accessed and dirty in the entry: %#x", name, entry)
		case want >= 0 && entry&pteD != 0:
			m.Errorf("%s: dirty after a fault: %#x", name, entry)
		}
	}
}

// contents: the page is the right one, at its start and inside.
func contents(m *machine, l leaf) {
	m.need(l)
	m.mapTest(l, 7)
	for i, off := range []uint64{0, 0x1ff8, 0x10000} {
		if l.bits == 0 && off >= 0x1000 {
			break
		}
		m.reset()
		m.write(l.base+off, le(pattern(i)))
		m.accessAt(reads)
		m.st.GPR[x86.RBX] = testVA + off
		e := m.run()
		if !m.went(reads, &e) || m.st.GPR[x86.RAX] != pattern(i) {
			m.Errorf("at %#x: %#x, want %#x; %s", off, m.st.GPR[x86.RAX], pattern(i), m.where())
		}
	}
}

type entryRow struct {
	name  string
	setup func(m *machine)
	code  uint64
}

// badEntries: entries that are absent or have reserved bits set (SDM 3A 4.5, table 4-14 and following).
var badEntries = []entryRow{
	{"not present", func(m *machine) { m.put(testPT, testPages|6) }, 0},
	{"table not present", func(m *machine) { m.put(testPD, 0) }, 0},
	{"pml4 entry not present", func(m *machine) { m.put(pml4At+8, 0) }, 0},
	{"reserved address bit", func(m *machine) { m.put(testPT, testPages|1<<51|7) }, x86.PFPresent | x86.PFRsvd},
	{"reserved address bit in a table entry", func(m *machine) { m.put(testPD, testPT|1<<51|7) }, x86.PFPresent | x86.PFRsvd},
	{"nx without nxe", func(m *machine) { m.put(testPT, testPages|pteNX|7); m.st.EFER &^= x86.EFERNXE }, x86.PFPresent | x86.PFRsvd},
	{"reserved bit of a 2m page", func(m *machine) { m.put(testPD, testPages|1<<13|ptePS|7) }, x86.PFPresent | x86.PFRsvd},
	{"reserved bit of a 1g page", func(m *machine) { m.put(testPDPT, highRAM|1<<20|ptePS|7) }, x86.PFPresent | x86.PFRsvd},
	{"ps in pml4", func(m *machine) { m.put(pml4At+8, testPDPT|ptePS|7) }, x86.PFPresent | x86.PFRsvd},
}

func badEntry(m *machine, r entryRow) {
	m.put(testPT, testPages|7)
	r.setup(m)
	for _, k := range []accessKind{reads, writes} {
		m.st.RIP, m.st.GPR[x86.RSP] = codeAt, stackAt
		m.accessAt(k)
		e := m.run()
		want := r.code
		if k == writes {
			want |= x86.PFWrite
		}
		if g := m.want(&e, x86.VectorPF, want); m.st.CR2 != testVA || g.rip != codeAt {
			m.Errorf("%v: cr2 %#x saved rip %#x", k, m.st.CR2, g.rip)
		}
	}
}

// upperRights: a right must be there at every level (SDM 3A 4.6.1).
func upperRights(m *machine) {
	entries := []guestmem.GPA{pml4At + 8, testPDPT, testPD, testPT}
	full := []uint64{testPDPT | 7, testPD | 7, testPT | 7, testPages | 7}
	for i, at := range entries {
		for _, c := range []struct {
			k      accessKind
			change func(uint64) uint64
			code   uint64
		}{
			{writes, func(v uint64) uint64 { return v &^ pteW }, x86.PFPresent | x86.PFWrite | x86.PFUser},
			{reads, func(v uint64) uint64 { return v &^ pteU }, x86.PFPresent | x86.PFUser},
			{fetches, func(v uint64) uint64 { return v | pteNX }, x86.PFPresent | x86.PFUser | x86.PFFetch},
		} {
			for j, a := range entries {
				m.put(a, full[j])
			}
			m.put(at, c.change(full[i]))
			m.reset()
			m.user()
			m.accessAt(c.k)
			e := m.run()
			m.want(&e, x86.VectorPF, c.code)
		}
	}
}

func writeCrossing(m *machine) {
	m.put(testPT, testPages|7)
	m.put(testPT+8, (testPages+0x1000)|5)
	m.write(testPages+0xff8, le(0x1122334455667788))
	m.accessAt(writes)
	m.st.GPR[x86.RBX], m.st.GPR[x86.RAX] = testVA+0xffc, ^uint64(0)
	e := m.run()
	m.want(&e, x86.VectorPF, x86.PFPresent|x86.PFWrite)
	if v := m.get(testPages + 0xff8); m.st.CR2 != testVA+0x1000 || v != 0x1122334455667788 {
		m.Errorf("cr2 %#x, memory %#x", m.st.CR2, v)
	}
}

// fetchCrossing: the second page of an instruction is missing; CR2 names it.
func fetchCrossing(m *machine) {
	m.put(testPT, testPages|7)
	m.write(testPages+0xffe, []byte{0x48, 0xb8}) // mov rax, imm64: the rest is missing
	m.code(func(a *asm.Asm) { a.Raw(0xff, 0xe3) })
	m.st.GPR[x86.RBX] = testVA + 0xffe
	e := m.run()
	if g := m.want(&e, x86.VectorPF, x86.PFFetch); m.st.CR2 != testVA+0x1000 || g.rip != testVA+0xffe {
		m.Errorf("cr2 %#x saved rip %#x", m.st.CR2, g.rip)
	}
}

func rmwFault(m *machine) {
	m.put(testPT, testPages|5)
	m.write(testPages, le(1))
	m.code(func(a *asm.Asm) { a.OpStore(asm.ADD, 8, asm.At(asm.RBX, 0), asm.RAX) })
	m.st.GPR[x86.RBX], m.st.GPR[x86.RAX] = testVA, 1
	e := m.run()
	m.want(&e, x86.VectorPF, x86.PFPresent|x86.PFWrite)
	if m.st.RFLAGS&x86.FlagsArith != 0 || m.get(testPages) != 1 {
		m.Errorf("flags %#x memory %d", m.st.RFLAGS, m.get(testPages))
	}
}

// flushes: the guest reads through a mapping, changes it, flushes, and reads again.
func flushes(m *machine, global uint64, flush func(a *asm.Asm)) {
	m.put(testPT, testPages|7|global)
	m.write(testPages, le(1))
	m.write(testPages+0x1000, le(2))
	m.st.GPR[x86.RBX], m.st.GPR[x86.RSI], m.st.GPR[x86.RDI] = testVA, testPT, testPages+0x1000|7|global
	m.code(func(a *asm.Asm) {
		a.Load(8, asm.RCX, asm.At(asm.RBX, 0))
		a.Store(8, asm.At(asm.RSI, 0), asm.RDI)
		flush(a)
		a.Load(8, asm.RDX, asm.At(asm.RBX, 0))
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RCX] != 1 || m.st.GPR[x86.RDX] != 2 {
		m.Errorf("read %d, then %d; %s", m.st.GPR[x86.RCX], m.st.GPR[x86.RDX], m.where())
	}
}

// changesTables: an entry that becomes present needs no flush, nor does one whose rights grow after the fault (SDM 3A 4.10.4.3).
func changesTables(m *machine) {
	m.st.GPR[x86.RBX], m.st.GPR[x86.RSI], m.st.GPR[x86.RDI] = testVA, testPT, testPages|7
	m.assemble(stubsAt+16*x86.VectorPF, stubsAt+16*x86.VectorPF, func(a *asm.Asm) {
		a.Store(8, asm.At(asm.RSI, 0), asm.RDI)
		a.Inc(8, asm.RDX)
		a.Pop(asm.RBP) // the error code
		a.Iretq()
	})
	m.write(testPages, le(7))
	m.code(func(a *asm.Asm) {
		a.Load(8, asm.RAX, asm.At(asm.RBX, 0))
		a.OpI(asm.AND, 8, asm.RDI, -3)
		a.Store(8, asm.At(asm.RSI, 0), asm.RDI)
		a.Raw(0x0f, 0x01, 0x3b) // invlpg: read-only now
		a.OpI(asm.OR, 8, asm.RDI, 2)
		a.Store(8, asm.At(asm.RBX, 0), asm.RBX) // faults once
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 7 || m.st.GPR[x86.RDX] != 2 || m.get(testPages) != testVA {
		m.Errorf("read %d, %d faults, memory %#x; %s", m.st.GPR[x86.RAX], m.st.GPR[x86.RDX], m.get(testPages), m.where())
	}
}

// implicitAccess: the frame of an interrupt from ring 3 goes to a supervisor page under SMAP, and a descriptor is read from one.
func implicitAccess(m *machine) {
	m.user()
	m.st.CR4 |= x86.CR4SMAP | x86.CR4SMEP
	m.code(func(a *asm.Asm) {
		a.MovI(asm.RAX, data3Sel)
		a.Raw(0x8e, 0xd8) // mov ds, eax
		a.Ud2()
	})
	e := m.run()
	if g := m.want(&e, x86.VectorUD, 0); g.rsp != userStack {
		m.Errorf("saved rsp %#x", g.rsp)
	}
}
