package abi

import (
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
)

var saved = []asm.Reg{asm.RAX, asm.RCX, asm.RDX, asm.RBX, asm.RSI, asm.RDI, asm.R8, asm.R9, asm.R10, asm.R11}

// IDT loads an interrupt descriptor table; Handler and Fault fill it. It may be emitted again, for another vCPU.
func (p *Prog) IDT() {
	if p.idt == 0 {
		p.idt = p.NewPage()
	}
	at := p.Words(2)
	p.Set(at, 0xfff|p.idt<<16)
	p.Set(at+8, p.idt>>48)
	p.Lidt(mem(at))
}

// Handler makes body the handler of a vector without error code. It may use the registers that Prog's methods destroy, and rbx.
func (p *Prog) Handler(vector uint8, body func()) { p.handler(vector, false, body) }

// handler emits the handler out of line, and the stores of its gate.
func (p *Prog) handler(vector uint8, code bool, body func()) {
	over, at := p.NewLabel(), p.NewLabel()
	p.Jmp(over)
	p.Label(at)
	for _, r := range saved {
		p.Push(r)
	}
	body()
	for i := range saved {
		p.Pop(saved[len(saved)-1-i])
	}
	if code {
		p.Lea(8, asm.RSP, asm.At(asm.RSP, 8))
	}
	p.Iretq()
	p.Label(over)
	p.gate(vector, at)
}

func (p *Prog) gate(vector uint8, label string) {
	gate := p.idt + 16*uint64(vector)
	p.MovLabel(asm.RAX, label)
	p.Mov(4, asm.RCX, asm.RAX)
	p.OpI(asm.AND, 4, asm.RCX, 0xffff)
	p.OpI(asm.OR, 4, asm.RCX, tiny.Code64<<16)
	p.Store(4, mem(gate), asm.RCX)
	p.OpI(asm.AND, 4, asm.RAX, -0x10000)
	p.OpI(asm.OR, 4, asm.RAX, 0x8e00)
	p.Store(4, mem(gate+4), asm.RAX)
	p.Set(gate+8, 0)
}

// frame is the distance from rsp, in a handler's body, to the word under the saved registers.
const frame = 8 * 10

// SkipFault makes a handler for a fault (with or without an error code) that counts in the word it gives and goes on n bytes behind the
// instruction that faulted.
func (p *Prog) SkipFault(vector uint8, code bool, n int32) (count Addr) {
	count = p.Words(1)
	at := int32(frame)
	if code {
		at += 8
	}
	p.handler(vector, code, func() {
		p.OpMI(asm.ADD, 8, mem(count), 1)
		p.OpMI(asm.ADD, 8, asm.At(asm.RSP, at), n)
	})
	return count
}

// CountInterrupts makes a handler that counts in the word it gives, and sends an EOI through the x2APIC if asked to.
func (p *Prog) CountInterrupts(vector uint8, eoi bool) (count Addr) {
	count = p.Words(1)
	p.Handler(vector, func() {
		p.OpMI(asm.ADD, 8, mem(count), 1)
		if eoi {
			p.WriteMSR(0x80b, 0)
		}
	})
	return count
}

// AwaitInterrupts halts until the 32-bit word at an address is at least n, with interrupts on only there.
func (p *Prog) AwaitInterrupts(at Addr, n uint32) {
	top, done := p.NewLabel(), p.NewLabel()
	p.Label(top)
	p.OpMI(asm.CMP, 4, mem(at), int32(n))
	p.Jcc(asm.AE, done)
	p.Sti()
	p.Hlt()
	p.Cli()
	p.Jmp(top)
	p.Label(done)
}

// X2APIC switches the local APIC to x2APIC mode and enables it with spurious vector 0xff.
func (p *Prog) X2APIC() {
	p.MovI(asm.RCX, 0x1b)
	p.Rdmsr()
	p.OpI(asm.OR, 4, asm.RAX, 0xc00)
	p.Wrmsr()
	p.WriteMSR(0x80f, 0x1ff)
}
