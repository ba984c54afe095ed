package gauge

import (
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

const pvBase = tiny.PVBase

// Pages of a PV guest, besides those that every mode has.
const (
	consoleAt = pvBase + pagesTo + 0xb000 // the console ring is mapped here
	userL4    = pvBase + pagesTo + 0xc000 // page tables of user mode: those of the kernel under a level 4 of their own
	p2mAt     = tiny.P2M
)

const (
	pageUser  = 7     // present, writable, user
	pageRead  = 5     // present, user
	flagsUser = 0x202 // with events let in: a kernel that keeps them out of its processes is none that hypervisors make fast
)

func pvMode() *mode {
	m := &mode{name: "pv", base: pvBase, small: pvBase + window4K, begin: pvBegin, hypercall: pageCall, cpuid: pvCPUID, trap: pvTrap, trapReturn: func(p *prog) { hyperIret(p, 0) },
		syscalls:  func(p *prog, label string) { callback(p, xen.CALLBACKTYPE_syscall, label) },
		sysReturn: func(p *prog) { hyperIret(p, xen.VGCF_in_syscall) },
		user:      pvUser, setPTE: updateVA, flush: flushLocal, upcalls: func(p *prog, label string) { callback(p, xen.CALLBACKTYPE_event, label) },
		allow: pvAllow, forbid: func(p *prog) { pvMask(p, 1) },
		halt:    func(p *prog) { p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_block, 0); pvMask(p, 1) },
		setPTEs: pvUpdateList, window: pvWindow, startVCPU: pvStart,
		lacks: map[string]string{"walk/2m": "a PV guest has no large pages", "walk/1g": "a PV guest has no large pages",
			"io/mmio": "a PV guest has no local APIC"}}
	m.image = func(body func(*prog)) ([]byte, error) {
		a := asm.New(pvBase + tiny.Base)
		p := newProg(a, m)
		a.MovI(asm.RSP, pvBase+tiny.Stack)
		a.Store(8, mem(p.words.startInfo), asm.RSI)
		body(p)
		code, err := a.Bytes()
		if err != nil {
			return nil, err
		}
		return tiny.PV(code, zeroTo, callsAt), nil
	}
	return m
}

// lastEntry is the offset of a table's last entry, which maps the end of the address space.
const lastEntry = 511 * 8

// Offsets in struct start_info of a 64-bit guest (public/xen.h).
const (
	siSharedInfo  = 40
	siConsoleMFN  = 72
	siConsolePort = 80
	siPTBase      = 88
)

// startInfo loads a field of start_info.
func startInfo(p *prog, size int, to asm.Reg, field int32) {
	p.Load(8, asm.RDX, mem(p.words.startInfo))
	p.Load(size, to, asm.At(asm.RDX, field))
}

// pvBegin maps shared info and console, and gives user mode its page tables.
func pvBegin(p *prog) {
	p.set(p.words.xen, 1)
	p.set(p.words.flushOp, xen.MMUEXT_TLB_FLUSH_LOCAL)
	startInfo(p, 8, asm.RSI, siSharedInfo)
	mapAt(p, p.words.shared)
	startInfo(p, 8, asm.RSI, siConsoleMFN)
	p.Shl(8, asm.RSI, 12)
	mapAt(p, consoleAt)
	p.set(p.words.conPage, consoleAt)
	startInfo(p, 4, asm.RAX, siConsolePort)
	p.Store(4, mem(p.words.conPort), asm.RAX)
	p.maskConsole()
	p.call(xen.HYPERVISOR_stack_switch, xen.FLAT_RING3_SS64, pvBase+tiny.Stack-0x1000)
	iopl := p.alloc(1)
	p.set(iopl, 1)
	p.call(xen.HYPERVISOR_physdev_op, physdevSetIOPL, iopl)
	startInfo(p, 8, asm.RDX, siPTBase)
	p.Load(8, asm.RAX, asm.At(asm.RDX, lastEntry))
	p.Store(8, mem(userL4+lastEntry), asm.RAX)
	readOnly(p, userL4)
	p.Shr(8, asm.RAX, 12)
	mmuext(p, xen.MMUEXT_NEW_USER_BASEPTR)
}

