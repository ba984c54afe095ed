package main

import (
	"encoding/binary"
	"math/rand/v2"

	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// Layout of a guest, as offsets from tiny.PVBase.
const (
	callsAt = 0x300000 // the hypercall page
	arenaAt = 0x240000 // random words that arguments point to
	arenaN  = 0x10000
	trapsAt = 0x260000 // trap table
	nextAt  = 0x261000 // address of the next action
	stackAt = 0x270000
	endAt   = 0x310000
	frames  = 6144 // of 24 MiB
	actions = 120
)

// program is a hostile guest in the making. A seed gives all of it.
type program struct {
	*asm.Asm
	rnd *rand.Rand
}

// image makes the kernel of a seed: a row of actions, each of which may fault; whatever happens, the next one follows.
func image(seed uint64) ([]byte, error) {
	p := &program{asm.New(tiny.PVBase + tiny.Base), rand.New(rand.NewPCG(seed, 4242))}
	p.MovI(asm.RSP, tiny.PVBase+stackAt)
	p.prologue()
	for i := range actions {
		p.Label(label(i))
		p.MovLabel(asm.RAX, label(i+1))
		p.MovI(asm.RBX, tiny.PVBase+nextAt)
		p.Store(8, asm.At(asm.RBX, 0), asm.RAX)
		p.MovI(asm.RSP, tiny.PVBase+stackAt)
		p.action()
	}
	p.Label(label(actions))
	p.MovI(asm.RAX, tiny.PVBase+arenaAt)
	p.MovI(asm.RDX, xen.SHUTDOWN_poweroff)
	p.Store(8, asm.At(asm.RAX, 0), asm.RDX)
	p.call(xen.HYPERVISOR_sched_op, xen.SCHEDOP_shutdown, tiny.PVBase+arenaAt)
	p.Jmp(label(actions))
	p.Align(16)
	p.Label("trap")
	p.MovI(asm.RSP, tiny.PVBase+stackAt)
	p.MovI(asm.RBX, tiny.PVBase+nextAt)
	p.Raw(0xff, 0x23) // jmp [rbx]
	code, err := p.Bytes()
	if err != nil {
		return nil, err
	}
	out := tiny.PV(p.arena(code), endAt, callsAt)
	return out, nil
}

func label(i int) string {
	return "action" + string(rune('a'+i/26/26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
}

// arena fills the data area behind the code.
func (p *program) arena(code []byte) []byte {
	b := make([]byte, arenaAt+arenaN-tiny.Base)
	copy(b, code)
	for i := arenaAt - tiny.Base; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], p.word())
	}
	return b
}

// prologue sets handlers for all exceptions, in two tables out of three, and callbacks in one.
func (p *program) prologue() {
	if p.rnd.IntN(3) > 0 {
		p.MovI(asm.RBX, tiny.PVBase+trapsAt)
		p.MovLabel(asm.RAX, "trap")
		for v := range 32 {
			p.MovI(asm.RDX, uint64(v)|uint64(p.pick(0, 3, 4, 7))<<8|xen.FLAT_RING3_CS64<<16)
			p.Store(8, asm.At(asm.RBX, int32(16*v)), asm.RDX)
			p.Store(8, asm.At(asm.RBX, int32(16*v+8)), asm.RAX)
		}
		p.call(xen.HYPERVISOR_set_trap_table, tiny.PVBase+trapsAt)
	}
	if p.rnd.IntN(3) == 0 {
		p.MovLabel(asm.RDI, "trap")
		p.MovLabel(asm.RSI, "trap")
		p.MovLabel(asm.RDX, "trap")
		p.do(xen.HYPERVISOR_set_callbacks)
	}
}

var argument = []asm.Reg{asm.RDI, asm.RSI, asm.RDX, asm.R10, asm.R8}

// call makes a hypercall; do makes it with the registers as they are.
func (p *program) call(nr uint64, args ...uint64) {
	for i, v := range args {
		p.MovI(argument[i], v)
	}
	p.do(nr)
}

func (p *program) do(nr uint64) {
	p.MovI(asm.RAX, nr)
	if p.rnd.IntN(4) == 0 {
		p.Raw(0x0f, 0x05) // by hand: SYSCALL
		return
	}
	p.MovI(asm.RBX, tiny.PVBase+callsAt+nr%128*32)
	p.Raw(0xff, 0xd3) // call rbx
}

func (p *program) pick(v ...uint64) uint64 { return v[p.rnd.IntN(len(v))] }

// frame gives a frame number, often of a page table.
func (p *program) frame() uint64 {
	switch p.rnd.IntN(4) {
	case 0:
		return p.rnd.Uint64N(frames)
	case 1:
		return p.pick(0, 1, frames-1, frames, frames+1, 1<<28, 1<<40-1, 1<<52-1)
	}
	return 0x300 + p.rnd.Uint64N(0x60) // where the domain builder puts page tables
}

func (p *program) entry() uint64 {
	flags := p.pick(0, 1, 5, 7, 0x27, 0x63, 0x67, 0x87, 0xe7, 0x107, 0x10067, 1<<63|0x67, p.rnd.Uint64N(0x1000))
	return p.frame()<<12 | flags
}

// address gives a virtual address: of the guest's memory, of its arena, of the hypervisor, not canonical.
func (p *program) address() uint64 {
	switch p.rnd.IntN(8) {
	case 0:
		return p.pick(0, 8, 0x1000, 1<<47-1, 1<<47, 0xffff800000000000, 0xffff87ffffffffff, 0xffff880000000000, ^uint64(0), ^uint64(7), 0xffff800000000000+p.rnd.Uint64N(1<<43), tiny.P2M)
	case 1, 2:
		return tiny.PVBase + p.frame()<<12 + p.rnd.Uint64N(512)*8
	case 3:
		return tiny.PVBase + p.rnd.Uint64N(endAt)
	}
	return tiny.PVBase + arenaAt + p.rnd.Uint64N(arenaN/8)*8
}

func (p *program) word() uint64 {
	switch p.rnd.IntN(8) {
	case 0:
		return p.rnd.Uint64()
	case 1:
		return p.address()
	case 2:
		return p.entry()
	case 3:
		return p.frame()
	case 4:
		return p.frame()<<12 | p.rnd.Uint64N(512)*8 | p.rnd.Uint64N(4)
	case 5:
		return p.pick(xen.FLAT_RING3_CS64, xen.FLAT_RING3_SS64, 0xe02b, 0xe019, 0, 8, 0x10, 0xfff8, 7, 0x202, 0x3202, uint64(xen.DOMID_SELF))
	}
	return p.rnd.Uint64N(64)
}
