package soft

import (
	"fmt"
	"testing"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// expectFault is SDM 3A 4.6 and 4.7 once more, in words of its own: it gives the error code of an access to a present page, or -1.
func expectFault(acc access, user, ac, w, u, nx, wp, smep, smap, nxe bool) int {
	bad := false
	switch {
	case acc == accExec && nxe && nx:
		bad = true
	case user && !u:
		bad = true
	case acc == accExec && !user && u && smep:
		bad = true
	case acc != accExec && !user && u && smap && !ac:
		bad = true
	case acc == accWrite && !w && (user || wp):
		bad = true
	}
	if !bad {
		return -1
	}
	code := x86.PFPresent
	if acc == accWrite {
		code |= x86.PFWrite
	}
	if user {
		code |= x86.PFUser
	}
	if acc == accExec && (nxe || smep) {
		code |= x86.PFFetch
	}
	return code
}

// TestPaging_rights tries every combination of rights, access and control bit, for pages of 4 KiB, 2 MiB and 1 GiB.
func TestPaging_rights(t *testing.T) {
	s := newSys(t)
	for level := 0; level < 3; level++ {
		for n := 0; n < 1<<10; n++ {
			bit := func(i int) bool { return n>>i&1 != 0 }
			acc := access(n >> 8 & 3)
			w, u, nx, user, wp, smep, smap, ac := bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6), bit(7)
			if acc == 3 {
				continue
			}
			name := fmt.Sprintf("level %d acc %d w %v u %v nx %v user %v wp %v smep %v smap %v ac %v", level, acc, w, u, nx, user, wp, smep, smap, ac)
			s.reset()
			e := uint64(ptP) | b2u(w)<<1 | b2u(u)<<2 | b2u(nx)<<63
			s.mapTest(level, e)
			s.setControl(wp, smep, smap, ac)
			got, cr2 := s.tryAccess(acc, user)
			want := expectFault(acc, user, ac, w, u, nx, wp, smep, smap, true)
			if got != want {
				t.Fatalf("%s: error code %#x, want %#x", name, got, want)
			}
			if want >= 0 && cr2 != testVA {
				t.Fatalf("%s: cr2 %#x", name, cr2)
			}
			leaf := s.get(leafEntry(level))
			if want < 0 && (leaf&ptA == 0 || (leaf&ptD != 0) != (acc == accWrite)) || want >= 0 && leaf&(ptA|ptD) != 0 {
				t.Fatalf("%s: leaf entry %#x", name, leaf)
			}
		}
	}
}

func leafEntry(level int) guestmem.GPA {
	return guestmem.GPA([]uint64{testPT, testPD, testPDPT}[level])
}

// mapTest maps testVA at a level: a page of 4 KiB at 2 MiB, of 2 MiB at 2 MiB, of 1 GiB at 1 GiB.
func (s *sys) mapTest(level int, rights uint64) {
	s.put(testPDPT, testPD|7)
	s.put(testPD, testPT|7)
	base := []uint64{testPages, testPages, 1 << 30}[level]
	if level > 0 {
		rights |= ptPS
	}
	s.put(leafEntry(level), base|rights)
	s.write(base, []byte{0xf4}) // HLT for fetches
}

func (s *sys) setControl(wp, smep, smap, ac bool) {
	s.st.CR0 = s.st.CR0&^x86.CR0WP | b2u(wp)<<16
	s.st.CR4 |= b2u(smep)<<20 | b2u(smap)<<21
	s.st.RFLAGS |= b2u(ac) << 18
}

// tryAccess reads, writes or fetches at testVA and gives the error code of the page fault, or -1.
func (s *sys) tryAccess(acc access, user bool) (code int, cr2 uint64) {
	c := s.cpu
	if err := c.Set(&s.st); err != nil {
		s.t.Fatal(err)
	}
	if user {
		c.setCPL(3)
	}
	ok := false
	switch acc {
	case accRead:
		_, ok = c.load64(testVA)
	case accWrite:
		ok = c.store64(testVA, 0x90f4)
	default:
		_, ok = c.fetchPage(testVA)
	}
	if ok {
		return -1, 0
	}
	if c.stop != stopFault || c.fault.Vector != x86.VectorPF {
		s.t.Fatalf("stop %d fault %v", c.stop, c.fault)
	}
	c.stop = stopNone
	return int(c.fault.Error), c.fault.Addr
}

