package gauge

import (
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Labels of the routines that every image has.
const (
	printText   = "print"   // rsi: address, rcx: length
	printNumber = "decimal" // rax: the number, in 12 digits
)

// digits is the width of a number: always the same, so that printing always costs the same.
const digits = 12

// say prints a constant.
func (p *prog) say(s string) {
	label := ""
	for _, t := range p.texts {
		if t.value == s {
			label = t.label
		}
	}
	if label == "" {
		label = p.label()
		p.texts = append(p.texts, text{label, s})
	}
	p.addr(asm.RSI, label)
	p.MovI(asm.RCX, uint64(len(s)))
	p.Call(printText)
}

// number prints the number in a word.
func (p *prog) number(word uint64) {
	p.Load(8, asm.RAX, mem(word))
	p.Call(printNumber)
}

// routines emits what say and number call, and the texts.
func (p *prog) routines() {
	p.Label(printText)
	p.Push(asm.RBX)
	p.Push(asm.R12)
	serial, done := p.label(), p.label()
	p.OpMI(asm.CMP, 4, mem(p.words.xen), 0)
	p.Jcc(asm.E, serial)
	p.toRing()
	p.Jmp(done)
	p.Label(serial)
	p.toPorts()
	p.Label(done)
	p.Pop(asm.R12)
	p.Pop(asm.RBX)
	p.Ret()
	p.decimal()
	for _, t := range p.texts {
		p.Label(t.label)
		p.Raw([]byte(t.value)...)
	}
}

// toRing writes to the console ring (public/io/console.h): waits while it is full, and notifies the backend at the end.
func (p *prog) toRing() {
	next, wait, put, sent := p.label(), p.label(), p.label(), p.label()
	p.Load(8, asm.RBX, mem(p.words.conPage))
	p.Label(next)
	p.Test(8, asm.RCX, asm.RCX)
	p.Jcc(asm.E, sent)
	p.Label(wait)
	p.Load(4, asm.RDX, asm.At(asm.RBX, xen.ConsoleOutProd))
	p.Mov(4, asm.RAX, asm.RDX)
	p.OpLoad(asm.SUB, 4, asm.RAX, asm.At(asm.RBX, xen.ConsoleOutCons))
	p.OpI(asm.CMP, 4, asm.RAX, xen.ConsoleOutSize)
	p.Jcc(asm.B, put)
	p.Push(asm.RSI)
	p.Push(asm.RCX)
	p.notifyConsole()
	p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_yield, 0)
	p.Pop(asm.RCX)
	p.Pop(asm.RSI)
	p.Jmp(wait)
	p.Label(put)
	p.Movzx8(asm.RAX, asm.At(asm.RSI, 0))
	p.Mov(4, asm.R12, asm.RDX)
	p.OpI(asm.AND, 4, asm.R12, xen.ConsoleOutSize-1)
	p.Store(1, asm.Idx(asm.RBX, asm.R12, 1, xen.ConsoleOut), asm.RAX)
	p.Inc(4, asm.RDX)
	p.Store(4, asm.At(asm.RBX, xen.ConsoleOutProd), asm.RDX)
	p.Inc(8, asm.RSI)
	p.Dec(8, asm.RCX)
	p.Jmp(next)
	p.Label(sent)
	p.notifyConsole()
}

func (p *prog) notifyConsole() {
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, p.words.conPort)
}

// toPorts writes to the first serial port, whose line status it awaits, and to port 0xe9.
func (p *prog) toPorts() {
	next, wait, done := p.label(), p.label(), p.label()
	p.Label(next)
	p.Test(8, asm.RCX, asm.RCX)
	p.Jcc(asm.E, done)
	p.Label(wait)
	p.MovI(asm.RDX, 0x3fd)
	p.Raw(0xec) // in al, dx
	p.OpI(asm.AND, 4, asm.RAX, 0x20)
	p.Jcc(asm.E, wait)
	p.Movzx8(asm.RAX, asm.At(asm.RSI, 0))
	p.MovI(asm.RDX, 0x3f8)
	p.Raw(0xee)       // out dx, al
	p.Raw(0xe6, 0xe9) // out 0xe9, al
	p.Inc(8, asm.RSI)
	p.Dec(8, asm.RCX)
	p.Jmp(next)
	p.Label(done)
}

// decimal makes the digits of rax on the stack and prints them.
func (p *prog) decimal() {
	top := p.label()
	p.Label(printNumber)
	p.OpI(asm.SUB, 8, asm.RSP, 16)
	p.MovI(asm.RCX, digits)
	p.MovI(asm.RDI, 10)
	p.Label(top)
	p.MovI(asm.RDX, 0)
	p.Raw(0x48, 0xf7, 0xf7) // div rdi
	p.OpI(asm.ADD, 4, asm.RDX, '0')
	p.Store(1, asm.Idx(asm.RSP, asm.RCX, 1, -1), asm.RDX)
	p.Dec(4, asm.RCX)
	p.Jcc(asm.NE, top)
	p.Mov(8, asm.RSI, asm.RSP)
	p.MovI(asm.RCX, digits)
	p.Call(printText)
	p.OpI(asm.ADD, 8, asm.RSP, 16)
	p.Ret()
}
