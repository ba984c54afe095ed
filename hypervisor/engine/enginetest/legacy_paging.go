package enginetest

import (
	"fmt"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// legacyCases are those of 32-bit kernels.
func legacyCases() []testCase {
	var list []testCase
	for i := range pagers {
		p := &pagers[i]
		for _, l := range p.leafs {
			for _, k := range []accessKind{reads, writes, fetches} {
				list = append(list, under(p, fmt.Sprintf("rights %s %v", l.name, k), func(m *machine, p *pager) { rights32(m, p, l, k) }))
			}
			list = append(list,
				under(p, "contents "+l.name, func(m *machine, p *pager) { contents32(m, p, l) }),
				under(p, "invlpg "+l.name, func(m *machine, p *pager) { flushes32(m, p, l, 0, func(a *asm.Asm) { a.Raw(0x0f, 0x01, 0x3b) }) }))
		}
		for _, r := range badEntries32 {
			if r.pae == p.pae || r.both {
				list = append(list, under(p, r.name, func(m *machine, p *pager) { badEntry32(m, r) }))
			}
		}
		list = append(list,
			under(p, "rights of upper levels", upperRights32),
			under(p, "mov cr3 flushes", func(m *machine, p *pager) {
				flushes32(m, p, p.leafs[0], 0, func(a *asm.Asm) { a.FromCR(asm.RAX, 3); a.ToCR(3, asm.RAX) })
			}),
			under(p, "toggling pge flushes global pages", func(m *machine, p *pager) { flushes32(m, p, p.leafs[0], 1<<8, togglePGE) }),
			under(p, "write across pages writes nothing on a fault", writeCrossing32),
		)
	}
	legacy, pae := &pagers[0], &pagers[1]
	list = append(list,
		under(legacy, "ps without pse", psWithoutPSE),
		under(legacy, "pse-36", pse36),
		under(legacy, "then pae", switchPaging),
		under(pae, "mov cr3 to bad pointers", badPointersCR3),
		under(pae, "mov cr4 with bad pointers", badPointersCR4),
		under(pae, "mov cr0 with bad pointers", badPointersCR0),
		under(pae, "absent pointers may hold anything", absentPointers),
	)
	return append(list, legacyRingCases()...)
}

func togglePGE(a *asm.Asm) {
	a.FromCR(asm.RAX, 4)
	for range 2 {
		a.OpI(asm.XOR, 4, asm.RAX, x86.CR4PGE)
		a.ToCR(4, asm.RAX)
	}
}

// rights32 tries every combination of rights, ring and control bits. Only PAE has NX, and an error code that tells a fetch without SMEP.
func rights32(m *machine, p *pager, l leaf, k accessKind) {
	for n := range 1 << 8 {
		on := func(i int) bool { return n>>i&1 != 0 }
		w, u, nx, user, wp, smep, smap, ac := on(0), on(1), on(2), on(3), on(4), on(5), on(6), on(7)
		if nx && !p.pae {
			continue
		}
		m.reset32(p)
		if user {
			m.user32()
		}
		start := m.st.RIP
		m.accessAt32(k)
		m.write(l.base, []byte{0x0f, 0x0b})
		m.st.CR0 = m.st.CR0&^x86.CR0WP | bit(wp, 16)
		m.st.CR4 |= bit(smep, 20) | bit(smap, 21)
		m.st.RFLAGS |= bit(ac, 18)
		m.st.GPR[x86.RAX] = 0x0b0f
		m.putEntry(p, p.dir, test32PT|7)
		m.through32(p, l.entry, l.base|l.bits|pteP|bit(w, 1)|bit(u, 2)|bit(nx, 63))
		want := allowed(k, user, ac, w, u, nx, wp, smep, smap)
		if want >= 0 && k == fetches && !p.pae && !smep {
			want &^= x86.PFFetch
		}
		e := m.run()
		g := m.event()
		name := fmt.Sprintf("w %v u %v nx %v user %v wp %v smep %v smap %v ac %v", w, u, nx, user, wp, smep, smap, ac)
		entry, dir := m.getEntry(p, l.entry), m.getEntry(p, p.dir)
		switch {
		case e.Kind != engine.ExitHLT || want < 0 && !m.went32(k, start, &e) || want >= 0 && (g.vector != x86.VectorPF || g.err != uint64(want)):
			m.Errorf("%s: exit %v; %s; want error code %#x", name, e.Kind, m.where(), want)
		case want >= 0 && m.st.CR2 != testVA32:
			m.Errorf("%s: cr2 %#x", name, m.st.CR2)
		case want < 0 && (entry&pteA == 0 || (entry&pteD != 0) != (k == writes) || dir&pteA == 0):
			m.Errorf("%s: accessed and dirty in the entry: %#x, in the directory: %#x", name, entry, dir)
		case want >= 0 && entry&pteD != 0:
			m.Errorf("%s: dirty after a fault: %#x", name, entry)
		}
	}
}

func contents32(m *machine, p *pager, l leaf) {
	m.putEntry(p, test32PT, testPages|7)
	m.putEntry(p, l.entry, l.base|l.bits|7)
	for i, off := range []uint64{0, 0xff8, 0x1ff8, 0x1f0000, 0x3ffff8} {
		if l.name == "4k" && off >= 0x1000 || l.name == "2m" && off >= 0x200000 {
			break
		}
		m.reset32(p)
		m.write(l.base+off, le(pattern(i)))
		m.accessAt32(reads)
		m.st.GPR[x86.RBX] = testVA32 + off
		e := m.run()
		if !m.went32(reads, codeAt, &e) || m.st.GPR[x86.RAX] != pattern(i)&0xffffffff {
			m.Errorf("at %#x: %#x, want %#x; %s", off, m.st.GPR[x86.RAX], pattern(i)&0xffffffff, m.where())
		}
	}
}

// flushes32: the guest reads through a mapping, changes it, flushes, and reads again.
func flushes32(m *machine, p *pager, l leaf, global uint64, flush func(a *asm.Asm)) {
	old, now := l.base, l.base+0x1000
	switch l.name {
	case "2m":
		now = large32
	case "4m":
		now = 0
	}
	m.putEntry(p, l.entry, old|l.bits|7|global)
	m.write(old, le(1))
	m.write(now, le(2))
	m.st.GPR[x86.RBX], m.st.GPR[x86.RSI], m.st.GPR[x86.RDI] = testVA32, uint64(l.entry), now|l.bits|7|global
	m.code32(func(a *asm.Asm) {
		a.Load(4, asm.RCX, asm.At(asm.RBX, 0))
		a.Store(4, asm.At(asm.RSI, 0), asm.RDI)
		flush(a)
		a.Load(4, asm.RDX, asm.At(asm.RBX, 0))
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RCX] != 1 || m.st.GPR[x86.RDX] != 2 {
		m.Errorf("read %d, then %d; %s", m.st.GPR[x86.RCX], m.st.GPR[x86.RDX], m.where())
	}
}

// upperRights32: a right must be there in the directory, too. PAE's pointers have none.
func upperRights32(m *machine, p *pager) {
	for _, c := range []struct {
		k    accessKind
		dir  uint64
		code uint64
	}{
		{writes, test32PT | 5, x86.PFPresent | x86.PFWrite | x86.PFUser},
		{reads, test32PT | 3, x86.PFPresent | x86.PFUser},
		{fetches, test32PT | 7 | pteNX, x86.PFPresent | x86.PFUser | x86.PFFetch},
	} {
		if c.k == fetches && !p.pae {
			continue
		}
		m.putEntry(p, test32PT, testPages|7)
		m.putEntry(p, p.dir, c.dir)
		m.reset32(p)
		m.user32()
		m.accessAt32(c.k)
		e := m.run()
		m.want(&e, x86.VectorPF, c.code)
	}
}

func writeCrossing32(m *machine, p *pager) {
	m.putEntry(p, test32PT, testPages|7)
	m.putEntry(p, test32PT+guestmem.GPA(p.entry), (testPages+0x1000)|5)
	m.write(testPages+0xff8, le(0x1122334455667788))
	m.accessAt32(writes)
	m.st.GPR[x86.RBX], m.st.GPR[x86.RAX] = testVA32+0xffe, 0xffffffff
	e := m.run()
	m.want(&e, x86.VectorPF, x86.PFPresent|x86.PFWrite)
	if v := m.get(testPages + 0xff8); m.st.CR2 != testVA32+0x1000 || v != 0x1122334455667788 {
		m.Errorf("cr2 %#x, memory %#x", m.st.CR2, v)
	}
}
