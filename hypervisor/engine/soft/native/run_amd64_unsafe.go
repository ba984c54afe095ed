//go:build linux && amd64

package native

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Layout of the window behind the data, which belongs to the trampoline: the state, a word for the host's stack pointer, a
// scratch stack, and the two stubs.
const (
	offGPR     = 0x5000
	offFlags   = offGPR + 0x80
	offHostSP  = offFlags + 8
	offMXCSR   = offHostSP + 8
	offFX      = offGPR + 0x100
	offScratch = 0x5c00 // top of the scratch stack
	offEntry   = 0x6000
	offExit    = 0x6800
)

// Window is the mapped window. It is for one goroutine at a time.
type Window struct{ mem []byte }

// base gives the window's address as a pointer: the Go heap never reaches so low.
func base() unsafe.Pointer {
	a := uintptr(Base)
	return *(*unsafe.Pointer)(unsafe.Pointer(&a))
}

// Open maps the window. There is one in a process.
func Open() (*Window, error) {
	p, err := unix.MmapPtr(-1, 0, base(), Size, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED_NOREPLACE)
	if err != nil {
		return nil, fmt.Errorf("map window at %#x: %w", Base, err)
	}
	if uintptr(p) != Base {
		return nil, errors.New("window mapped at another address")
	}
	// The mapping is Size bytes long and lives until Close.
	w := &Window{mem: unsafe.Slice((*byte)(p), Size)}
	binary.LittleEndian.PutUint32(w.mem[offMXCSR:], 0x1f80)
	w.assemble()
	return w, nil
}

// Close unmaps the window.
func (w *Window) Close() error {
	return unix.MunmapPtr(base(), Size)
}

// Data gives the data area, at DataBase.
func (w *Window) Data() []byte { return w.mem[DataBase-Base:][:DataSize] }

// Run loads st, executes code and stores what it left in st. code is placed at CodeBase, must be shorter than CodeSize-16, and
// must end by falling through, with the direction flag and the trap flag clear.
func (w *Window) Run(code []byte, st *State) {
	n := copy(w.mem[:CodeSize-16], code)
	jumpTo(w.mem, n, offExit)
	for i, v := range st.GPR {
		binary.LittleEndian.PutUint64(w.mem[offGPR+8*i:], v)
	}
	const arith = 0x8d5
	binary.LittleEndian.PutUint64(w.mem[offFlags:], st.RFLAGS&arith|0x202)
	copy(w.mem[offFX:], st.FX[:])
	runtime.LockOSThread()
	enter(Base + offEntry)
	runtime.UnlockOSThread()
	for i := range st.GPR {
		st.GPR[i] = binary.LittleEndian.Uint64(w.mem[offGPR+8*i:])
	}
	st.RFLAGS = binary.LittleEndian.Uint64(w.mem[offFlags:])
	copy(st.FX[:], w.mem[offFX:])
}

func enter(entry uintptr)

// jumpTo puts a near jump at offset at of the window.
func jumpTo(mem []byte, at, to int) {
	mem[at] = 0xe9
	binary.LittleEndian.PutUint32(mem[at+1:], uint32(to-at-5))
}

// emitter writes instructions with RIP-relative operands.
type emitter struct {
	mem []byte
	at  int
}

func (e *emitter) bytes(b ...byte) { e.at += copy(e.mem[e.at:], b) }

// rel writes an opcode with a ModRM of mod 0, r/m 5 and the displacement of a window offset.
func (e *emitter) rel(to int, reg byte, op ...byte) {
	e.bytes(op...)
	e.bytes(reg<<3 | 5)
	binary.LittleEndian.PutUint32(e.mem[e.at:], uint32(to-e.at-4))
	e.at += 4
}

// assemble writes the stubs. Entry: save RSP, FXRSTOR64, POPF from the scratch stack, load the registers, jump to the
// code. Exit: save the registers, PUSHF, FXSAVE64, then give the host its FPU state and stack back.
func (w *Window) assemble() {
	const rsp = 4
	e := &emitter{w.mem, offEntry}
	e.rel(offHostSP, rsp, 0x48, 0x89)
	e.rel(offFX, 1, 0x48, 0x0f, 0xae)
	e.rel(offScratch, rsp, 0x48, 0x8d)
	e.rel(offFlags, 6, 0xff)
	e.bytes(0x9d)
	for r := byte(0); r < 16; r++ {
		e.rel(offGPR+8*int(r), r&7, 0x48|r>>3<<2, 0x8b)
	}
	jumpTo(w.mem, e.at, CodeBase-Base)

	e = &emitter{w.mem, offExit}
	for r := byte(0); r < 16; r++ {
		e.rel(offGPR+8*int(r), r&7, 0x48|r>>3<<2, 0x89)
	}
	e.rel(offScratch, rsp, 0x48, 0x8d)
	e.bytes(0x9c)
	e.rel(offFlags, 0, 0x8f)
	e.rel(offFX, 0, 0x48, 0x0f, 0xae)
	e.bytes(0xfc, 0xdb, 0xe3)
	e.rel(offMXCSR, 2, 0x0f, 0xae)
	e.rel(offHostSP, rsp, 0x48, 0x8b)
	e.bytes(0xc3)
}
