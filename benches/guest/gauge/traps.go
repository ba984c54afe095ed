package gauge

import "gozen/hypervisor/x86/asm"

const (
	vectorBP   = 3
	vectorUD   = 6
	vectorPF   = 14
	vectorUser = 0x80
)

func traps() []Workload {
	return []Workload{
		{Name: "syscall/null", Area: AreaTraps, Meaning: "SYSCALL from user mode to a kernel that returns at once, and back", Ops: 256,
			setup: syscallSetup, batch: syscallBatch},
		{Name: "syscall/int80", Area: AreaTraps, Meaning: "INT 0x80 from user mode to a kernel that returns at once, and back", Ops: 256,
			setup: func(p *prog) {
				syscallSetup(p)
				p.mode.trap(p, vectorUser, p.outOfLine(func() { p.mode.trapReturn(p) }), true)
			}, batch: func(p *prog, n int) {
				p.inUser(func() { rounds(p, n, func(p *prog) { p.Raw(0xcd, vectorUser) }) })
			}},
		{Name: "trap/ud2", Area: AreaTraps, Meaning: "an invalid opcode, skipped by the kernel's handler", Ops: 256,
			setup: func(p *prog) {
				p.mode.trap(p, vectorUD, p.outOfLine(func() {
					p.OpMI(asm.ADD, 8, asm.At(asm.RSP, 0), 2)
					p.mode.trapReturn(p)
				}), false)
			}, op: func(p *prog) { p.Ud2() }},
		{Name: "trap/int3", Area: AreaTraps, Meaning: "a breakpoint, and the return from the kernel's handler", Ops: 256,
			setup: func(p *prog) {
				p.mode.trap(p, vectorBP, p.outOfLine(func() { p.mode.trapReturn(p) }), false)
			}, op: func(p *prog) { p.Raw(0xcc) }},
		{Name: "cpuid", Area: AreaTraps, Meaning: "CPUID leaf 1", Ops: 64,
			op: func(p *prog) {
				p.MovI(asm.RAX, 1)
				p.mode.cpuid(p)
			}},
		{Name: "msr/read", Area: AreaTraps, Meaning: "RDMSR of the local APIC's base", Ops: 64,
			op: func(p *prog) {
				p.MovI(asm.RCX, 0x1b)
				p.Rdmsr()
			}},
		{Name: "msr/write", Area: AreaTraps, Meaning: "WRMSR of the kernel's GS base", Ops: 64,
			op: func(p *prog) { p.WriteMSR(0xc0000102, 0) }},
	}
}

// leave is what user code has in eax when it is done; any other system call does nothing.
const leave = 1

// syscallSetup makes the system calls of the benchmark's kernel.
func syscallSetup(p *prog) {
	back := p.outOfLine(func() { // of inUser
		p.Load(8, asm.RSP, mem(p.words.returnTo))
		p.Ret()
	})
	p.mode.syscalls(p, p.outOfLine(func() {
		p.OpI(asm.CMP, 4, asm.RAX, leave)
		p.Jcc(asm.E, back)
		p.mode.sysReturn(p)
	}))
}

// syscallBatch makes n empty system calls.
func syscallBatch(p *prog, n int) {
	p.inUser(func() {
		rounds(p, n, func(p *prog) {
			p.MovI(asm.RAX, 0)
			p.syscall()
		})
	})
}

func (p *prog) syscall() { p.Raw(0x0f, 0x05) }

// inUser runs body in user mode.
func (p *prog) inUser(body func()) {
	user := p.outOfLine(func() {
		body()
		p.MovI(asm.RAX, leave)
		p.syscall()
	})
	enter := p.outOfLine(func() {
		p.Store(8, mem(p.words.returnTo), asm.RSP)
		p.mode.user(p, user)
	})
	p.Call(enter)
}