func TestPaging_reservedBitsAndAbsence(t *testing.T) {
	s := newSys(t)
	for _, c := range []struct {
		name  string
		setup func()
		code  uint64
	}{
		{"not present", func() { s.put(testPT, 0) }, 0},
		{"reserved address bit", func() { s.put(testPT, testPages|1<<51|7) }, x86.PFPresent | x86.PFRsvd},
		{"NX without NXE", func() { s.put(testPT, testPages|ptNX|7); s.st.EFER &^= x86.EFERNXE }, x86.PFPresent | x86.PFRsvd},
		{"hole of a 2 MiB page", func() { s.put(testPD, testPages|1<<13|ptPS|7) }, x86.PFPresent | x86.PFRsvd},
		{"hole of a 1 GiB page", func() { s.put(testPDPT, 1<<30|1<<20|ptPS|7) }, x86.PFPresent | x86.PFRsvd},
		{"PS in PML4", func() { s.put(sysPML4+8, testPDPT|ptPS|7) }, x86.PFPresent | x86.PFRsvd},
	} {
		s.tables()
		s.put(testPT, testPages|7)
		s.reset()
		c.setup()
		s.code(loadRBX)
		s.st.GPR[x86.RBX] = testVA
		g := s.want(s.run(), x86.VectorPF, c.code)
		if s.st.CR2 != testVA || g.rip != sysCode {
			t.Errorf("%s: cr2 %#x rip %#x", c.name, s.st.CR2, g.rip)
		}
	}
}

func TestPaging_nonCanonicalIsGPorSS(t *testing.T) {
	s := newSys(t)
	s.code(loadRBX)
	s.st.GPR[x86.RBX] = 1 << 47
	s.want(s.run(), x86.VectorGP, 0)
	s.reset()
	s.code(func(a *asm.Asm) { a.Load(8, asm.RAX, asm.At(asm.RBP, 0)) })
	s.st.GPR[x86.RBP] = 1 << 47
	s.want(s.run(), x86.VectorSS, 0)
}

// TestTLB_entriesLiveUntilFlushed: a translation may be used until INVLPG or a load of CR3; global ones survive CR3.
func TestTLB_flushes(t *testing.T) {
	s := newSys(t)
	read := func() uint64 {
		v, ok := s.cpu.load64(testVA)
		if !ok {
			t.Fatal("fault")
		}
		return v
	}
	s.write(testPages, le(1))
	s.write(testPages+0x1000, le(2))
	for _, global := range []uint64{0, ptG} {
		s.put(testPT, testPages|7|global)
		if err := s.cpu.Set(&s.st); err != nil {
			t.Fatal(err)
		}
		if read() != 1 {
			t.Fatal("first page")
		}
		s.put(testPT, testPages+0x1000|7|global)
		s.cpu.setCR3(s.st.CR3)
		want := uint64(2)
		if global != 0 {
			want = 1
		}
		if v := read(); v != want {
			t.Errorf("global %#x after CR3: page %d, want %d", global, v, want)
		}
		s.cpu.flushPage(testVA)
		if v := read(); v != 2 {
			t.Errorf("after INVLPG: page %d", v)
		}
	}
	// A fragment of a large page goes with any INVLPG inside the page.
	s.put(testPD, testPages|ptPS|7)
	s.cpu.flushTLB(true)
	if read() != 1 {
		t.Fatal("large page")
	}
	s.put(testPD, testPages+0x200000|ptPS|7)
	s.cpu.flushPage(testVA + 0x5000)
	if v := read(); v == 1 {
		t.Error("INVLPG left a fragment of the large page")
	}
}

