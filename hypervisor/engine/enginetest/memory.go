package enginetest

import (
	"time"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func memoryCases() []testCase {
	return []testCase{
		on("released frame is a hole", releasedFrame),
		on("populated frame is memory", populatedFrame),
		on("overlay appears while the guest runs", overlay),
		on("frame vanishes while the guest runs", vanishes),
		on("frame moves from page to page", churn),
		on("host and guest see each other's writes", shared),
		on("code written by the host", hostWritesCode),
		on("code written by the guest", guestWritesCode),
		on("high memory", highMemory),
	}
}

// spin makes the guest read the word at testVA until it is not RDX any more, and then report it in RAX.
func (m *machine) spin(entry uint64) {
	m.put(testPT, entry)
	m.endless()
	m.st.GPR[x86.RBX] = testVA
	m.code(func(a *asm.Asm) {
		a.Raw(0xe6, 0x80) // here it begins
		a.Label("again")
		a.Load(8, asm.RAX, asm.At(asm.RBX, 0))
		a.Op(asm.CMP, 8, asm.RAX, asm.RDX)
		a.Jcc(asm.E, "again")
		a.Hlt()
	})
}

// meanwhile runs f on another goroutine while the vCPU is in the guest.
func (m *machine) meanwhile(e *engine.Exit, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(5 * time.Millisecond)
		f()
	}()
	m.cont(e)
	<-done
}

func releasedFrame(m *machine) {
	m.spin(testPages | 7)
	m.mem.Release(guestmem.GPA(testPages).GFN())
	e := m.run()
	m.expect(&e, engine.ExitIO)
	m.cont(&e)
	m.expect(&e, engine.ExitMMIO)
	if e.GPA != testPages || e.Write {
		m.Errorf("exit %s", describe(&e))
	}
	e.Data = 99
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 99 {
		m.Errorf("rax %d", m.st.GPR[x86.RAX])
	}
}

func populatedFrame(m *machine) {
	for _, at := range []uint64{testPages, nowhere} {
		m.reset()
		m.spin(at | 7)
		m.st.GPR[x86.RDX] = 1
		g := guestmem.GPA(at).GFN()
		m.mem.Release(g)
		m.ok(m.mem.Populate(g))
		e := m.run()
		m.expect(&e, engine.ExitIO)
		m.cont(&e)
		m.expect(&e, engine.ExitHLT)
		if m.st.GPR[x86.RAX] != 0 {
			m.Errorf("frame %#x is not zero: %#x", uint64(g), m.st.GPR[x86.RAX])
		}
	}
}

// overlay: a page of the host's takes the place of the guest's, as XENMEM_add_to_physmap does.
func overlay(m *machine) {
	m.spin(testPages | 7)
	p, err := m.mem.NewPage()
	m.ok(err)
	p.Store64(0, 42)
	e := m.run()
	m.expect(&e, engine.ExitIO)
	m.meanwhile(&e, func() { m.ok(m.mem.Map(guestmem.GPA(testPages).GFN(), p)) })
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 42 {
		m.Errorf("rax %d", m.st.GPR[x86.RAX])
	}
}

func vanishes(m *machine) {
	m.spin(testPages | 7)
	e := m.run()
	m.expect(&e, engine.ExitIO)
	m.meanwhile(&e, func() { m.mem.Unmap(guestmem.GPA(testPages).GFN()) })
	m.expect(&e, engine.ExitMMIO)
	if e.GPA != testPages {
		m.Errorf("exit %s", describe(&e))
	}
	e.Data = 7
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 7 {
		m.Errorf("rax %d", m.st.GPR[x86.RAX])
	}
}

// churn: while the guest reads, its frame gets another page again and again; it sees nothing but what was there.
func churn(m *machine) {
	const rounds = 50
	m.spin(testPages | 7)
	var pages [2]*guestmem.Page
	for i := range pages {
		p, err := m.mem.NewPage()
		m.ok(err)
		pages[i] = p
	}
	e := m.run()
	m.expect(&e, engine.ExitIO)
	m.meanwhile(&e, func() {
		for i := range rounds {
			m.ok(m.mem.Map(guestmem.GPA(testPages).GFN(), pages[i%2]))
		}
		pages[0].Store64(0, 5)
		m.ok(m.mem.Map(guestmem.GPA(testPages).GFN(), pages[0]))
	})
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 5 {
		m.Errorf("rax %#x", m.st.GPR[x86.RAX])
	}
}

func shared(m *machine) {
	m.spin(testPages | 7)
	p, err := m.mem.PageAt(guestmem.GPA(testPages).GFN())
	m.ok(err)
	e := m.run()
	m.expect(&e, engine.ExitIO)
	m.meanwhile(&e, func() { p.Store64(0, 1234) })
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 1234 {
		m.Errorf("rax %d", m.st.GPR[x86.RAX])
	}
}

// hostWritesCode: code that has run is replaced from outside between two runs.
func hostWritesCode(m *machine) {
	for i := range 3 {
		m.reset()
		m.code(func(a *asm.Asm) { a.MovI(asm.RAX, uint64(i+1)); a.Hlt() })
		e := m.run()
		m.expect(&e, engine.ExitHLT)
		if m.st.GPR[x86.RAX] != uint64(i+1) {
			m.Errorf("round %d: rax %d", i, m.st.GPR[x86.RAX])
		}
	}
}

// guestWritesCode: a loop changes the instruction that it executes next (SDM 3A 8.1.3: a jump in between).
func guestWritesCode(m *machine) {
	m.code(func(a *asm.Asm) {
		a.MovI(asm.RCX, 100)
		a.MovLabel(asm.RBX, "patch")
		a.Label("again")
		a.Store(4, asm.At(asm.RBX, 1), asm.RCX)
		a.Jmp("patch")
		a.Label("patch")
		a.Raw(0xb8, 0, 0, 0, 0) // mov eax, imm
		a.Op(asm.ADD, 8, asm.RDX, asm.RAX)
		a.Dec(8, asm.RCX)
		a.Jcc(asm.NE, "again")
		a.Hlt()
	})
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RDX] != 5050 {
		m.Errorf("rdx %d, want 5050", m.st.GPR[x86.RDX])
	}
}

func highMemory(m *machine) {
	m.put(testPT, highRAM+0x3ff000|7)
	m.st.GPR[x86.RBX], m.st.GPR[x86.RAX] = testVA, pattern(4)
	m.code(func(a *asm.Asm) { a.Store(8, asm.At(asm.RBX, 0xff8), asm.RAX); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitHLT)
	if v := m.get(highRAM + 0x3ffff8); v != pattern(4) {
		m.Errorf("memory %#x", v)
	}
}
