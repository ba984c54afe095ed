package main

import (
	"gozen/benches/guest/tiny"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// privileged lists beginnings of instructions that a PV kernel may not execute, or that the hypervisor executes for it.
var privileged = [][]byte{{0x0f, 0x00}, {0x0f, 0x01}, {0x0f, 0x01, 0xc1}, {0x0f, 0x01, 0xd9}, {0x0f, 0x01, 0xf8}, {0x0f, 0x06}, {0x0f, 0x09}, {0x0f, 0x20}, {0x0f, 0x21}, {0x0f, 0x22},
	{0x0f, 0x23}, {0x0f, 0x30}, {0x0f, 0x32}, {0x0f, 0xa2}, {0xcf}, {0x48, 0xcf}, {0x48, 0xcb}, {0x9d}, {0x8e}, {0xcd}, {0xe4}, {0xe6}, {0xec}, {0xef}, {0x6c}, {0x6f}, {0xf3, 0x6c}, {0xf3, 0x6e},
	{0xf4}, {0xfa}, {0xfb}, {0x0f, 0x05}, {0x0f, 0x07}, {0x0f, 0x34}, {0x0f, 0x0b}, {0x0f, 0x0b, 'x', 'e', 'n', 0x0f, 0xa2}, {0xcc}, {0xf1}, {0x0f, 0xae}, {0x0f, 0xc7}, {0xf0, 0x48, 0x0f, 0xb1},
	{0x0f, 0xb2}, {0x0f, 0xb4}, {0x48, 0xff}, {0x9b}, {0xdb, 0xe3}, {0x0f, 0x77}}

// action emits one attack. Those that mostly end the guest are rare, so that the others come to more.
func (p *program) action() {
	if p.rnd.IntN(40) == 0 {
		if p.rnd.IntN(2) == 0 {
			p.iret()
			return
		}
		p.MovI(asm.RAX, p.address()) // code anywhere
		p.Raw(0xff, 0xe0)
		return
	}
	switch p.rnd.IntN(14) {
	case 0, 1:
		p.mmuUpdate()
	case 2, 3:
		p.mmuExt()
	case 4:
		p.call(xen.HYPERVISOR_update_va_mapping, p.address(), p.entry(), p.pick(0, 1, 2, 3, 4, p.rnd.Uint64()))
	case 5:
		p.descriptors()
	case 6, 7: // plain writes, also to page tables and to what is not there
		p.MovI(asm.RBX, p.address())
		p.MovI(asm.RAX, p.word())
		p.Store(int(p.pick(1, 2, 4, 8)), asm.At(asm.RBX, 0), asm.RAX)
	case 8, 9:
		p.instruction()
	case 10:
		p.multicall()
	default:
		args := make([]uint64, 5)
		for i := range args {
			args[i] = p.word()
			if p.rnd.IntN(2) == 0 {
				args[i] = p.address()
			}
		}
		p.call(p.rnd.Uint64N(56), args...)
	}
}

// list gives the place of n words in the arena after writing them there.
func (p *program) list(words ...uint64) uint64 {
	at := tiny.PVBase + arenaAt + p.rnd.Uint64N((arenaN-0x400)/8)*8
	p.MovI(asm.RBX, at)
	for i, w := range words {
		p.MovI(asm.RAX, w)
		p.Store(8, asm.At(asm.RBX, int32(8*i)), asm.RAX)
	}
	return at
}

// count gives a count that is nearly always n.
func (p *program) count(n uint64) uint64 {
	if p.rnd.IntN(8) == 0 {
		return p.pick(0, n+1, 1<<31, ^uint64(0), 1<<63|n)
	}
	return n
}

func (p *program) domain() uint64 {
	return p.pick(uint64(xen.DOMID_SELF), uint64(xen.DOMID_SELF), uint64(xen.DOMID_SELF), 0, 1, 0x7ff1, p.rnd.Uint64())
}

func (p *program) mmuUpdate() {
	n := 1 + p.rnd.Uint64N(6)
	var words []uint64
	for range n {
		words = append(words, p.frame()<<12|p.rnd.Uint64N(512)*8|p.pick(0, 0, 0, 1, 2, 3), p.entry())
	}
	p.call(xen.HYPERVISOR_mmu_update, p.list(words...), p.count(n), p.pick(0, tiny.PVBase+arenaAt), p.domain())
}

func (p *program) mmuExt() {
	n := 1 + p.rnd.Uint64N(4)
	var words []uint64
	for range n {
		words = append(words, p.rnd.Uint64N(20), p.pick(p.frame(), p.word()), p.word()) // C: mmuext_op is three words
	}
	p.call(xen.HYPERVISOR_mmuext_op, p.list(words...), p.count(n), p.pick(0, tiny.PVBase+arenaAt), p.domain())
}

// iret returns with a frame that is wrong, or nearly right.
func (p *program) iret() {
	rip, cs, flags, rsp, ss := p.address(), uint64(xen.FLAT_RING3_CS64), p.pick(0x202, 0x3202, p.rnd.Uint64()), p.address(), uint64(xen.FLAT_RING3_SS64)
	if p.rnd.IntN(2) == 0 {
		cs, ss = p.word(), p.word()
	}
	for _, w := range []uint64{ss, rsp, flags, cs, rip, p.pick(0, 1<<8, p.rnd.Uint64()), p.word(), p.word(), p.word()} {
		p.MovI(asm.RAX, w)
		p.Push(asm.RAX)
	}
	if p.rnd.IntN(4) == 0 {
		p.MovI(asm.RSP, p.address())
	}
	p.MovI(asm.RAX, xen.HYPERVISOR_iret)
	p.Raw(0x0f, 0x05)
}

func (p *program) descriptors() {
	switch p.rnd.IntN(3) {
	case 0:
		p.call(xen.HYPERVISOR_set_gdt, p.list(p.frame(), p.frame()), p.count(1+p.rnd.Uint64N(1024)))
	case 1:
		p.call(xen.HYPERVISOR_update_descriptor, p.frame()<<12|p.rnd.Uint64N(512)*8, p.rnd.Uint64())
	case 2:
		p.MovI(asm.RAX, p.word())
		p.Raw(0x8e, byte(p.pick(0xc0, 0xd0, 0xd8, 0xe0, 0xe8))) // mov es, ss, ds, fs, gs
	}
}

func (p *program) instruction() {
	for _, r := range []asm.Reg{asm.RAX, asm.RCX, asm.RDX, asm.RDI, asm.RSI} {
		p.MovI(r, p.word())
	}
	p.Raw(privileged[p.rnd.IntN(len(privileged))]...)
	for range p.rnd.IntN(6) {
		p.Raw(byte(p.rnd.Uint32()))
	}
}

func (p *program) multicall() {
	n := 1 + p.rnd.Uint64N(4)
	var words []uint64
	for range n {
		words = append(words, p.rnd.Uint64N(56), 0)
		for range 6 {
			words = append(words, p.pick(p.word(), p.address()))
		}
	}
	p.call(xen.HYPERVISOR_multicall, p.list(words...), p.count(n))
}
