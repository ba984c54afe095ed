package abi

import (
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// The tables of package tiny that another vCPU uses too.
const (
	tables     = 0x180000
	gdtPointer = tables - 0x1000
	apStack    = 0x177000 // below the boot vCPU's
	trampoline = 0x8000
	entry32    = trampoline + 0x40
)

const cr0 = 0x80010033

// OnAP emits body out of line, as the code of vCPU 1: 64-bit mode with a stack, the same tables and IDT as the boot vCPU. The vCPU goes down at
// its end. It gives the label of the code.
func (p *Prog) OnAP(body func()) string {
	over, at, in := p.NewLabel(), p.NewLabel(), p.NewLabel()
	p.Jmp(over)
	p.Label(at)
	p.Lgdt(mem(gdtPointer))
	p.MovI(asm.RAX, tiny.Data64)
	for _, seg := range []byte{0xd8, 0xc0, 0xd0} {
		p.Raw(0x8e, seg)
	}
	p.MovI(asm.RSP, apStack)
	p.MovI(asm.RAX, tiny.Code64)
	p.Push(asm.RAX)
	p.MovLabel(asm.RAX, in)
	p.Push(asm.RAX)
	p.Raw(0x48, 0xcb) // far return
	p.Label(in)
	body()
	p.Call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_down, 1, 0)
	halt := p.NewLabel()
	p.Label(halt)
	p.Hlt()
	p.Jmp(halt)
	p.Label(over)
	return at
}

// Context is a 64-bit vcpu_hvm_context that starts at a label.
func (p *Prog) Context(label string) Addr {
	c := p.Words(16)
	p.Set(c, xen.VCPU_HVM_MODE_64B)
	p.MovLabel(asm.RAX, label)
	p.Store(8, mem(c+8+64), asm.RAX) // rip
	p.Set(c+8+72, 2)
	p.Set(c+8+80, cr0)
	p.Set(c+8+88, tables)
	p.Set(c+8+96, 0x620)
	p.Set(c+8+104, 0x101)
	return c
}

// Initialise and Up start vCPU 1 at a label, and keep the results.
func (p *Prog) Initialise(label string) (initialise, up Addr) {
	return p.Call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_initialise, 1, p.Context(label)), p.Call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_up, 1, 0)
}

// Trampoline puts code below 1 MiB that brings a vCPU from a startup IPI's real mode to a label's 64-bit code, and gives the IPI's vector.
func (p *Prog) Trampoline(label string) uint8 {
	to := uint32(p.Addr(label))
	real := []byte{
		0xfa,
		0x31, 0xc0, 0x8e, 0xd8, // ds = 0
		0x66, 0x0f, 0x01, 0x16, 0x30, 0x80, // lgdt [0x8030]
		0x0f, 0x20, 0xc0, 0x66, 0x83, 0xc8, 0x01, 0x0f, 0x22, 0xc0, // cr0 |= 1
		0x66, 0xea, entry32 & 0xff, entry32 >> 8, 0, 0, tiny.Code32, 0,
	}
	p.SetBytes(trampoline, real)
	p.Copy(8, trampoline+0x30, gdtPointer)
	a := asm.New(entry32)
	a.Bits = 32
	a.FromCR(asm.RAX, 4)
	a.OpI(asm.OR, 4, asm.RAX, 0x620)
	a.ToCR(4, asm.RAX)
	a.MovI(asm.RAX, tables)
	a.ToCR(3, asm.RAX)
	a.MovI(asm.RCX, 0xc0000080)
	a.Rdmsr()
	a.OpI(asm.OR, 4, asm.RAX, 0x101)
	a.Wrmsr()
	a.MovI(asm.RAX, cr0)
	a.ToCR(0, asm.RAX)
	a.Raw(0xea, byte(to), byte(to>>8), byte(to>>16), byte(to>>24), tiny.Code64, 0)
	code, err := a.Bytes()
	if err != nil {
		panic(err)
	}
	p.SetBytes(entry32, code)
	return trampoline >> 12
}

// StartIPI sends INIT and a startup IPI to vCPU 1 through the x2APIC.
func (p *Prog) StartIPI(vector uint8) {
	const ap = uint64(2) << 32 // APIC id of vCPU 1
	p.WriteMSR(0x830, ap|0x4500)
	p.WriteMSR(0x830, ap|0x4600|uint64(vector))
}
