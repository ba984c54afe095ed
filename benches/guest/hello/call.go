package hello

import (
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Memory of the guest. The tables of package tiny map the first 16 MiB one to one; the pages that Xen places below 4 GiB are added.
const (
	args     = tiny.Data          // hypercall arguments
	vars     = tiny.Data + 0x100  // what is kept
	pd3      = tiny.Data + 0x1000 // page directory of the fourth GiB
	shared   = tiny.Data + 0x2000 // the shared info page is put here
	calls    = tiny.Data + 0x3000 // the hypercall page
	pointers = 0x181000           // tiny's page directory pointer table
)

// Variables.
const (
	conPage   = vars
	conPort   = vars + 8
	storePage = vars + 16
	storePort = vars + 24
)

// install asks for the hypercall page: CPUID leaf 0x40000002 names the MSR that takes its address, in ebx (public/arch-x86/cpuid.h).
func install(a *asm.Asm) {
	a.MovI(asm.RAX, xen.XEN_CPUID_FIRST_LEAF+2)
	a.Cpuid()
	a.Mov(4, asm.RCX, asm.RBX)
	a.MovI(asm.RAX, calls)
	a.MovI(asm.RDX, 0)
	a.Wrmsr()
}

// call makes a hypercall with arguments in rdi and rsi. Entry nr of the page has the instruction that this host takes.
func call(a *asm.Asm, nr uint64, cmd, arg uint64) {
	a.MovI(asm.RDI, cmd)
	a.MovI(asm.RSI, arg)
	a.MovI(asm.RAX, calls+32*nr)
	a.Raw(0xff, 0xd0) // call rax
}

// store32 and store64 write a constant.
func store32(a *asm.Asm, at int32, v uint64) {
	a.MovI(asm.RAX, v)
	a.Store(4, asm.Abs(at), asm.RAX)
}

func store64(a *asm.Asm, at int32, v uint64) {
	a.MovI(asm.RAX, v)
	a.Store(8, asm.Abs(at), asm.RAX)
}

// param reads an HVM parameter into the variable at to.
func param(a *asm.Asm, index uint64, to int32) {
	store32(a, args, uint64(xen.DOMID_SELF))
	store32(a, args+4, index)
	store64(a, args+8, 0)
	call(a, xen.HYPERVISOR_hvm_op, xen.HVMOP_get_param, args)
	a.Load(8, asm.RAX, asm.Abs(args+8))
	a.Store(8, asm.Abs(to), asm.RAX)
}

// mapHigh maps the 2 MiB below 4 GiB that hold the console and xenstore pages, with one large page.
func mapHigh(a *asm.Asm) {
	const large = uint64(0xfefff000) &^ (2<<20 - 1)
	store64(a, int32(pd3+8*(large>>21&511)), large|0x83) // present, writable, large
	store64(a, pointers+8*3, pd3|3)
	a.FromCR(asm.RAX, 3)
	a.ToCR(3, asm.RAX)
}

// mapShared asks for the shared info page.
func mapShared(a *asm.Asm) {
	store64(a, args, uint64(xen.DOMID_SELF)) // and size 0
	store32(a, args+4, xen.XENMAPSPACE_shared_info)
	store64(a, args+8, 0)
	store64(a, args+16, shared>>12)
	call(a, xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap, args)
}

// send notifies the other end of the event channel whose port is in a variable.
func send(a *asm.Asm, port int32) {
	a.Load(4, asm.RAX, asm.Abs(port))
	a.Store(4, asm.Abs(args), asm.RAX)
	call(a, xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, args)
}

// pending is the offset of the array of pending bits in the 64-bit shared info page, behind 32 vcpu_info.
const pending = 32 * 64

// wait polls the event channel whose port is in a variable, and takes the event.
func wait(a *asm.Asm, port int32) {
	a.Load(4, asm.RAX, asm.Abs(port))
	a.Store(4, asm.Abs(args+32), asm.RAX)
	store64(a, args, args+32)
	store64(a, args+8, 1)
	store64(a, args+16, 0)
	call(a, xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, args)
	store64(a, shared+pending, 0) // this guest has a handful of ports, and wants no event but this
}
