package abi

import (
	"encoding/binary"

	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Offsets in the 64-bit shared info page, and in the vcpu_info of vCPU 0 at its start.
const (
	SharedPending = 2048
	SharedMask    = 2560
	PendingSel    = 8
)

// Shared maps the shared info page over a page of its own and gives its address.
func (p *Prog) Shared() Addr {
	a := p.NewPage()
	p.Call(xen.HYPERVISOR_memory_op, xen.XENMEM_add_to_physmap,
		p.Struct(&xen.AddToPhysmap{DomID: xen.DOMID_SELF, Space: xen.XENMAPSPACE_shared_info, GPFN: a >> 12}))
	return a
}

// MapHigh maps the 2 MiB below 4 GiB that hold the rings' pages and the local APIC.
func (p *Prog) MapHigh() {
	const large, pointers = uint64(0xfee00000), 0x181000
	pd := p.NewPage()
	p.Set(pd+8*(large>>21&511), large|0x83)
	p.Set(pointers+8*3, pd|3)
	p.FromCR(asm.RAX, 3)
	p.ToCR(3, asm.RAX)
}

// Event makes an event channel operation and keeps its result.
func (p *Prog) Event(op uint64, s xen.Struct) (result, arg Addr) {
	arg = p.Struct(s)
	return p.Call(xen.HYPERVISOR_event_channel_op, op, arg), arg
}

// SetParam sets an HVM parameter and keeps the result.
func (p *Prog) SetParam(index uint32, value uint64) Addr {
	return p.Call(xen.HYPERVISOR_hvm_op, xen.HVMOP_set_param, p.Struct(&xen.HVMParam{DomID: xen.DOMID_SELF, Index: index, Value: value}))
}

// Param reads an HVM parameter: the word it gives holds the value.
func (p *Prog) Param(index uint32) (result, value Addr) {
	arg := p.Struct(&xen.HVMParam{DomID: xen.DOMID_SELF, Index: index})
	return p.Call(xen.HYPERVISOR_hvm_op, xen.HVMOP_get_param, arg), arg + 8
}

// Callback sets the callback vector of the domain.
func (p *Prog) Callback(vector uint8) Addr {
	return p.SetParam(xen.HVM_PARAM_CALLBACK_IRQ, xen.HVM_PARAM_CALLBACK_TYPE_VECTOR<<56|uint64(vector))
}

// Upcalls is what a 2-level upcall handler keeps: how often it ran, and which of the first 64 ports it saw pending.
type Upcalls struct{ Count, Seen Addr }

// Upcall2L makes the handler of an upcall vector: it takes the pending bits of the first word for the vCPU whose vcpu_info is given.
func (p *Prog) Upcall2L(vector uint8, shared, info Addr, eoi bool) Upcalls {
	u := Upcalls{p.Words(1), p.Words(1)}
	p.Handler(vector, func() {
		p.Set8(info, 0)
		p.MovI(asm.RAX, 0)
		p.RM(8, []byte{0x87}, asm.RAX, mem(info+PendingSel)) // xchg
		p.MovI(asm.RAX, 0)
		p.RM(8, []byte{0x87}, asm.RAX, mem(shared+SharedPending))
		p.OpStore(asm.OR, 8, mem(u.Seen), asm.RAX)
		p.OpMI(asm.ADD, 8, mem(u.Count), 1)
		if eoi {
			p.WriteMSR(0x80b, 0)
		}
	})
	return u
}

// Message is one request of xenstored's wire protocol.
func Message(typ, id, tx uint32, payload string) []byte {
	b := make([]byte, 16, 16+len(payload))
	binary.LittleEndian.PutUint32(b, typ)
	binary.LittleEndian.PutUint32(b[4:], id)
	binary.LittleEndian.PutUint32(b[8:], tx)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(payload)))
	return append(b, payload...)
}

// Ring is a byte ring towards the host: a page whose frame number, and a port whose number, the guest found at run time.
type Ring struct {
	Page, Port Addr // words: frame number, port
	Data, Prod int32
}

// ConsoleRing finds the console ring. MapHigh comes first.
func (p *Prog) ConsoleRing() Ring {
	_, page := p.Param(xen.HVM_PARAM_CONSOLE_PFN)
	_, port := p.Param(xen.HVM_PARAM_CONSOLE_EVTCHN)
	return Ring{Page: page, Port: port, Data: xen.ConsoleOut, Prod: xen.ConsoleOutProd}
}

// StoreRing finds the xenstore ring. MapHigh comes first.
func (p *Prog) StoreRing() Ring {
	_, page := p.Param(xen.HVM_PARAM_STORE_PFN)
	_, port := p.Param(xen.HVM_PARAM_STORE_EVTCHN)
	return Ring{Page: page, Port: port, Data: xen.XenstoreReq, Prod: xen.XenstoreReqProd}
}

// At leaves the address of a ring's page in rbx.
func (p *Prog) At(r Ring) {
	p.Load(8, asm.RBX, mem(r.Page))
	p.Shl(8, asm.RBX, 12)
}

// PutAt writes b at an offset of the ring's data that a constant gives, sets the producer index behind it, and notifies. The guest
// must know that there is room. rbx is destroyed.
func (p *Prog) PutAt(r Ring, used int, b []byte) {
	p.At(r)
	for i := 0; i < len(b); i += 4 {
		var w [4]byte
		copy(w[:], b[i:])
		p.MovI(asm.RAX, uint64(binary.LittleEndian.Uint32(w[:])))
		p.Store(4, asm.At(asm.RBX, r.Data+int32(used+i)), asm.RAX)
	}
	p.MovI(asm.RAX, uint64(used+len(b)))
	p.Store(4, asm.At(asm.RBX, r.Prod), asm.RAX)
	p.Notify(r.Port)
}

// Notify sends on the port that a word holds.
func (p *Prog) Notify(port Addr) {
	arg := p.Words(1)
	p.Copy(4, arg, port)
	p.Call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, arg)
}

// AwaitIndex spins, yielding, until a 32-bit index in the ring's page is at least n. rbx is destroyed.
func (p *Prog) AwaitIndex(r Ring, index int32, n uint32) {
	top, done := p.NewLabel(), p.NewLabel()
	p.Label(top)
	p.At(r)
	p.OpMI(asm.CMP, 4, asm.At(asm.RBX, index), int32(n))
	p.Jcc(asm.AE, done)
	p.Call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_yield, 0)
	p.Jmp(top)
	p.Label(done)
}
