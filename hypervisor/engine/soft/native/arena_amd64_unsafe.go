//go:build linux && amd64

package native

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Layout of the trampoline's two pages at ArenaExit: the stubs, then their state.
const (
	arenaStubs   = 0x1000
	arenaHandler = 0x400 // signal handler, in the stubs' page
	arenaEntry   = 0x200 // entry stub
	stGPR        = 0x1000
	stFrame      = stGPR + 0x80 // RIP CS RFLAGS RSP SS, for IRETQ
	stHostSP     = stFrame + 0x28
	stGS         = stHostSP + 8
	stFlags      = stGS + 8
	stEnded      = stFlags + 8 // 1: the signal handler ended the run
	stRAX        = stEnded + 8 // signal handler's scratch
	stFX         = stGPR + 0x200
	stGregs      = stGPR + 0x400 // the signal frame's 23 registers
	stOld        = stGPR + 0x600 // Go's handlers by signal
	stScratch    = stGPR + 0xf00 // top of the scratch stack
	tramSize     = 0x2000
)

// Positions of the registers in a signal frame (Linux uapi asm/sigcontext.h), as indices of 8-byte words.
const (
	gregR8, gregRDI, gregRSI, gregRBP, gregRBX, gregRDX, gregRAX, gregRCX, gregRSP, gregRIP, gregEFL = 0, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17

	gregErr, gregTrap, gregCR2 = 19, 20, 22
	gregFP                     = 23
	ucontextGregs              = 40
)

var gregOf = [16]int{gregRAX, gregRCX, gregRDX, gregRBX, gregRSP, gregRBP, gregRSI, gregRDI, gregR8, 1, 2, 3, 4, 5, 6, 7}

// Arena is the mapped arena. It is for one goroutine at a time.
type Arena struct {
	code, data, stack, tram []byte // mappings by which the host writes
	cs, ss                  uint16
}

// addr gives a pointer to a fixed address outside the Go heap.
func addr(a uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&a)) }

// OpenArena maps the arena and takes over the signals of processor exceptions for code in it; all others still go to the Go runtime. There is one
// in a process, and it stays until the process ends.
func OpenArena() (*Arena, error) {
	if !fsgsbase() {
		return nil, errors.New("the host does not allow WRGSBASE to user programs")
	}
	fd, err := unix.MemfdCreate("arena", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make arena: %w", err)
	}
	defer unix.Close(fd)
	const size = ArenaCodeSize + ArenaDataSize + ArenaStackSize + tramSize
	if err := unix.Ftruncate(fd, size); err != nil {
		return nil, fmt.Errorf("size arena: %w", err)
	}
	a := &Arena{}
	if _, err := unix.MmapPtr(-1, 0, addr(ArenaBase), ArenaSize, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED_NOREPLACE); err != nil {
		return nil, fmt.Errorf("reserve arena at %#x: %w", ArenaBase, err)
	}
	parts := []struct {
		at   uintptr
		size int
		prot int
		host *[]byte
	}{
		{ArenaCode, ArenaCodeSize, unix.PROT_READ | unix.PROT_EXEC, &a.code},
		{ArenaData, ArenaDataSize, unix.PROT_READ | unix.PROT_WRITE, &a.data},
		{ArenaStack, ArenaStackSize, unix.PROT_READ | unix.PROT_WRITE, &a.stack},
		{ArenaExit, arenaStubs, unix.PROT_READ | unix.PROT_EXEC, nil},
		{ArenaExit + arenaStubs, tramSize - arenaStubs, unix.PROT_READ | unix.PROT_WRITE, nil},
	}
	off := int64(0)
	for _, p := range parts {
		flag := unix.MAP_FIXED
		if p.at >= ArenaExit {
			flag = unix.MAP_FIXED_NOREPLACE
		}
		if _, err := unix.MmapPtr(fd, off, addr(p.at), uintptr(p.size), p.prot, unix.MAP_SHARED|unix.MAP_POPULATE|flag); err != nil {
			return nil, fmt.Errorf("map arena at %#x: %w", p.at, err)
		}
		off += int64(p.size)
	}
	host, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map arena: %w", err)
	}
	a.code, host = host[:ArenaCodeSize], host[ArenaCodeSize:]
	a.data, host = host[:ArenaDataSize], host[ArenaDataSize:]
	a.stack, a.tram = host[:ArenaStackSize], host[ArenaStackSize:]
	if err := unix.Mprotect(unsafe.Slice((*byte)(addr(ArenaReadOnly)), ArenaDataSize-(ArenaReadOnly-ArenaData)), unix.PROT_READ); err != nil {
		return nil, fmt.Errorf("protect arena: %w", err)
	}
	// A page that was never touched is not yet in the page tables, which the error codes of its faults would tell.
	sum := byte(0)
	for p := uintptr(ArenaCode); p < ArenaStack+ArenaStackSize; p += 0x1000 {
		if p < ArenaCode+ArenaCodeSize || p >= ArenaData && p < ArenaData+ArenaDataSize || p >= ArenaStack {
			sum += *(*byte)(addr(p))
		}
	}
	runtime.KeepAlive(sum)
	a.cs, a.ss = selectors()
	a.assemble()
	return a, a.takeSignals()
}

