package enginetest

import (
	"bytes"

	"gozen/hypervisor/engine"
	"gozen/hypervisor/guestmem"
	"gozen/hypervisor/x86"
	"gozen/hypervisor/x86/asm"
)

// device maps testVA to two pages that nothing backs.
func (m *machine) device() {
	m.put(testPT, nowhere|7)
	m.put(testPT+8, nowhere+0x1000|7)
	m.st.GPR[x86.RBX] = testVA
}

func mmioWrite(m *machine, size int) {
	m.device()
	m.st.GPR[x86.RAX] = 0x1122334455667788
	m.code(func(a *asm.Asm) { a.Store(size, asm.At(asm.RBX, 0x28), asm.RAX); a.Inc(8, asm.RCX); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitMMIO)
	if !e.Write || e.GPA != nowhere+0x28 || int(e.Size) != size || e.Data&mask(size) != 0x1122334455667788&mask(size) {
		m.Errorf("exit %s", describe(&e))
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RCX] != 1 {
		m.Errorf("rcx %d behind the instruction", m.st.GPR[x86.RCX])
	}
}

func mmioRead(m *machine, size int) {
	m.device()
	m.st.GPR[x86.RAX] = 0xaabbccdd11223344
	m.code(func(a *asm.Asm) { a.Load(size, asm.RAX, asm.At(asm.RBX, 0x28)); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitMMIO)
	if e.Write || e.GPA != nowhere+0x28 || int(e.Size) != size {
		m.Errorf("exit %s", describe(&e))
	}
	e.Data = 0x8877665544332211
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	want := map[int]uint64{1: 0xaabbccdd11223311, 2: 0xaabbccdd11222211, 4: 0x44332211, 8: 0x8877665544332211}[size]
	if m.st.GPR[x86.RAX] != want {
		m.Errorf("rax %#x, want %#x", m.st.GPR[x86.RAX], want)
	}
}

// bus is device memory that takes accesses in any pieces.
type bus map[guestmem.GPA]byte

// serve answers MMIO exits to the next exit of another kind.
func (m *machine) serve(e *engine.Exit, b bus) {
	for n := 0; e.Kind == engine.ExitMMIO; n++ {
		if n == 100 {
			m.Fatalf("the instruction does not end: exit %s", describe(e))
		}
		for i := range guestmem.GPA(e.Size) {
			if e.Write {
				b[e.GPA+i] = byte(e.Data >> (8 * i))
			} else {
				e.Data = e.Data&^(0xff<<(8*i)) | uint64(b[e.GPA+i])<<(8*i)
			}
		}
		m.enter(m.cpu, e)
	}
	m.cpu.Get(&m.st)
}

// bytesOf gives 8 bytes of the bus.
func (b bus) u64(at guestmem.GPA) (v uint64) {
	for i := range guestmem.GPA(8) {
		v |= uint64(b[at+i]) << (8 * i)
	}
	return v
}

func mmioWriteCrossing(m *machine) {
	m.device()
	m.st.GPR[x86.RAX] = 0x1122334455667788
	m.code(func(a *asm.Asm) { a.Store(8, asm.At(asm.RBX, 0xffd), asm.RAX); a.Hlt() })
	e, b := m.run(), bus{}
	m.expect(&e, engine.ExitMMIO)
	m.serve(&e, b)
	m.expect(&e, engine.ExitHLT)
	if v := b.u64(nowhere + 0xffd); v != 0x1122334455667788 || len(b) != 8 {
		m.Errorf("the device got %#x in %d bytes", v, len(b))
	}
}

func mmioReadCrossing(m *machine) {
	m.device()
	m.code(func(a *asm.Asm) { a.Load(8, asm.RAX, asm.At(asm.RBX, 0xffd)); a.Hlt() })
	b := bus{}
	for i := range guestmem.GPA(8) {
		b[nowhere+0xffd+i] = byte(0x11 * (i + 1))
	}
	e := m.run()
	m.expect(&e, engine.ExitMMIO)
	m.serve(&e, b)
	m.expect(&e, engine.ExitHLT)
	if m.st.GPR[x86.RAX] != 0x8877665544332211 {
		m.Errorf("rax %#x", m.st.GPR[x86.RAX])
	}
}

// mmioHalf: an access that begins in memory and ends in a device reaches both.
func mmioHalf(m *machine) {
	m.put(testPT, testPages|7)
	m.put(testPT+8, nowhere|7)
	m.st.GPR[x86.RBX], m.st.GPR[x86.RAX] = testVA, 0x1122334455667788
	m.code(func(a *asm.Asm) {
		a.Store(8, asm.At(asm.RBX, 0xffd), asm.RAX)
		a.Load(8, asm.RCX, asm.At(asm.RBX, 0xffd))
		a.Hlt()
	})
	e, b := m.run(), bus{}
	m.expect(&e, engine.ExitMMIO)
	m.serve(&e, b)
	m.expect(&e, engine.ExitHLT)
	if got := m.read(testPages+0xffd, 3); !bytes.Equal(got, []byte{0x88, 0x77, 0x66}) || b.u64(nowhere) != 0x1122334455 {
		m.Errorf("in memory % x, in the device %#x", got, b.u64(nowhere))
	}
	if m.st.GPR[x86.RCX] != 0x1122334455667788 {
		m.Errorf("read back %#x", m.st.GPR[x86.RCX])
	}
}

func mmioRMW(m *machine) {
	m.device()
	m.st.GPR[x86.RAX] = 0x11
	m.code(func(a *asm.Asm) { a.OpStore(asm.ADD, 4, asm.At(asm.RBX, 8), asm.RAX); a.Hlt() })
	e := m.run()
	m.expect(&e, engine.ExitMMIO)
	if e.Write || e.Size != 4 {
		m.Errorf("first exit %s", describe(&e))
	}
	e.Data = 0xfffffff0
	m.cont(&e)
	m.expect(&e, engine.ExitMMIO)
	if !e.Write || e.GPA != nowhere+8 || e.Data&mask(4) != 1 {
		m.Errorf("second exit %s", describe(&e))
	}
	m.cont(&e)
	m.expect(&e, engine.ExitHLT)
	if m.st.RFLAGS&x86.FlagCF == 0 {
		m.Errorf("no carry: rflags %#x", m.st.RFLAGS)
	}
}

// mmioMovs: a string move from device to device asks twice and is then finished.
func mmioMovs(m *machine) {
	m.device()
	m.st.GPR[x86.RSI], m.st.GPR[x86.RDI] = testVA, testVA+0x100
	m.code(func(a *asm.Asm) { a.Raw(0x48, 0xa5); a.Hlt() })
	b := bus{}
	for i := range guestmem.GPA(8) {
		b[nowhere+i] = byte(i + 1)
	}
	e := m.run()
	m.expect(&e, engine.ExitMMIO)
	m.serve(&e, b)
	m.expect(&e, engine.ExitHLT)
	if v := b.u64(nowhere + 0x100); v != 0x0807060504030201 || m.st.GPR[x86.RSI] != testVA+8 || m.st.GPR[x86.RDI] != testVA+0x108 {
		m.Errorf("the device got %#x; rsi %#x rdi %#x", v, m.st.GPR[x86.RSI], m.st.GPR[x86.RDI])
	}
}

func mmioRepStos(m *machine) {
	m.device()
	m.st.GPR[x86.RDI], m.st.GPR[x86.RCX], m.st.GPR[x86.RAX] = testVA+0xff8, 4, 0xa5a5a5a5
	m.code(func(a *asm.Asm) { a.Raw(0xf3, 0xab); a.Hlt() })
	e, b := m.run(), bus{}
	m.expect(&e, engine.ExitMMIO)
	m.serve(&e, b)
	m.expect(&e, engine.ExitHLT)
	if b.u64(nowhere+0xff8) != 0xa5a5a5a5a5a5a5a5 || b.u64(nowhere+0x1000) != 0xa5a5a5a5a5a5a5a5 || m.st.GPR[x86.RCX] != 0 {
		m.Errorf("the device got %#x %#x; rcx %d", b.u64(nowhere+0xff8), b.u64(nowhere+0x1000), m.st.GPR[x86.RCX])
	}
}
