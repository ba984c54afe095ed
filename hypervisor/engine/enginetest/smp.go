package enginetest

import (
	"runtime"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func smpCases() []testCase {
	return []testCase{
		{"one starts the other", func(c *C) { starts(newMachineOf(c, 2)) }},
		{"locked increments", func(c *C) { locked(newMachineOf(c, 2)) }},
		{"messages in order", func(c *C) { messages(newMachineOf(c, 2)) }},
	}
}

// second runs another vCPU from st on a thread of its own until it halts; wait gives its last exit.
func (m *machine) second(id int, st x86.State) (wait func() engine.Exit) {
	type result struct {
		e   engine.Exit
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var r result
		cpu, err := m.vm.NewVCPU(id)
		if err == nil {
			err = cpu.Set(&st)
		}
		for err == nil && (r.e.Kind == engine.ExitNone || r.e.Kind == engine.ExitSignal) {
			err = cpu.Run(&r.e)
		}
		r.err = err
		done <- r
	}()
	return func() engine.Exit {
		r := <-done
		m.ok(r.err)
		return r.e
	}
}

// both runs the same code on two vCPUs, each with a stack of its own, to their HLT.
func (m *machine) both(change func(id int, st *x86.State)) {
	m.load()
	other := m.st
	other.GPR[x86.RSP] -= 0x1000
	change(1, &other)
	change(0, &m.st)
	wait := m.second(1, other)
	m.ok(m.cpu.Set(&m.st))
	var e engine.Exit
	m.cont(&e)
	o := wait()
	m.expect(&e, engine.ExitHLT)
	m.expect(&o, engine.ExitHLT)
}

// starts: vCPU 0 asks for the second by a port, as a start-up IPI would, and waits for its sign.
func starts(m *machine) {
	m.endless()
	m.st.GPR[x86.RBX] = dataAt
	m.code(func(a *asm.Asm) {
		a.Raw(0xe6, 0x80)
		a.Label("wait")
		a.Raw(0xf3, 0x90) // pause
		a.Load(8, asm.RAX, asm.At(asm.RBX, 0))
		a.Test(8, asm.RAX, asm.RAX)
		a.Jcc(asm.E, "wait")
		a.Hlt()
	})
	m.assemble(codeAt+0x1000, codeAt+0x1000, func(a *asm.Asm) {
		a.MovI(asm.RAX, 77)
		a.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		a.Hlt()
	})
	st := m.st
	e := m.run()
	m.expect(&e, engine.ExitIO)
	st.RIP, st.GPR[x86.RSP] = codeAt+0x1000, stackAt-0x1000
	wait := m.second(1, st)
	m.cont(&e)
	o := wait()
	m.expect(&e, engine.ExitHLT)
	m.expect(&o, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 77 {
		m.Errorf("rax %d", m.st.GPR[x86.RAX])
	}
}

const smpRounds = 20000

func locked(m *machine) {
	m.endless()
	m.st.GPR[x86.RBX] = dataAt
	m.code(func(a *asm.Asm) {
		a.MovI(asm.RCX, smpRounds)
		a.MovI(asm.RAX, 1)
		a.Label("again")
		a.Raw(0xf0)
		a.OpStore(asm.ADD, 8, asm.At(asm.RBX, 0), asm.RAX)
		a.Raw(0xf0, 0xff, 0x43, 0x40) // lock inc dword [rbx+64]
		a.MovI(asm.RDX, 1)
		a.Raw(0xf0, 0x0f, 0xc1, 0x53, 0x48) // lock xadd [rbx+72], edx
		a.Dec(8, asm.RCX)
		a.Jcc(asm.NE, "again")
		a.Hlt()
	})
	m.both(func(int, *x86.State) {})
	for _, at := range []int{0, 64, 72} {
		if v := m.get(guestGPA(dataAt + at)); v != 2*smpRounds {
			m.Errorf("counter at %d: %d, want %d", at, v, 2*smpRounds)
		}
	}
}

// messages: stores of one processor are seen in their order by another (SDM 3A 8.2.2).
func messages(m *machine) {
	const rounds = 5000
	m.endless()
	m.st.GPR[x86.RBX] = dataAt
	m.code(func(a *asm.Asm) {
		a.MovI(asm.RCX, 1)
		a.Label("again")
		a.Store(8, asm.At(asm.RBX, 0), asm.RCX)
		a.Store(8, asm.At(asm.RBX, 0x80), asm.RCX)
		a.Inc(8, asm.RCX)
		a.OpI(asm.CMP, 8, asm.RCX, rounds)
		a.Jcc(asm.NE, "again")
		a.Hlt()
	})
	m.assemble(codeAt+0x1000, codeAt+0x1000, func(a *asm.Asm) {
		a.Label("again")
		a.Load(8, asm.RAX, asm.At(asm.RBX, 0x80)) // the later one first
		a.Load(8, asm.RDX, asm.At(asm.RBX, 0))
		a.Op(asm.CMP, 8, asm.RDX, asm.RAX)
		a.Jcc(asm.B, "wrong")
		a.OpI(asm.CMP, 8, asm.RAX, rounds-1)
		a.Jcc(asm.NE, "again")
		a.Hlt()
		a.Label("wrong")
		a.Raw(0xe6, 0x81)
	})
	m.both(func(id int, st *x86.State) {
		if id == 1 {
			st.RIP = codeAt + 0x1000
		}
	})
}