// Code, Data and Stack give the parts of the arena for the host to read and write.
func (a *Arena) Code() []byte  { return a.code }
func (a *Arena) Data() []byte  { return a.data }
func (a *Arena) Stack() []byte { return a.stack }

func (a *Arena) put(off int, v uint64) { binary.LittleEndian.PutUint64(a.tram[off:], v) }
func (a *Arena) word(off int) uint64   { return binary.LittleEndian.Uint64(a.tram[off:]) }

// Run loads c and runs code at c.RIP until it jumps to ArenaExit or an exception ends it. The code must not
// call the kernel or touch memory of the process outside the arena. The caller's goroutine is locked to its thread.
func (a *Arena) Run(c *Context) {
	for i, v := range c.GPR {
		a.put(stGPR+8*i, v)
	}
	a.put(stFrame, c.RIP)
	a.put(stFrame+8, uint64(a.cs))
	a.put(stFrame+16, c.RFLAGS|0x202)
	a.put(stFrame+24, c.GPR[4])
	a.put(stFrame+32, uint64(a.ss))
	a.put(stGS, c.GS)
	a.put(stEnded, 0)
	copy(a.tram[stFX:], c.FX[:])
	enter(ArenaExit + arenaEntry)
	copy(c.FX[:], a.tram[stFX:])
	c.GS = a.word(stGS)
	if a.word(stEnded) == 0 {
		for i := range c.GPR {
			c.GPR[i] = a.word(stGPR + 8*i)
		}
		c.RIP, c.RFLAGS, c.Vector, c.Error, c.CR2 = ArenaExit, a.word(stFlags), NoFault, 0, 0
		return
	}
	for i, g := range gregOf {
		c.GPR[i] = a.word(stGregs + 8*g)
	}
	c.RIP, c.RFLAGS = a.word(stGregs+8*gregRIP), a.word(stGregs+8*gregEFL)
	c.Vector, c.Error, c.CR2 = int(a.word(stGregs+8*gregTrap)), a.word(stGregs+8*gregErr), a.word(stGregs+8*gregCR2)
}

// fsgsbase reads the bit of the auxiliary vector that says that programs may write the GS base.
func fsgsbase() bool {
	const atHWCAP2, bit = 26, 2
	v, err := unix.Auxv()
	if err != nil {
		return false
	}
	for _, kv := range v {
		if kv[0] == atHWCAP2 {
			return kv[1]&bit != 0
		}
	}
	return false
}

// Heap gives the address of something in the Go heap, whose base is another one in each process.
func (a *Arena) Heap() uint64 { return uint64(uintptr(unsafe.Pointer(a))) }

// selectors gives the code and stack selectors of a 64-bit Linux program.
func selectors() (cs, ss uint16) { return 0x33, 0x2b }

// assemble writes the stubs: exit at offset 0, entry, and the signal handler.
func (a *Arena) assemble() {
	e := &emitter{a.tram, 0}
	for r := byte(0); r < 16; r++ {
		e.rel(stGPR+8*int(r), r&7, 0x48|r>>3<<2, 0x89)
	}
	const rsp = 4
	e.rel(stScratch, rsp, 0x48, 0x8d) // lea
	e.bytes(0x9c)                     // pushf
	e.rel(stFlags, 0, 0x8f)
	e.bytes(0x6a, 2, 0x9d) // push $2; popf
	e.rel(stFX, 0, 0x48, 0x0f, 0xae)
	e.bytes(0xf3, 0x48, 0x0f, 0xae, 0xc8) // rdgsbase rax
	e.rel(stGS, 0, 0x48, 0x89)
	e.bytes(0xdb, 0xe3) // fninit
	a.leave(e)

	e = &emitter{a.tram, arenaEntry}
	e.rel(stHostSP, rsp, 0x48, 0x89)
	e.rel(stGS, 0, 0x48, 0x8b)
	e.bytes(0xf3, 0x48, 0x0f, 0xae, 0xd8)       // wrgsbase rax
	e.bytes(0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0) // xor eax, eax; mov ds, eax; mov es, eax
	e.rel(stFX, 1, 0x48, 0x0f, 0xae)
	for r := byte(0); r < 16; r++ {
		if r != rsp {
			e.rel(stGPR+8*int(r), r&7, 0x48|r>>3<<2, 0x8b)
		}
	}
	e.rel(stFrame, rsp, 0x48, 0x8d)
	e.bytes(0x48, 0xcf) // iretq
	a.handler()
}

