package abi32

import (
	"encoding/binary"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Shared maps the shared info page over a page of its own and gives its address. Offsets in it are those of xen.Shared(xen.ABI32).
func (p *Prog) Shared() Addr {
	a := p.NewPage()
	p.Call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap,
		p.Struct(&xen.AddToPhysmap{DomID: xen.DOMID_SELF, Space: xen.XENMAPSPACE_shared_info, GPFN: uint64(a >> 12)}))
	return a
}

// Event makes an event channel operation and keeps its result.
func (p *Prog) Event(op uint32, s xen.Struct) (result, arg Addr) {
	arg = p.Struct(s)
	return p.Call(xen.HYPERVISOR_event_channel_op, op, arg), arg
}

// Callback sets the callback vector of the domain.
func (p *Prog) Callback(vector uint8) Addr {
	return p.Call(xen.HYPERVISOR_hvm_op, xen.HVMOP_set_param, p.Struct(&xen.HVMParam{DomID: xen.DOMID_SELF,
		Index: xen.HVM_PARAM_CALLBACK_IRQ, Value: xen.HVM_PARAM_CALLBACK_TYPE_VECTOR<<56 | uint64(vector)}))
}

// Param reads an HVM parameter: the word it gives holds the low half of the value.
func (p *Prog) Param(index uint32) (result, value Addr) {
	arg := p.Struct(&xen.HVMParam{DomID: xen.DOMID_SELF, Index: index})
	return p.Call(xen.HYPERVISOR_hvm_op, xen.HVMOP_get_param, arg), arg + 8
}

// IDT loads an interrupt descriptor table; Handler fills it.
func (p *Prog) IDT() {
	p.idt = p.NewPage()
	at := p.Words(2)
	p.Set(at, 0x7ff|p.idt<<16)
	p.Set(at+4, p.idt>>16)
	p.Lidt(mem(at))
}

// Handler makes body the handler of a vector without error code. It may use all general registers.
func (p *Prog) Handler(vector uint8, body func()) {
	over, at := p.NewLabel(), p.NewLabel()
	p.Jmp(over)
	p.Label(at)
	p.Raw(0x60) // pushad
	body()
	p.Raw(0x61, 0xcf) // popad; iret
	p.Label(over)
	gate := p.idt + 8*Addr(vector)
	p.MovLabel(asm.RAX, at)
	p.Mov(4, asm.RCX, asm.RAX)
	p.OpI(asm.AND, 4, asm.RCX, 0xffff)
	p.OpI(asm.OR, 4, asm.RCX, tiny.Code32<<16)
	p.Store(4, mem(gate), asm.RCX)
	p.OpI(asm.AND, 4, asm.RAX, -0x10000)
	p.OpI(asm.OR, 4, asm.RAX, 0x8e00)
	p.Store(4, mem(gate+4), asm.RAX)
}

// Upcalls is what a 2-level upcall handler keeps: how often it ran, and which of the first 32 ports it saw pending.
type Upcalls struct{ Count, Seen Addr }

// Upcall makes the handler of the callback vector: it takes the pending bits of the first word for the vCPU whose vcpu_info is given.
func (p *Prog) Upcall(vector uint8, shared, info Addr) Upcalls {
	u := Upcalls{p.Words(1), p.Words(1)}
	l := xen.Shared(xen.ABI32)
	p.Handler(vector, func() {
		p.Set8(info+xen.VCPUInfoUpcallPending, 0)
		for _, at := range []Addr{info + l.PendingSel, shared + l.EvtchnPending} {
			p.MovI(asm.RAX, 0)
			p.RM(4, []byte{0x87}, asm.RAX, mem(at)) // xchg
		}
		p.OpStore(asm.OR, 4, mem(u.Seen), asm.RAX)
		p.OpMI(asm.ADD, 4, mem(u.Count), 1)
	})
	return u
}

// AwaitInterrupts halts until the word at an address is at least n, with interrupts on only there.
func (p *Prog) AwaitInterrupts(at Addr, n int32) {
	top, done := p.NewLabel(), p.NewLabel()
	p.Label(top)
	p.OpMI(asm.CMP, 4, mem(at), n)
	p.Jcc(asm.AE, done)
	p.Sti()
	p.Hlt()
	p.Cli()
	p.Jmp(top)
	p.Label(done)
}

// Print writes text, which must fit, to the console's ring, and notifies the other end.
func (p *Prog) Print(text string) {
	_, page := p.Param(xen.HVM_PARAM_CONSOLE_PFN)
	_, port := p.Param(xen.HVM_PARAM_CONSOLE_EVTCHN)
	p.Load(4, asm.RBX, mem(page))
	p.Shl(4, asm.RBX, 12)
	for i := 0; i < len(text); i += 4 {
		var w [4]byte
		copy(w[:], text[i:])
		p.MovI(asm.RAX, uint64(binary.LittleEndian.Uint32(w[:])))
		p.Store(4, asm.At(asm.RBX, xen.ConsoleOut+int32(i)), asm.RAX)
	}
	p.MovI(asm.RAX, uint64(len(text)))
	p.Store(4, asm.At(asm.RBX, xen.ConsoleOutProd), asm.RAX)
	p.Call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, port)
}

// Ahead stores the system time of vCPU 0's record in the shared page, plus some nanoseconds, in two words.
func (p *Prog) Ahead(shared, to Addr, ns int32) {
	at := shared + xen.Shared(xen.ABI32).InfoTime + 16
	p.Load(4, asm.RAX, mem(at))
	p.Load(4, asm.RDX, mem(at+4))
	p.OpI(asm.ADD, 4, asm.RAX, ns)
	p.OpI(asm.ADC, 4, asm.RDX, 0)
	p.Store(4, mem(to), asm.RAX)
	p.Store(4, mem(to+4), asm.RDX)
}

// Timer sets up the upcall by a vector, and binds the timer's event.
func (p *Prog) Timer(vector uint8) (shared Addr, up Upcalls, port Addr, results []Addr) {
	p.IDT()
	callback := p.Callback(vector)
	shared = p.Shared()
	up = p.Upcall(vector, shared, shared)
	r, arg := p.Event(xen.EVTCHNOP_bind_virq, &xen.EvtchnBindVIRQ{VIRQ: xen.VIRQ_TIMER})
	return shared, up, arg + 8, []Addr{callback, r}
}

// Tick sets the timer, and waits until upcalls have come n times in all.
func (p *Prog) Tick(shared Addr, up Upcalls, ns, n int32) (result Addr) {
	timer := p.Struct(&xen.VCPUSetSingleshotTimer{})
	p.Ahead(shared, timer, ns)
	result = p.Call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_set_singleshot_timer, 0, timer)
	p.AwaitInterrupts(up.Count, n)
	return result
}

// PowerOff shuts the domain down.
func (p *Prog) PowerOff() {
	p.Call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_shutdown, p.Struct(&xen.SchedShutdown{Reason: xen.SHUTDOWN_poweroff}))
	p.Ud2()
}

// Hello makes a kernel that waits for three upcalls of its timer, prints text, and powers off, through a hypercall page.
func Hello(paging tiny.Paging, text string) ([]byte, error) {
	return Build(paging, Page, func(p *Prog) {
		shared, up, _, _ := p.Timer(helloVector)
		for i := range int32(3) {
			p.Tick(shared, up, 2_000_000, i+1)
		}
		p.Print(text)
		p.PowerOff()
	})
}

const helloVector = 0xf3
