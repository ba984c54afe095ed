package enginetest

import (
	"sync"
	"sync/atomic"
	"time"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func kickCases() []testCase {
	return []testCase{
		on("before the run", kickBefore),
		on("a spinning guest", kickSpin),
		on("between two exits", kickBetween),
		on("storm", kickStorm),
		on("keeps the answer", kickAnswer),
	}
}

func (m *machine) spinning() {
	m.endless()
	m.code(func(a *asm.Asm) { a.Label("again"); a.Inc(8, asm.RAX); a.Jmp("again") })
	m.load()
}

func kickBefore(m *machine) {
	m.spinning()
	m.cpu.Kick()
	var e engine.Exit
	m.cont(&e)
	m.expect(&e, engine.ExitKick)
	m.cpu.Kick()
	m.cont(&e)
	m.expect(&e, engine.ExitKick)
}

func kickSpin(m *machine) {
	m.spinning()
	var e engine.Exit
	last := uint64(0)
	for range 20 {
		// On a busy machine a kick may come before the vCPU's thread got anywhere.
		for tries := 0; m.st.GPR[x86.RAX] <= last; tries++ {
			if tries == 100 {
				m.Fatalf("the guest does not get on: %d", last)
			}
			m.meanwhile(&e, m.cpu.Kick)
			m.expect(&e, engine.ExitKick)
		}
		last = m.st.GPR[x86.RAX]
	}
}

// kickBetween: a kick while the vCPU is outside counts for the next run, and only for one.
func kickBetween(m *machine) {
	m.code(func(a *asm.Asm) { a.Raw(0xe6, 0x80); a.Raw(0xe6, 0x81); a.Hlt() })
	m.load()
	var e engine.Exit
	m.enter(m.cpu, &e)
	m.expect(&e, engine.ExitIO)
	m.cpu.Kick()
	m.enter(m.cpu, &e)
	if e.Kind == engine.ExitIO { // a guest that is faster than the kick: it comes now
		m.enter(m.cpu, &e)
		m.expect(&e, engine.ExitKick)
	} else {
		m.expect(&e, engine.ExitKick)
		m.enter(m.cpu, &e)
		m.expect(&e, engine.ExitIO)
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
}

// kickStorm: each kick is followed by an exit with ExitKick that begins after it, whatever the other kicks do.
func kickStorm(m *machine) {
	m.spinning()
	const kickers, each = 4, 200
	var exits atomic.Int64
	var wg sync.WaitGroup
	for range kickers {
		wg.Go(func() {
			for range each {
				before := exits.Load()
				m.cpu.Kick()
				for end := time.Now().Add(patience); exits.Load() == before; {
					if time.Now().After(end) {
						return // the storm has stopped: the watchdog of enter tells
					}
					time.Sleep(10 * time.Microsecond)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var e engine.Exit
	for {
		select {
		case <-done:
			return
		default:
		}
		// A last kick lets the loop look at done.
		t := time.AfterFunc(100*time.Millisecond, m.cpu.Kick)
		m.enter(m.cpu, &e)
		t.Stop()
		m.expect(&e, engine.ExitKick)
		exits.Add(1)
	}
}

// kickAnswer: a kick does not come between an exit and its answer.
func kickAnswer(m *machine) {
	m.code(func(a *asm.Asm) {
		a.MovI(asm.RDX, aPort)
		a.MovI(asm.RCX, 1000)
		a.Label("again")
		a.Raw(0xed) // in eax, dx
		a.Op(asm.ADD, 8, asm.RBX, asm.RAX)
		a.Dec(8, asm.RCX)
		a.Jcc(asm.NE, "again")
		a.Hlt()
	})
	m.load()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Microsecond):
				m.cpu.Kick()
			}
		}
	})
	defer func() { close(stop); wg.Wait() }()
	var e engine.Exit
	asked := uint64(0)
	for e.Kind != engine.ExitHLT {
		m.enter(m.cpu, &e)
		switch e.Kind {
		case engine.ExitIO:
			asked++
			e.Data = asked
		case engine.ExitKick, engine.ExitHLT:
		default:
			m.Fatalf("exit %v %s", e.Kind, describe(&e))
		}
	}
	m.cpu.Get(&m.st)
	if asked != 1000 || m.st.GPR[x86.RBX] != 1000*1001/2 {
		m.Errorf("asked %d times, sum %d", asked, m.st.GPR[x86.RBX])
	}
}