// leave gives the host its stack and MXCSR back and returns.
func (a *Arena) leave(e *emitter) {
	const mxcsr = stRAX + 8
	binary.LittleEndian.PutUint32(a.tram[mxcsr:], 0x1f80)
	e.rel(mxcsr, 2, 0x0f, 0xae)
	e.rel(stHostSP, 4, 0x48, 0x8b)
	e.bytes(0x31, 0xc0) // xor eax, eax
	e.bytes(0xf3, 0x48, 0x0f, 0xae, 0xd8)
	e.bytes(0xc3)
}

// handler is the signal handler (rdi signal, rdx ucontext): if the exception is the arena's, it copies the frame's registers and FX image
// and ends the run, without a return through the kernel; else it goes on to Go's handler.
func (a *Arena) handler() {
	e := &emitter{a.tram, arenaHandler}
	e.bytes(0x48, 0x8b, 0x82) // mov rax, [rdx+gregs+rip]
	e.imm32(ucontextGregs + 8*gregRIP)
	e.bytes(0x48, 0x3d) // cmp rax, 0x10000: a jump of 16 bits leads there
	e.imm32(0x10000)
	e.bytes(0x72, 0) // jb ours
	low := e.at
	e.bytes(0x48, 0x2d) // sub rax, base
	e.imm32(ArenaBase)
	e.bytes(0x48, 0x3d) // cmp rax, size
	e.imm32(ArenaSize)
	e.bytes(0x72, 0) // jb ours
	first := e.at
	e.bytes(0x48, 0x2d)
	e.imm32(ArenaExit - ArenaBase)
	e.bytes(0x48, 0x3d)
	e.imm32(arenaStubs)
	e.bytes(0x72, 0)
	second := e.at
	e.bytes(0x89, 0xf8) // mov eax, edi
	e.rel(stOld, 1, 0x48, 0x8d)
	e.bytes(0xff, 0x24, 0xc1) // jmp [rcx+rax*8]
	for _, j := range []int{low, first, second} {
		a.tram[j-1] = byte(e.at - j)
	}
	e.bytes(0x6a, 2, 0x9d, 0xfc) // push $2; popf; cld
	e.bytes(0x48, 0x8d, 0x72, ucontextGregs)
	e.rel(stGregs, 7, 0x48, 0x8d)
	e.bytes(0xb9)
	e.imm32(gregFP)
	e.bytes(0xf3, 0x48, 0xa5)
	e.bytes(0x48, 0x8b, 0x36) // mov rsi, [rsi]
	e.rel(stFX, 7, 0x48, 0x8d)
	e.bytes(0xb9)
	e.imm32(64)
	e.bytes(0xf3, 0x48, 0xa5)
	e.bytes(0xb8)
	e.imm32(1)
	e.rel(stEnded, 0, 0x48, 0x89)
	e.bytes(0xf3, 0x48, 0x0f, 0xae, 0xc8)
	e.rel(stGS, 0, 0x48, 0x89)
	a.leave(e)
}

func (e *emitter) imm32(v uint32) {
	binary.LittleEndian.PutUint32(e.mem[e.at:], v)
	e.at += 4
}

// sigaction is the kernel's struct.
type sigaction struct {
	handler, flags, restorer, mask uint64
}

// takeSignals installs the handler on the alternate stack that Go gives every thread.
func (a *Arena) takeSignals() error {
	const onStack, nodefer = 0x08000000, 0x40000000
	for _, s := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGFPE, unix.SIGTRAP} {
		var old sigaction
		if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&old)), 8, 0, 0); e != 0 {
			return os.NewSyscallError("rt_sigaction", e)
		}
		a.put(stOld+8*int(s), old.handler)
		n := old
		n.handler, n.mask, n.flags = ArenaExit+arenaHandler, 0, old.flags|onStack|nodefer
		if _, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&n)), 0, 8, 0, 0); e != 0 {
			return os.NewSyscallError("rt_sigaction", e)
		}
	}
	return nil
}