// physdevSetIOPL is PHYSDEVOP_set_iopl (public/physdev.h).
const physdevSetIOPL = 6

// mapAt maps the machine address in rsi at a page of the guest.
func mapAt(p *prog, va uint64) {
	p.OpI(asm.OR, 8, asm.RSI, pageUser)
	p.MovI(asm.RDI, va)
	p.MovI(asm.RDX, xen.UVMF_INVLPG)
	p.mode.hypercall(p, xen.HYPERVISOR_update_va_mapping)
}

// machine leaves the machine address of a page in rax.
func machine(p *prog, page uint64) {
	p.MovI(asm.RAX, p2mAt+8*((page-pvBase)>>12))
	p.Load(8, asm.RAX, asm.At(asm.RAX, 0))
	p.Shl(8, asm.RAX, 12)
}

// readOnly makes a page one that can become a page table, and leaves its machine address in rax.
func readOnly(p *prog, page uint64) {
	machine(p, page)
	p.Push(asm.RAX)
	p.Mov(8, asm.RSI, asm.RAX)
	p.OpI(asm.OR, 8, asm.RSI, pageRead)
	p.MovI(asm.RDI, page)
	p.MovI(asm.RDX, xen.UVMF_INVLPG)
	p.mode.hypercall(p, xen.HYPERVISOR_update_va_mapping)
	p.Pop(asm.RAX)
}

// mmuext does an extended operation; its argument, a frame, is in rax.
func mmuext(p *prog, cmd uint32) {
	at := p.arg2(&xen.MMUExtOp{Cmd: cmd})
	p.call(xen.HYPERVISOR_mmuext_op, at, 1, 0, uint64(xen.DOMID_SELF))
}

// arg2 is arg for a struct whose second word is in rax.
func (p *prog) arg2(s xen.Struct) uint64 {
	p.Push(asm.RAX)
	at := p.arg(0, s)
	p.Pop(asm.RAX)
	p.Store(8, mem(at+8), asm.RAX)
	return at
}

// flushLocal empties the TLB; the list of one operation lies ready.
func flushLocal(p *prog) {
	p.call(xen.HYPERVISOR_mmuext_op, p.words.flushOp, 1, 0, uint64(xen.DOMID_SELF))
}

func updateVA(p *prog) {
	p.Mov(8, asm.RDI, asm.RSI)
	p.Mov(8, asm.RSI, asm.RAX)
	p.MovI(asm.RDX, xen.UVMF_INVLPG)
	p.mode.hypercall(p, xen.HYPERVISOR_update_va_mapping)
}

// pvUpdateList writes rax to many entries by one list, and empties the TLB.
func pvUpdateList(p *prog) {
	for i := range uint64(manyPTEs) {
		p.Store(8, mem(p.words.updates+16*i+8), asm.RAX)
	}
	p.call(xen.HYPERVISOR_mmu_update, p.words.updates, manyPTEs, 0, uint64(xen.DOMID_SELF))
	flushLocal(p)
}

// pvWindow makes the window of small pages, once: a page table whose first entry is a page of the guest, and a page directory that is full of it.
func pvWindow(p *prog) {
	over := p.label()
	p.OpMI(asm.CMP, 4, mem(p.words.windows), 0)
	p.Jcc(asm.NE, over)
	p.set(p.words.windows, 1)
	for _, e := range []struct{ page, to uint64 }{{pvBase + wordsAt, pvBase + tablePT}, {pvBase + frameA, p.words.pteA}, {pvBase + frameB, p.words.pteB}} {
		machine(p, e.page)
		p.OpI(asm.OR, 8, asm.RAX, pageUser)
		p.Store(8, mem(e.to), asm.RAX)
	}
	p.Load(8, asm.RAX, mem(p.words.pteA))
	p.Store(8, mem(pvBase+changedPTE), asm.RAX)
	machine(p, pvBase+tablePT)
	p.OpI(asm.ADD, 8, asm.RAX, 8*manyFirst)
	for i := range uint64(manyPTEs) { // struct mmu_update, with MMU_NORMAL_PT_UPDATE
		p.Store(8, mem(p.words.updates+16*i), asm.RAX)
		p.OpI(asm.ADD, 8, asm.RAX, 8)
	}
	readOnly(p, pvBase+tablePT)
	p.OpI(asm.OR, 8, asm.RAX, pageUser)
	fill(p, pvBase+tablePD4K, windowPages, 0)
	readOnly(p, pvBase+tablePD4K)
	p.OpI(asm.OR, 8, asm.RAX, pageUser)
	update := p.alloc(2) // struct mmu_update
	p.Store(8, mem(update+8), asm.RAX)
	startInfo(p, 8, asm.RDX, siPTBase)
	p.Load(8, asm.RAX, asm.At(asm.RDX, lastEntry)) // the last table of level 3
	p.OpI(asm.AND, 8, asm.RAX, -0x1000)
	p.OpI(asm.ADD, 8, asm.RAX, lastEntry)
	p.Store(8, mem(update), asm.RAX)
	p.call(xen.HYPERVISOR_mmu_update, update, 1, 0, uint64(xen.DOMID_SELF))
	p.Label(over)
}

