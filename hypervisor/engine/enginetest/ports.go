package enginetest

import (
	"bytes"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

func mask(size int) uint64 { return ^uint64(0) >> (64 - 8*size) }

// accumulator gives the bytes of IN or OUT with DX; 16 bits take a prefix.
func accumulator(a *asm.Asm, op byte, size int) {
	switch size {
	case 1:
		a.Raw(op)
	case 2:
		a.Raw(0x66, op|1)
	case 4:
		a.Raw(op | 1)
	}
}

func portOut(m *machine, size int) {
	m.st.GPR[x86.RAX], m.st.GPR[x86.RDX] = 0xaabbccdd11223344, aPort
	m.code(func(a *asm.Asm) { accumulator(a, 0xee, size); a.Inc(8, asm.RCX); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitIO)
	if !e.Write || e.Port != aPort || int(e.Size) != size || e.Data&mask(size) != 0x11223344&mask(size) {
		m.Errorf("exit %s", describe(&e))
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RCX] != 1 || m.st.GPR[x86.RAX] != 0xaabbccdd11223344 {
		m.Errorf("rcx %d rax %#x behind the instruction", m.st.GPR[x86.RCX], m.st.GPR[x86.RAX])
	}
}

// portIn: a write of 32 bits clears the upper half, one of 8 or 16 leaves the rest (SDM 1 3.4.1.1).
func portIn(m *machine, size int) {
	m.st.GPR[x86.RAX], m.st.GPR[x86.RDX] = 0xaabbccdd11223344, aPort
	m.code(func(a *asm.Asm) { accumulator(a, 0xec, size); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitIO)
	if e.Write || e.Port != aPort || int(e.Size) != size {
		m.Errorf("exit %s", describe(&e))
	}
	e.Data = 0x99887766
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	want := map[int]uint64{1: 0xaabbccdd11223366, 2: 0xaabbccdd11227766, 4: 0x99887766}[size]
	if m.st.GPR[x86.RAX] != want {
		m.Errorf("rax %#x, want %#x", m.st.GPR[x86.RAX], want)
	}
}

func outImm8(m *machine) {
	m.st.GPR[x86.RAX] = 0x42
	m.code(func(a *asm.Asm) { a.Raw(0xe6, 0x9a); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitIO)
	if !e.Write || e.Port != 0x9a || e.Size != 1 || e.Data&0xff != 0x42 {
		m.Errorf("exit %s", describe(&e))
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
}

const elements = 5

// stringIO emits REP INS or OUTS, with DF as asked.
func stringIO(a *asm.Asm, op byte, size int, down bool) {
	if down {
		a.Raw(0xfd)
	}
	if size == 2 {
		a.Raw(0x66)
	}
	if size > 1 {
		op |= 1
	}
	a.Raw(0xf3, op)
	a.Hlt()
}

func outs(m *machine, size int, down bool) {
	step := size
	start := uint64(dataAt)
	if down {
		step, start = -size, dataAt+0x100
	}
	for i := range elements {
		m.write(uint64(int64(start)+int64(i*step)), le(uint64(0x10203040 * (i + 1)))[:size])
	}
	m.st.GPR[x86.RSI], m.st.GPR[x86.RCX], m.st.GPR[x86.RDX] = start, elements, aPort
	m.code(func(a *asm.Asm) { stringIO(a, 0x6e, size, down) })
	e := m.run()
	for i := range elements {
		m.expect(&e, engine.ExitIO)
		if want := uint64(0x10203040*(i+1)) & mask(size); !e.Write || e.Port != aPort || int(e.Size) != size || e.Data&mask(size) != want {
			m.Errorf("element %d: exit %s, want data %#x", i, describe(&e), want)
		}
		m.enter(m.cpu, &e)
	}
	m.cpu.Get(&m.st)
	m.expect(&e, engine.ExitHLT)
	if want := uint64(int64(start) + elements*int64(step)); m.st.GPR[x86.RSI] != want || m.st.GPR[x86.RCX] != 0 {
		m.Errorf("rsi %#x rcx %d, want %#x and 0", m.st.GPR[x86.RSI], m.st.GPR[x86.RCX], want)
	}
}

func ins(m *machine, size int, down bool) {
	step := size
	start := uint64(dataAt)
	if down {
		step, start = -size, dataAt+0x100
	}
	m.st.GPR[x86.RDI], m.st.GPR[x86.RCX], m.st.GPR[x86.RDX] = start, elements, aPort
	m.code(func(a *asm.Asm) { stringIO(a, 0x6c, size, down) })
	e := m.run()
	for i := range elements {
		m.expect(&e, engine.ExitIO)
		if e.Write || e.Port != aPort || int(e.Size) != size {
			m.Errorf("element %d: exit %s", i, describe(&e))
		}
		e.Data = uint64(0x10203040 * (i + 1))
		m.enter(m.cpu, &e)
	}
	m.cpu.Get(&m.st)
	m.expect(&e, engine.ExitHLT)
	for i := range elements {
		at := uint64(int64(start) + int64(i*step))
		if want := le(uint64(0x10203040 * (i + 1)))[:size]; !bytes.Equal(m.read(at, size), want) {
			m.Errorf("element %d in memory: % x, want % x", i, m.read(at, size), want)
		}
	}
	if want := uint64(int64(start) + elements*int64(step)); m.st.GPR[x86.RDI] != want || m.st.GPR[x86.RCX] != 0 {
		m.Errorf("rdi %#x rcx %d, want %#x and 0", m.st.GPR[x86.RDI], m.st.GPR[x86.RCX], want)
	}
}

// insFaults: what was read before the fault is in memory and counted.
func insFaults(m *machine) {
	m.put(testPT, testPages|7)
	m.st.GPR[x86.RDI], m.st.GPR[x86.RCX], m.st.GPR[x86.RDX] = testVA+0xffc, 8, aPort
	m.code(func(a *asm.Asm) { stringIO(a, 0x6c, 2, false) })
	e := m.run()
	n := 0
	for ; e.Kind == engine.ExitIO && n < 8; n++ {
		e.Data = uint64(0x1111 * (n + 1))
		m.cont(&e)
	}
	m.want(&e, x86.VectorPF, x86.PFWrite)
	if m.st.GPR[x86.RCX] != 6 || m.st.GPR[x86.RDI] != testVA+0x1000 || m.st.CR2 != testVA+0x1000 {
		m.Errorf("rcx %d rdi %#x cr2 %#x", m.st.GPR[x86.RCX], m.st.GPR[x86.RDI], m.st.CR2)
	}
	if got := m.read(testPages+0xffc, 4); !bytes.Equal(got, []byte{0x11, 0x11, 0x22, 0x22}) {
		m.Errorf("in memory: % x", got)
	}
}
