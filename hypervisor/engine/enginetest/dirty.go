package enginetest

import (
	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func dirtyCases() []testCase {
	return []testCase{
		on("frames written to", dirtyFrames),
		on("while it is off", dirtyOff),
	}
}

func (m *machine) logger() engine.DirtyLogger {
	l, ok := m.vm.(engine.DirtyLogger)
	if !ok {
		m.Skipf("this engine has no dirty log")
	}
	return l
}

// collect gives the dirty frames between testPages and the end of low memory.
func (m *machine) collect(l engine.DirtyLogger) map[guestmem.GFN]bool {
	got := map[guestmem.GFN]bool{}
	m.ok(l.CollectDirty(func(first guestmem.GFN, bitmap []uint64) {
		for i := range guestmem.GFN(64 * len(bitmap)) {
			if g := first + i; bitmap[i/64]>>(i%64)&1 != 0 && g >= guestmem.GPA(testPages).GFN() {
				got[g] = true
			}
		}
	}))
	return got
}

// touch makes the guest write to pages of testVA and read others.
func (m *machine) touch(writes, reads []uint64) {
	m.code(func(a *asm.Asm) {
		for _, p := range writes {
			a.MovI(asm.RBX, testVA+p<<12)
			a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		}
		for _, p := range reads {
			a.MovI(asm.RBX, testVA+p<<12)
			a.Load(8, asm.RCX, asm.At(asm.RBX, 0))
		}
		a.Hlt()
	})
	for i := range uint64(512) {
		m.put(guestmem.GPA(testPT+8*i), testPages+i<<12|7)
	}
	m.st.RIP = codeAt
	m.st.GPR[x86.RSP] = stackAt
	e := m.run()
	m.expect(&e, engine.ExitHLT)
}

func dirtyFrames(m *machine) {
	l := m.logger()
	m.touch([]uint64{1, 2, 3}, nil) // before the log
	m.ok(l.StartDirtyLog())
	m.collect(l)
	for _, round := range [][]uint64{{5, 6, 63}, {6, 200}, {}} {
		m.touch(round, []uint64{7, 8})
		got := m.collect(l)
		for _, p := range round {
			g := guestmem.GPA(testPages).GFN() + guestmem.GFN(p)
			if !got[g] {
				m.Errorf("frame %#x was written to, and is not in the log", uint64(g))
			}
			delete(got, g)
		}
		for g := range got {
			m.Errorf("frame %#x is in the log, and was not written to", uint64(g))
		}
	}
	m.ok(l.StopDirtyLog())
}

// dirtyOff: a log that was ended and begun again does not tell of what happened in between.
func dirtyOff(m *machine) {
	l := m.logger()
	m.ok(l.StartDirtyLog())
	m.ok(l.StopDirtyLog())
	m.touch([]uint64{9}, nil)
	m.ok(l.StartDirtyLog())
	if got := m.collect(l); len(got) > 0 {
		m.Errorf("in the log: %v", got)
	}
	m.touch([]uint64{10}, nil)
	if got := m.collect(l); len(got) != 1 {
		m.Errorf("in the log: %v, want one frame", got)
	}
	m.ok(l.StopDirtyLog())
}
