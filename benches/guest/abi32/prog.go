package abi32

import (
	"encoding/binary"
	"fmt"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Addr is a physical address in the guest, which is a linear one as well.
type Addr = uint32

// Entry says how a guest enters the hypervisor.
type Entry int

// The ways in.
const (
	VMMCALL Entry = iota
	Page          // a call to the hypercall page, which is put in place through its MSR
)

// Prog is a guest under construction. The methods of Asm emit code; those of Prog emit code that destroys eax, ecx, edx, ebx, esi and edi, and keeps ebp.
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
	hyperID = 0x40000000 // the MSR for the hypercall page
)

// Build makes a kernel image of what f emits. The guest powers off when that code is through.
func Build(paging tiny.Paging, entry Entry, f func(p *Prog)) ([]byte, error) {
	return tiny.Image32(paging, func(a *asm.Asm) {
		p := &Prog{Asm: a, entry: entry, next: wordsAt, pages: pagesAt}
		p.StartInfo = p.Words(1)
		p.Store(4, mem(p.StartInfo), asm.RBX)
		if entry == Page {
			p.calls = p.NewPage()
			p.WriteMSR(hyperID, uint64(p.calls))
		}
		f(p)
		a.Ret()
	})
}

func mem(a Addr) asm.Mem { return asm.Abs(int32(a)) }

// Mem is the memory operand for an address.
func (p *Prog) Mem(a Addr) asm.Mem { return mem(a) }

// Words gives the address of n unused 32-bit words, which hold 0 at the start.
func (p *Prog) Words(n int) Addr {
	a := p.next
	p.next += 4 * Addr(n)
	if p.next > pagesAt {
		panic("abi32: out of words")
	}
	return a
}

// NewPage gives the address of an unused page of zeros.
func (p *Prog) NewPage() Addr {
	a := p.pages
	p.pages += 0x1000
	if p.pages > tiny.Limit {
		panic("abi32: out of pages")
	}
	return a
}

// NewLabel makes up a label.
func (p *Prog) NewLabel() string {
	p.labels++
	return fmt.Sprintf("abi32 %d", p.labels)
}

// Set emits a store of a 32-bit constant, Set8 of a byte.
func (p *Prog) Set(at Addr, v uint32) { p.MovI(asm.RAX, uint64(v)); p.Store(4, mem(at), asm.RAX) }

// Set8 stores a byte.
func (p *Prog) Set8(at Addr, v uint8) { p.MovI(asm.RAX, uint64(v)); p.Store(1, mem(at), asm.RAX) }

// Copy emits a copy of a word.
func (p *Prog) Copy(to, from Addr) { p.Load(4, asm.RAX, mem(from)); p.Store(4, mem(to), asm.RAX) }

// Keep stores a register in a word of its own and gives the word's address.
func (p *Prog) Keep(r asm.Reg) Addr {
	a := p.Words(1)
	p.Store(4, mem(a), r)
	return a
}

// Bytes puts bytes into the guest's memory, padded with zeros to whole words, and gives their address.
func (p *Prog) Bytes(b []byte) Addr {
	a := p.Words((len(b) + 3) / 4)
	p.SetBytes(a, b)
	return a
}

// SetBytes emits stores of bytes, padded with zeros to whole words.
func (p *Prog) SetBytes(at Addr, b []byte) {
	for i := 0; i < len(b); i += 4 {
		var w [4]byte
		copy(w[:], b[i:])
		p.Set(at+Addr(i), binary.LittleEndian.Uint32(w[:]))
	}
}

// Struct puts a wire struct into the guest's memory and gives its address.
func (p *Prog) Struct(s xen.Struct) Addr { return p.Bytes(xen.Encode(xen.ABI32, s)) }

var argRegs = [6]asm.Reg{asm.RBX, asm.RCX, asm.RDX, asm.RSI, asm.RDI}

// Call makes a hypercall with at most five constant arguments, and keeps its result in the word it gives.
func (p *Prog) Call(nr uint32, args ...uint32) Addr {
	for i, v := range args {
		p.MovI(argRegs[i], uint64(v))
	}
	p.Enter(nr)
	return p.Keep(asm.RAX)
}

// Enter makes the hypercall with what the argument registers hold. The result is in eax.
func (p *Prog) Enter(nr uint32) {
	if p.entry == Page {
		p.MovI(asm.RAX, uint64(p.calls+32*nr))
		p.Raw(0xff, 0xd0) // call eax
		return
	}
	p.MovI(asm.RAX, uint64(nr))
	p.Vmmcall()
}

// High gives the address of the same memory in the upper mapping: what a hypercall finds there, it finds through the guest's tables.
func High(a Addr) Addr { return a + tiny.High }
