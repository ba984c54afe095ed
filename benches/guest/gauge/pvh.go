package gauge

import (
	"encoding/binary"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Pages of a guest that owns its processor's tables (PVH and HVM).
const (
	callsAt = pagesTo           // the hypercall page
	gdtAt   = pagesTo + 0x8000  // then the TSS
	tssAt   = gdtAt + 0x100     // 104 bytes
	idtAt   = pagesTo + 0x9000  //
	highPD  = pagesTo + 0xa000  // page directory of the fourth GiB
	zeroTo  = pagesTo + 0x10000 // end of what the guest uses
)

// Selectors, in the order that SYSCALL and SYSRET ask for.
const (
	selCode     = 0x08
	selUserBase = 0x18
	selUserData = 0x20 | 3
	selUserCode = 0x28 | 3
	selTSS      = 0x30
)

const upcallVector = 0xf3

// noteHypercallPage is XEN_ELFNOTE_HYPERCALL_PAGE: this guest makes its hypercalls through a page.
const noteHypercallPage = 2

func pvhMode() *mode {
	m := &mode{name: "pvh", small: window4K, begin: pvhBegin, hypercall: pageCall, cpuid: (*prog).Cpuid, trap: idtTrap, trapReturn: (*prog).Iretq, syscalls: msrSyscalls,
		sysReturn: func(p *prog) { p.Raw(0x48, 0x0f, 0x07) }, user: iretUser, setPTE: storePTE, setPTEs: storePTEs, flush: reloadCR3,
		upcalls: callbackVector, allow: (*prog).Sti, forbid: (*prog).Cli, halt: func(p *prog) { p.Sti(); p.Hlt(); p.Cli() },
		window: storeWindows, startVCPU: hvmStart}
	m.image = protectedImage(m)
	return m
}

// protectedImage makes an ELF kernel that is entered in 32-bit protected mode.
func protectedImage(m *mode) func(body func(*prog)) ([]byte, error) {
	return func(body func(*prog)) ([]byte, error) {
		return tiny.Image(func(a *asm.Asm) { body(newProg(a, m)) },
			tiny.Note{Type: noteHypercallPage, Desc: binary.LittleEndian.AppendUint32(nil, callsAt)})
	}
}

// pvhBegin empties the guest's memory, loads its descriptor tables, opens its pages to user mode and looks for Xen.
func pvhBegin(p *prog) {
	p.MovI(asm.RDI, wordsAt)
	p.MovI(asm.RCX, (zeroTo-wordsAt)/8)
	p.MovI(asm.RAX, 0)
	p.Raw(0xf3, 0x48, 0xab) // rep stosq
	descriptors(p)
	openPages(p)
	maskPICs(p)
	over := p.label()
	p.MovI(asm.RAX, xen.XEN_CPUID_FIRST_LEAF)
	p.Cpuid()
	p.OpI(asm.CMP, 4, asm.RBX, 0x566e6558) // "XenV"
	p.Jcc(asm.NE, over)
	p.MovI(asm.RAX, xen.XEN_CPUID_FIRST_LEAF+2)
	p.Cpuid()
	p.Mov(4, asm.RCX, asm.RBX)
	p.MovI(asm.RAX, callsAt)
	p.MovI(asm.RDX, 0)
	p.Wrmsr()
	p.set(p.words.xen, 1)
	p.call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap,
		p.arg(0, &xen.AddToPhysmap{DomID: xen.DOMID_SELF, Space: xen.XENMAPSPACE_shared_info, GPFN: p.words.shared >> 12}))
	for _, v := range []struct {
		index uint32
		to    uint64
		shift byte
	}{{xen.HVM_PARAM_CONSOLE_PFN, p.words.conPage, 12}, {xen.HVM_PARAM_CONSOLE_EVTCHN, p.words.conPort, 0}} {
		at := p.arg(0, &xen.HVMParam{DomID: xen.DOMID_SELF, Index: v.index})
		p.call(xen.HYPERVISOR_hvm_op, xen.HVMOP_get_param, at)
		p.Load(8, asm.RAX, mem(at+8))
		if v.shift != 0 {
			p.Shl(8, asm.RAX, v.shift)
		}
		p.Store(8, mem(v.to), asm.RAX)
	}
	p.maskConsole()
	p.Label(over)
}

// maskPICs keeps the interrupts of a PC's old devices out, where there are any: firmware lets its timer run.
func maskPICs(p *prog) {
	p.MovI(asm.RAX, 0xff)
	p.Raw(0xe6, 0x21) // out 0x21, al
	p.Raw(0xe6, 0xa1)
}

// maskConsole masks the console's port: its events are polled for.
func (p *prog) maskConsole() {
	p.Load(4, asm.RAX, mem(p.words.conPort))
	p.RM(8, []byte{0x0f, 0xab}, asm.RAX, mem(p.words.shared+sharedMask)) // bts
}

// descriptors loads a GDT with user segments and a TSS, and an empty IDT.
func descriptors(p *prog) {
	tss := uint64(0x67) | (tssAt&0xffffff)<<16 | 0x89<<40
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cff3000000ffff, 0x00affb000000ffff, tss, 0} {
		p.set(gdtAt+8*uint64(i), d)
	}
	p.set(tssAt+4, tiny.Stack-0x1000) // rsp0: below what the kernel itself has in use
	for _, t := range []struct {
		at, limit uint64
		load      func(asm.Mem)
	}{{gdtAt, 8*8 - 1, p.Lgdt}, {idtAt, 0xfff, p.Lidt}} {
		at := p.alloc(2)
		p.set(at, t.limit|t.at<<16)
		p.set(at+8, t.at>>48)
		t.load(mem(at))
	}
	p.MovI(asm.RAX, selTSS)
	p.Raw(0x0f, 0x00, 0xd8) // ltr ax
}