// TestStore_crossingPagesWritesNothingOnFault: both pages are checked first.
func TestStore_crossingPagesWritesNothingOnFault(t *testing.T) {
	s := newSys(t)
	s.put(testPT, testPages|7)
	s.put(testPT+8, 0)
	s.write(testPages+0xff8, le(0x1122334455667788))
	s.code(storeRBX)
	s.st.GPR[x86.RBX], s.st.GPR[x86.RAX] = testVA+0xffc, ^uint64(0)
	s.want(s.run(), x86.VectorPF, x86.PFWrite)
	if s.st.CR2 != testVA+0x1000 {
		t.Errorf("cr2 %#x", s.st.CR2)
	}
	if v := s.get(testPages + 0xff8); v != 0x1122334455667788 {
		t.Errorf("memory changed: %#x", v)
	}
}

// TestPush_faultLeavesRSP and a read-modify-write faults as a write.
func TestPush_faultLeavesRSP(t *testing.T) {
	s := newSys(t)
	s.put(testPT, 0)
	s.st.GPR[x86.RSP] = testVA + 8
	// The fault is taken on IST1, since the stack is not there.
	s.put(sysIDT+16*x86.VectorPF, s.get(sysIDT+16*x86.VectorPF)|1<<32)
	s.code(func(a *asm.Asm) { a.Push(asm.RAX) })
	s.want(s.run(), x86.VectorPF, x86.PFWrite)
	if v := s.get(guestmem.GPA(s.st.GPR[x86.RSP]) + 8 + 24); v != testVA+8 {
		t.Errorf("saved RSP %#x, want %#x", v, uint64(testVA+8))
	}
	s.tables()
	s.reset()
	s.put(testPT, testPages|5) // read-only
	s.code(func(a *asm.Asm) { a.OpStore(asm.ADD, 8, asm.At(asm.RBX, 0), asm.RAX) })
	s.st.GPR[x86.RBX] = testVA
	s.want(s.run(), x86.VectorPF, x86.PFPresent|x86.PFWrite)
}

// TestRep_faultKeepsProgress: REP MOVSB that runs into a missing page has counted what it did.
func TestRep_faultKeepsProgress(t *testing.T) {
	s := newSys(t)
	s.put(testPT, testPages|7)
	s.put(testPT+8, 0)
	s.code(func(a *asm.Asm) { a.Raw(0xf3, 0xa4) })
	s.st.GPR[x86.RSI], s.st.GPR[x86.RDI], s.st.GPR[x86.RCX] = 0x40000, testVA+0xf00, 0x300
	g := s.want(s.run(), x86.VectorPF, x86.PFWrite)
	if s.st.GPR[x86.RCX] != 0x200 || s.st.GPR[x86.RDI] != testVA+0x1000 || s.st.GPR[x86.RSI] != 0x40100 || g.rip != sysCode {
		t.Errorf("rcx %#x rdi %#x rsi %#x rip %#x", s.st.GPR[x86.RCX], s.st.GPR[x86.RDI], s.st.GPR[x86.RSI], g.rip)
	}
}

// TestMMIO_answersReachTheInstruction: a string move from device memory to device memory exits twice and is then finished.
func TestMMIO_answersReachTheInstruction(t *testing.T) {
	s := newSys(t)
	s.put(testPT, 0xf0000000|7) // nothing there
	s.code(func(a *asm.Asm) { a.Raw(0x48, 0xa5); a.Hlt() })
	s.st.GPR[x86.RSI], s.st.GPR[x86.RDI] = testVA, testVA+0x100
	e := s.run()
	if e.Kind != engine.ExitMMIO || e.Write || e.GPA != 0xf0000000 || e.Size != 8 {
		t.Fatalf("first exit %+v", e)
	}
	e.Data = 0x1234
	if err := s.cpu.Run(&e); err != nil {
		t.Fatal(err)
	}
	if e.Kind != engine.ExitMMIO || !e.Write || e.GPA != 0xf0000100 || e.Data != 0x1234 {
		t.Fatalf("second exit %+v", e)
	}
	if err := s.cpu.Run(&e); err != nil {
		t.Fatal(err)
	}
	if e.Kind != engine.ExitHLT || s.cpu.regs[x86.RSI] != testVA+8 {
		t.Fatalf("third exit %+v rsi %#x", e, s.cpu.regs[x86.RSI])
	}
}
