package enginetest

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

type entryRow32 struct {
	name      string
	pae, both bool
	setup     func(m *machine)
	code      uint64
}

// Places of entries for testVA32.
const (
	dir32     = root32At + 4*(testVA32>>22)
	pointer32 = root32At + 0x20 + 8*(testVA32>>30)
)

// badEntries32: entries that are absent or have reserved bits set (SDM 3A tables 4-4 to 4-6 and 4-8 to 4-11). PAE reserves bits that 4-level paging ignores.
var badEntries32 = []entryRow32{
	{name: "not present", both: true, setup: func(m *machine) { m.put32(test32PT, testPages|6) }},
	{name: "table not present", setup: func(m *machine) { m.put32(dir32, 0) }},
	{name: "table not present", pae: true, setup: func(m *machine) { m.put(test32PD, 0) }},
	{name: "pointer not present", pae: true, setup: func(m *machine) { m.put(pointer32, test32PD) }},
	{name: "reserved bit of a 4m page", setup: func(m *machine) { m.put32(dir32, large32|1<<21|ptePS|7) }, code: x86.PFPresent | x86.PFRsvd},
	{name: "reserved address bit", pae: true, setup: func(m *machine) { m.put(test32PT, testPages|1<<51|7) }, code: x86.PFPresent | x86.PFRsvd},
	{name: "reserved address bit in a table entry", pae: true, setup: func(m *machine) { m.put(test32PD, test32PT|1<<51|7) }, code: x86.PFPresent | x86.PFRsvd},
	{name: "reserved bit 52", pae: true, setup: func(m *machine) { m.put(test32PT, testPages|1<<52|7) }, code: x86.PFPresent | x86.PFRsvd},
	{name: "reserved bit 62 in a table entry", pae: true, setup: func(m *machine) { m.put(test32PD, test32PT|1<<62|7) }, code: x86.PFPresent | x86.PFRsvd},
	{name: "nx without nxe", pae: true, setup: func(m *machine) { m.put(test32PT, testPages|pteNX|7); m.st.EFER = 0 }, code: x86.PFPresent | x86.PFRsvd},
	{name: "reserved bit of a 2m page", pae: true, setup: func(m *machine) { m.put(test32PD, testPages|1<<13|ptePS|7) }, code: x86.PFPresent | x86.PFRsvd},
}

func badEntry32(m *machine, r entryRow32) {
	m.put32(test32PT, testPages|7)
	r.setup(m)
	for _, k := range []accessKind{reads, writes} {
		m.st.RIP, m.st.GPR[x86.RSP] = codeAt, stackAt
		m.accessAt32(k)
		e := m.run()
		want := r.code
		if k == writes {
			want |= x86.PFWrite
		}
		if g := m.want(&e, x86.VectorPF, want); m.st.CR2 != testVA32 || g.rip != codeAt {
			m.Errorf("%v: cr2 %#x saved rip %#x", k, m.st.CR2, g.rip)
		}
	}
}

// psWithoutPSE: without CR4.PSE, bit 7 of a directory entry means nothing (SDM 3A 4.3).
func psWithoutPSE(m *machine, p *pager) {
	m.st.CR4 &^= x86.CR4PSE
	m.put32(dir32, test32PT|ptePS|7)
	m.put32(test32PT, testPages|7)
	m.write(testPages, le(0x1234))
	m.accessAt32(reads)
	e := m.run()
	if !m.went32(reads, codeAt, &e) || m.st.GPR[x86.RAX] != 0x1234 {
		m.Errorf("read %#x; %s", m.st.GPR[x86.RAX], m.where())
	}
}

// pse36: bits 13 to 20 of the entry of a 4 MiB page are address bits 32 to 39. Nothing is there, so that the access shows where it went.
func pse36(m *machine, p *pager) {
	m.put32(dir32, large32|ptePS|7|5<<13)
	m.accessAt32(reads)
	m.st.GPR[x86.RBX] = testVA32 + 0x12340
	e := m.run()
	m.expect(&e, engine.ExitMMIO)
	if e.GPA != 5<<32+large32+0x12340 || e.Write {
		m.Errorf("exit %s", describe(&e))
	}
}