// openPages lets user mode use the first 2 MiB, and maps the fourth GiB, where Xen's pages and the local APIC are.
func openPages(p *prog) {
	const user = 4
	for i := range uint64(3) {
		p.OpMI(asm.OR, 8, mem(tiny.Tables+0x1000*i), user)
	}
	top := p.label()
	p.MovI(asm.RCX, 512)
	p.MovI(asm.RDI, 0)
	p.Label(top)
	p.OpMI(asm.OR, 1, asm.Idx(asm.RDI, asm.RCX, 8, tiny.Tables+0x3000-8), user)
	p.Dec(4, asm.RCX)
	p.Jcc(asm.NE, top)
	p.MovI(asm.RAX, 3<<30|0x83)
	fill(p, highPD, 512, 2<<20)
	p.set(tiny.Tables+0x1000+8*3, highPD|pteFlags)
	reloadCR3(p)
}

// fill stores n table entries, the first of which is in rax, each step more than the one before.
func fill(p *prog, table uint64, n int, step int32) {
	top := p.label()
	p.MovI(asm.RCX, uint64(n))
	p.MovI(asm.RDI, table)
	p.Label(top)
	p.Store(8, asm.At(asm.RDI, 0), asm.RAX)
	p.OpI(asm.ADD, 8, asm.RDI, 8)
	p.OpI(asm.ADD, 8, asm.RAX, step)
	p.Dec(4, asm.RCX)
	p.Jcc(asm.NE, top)
}

// storeWindows fills the tables of the windows (walks.go) and hooks them in.
func storeWindows(p *prog) {
	p.set(tablePT, wordsAt|pteFlags)
	p.set(changedPTE, frameA|pteFlags)
	p.set(p.words.pteA, frameA|pteFlags)
	p.set(p.words.pteB, frameB|pteFlags)
	for _, t := range []struct{ table, entry uint64 }{{tablePD4K, tablePT | pteFlags}, {tablePD2M, wordsAt | 0x83}, {tablePDPT, 0x83}} {
		p.MovI(asm.RAX, t.entry)
		fill(p, t.table, windowPages, 0)
	}
	p.set(tiny.Tables+0x1000+8*1, tablePD4K|pteFlags)
	p.set(tiny.Tables+0x1000+8*2, tablePD2M|pteFlags)
	p.set(tiny.Tables+8*1, tablePDPT|pteFlags)
	reloadCR3(p)
}

func pageCall(p *prog, nr uint64) {
	p.MovI(asm.RAX, p.mode.base+callsAt+32*nr)
	p.Raw(0xff, 0xd0) // call rax
}

// idtTrap fills a gate of the IDT.
func idtTrap(p *prog, vector uint8, label string, user bool) {
	gate := idtAt + 16*uint64(vector)
	flags := int32(0x8e00)
	if user {
		flags |= 0x6000
	}
	p.MovLabel(asm.RAX, label)
	p.Mov(4, asm.RCX, asm.RAX)
	p.OpI(asm.AND, 4, asm.RCX, 0xffff)
	p.OpI(asm.OR, 4, asm.RCX, selCode<<16)
	p.Store(4, mem(gate), asm.RCX)
	p.OpI(asm.AND, 4, asm.RAX, -0x10000)
	p.OpI(asm.OR, 4, asm.RAX, flags)
	p.Store(4, mem(gate+4), asm.RAX)
	p.set(gate+8, 0)
}

// msrSyscalls sets the system call MSRs (SDM 3A 5.8.8).
func msrSyscalls(p *prog, label string) {
	p.WriteMSR(0xc0000081, selUserBase<<48|selCode<<32) // STAR
	p.MovI(asm.RCX, 0xc0000082)                         // LSTAR
	p.MovLabel(asm.RAX, label)
	p.MovI(asm.RDX, 0)
	p.Wrmsr()
	p.WriteMSR(0xc0000084, 0x700) // FMASK: IF, DF, TF
}

// iretUser enters user mode. The user stack pointer is the kernel's: nothing is pushed.
func iretUser(p *prog, label string) {
	p.Mov(8, asm.RCX, asm.RSP)
	p.MovI(asm.RAX, selUserData)
	p.Push(asm.RAX)
	p.Push(asm.RCX)
	p.MovI(asm.RAX, flagsUser)
	p.Push(asm.RAX)
	p.MovI(asm.RAX, selUserCode)
	p.Push(asm.RAX)
	p.MovLabel(asm.RAX, label)
	p.Push(asm.RAX)
	p.Iretq()
}

func storePTE(p *prog) {
	p.Store(8, asm.At(asm.RDI, 0), asm.RAX)
	p.Raw(0x0f, 0x01, 0x3e) // invlpg [rsi]
}

func storePTEs(p *prog) {
	for i := range uint64(manyPTEs) {
		p.Store(8, mem(tablePT+8*(manyFirst+i)), asm.RAX)
	}
	reloadCR3(p)
}

func reloadCR3(p *prog) {
	p.FromCR(asm.RAX, 3)
	p.ToCR(3, asm.RAX)
}

// callbackVector has Xen raise a vector for upcalls.
func callbackVector(p *prog, label string) {
	idtTrap(p, upcallVector, label, false)
	p.call(xen.HYPERVISOR_hvm_op, xen.HVMOP_set_param, p.arg(0, &xen.HVMParam{DomID: xen.DOMID_SELF, Index: xen.HVM_PARAM_CALLBACK_IRQ,
		Value: xen.HVM_PARAM_CALLBACK_TYPE_VECTOR<<56 | upcallVector}))
}
