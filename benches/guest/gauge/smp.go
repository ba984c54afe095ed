package gauge

import (
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// The second vCPU serves one event channel: each event on its port is answered by one on the first vCPU's. It waits in SCHEDOP_poll, or,
// when it is told to, looks all the time. Neither side takes upcalls, so that what is measured is the way from one to the other.
const (
	peerStack = tiny.Stack - 0x2000
	peerVCPU  = 1
	peerPolls = 0 // words.peer
	peerSpins = 1
)

func peers() []Workload {
	const lacks = "the domain has no second vCPU"
	return []Workload{
		{Name: "ipi/spin", Area: AreaEvents, Meaning: "an event to another vCPU that looks all the time, and its answer", Ops: 64, VCPUs: 2, xen: true, lacks: lacks, unless: unlessPeer,
			setup: func(p *prog) { startPeer(p, peerSpins) }, op: func(p *prog) { askPeer(p, false) },
			end: func(p *prog) { p.set(p.words.peer, peerPolls) }},
		{Name: "ipi/wake", Area: AreaEvents, Meaning: "an event to another vCPU that sleeps in a poll, and its answer to this one, which sleeps meanwhile", Ops: 32, VCPUs: 2, xen: true, lacks: lacks, unless: unlessPeer,
			setup: func(p *prog) { startPeer(p, peerPolls) }, op: func(p *prog) { askPeer(p, true) }},
	}
}

// unlessPeer asks whether there is a second vCPU.
func unlessPeer(p *prog, skip string) {
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_is_up, peerVCPU, 0)
	p.Test(8, asm.RAX, asm.RAX)
	p.Jcc(asm.S, skip)
}

// startPeer starts the other vCPU, once, and tells it how to wait.
func startPeer(p *prog, how uint64) {
	w := &p.words
	p.set(w.peer, how)
	over := p.label()
	p.OpMI(asm.CMP, 4, mem(w.peerUp), 0)
	p.Jcc(asm.NE, over)
	p.set(w.peerUp, 1)
	p.set(w.pollAnswer, w.answer)
	p.set(w.pollAnswer+8, 1)
	bindMasked(p, 0, w.answer)
	bindMasked(p, peerVCPU, w.ask)
	p.mode.startVCPU(p, p.outOfLine(func() { servePeer(p) }))
	p.Label(over)
	askPeer(p, false) // out of a poll, if it was in one
}

// bindMasked binds a port of a vCPU's own, keeps it in a struct evtchn_send and masks it.
func bindMasked(p *prog, vcpu uint32, to uint64) {
	at := p.arg(0, &xen.EvtchnBindIPI{VCPU: vcpu})
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_bind_ipi, at)
	p.Load(4, asm.RAX, mem(at+4))
	p.Store(4, mem(to), asm.RAX)
	p.RM(8, []byte{0xf0, 0x0f, 0xab}, asm.RAX, mem(p.words.shared+sharedMask)) // lock bts
}

// take clears the pending bit of a port; the carry flag says whether it was set.
func take(p *prog, port uint64) {
	p.Load(4, asm.RAX, mem(port))
	p.RM(8, []byte{0xf0, 0x0f, 0xb3}, asm.RAX, mem(p.words.shared+sharedPending)) // lock btr
}

// pollFor makes the argument of a poll for a port, without a timeout.
func pollFor(p *prog, port uint64) uint64 {
	at := p.alloc(3)
	p.set(at, port)
	p.set(at+8, 1)
	return at
}

// servePeer is the life of the other vCPU.
func servePeer(p *prog) {
	w := &p.words
	top, look, poll := p.label(), p.label(), p.label()
	args := pollFor(p, w.ask)
	p.Label(top)
	p.OpMI(asm.CMP, 4, mem(w.peer), peerSpins)
	p.Jcc(asm.NE, poll)
	p.Raw(0xf3, 0x90) // pause
	p.Jmp(look)
	p.Label(poll)
	p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, args)
	p.Label(look)
	take(p, w.ask)
	p.Jcc(asm.AE, top)
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, w.answer)
	p.Jmp(top)
}

// askPeer sends an event and waits for the answer.
func askPeer(p *prog, sleep bool) {
	w := &p.words
	top := p.label()
	p.call(xen.HYPERVISOR_event_channel_op, xen.EVTCHNOP_send, w.ask)
	p.Label(top)
	if sleep {
		p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_poll, w.pollAnswer)
	} else {
		p.Raw(0xf3, 0x90) // pause
	}
	take(p, w.answer)
	p.Jcc(asm.AE, top)
}

// hvmStart starts vCPU 1 of a PVH or HVM guest at a label: 64-bit mode with the tables of the first.
func hvmStart(p *prog, label string) {
	c := p.alloc(24)
	p.set(c, xen.VCPU_HVM_MODE_64B)
	p.MovLabel(asm.RAX, label)
	p.Store(8, mem(c+8+64), asm.RAX) // rip
	p.set(c+8+32, peerStack)         // rsp
	p.set(c+8+72, 2)                 // rflags
	p.set(c+8+80, 0x80010033)        // cr0
	p.set(c+8+88, tiny.Tables)       // cr3
	p.set(c+8+96, 0x620)             // cr4
	p.set(c+8+104, 0x501)            // efer
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_initialise, peerVCPU, c)
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_up, peerVCPU, 0)
}

// Offsets in struct vcpu_guest_context of a 64-bit guest (public/arch-x86/xen.h).
const (
	ctxFlags    = 512
	ctxRIP      = xen.PVContextRegs + 128
	ctxCS       = ctxRIP + 8
	ctxRFLAGS   = ctxRIP + 16
	ctxRSP      = ctxRIP + 24
	ctxSS       = ctxRIP + 32
	ctxKernelSS = xen.PVContextRest + 152
	ctxKernelSP = xen.PVContextRest + 160
	ctxCR3      = xen.PVContextRest + 192
	inKernel    = 1 << 2 // VGCF_in_kernel
)

// pvStart starts vCPU 1 of a PV guest at a label, in the kernel with the tables of the first.
func pvStart(p *prog, label string) {
	c := p.page()
	p.page() // it is longer than one
	p.set(c+ctxFlags, inKernel)
	p.addr(asm.RAX, label)
	p.Store(8, mem(c+ctxRIP), asm.RAX)
	p.set(c+ctxCS, xen.FLAT_RING3_CS64|1<<32) // and saved_upcall_mask
	p.set(c+ctxRFLAGS, 2)
	p.set(c+ctxRSP, pvBase+peerStack)
	p.set(c+ctxSS, xen.FLAT_RING3_SS64)
	p.set(c+ctxKernelSS, xen.FLAT_RING3_SS64)
	p.set(c+ctxKernelSP, pvBase+peerStack)
	startInfo(p, 8, asm.RAX, siPTBase)
	p.OpI(asm.AND, 8, asm.RAX, 0x7fffffff) // less pvBase
	p.Shr(8, asm.RAX, 12)
	p.MovI(asm.RDX, p2mAt)
	p.Load(8, asm.RAX, asm.Idx(asm.RDX, asm.RAX, 8, 0))
	p.Shl(8, asm.RAX, 12)
	p.Store(8, mem(c+ctxCR3), asm.RAX)
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_initialise, peerVCPU, c)
	p.call(xen.HYPERVISOR_vcpu_op, xen.VCPUOP_up, peerVCPU, 0)
}