// pvCPUID is CPUID with Xen's prefix for forced emulation.
func pvCPUID(p *prog) {
	p.Raw(0x0f, 0x0b, 'x', 'e', 'n')
	p.Cpuid()
}

// framed makes an entry that takes what Xen puts on top of a processor's frame, and goes on at a label.
func framed(p *prog, label string) string {
	return p.outOfLine(func() {
		p.Pop(asm.RCX)
		p.Pop(asm.R11)
		p.Jmp(label)
	})
}

func pvTrap(p *prog, vector uint8, label string, user bool) {
	entry := framed(p, label)
	flags := uint8(xen.TI_IF) // events are masked in the handler, as kernels have it
	if user || vector == vectorBP {
		flags |= xen.TI_DPL
	}
	table := p.arg(0, &xen.TrapInfo{Vector: vector, Flags: flags, CS: xen.FLAT_RING3_CS64})
	p.alloc(2) // the end of the table
	p.addr(asm.RAX, entry)
	p.Store(8, mem(table+8), asm.RAX)
	p.call(xen.HYPERVISOR_set_trap_table, table)
}

func callback(p *prog, typ uint16, label string) {
	entry := framed(p, label)
	at := p.arg(0, &xen.CallbackRegister{Type: typ, Flags: xen.CALLBACKF_mask_events})
	p.addr(asm.RAX, entry)
	p.Store(8, mem(at+8), asm.RAX)
	p.call(xen.HYPERVISOR_callback_op, xen.CALLBACKOP_register, at)
}

// hyperIret leaves a handler: HYPERVISOR_iret wants flags on top of the frame, and gets the rest from its entry of the hypercall page.
func hyperIret(p *prog, flags uint32) {
	pushI(p, flags)
	pushI(p, (pvBase+callsAt+32*xen.HYPERVISOR_iret)&0xffffffff) // sign-extended
	p.Ret()
}

func pushI(p *prog, v uint32) { p.Raw(0x68, byte(v), byte(v>>8), byte(v>>16), byte(v>>24)) }

func pvUser(p *prog, label string) {
	p.Mov(8, asm.RCX, asm.RSP)
	pushI(p, xen.FLAT_RING3_SS64)
	p.Push(asm.RCX)
	pushI(p, flagsUser)
	pushI(p, xen.FLAT_RING3_CS64)
	p.addr(asm.RAX, label)
	p.Push(asm.RAX)
	hyperIret(p, 0)
}

// pvMask sets evtchn_upcall_mask.
func pvMask(p *prog, v byte) {
	p.RM(1, []byte{0xc6}, 0, mem(p.words.shared+sharedBlocked)) // mov byte
	p.Raw(v)
}

// pvAllow lets events in: those that wait are delivered at the next hypercall.
func pvAllow(p *prog) {
	over := p.label()
	pvMask(p, 0)
	p.OpMI(asm.CMP, 1, mem(p.words.shared+sharedUpcall), 0)
	p.Jcc(asm.E, over)
	p.call(xen.HYPERVISOR_xen_version, xen.XENVER_version, 0)
	p.Label(over)
}