// switchPaging: a guest turns paging off, PAE on, and paging on again.
func switchPaging(m *machine, p *pager) {
	m.write(testPages, le(0x5678))
	m.put(other32, low32PD|1)
	m.put(other32+8, test32PD|1)
	m.put(other32+16, 0)
	m.put(other32+24, 0)
	m.put(low32PD, 0x83)
	m.put(low32PD+8, 0x200083)
	m.put(test32PD, testPages|ptePS|3)
	m.code32(func(a *asm.Asm) {
		a.FromCR(asm.RAX, 0)
		a.OpI(asm.AND, 4, asm.RAX, 0x7fffffff)
		a.ToCR(0, asm.RAX)
		a.FromCR(asm.RCX, 4)
		a.OpI(asm.OR, 4, asm.RCX, x86.CR4PAE)
		a.ToCR(4, asm.RCX)
		a.MovI(asm.RCX, other32)
		a.ToCR(3, asm.RCX)
		a.OpI(asm.OR, 4, asm.RAX, -1<<31)
		a.ToCR(0, asm.RAX)
		a.Load(4, asm.RDX, asm.At(asm.RBX, 0))
		a.Hlt()
	})
	m.st.GPR[x86.RBX] = testVA32
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RDX] != 0x5678 || m.st.CR4&x86.CR4PAE == 0 || m.st.CR0&x86.CR0PG == 0 {
		m.Errorf("read %#x; cr0 %#x cr4 %#x; %s", m.st.GPR[x86.RDX], m.st.CR0, m.st.CR4, m.where())
	}
}

// badPointer is a present page-directory-pointer-table entry with a reserved bit (SDM 3A table 4-8).
const badPointer = 3

// badPointersCR3: MOV to CR3 loads the four pointers, and refuses a present one with reserved bits (SDM 3A 4.4.1).
func badPointersCR3(m *machine, p *pager) {
	m.put(other32, low32PD|1)
	m.put(other32+8, test32PD|1)
	m.put(other32+16, user32PD|1)
	for _, bad := range []uint64{badPointer, 1 | 1<<8, 1 | 1<<52, 1 | pteNX} {
		m.put(other32+24, bad)
		m.reset32(p)
		m.code32(func(a *asm.Asm) {
			a.MovI(asm.RAX, other32)
			a.ToCR(3, asm.RAX)
		})
		e := m.run()
		if g := m.want(&e, x86.VectorGP, 0); g.rip != codeAt+5 || m.st.CR3 != p.root {
			m.Errorf("%#x: saved rip %#x cr3 %#x", bad, g.rip, m.st.CR3)
		}
	}
}

// badPointersCR4: so does MOV to CR4 that changes PAE, PGE, PSE or SMEP.
func badPointersCR4(m *machine, p *pager) {
	for _, b := range []int32{x86.CR4PGE, x86.CR4PSE, x86.CR4SMEP} {
		m.reset32(p)
		m.put(pointer32+16, 0)
		cr4 := m.st.CR4
		m.code32(func(a *asm.Asm) {
			a.MovI(asm.RDX, badPointer)
			a.Store(4, asm.Abs(pointer32+16), asm.RDX)
			a.FromCR(asm.RAX, 4)
			a.OpI(asm.XOR, 4, asm.RAX, b)
			a.ToCR(4, asm.RAX)
		})
		e := m.run()
		if m.want(&e, x86.VectorGP, 0); m.st.CR4 != cr4 {
			m.Errorf("cr4 %#x, want %#x", m.st.CR4, cr4)
		}
	}
}

// badPointersCR0: and MOV to CR0 that turns paging on.
func badPointersCR0(m *machine, p *pager) {
	m.put(pointer32+16, badPointer)
	m.st.CR0 &^= x86.CR0PG
	m.code32(func(a *asm.Asm) {
		a.FromCR(asm.RAX, 0)
		a.OpI(asm.OR, 4, asm.RAX, -1<<31)
		a.ToCR(0, asm.RAX)
	})
	e := m.run()
	if m.want(&e, x86.VectorGP, 0); m.st.CR0&x86.CR0PG != 0 {
		m.Errorf("cr0 %#x", m.st.CR0)
	}
}

func absentPointers(m *machine, p *pager) {
	m.put(pointer32+16, ^uint64(1))
	m.code32(func(a *asm.Asm) {
		a.FromCR(asm.RAX, 3)
		a.ToCR(3, asm.RAX)
		a.MovI(asm.RBX, 0xc0000000)
		a.Load(4, asm.RAX, asm.At(asm.RBX, 0))
	})
	e := m.run()
	if m.want(&e, x86.VectorPF, 0); m.st.CR2 != 0xc0000000 {
		m.Errorf("cr2 %#x", m.st.CR2)
	}
}
