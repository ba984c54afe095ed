package gauge

// mode is a way of being a guest: how the image begins, and how the operations that differ are done. The emitted operations destroy the
// scratch registers (see prog) and nothing else.
type mode struct {
	name string
	base uint64 // linear address of memory's first byte
	// small is the window of small pages (walks.go).
	small uint64
	// image packs the guest: the entry stub, then what body emits. The stub leaves 64-bit mode with a stack, memory that is mapped
	// one to one, and interrupts off.
	image func(body func(*prog)) ([]byte, error)
	// begin finds Xen, its console and shared info, and makes ready for traps. word(xen) tells afterwards whether there is Xen.
	begin func(p *prog)
	// hypercall makes the call of a number; the arguments are in rdi, rsi, rdx, r10. The result is in rax.
	hypercall func(p *prog, nr uint64)
	// cpuid is CPUID as the mode's guests do it.
	cpuid func(p *prog)
	// trap makes a label the handler of a vector, which user code may raise by INT if user is set.
	trap func(p *prog, vector uint8, label string, user bool)
	// trapReturn returns from a handler; the stack is as the processor's own frame without error code.
	trapReturn func(p *prog)
	// syscalls makes a label the handler of SYSCALL. It is left by sysReturn, at the instruction behind SYSCALL.
	syscalls  func(p *prog, label string)
	sysReturn func(p *prog)
	// user enters user mode at a label, with interrupts off.
	user func(p *prog, label string)
	// setPTE stores rax in the page-table entry at the address in rdi, and forgets what the processor knows of the page at rsi.
	setPTE func(p *prog)
	// setPTEs stores rax in manyPTEs entries of tablePT, from manyFirst on, and forgets all pages.
	setPTEs func(p *prog)
	// flush forgets all pages.
	flush func(p *prog)
	// upcalls has events delivered to a label, which is left by trapReturn.
	upcalls func(p *prog, label string)
	// allow lets events in, forbid keeps them out, halt waits for one with events let in, and returns with them kept out.
	allow, forbid, halt func(p *prog)
	// window makes the windows of walks.go, as far as the mode can have them, and the entries pteA and pteB.
	window func(p *prog)
	// startVCPU starts the second vCPU at a label, with memory as the first has it and a stack.
	startVCPU func(p *prog, label string)
	// lacks names what the mode does not have, with the reason.
	lacks map[string]string
}

func modes() []*mode { return []*mode{pvMode(), pvhMode(), hvmMode()} }

// has tells whether a workload can run in the mode, else why not.
func (m *mode) has(w *Workload) (why string, ok bool) {
	why, lacking := m.lacks[w.Name]
	return why, !lacking
}
