package abi

import (
	"encoding/binary"
	"fmt"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Entry says how a guest enters the hypervisor.
type Entry int

// The ways in.
const (
	VMCALL  Entry = iota // the instruction itself
	VMMCALL              // AMD's
	Page                 // a call to the hypercall page, which is put in place through its MSR
)

// Addr is an address in the guest, physical and linear alike.
type Addr = uint64

// Prog is a guest under construction. The methods of Asm emit code; those of Prog emit code that destroys rax, rcx, rdx, rsi, rdi and r8 to r11 and
// keeps the rest, unless they say otherwise.
type Prog struct {
	*asm.Asm
	// StartInfo is where the guest keeps the address of its hvm_start_info.
	StartInfo Addr

	entry  Entry
	calls  Addr // the hypercall page
	next   Addr // free memory for words and structs
	pages  Addr // free whole pages
	labels int
	idt    Addr
}

const (
	wordsAt = tiny.Data
	pagesAt = tiny.Data + 0x200000
)

// Build makes a kernel image of what f emits. The guest powers off when that code is through.
func Build(entry Entry, f func(p *Prog)) ([]byte, error) {
	return tiny.Image(func(a *asm.Asm) {
		p := &Prog{Asm: a, entry: entry, next: wordsAt, pages: pagesAt}
		p.StartInfo = p.Words(1)
		p.Store(8, mem(p.StartInfo), asm.RBX)
		if entry == Page {
			p.calls = p.NewPage()
			p.HypercallPage(p.calls)
		}
		f(p)
		a.Ret()
	})
}

func mem(a Addr) asm.Mem { return asm.Abs(int32(a)) }

// Mem is the memory operand for an address.
func (p *Prog) Mem(a Addr) asm.Mem { return mem(a) }

// Words gives the address of n unused 64-bit words, which hold 0 at the start.
func (p *Prog) Words(n int) Addr {
	a := p.next
	p.next += 8 * uint64(n)
	if p.next > pagesAt {
		panic("abi: out of words")
	}
	return a
}

// NewPage gives the address of an unused page of zeros.
func (p *Prog) NewPage() Addr {
	a := p.pages
	p.pages += 0x1000
	if p.pages > tiny.Limit {
		panic("abi: out of pages")
	}
	return a
}

// NewLabel makes up a label.
func (p *Prog) NewLabel() string {
	p.labels++
	return fmt.Sprintf("abi %d", p.labels)
}

// Set emits a store of a 64-bit constant, Set32 and Set8 of smaller ones.
func (p *Prog) Set(at Addr, v uint64) { p.MovI(asm.RAX, v); p.Store(8, mem(at), asm.RAX) }

// Set32 stores 32 bits.
func (p *Prog) Set32(at Addr, v uint32) { p.MovI(asm.RAX, uint64(v)); p.Store(4, mem(at), asm.RAX) }

// Set8 stores a byte.
func (p *Prog) Set8(at Addr, v uint8) { p.MovI(asm.RAX, uint64(v)); p.Store(1, mem(at), asm.RAX) }

// Copy emits a copy of 1, 2, 4 or 8 bytes.
func (p *Prog) Copy(size int, to, from Addr) {
	p.Load(size, asm.RAX, mem(from))
	p.Store(size, mem(to), asm.RAX)
}

// Keep stores a register in a word of its own and gives the word's address.
func (p *Prog) Keep(r asm.Reg) Addr {
	a := p.Words(1)
	p.Store(8, mem(a), r)
	return a
}

// KeepBytes keeps n bytes of memory as they are now.
func (p *Prog) KeepBytes(from Addr, n int) Addr {
	a := p.Words((n + 7) / 8)
	for i := 0; i < n; i += 8 {
		p.Copy(8, a+uint64(i), from+uint64(i))
	}
	return a
}

// Bytes puts bytes into the guest's memory, padded with zeros to whole words, and gives their address.
func (p *Prog) Bytes(b []byte) Addr {
	a := p.Words((len(b) + 7) / 8)
	p.SetBytes(a, b)
	return a
}

// SetBytes emits stores of bytes, padded with zeros to whole words.
func (p *Prog) SetBytes(at Addr, b []byte) {
	for i := 0; i < len(b); i += 8 {
		var w [8]byte
		copy(w[:], b[i:])
		p.Set(at+uint64(i), binary.LittleEndian.Uint64(w[:]))
	}
}

// Struct puts a wire struct into the guest's memory and gives its address.
func (p *Prog) Struct(s xen.Struct) Addr { return p.Bytes(xen.Encode(xen.ABI64, s)) }

var argRegs = [6]asm.Reg{asm.RDI, asm.RSI, asm.RDX, asm.R10, asm.R8, asm.R9}

// Call makes a hypercall with constant arguments, and keeps its result in the word it gives.
func (p *Prog) Call(nr uint64, args ...uint64) Addr {
	for i, v := range args {
		p.MovI(argRegs[i], v)
	}
	p.Enter(nr)
	return p.Keep(asm.RAX)
}

// Enter makes the hypercall with what the argument registers hold. The result is in rax.
func (p *Prog) Enter(nr uint64) {
	switch p.entry {
	case VMCALL:
		p.MovI(asm.RAX, nr)
		p.Vmcall()
	case VMMCALL:
		p.MovI(asm.RAX, nr)
		p.Vmmcall()
	case Page:
		p.MovI(asm.RAX, p.calls+32*nr)
		p.Raw(0xff, 0xd0) // call rax
	}
}

// HypercallPage asks for a hypercall page.
func (p *Prog) HypercallPage(at Addr) { p.WriteMSR(0x40000000, at) }

// ReadMSR emits rdmsr and keeps the value.
func (p *Prog) ReadMSR(msr uint32) Addr {
	p.MovI(asm.RCX, uint64(msr))
	p.Rdmsr()
	p.Shl(8, asm.RDX, 32)
	p.Op(asm.OR, 8, asm.RAX, asm.RDX)
	return p.Keep(asm.RAX)
}

// ReadTSC leaves the time-stamp counter in rax.
func (p *Prog) ReadTSC() {
	p.Raw(0x0f, 0x31)
	p.Shl(8, asm.RDX, 32)
	p.Op(asm.OR, 8, asm.RAX, asm.RDX)
}

// KeepCPUID keeps eax, ebx, ecx and edx of a leaf in four words.
func (p *Prog) KeepCPUID(leaf, sub uint32) Addr {
	p.Push(asm.RBX)
	p.MovI(asm.RAX, uint64(leaf))
	p.MovI(asm.RCX, uint64(sub))
	p.Cpuid()
	a := p.Words(4)
	for i, r := range []asm.Reg{asm.RAX, asm.RBX, asm.RCX, asm.RDX} {
		p.Store(8, mem(a+uint64(8*i)), r)
	}
	p.Pop(asm.RBX)
	return a
}

// Repeat emits body n times over at run time, with the round (0 first) in r15.
func (p *Prog) Repeat(n uint64, body func()) {
	top := p.NewLabel()
	p.MovI(asm.R15, 0)
	p.Label(top)
	body()
	p.Inc(8, asm.R15)
	p.MovI(asm.RAX, n)
	p.Op(asm.CMP, 8, asm.R15, asm.RAX)
	p.Jcc(asm.B, top)
}

// Forever emits body again and again.
func (p *Prog) Forever(body func()) {
	top := p.NewLabel()
	p.Label(top)
	body()
	p.Jmp(top)
}

// AwaitSpinning emits a loop until the 32-bit word at an address is at least n.
func (p *Prog) AwaitSpinning(at Addr, n uint32) {
	top := p.NewLabel()
	p.Label(top)
	p.Raw(0xf3, 0x90) // pause
	p.OpMI(asm.CMP, 4, mem(at), int32(n))
	p.Jcc(asm.B, top)
}
