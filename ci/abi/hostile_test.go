package abi

import (
	"strings"
	"testing"
	"time"

	"gozen/benches/guest/abi"
	"gozen/hypervisor/x86/asm"
	"gozen/hypervisor/xen"
)

// healthy starts a domain that counts its own timer's events, and gives a function that wants it to go on.
func healthy(t *testing.T) (wellStill func()) {
	t.Helper()
	var up abi.Upcalls
	image := mustBuild(t, func(p *abi.Prog) {
		p.IDT()
		shared := p.Shared()
		up = p.Upcall2L(upcallVector, shared, shared, false)
		p.Callback(upcallVector)
		timer(p)
		p.Call(vcpuOp, xen.VCPUOP_set_periodic_timer, 0, p.Struct(&xen.VCPUSetPeriodicTimer{PeriodNS: 2 * ms}))
		p.Sti()
		p.Forever(func() { p.Hlt() })
	})
	g := start(t, image)
	return func() {
		t.Helper()
		from := g.u64(up.Count)
		for end := time.Now().Add(patience); g.u64(up.Count) < from+3; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the healthy domain does not go on")
			}
			select {
			case <-g.m.Done():
				t.Fatalf("the healthy domain ended: %+v", g.m.Reason())
			default:
			}
		}
	}
}

func mustBuild(t testing.TB, f func(p *abi.Prog)) []byte {
	t.Helper()
	image, err := abi.Build(abi.VMCALL, f)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// jump emits a jump to a constant address.
func jump(p *abi.Prog, to uint64) {
	p.MovI(asm.RAX, to)
	p.Raw(0xff, 0xe0)
}

// ringIndex writes an index in the page of a ring and notifies.
func ringIndex(p *abi.Prog, ring abi.Ring, index int32, v uint32) {
	p.At(ring)
	p.MovI(asm.RAX, uint64(v))
	p.Store(4, asm.At(asm.RBX, index), asm.RAX)
	p.Notify(ring.Port)
	p.Forever(func() { p.Call(schedOp, xen.SCHEDOP_yield, 0) })
}

// table loads a descriptor table with LGDT (2) or LIDT (3).
func descriptorTable(p *abi.Prog, ext asm.Reg, limit uint16, base uint64) {
	at := p.Words(2)
	p.Set(at, uint64(limit)|base<<16)
	p.Set(at+8, base>>48)
	p.RM(0, []byte{0x0f, 0x01}, ext, p.Mem(at))
}

// TestHostile_crash: guests that cannot go on, or break a protocol, are crashed with a reason and registers.
func TestHostile_crash(t *testing.T) {
	console := func(index int32, v uint32) func(p *abi.Prog) {
		return func(p *abi.Prog) { p.MapHigh(); ringIndex(p, p.ConsoleRing(), index, v) }
	}
	store := func(index int32, v uint32) func(p *abi.Prog) {
		return func(p *abi.Prog) { p.MapHigh(); ringIndex(p, p.StoreRing(), index, v) }
	}
	cr3 := func(v uint64) func(p *abi.Prog) {
		return func(p *abi.Prog) { p.MovI(asm.RAX, v); p.ToCR(3, asm.RAX); p.Raw(0x90) }
	}
	tests := []struct {
		name, text string
		registers  bool
		guest      func(p *abi.Prog)
	}{
		{"undefined instruction without IDT", "triple fault", true, func(p *abi.Prog) { p.Ud2() }},
		{"jump to an unmapped address", "triple fault", true, func(p *abi.Prog) { jump(p, 0x40000000) }},
		{"jump to a non-canonical address", "triple fault", true, func(p *abi.Prog) { jump(p, 1<<60) }},
		{"jump to a hole in memory", "", true, func(p *abi.Prog) { p.MapHigh(); jump(p, 0xfef00000) }},
		{"jump to the last bytes before a hole", "", true, func(p *abi.Prog) {
			const last = 0xfee00000 - 1
			p.MapHigh()
			jump(p, last)
		}},
		{"stack in a hole", "triple fault", true, func(p *abi.Prog) { p.MovI(asm.RSP, 0x50000000); p.Push(asm.RAX) }},
		{"stack of an exception in device memory", "triple fault", true, func(p *abi.Prog) {
			p.MapHigh()
			p.IDT()
			p.CountInterrupts(6, false)
			p.MovI(asm.RSP, 0xfef00000)
			p.Ud2()
		}},
		{"page tables in a hole", "triple fault", true, cr3(0xe0000000)},
		{"page tables beyond memory", "triple fault", true, cr3(1 << 44)},
		{"page tables of zeros", "triple fault", true, cr3(0x700000)},
		{"reserved bits of CR3", "triple fault", true, cr3(1<<52 | 0x180000)},
		{"reserved bits in an entry", "triple fault", true, func(p *abi.Prog) {
			p.Set(0x180000, 1<<51|0x181000|3)
			p.FromCR(asm.RAX, 3)
			p.ToCR(3, asm.RAX)
		}},
		{"IDT in a hole", "triple fault", true, func(p *abi.Prog) { descriptorTable(p, 3, 0xfff, 0xdeadbeef000); p.Ud2() }},
		{"IDT of ones", "triple fault", true, func(p *abi.Prog) {
			at := p.NewPage()
			p.SetBytes(at, []byte(strings.Repeat("\xff", 512)))
			descriptorTable(p, 3, 0xfff, at)
			p.Ud2()
		}},
		{"IDT too short", "triple fault", true, func(p *abi.Prog) { descriptorTable(p, 3, 5, 0x200000); p.Ud2() }},
		{"GDT gone under a gate", "triple fault", true, func(p *abi.Prog) {
			p.IDT()
			p.CountInterrupts(6, false)
			descriptorTable(p, 2, 0, 0)
			p.Ud2()
		}},
		{"stack of an interrupt from a TSS of nothing", "triple fault", true, func(p *abi.Prog) {
			p.IDT()
			p.CountInterrupts(6, false)
			for v := uint64(0); v < 32; v++ { // all by IST 1, and no TSS
				p.Load(4, asm.RAX, p.Mem(0x400000+6*16))
				p.Store(4, p.Mem(0x400000+v*16), asm.RAX)
				p.Load(4, asm.RAX, p.Mem(0x400000+6*16+4))
				p.OpI(asm.OR, 4, asm.RAX, 1)
				p.Store(4, p.Mem(0x400000+v*16+4), asm.RAX)
			}
			p.Ud2()
		}},
		{"LTR of a bad selector", "triple fault", true, func(p *abi.Prog) { p.MovI(asm.RAX, 0xfff8); p.Raw(0x0f, 0x00, 0xd8) }},
		{"CR0 without protection in long mode", "triple fault", true, func(p *abi.Prog) { p.MovI(asm.RAX, 1<<31); p.ToCR(0, asm.RAX) }},
		{"CR4 with reserved bits", "triple fault", true, func(p *abi.Prog) { p.MovI(asm.RAX, 1<<31|0x620); p.ToCR(4, asm.RAX) }},
		{"an unknown MSR", "triple fault", true, func(p *abi.Prog) { p.WriteMSR(0x12345678, 1) }},
		{"a hypercall page at an odd address", "triple fault", true, func(p *abi.Prog) { p.HypercallPage(0x200003) }},
		{"a hypercall page in a hole", "triple fault", true, func(p *abi.Prog) { p.HypercallPage(0xe0000000) }},
		{"memory under the code taken away", "", true, func(p *abi.Prog) {
			reserve(p, xen.XENMEM_decrease_reservation, 0, frames(p, 0x100), 1)
			p.Forever(func() { p.Raw(0x90) })
		}},
		{"page tables taken away", "", true, func(p *abi.Prog) {
			reserve(p, xen.XENMEM_decrease_reservation, 0, frames(p, 0x180), 1)
			p.FromCR(asm.RAX, 3)
			p.ToCR(3, asm.RAX)
			p.Forever(func() { p.Raw(0x90) })
		}},
		{"an impossible TSS for virtual 8086 mode", "VM86_TSS", false, func(p *abi.Prog) { p.SetParam(xen.HVM_PARAM_VM86_TSS, 1<<40) }},
		{"console ring: output producer", "console ring", false, console(xen.ConsoleOutProd, 0x80000000)},
		{"console ring: output consumer", "console ring", false, console(xen.ConsoleOutCons, 77777)},
		{"xenstore ring: request producer", "xenstore ring", false, store(xen.XenstoreReqProd, 5000)},
		{"xenstore ring: request consumer", "xenstore ring", false, store(xen.XenstoreReqCons, 5000)},
		{"xenstore ring: answer producer", "xenstore ring", false, store(xen.XenstoreRspProd, 5000)},
		{"xenstore ring: answer consumer", "xenstore ring", false, store(xen.XenstoreRspCons, 0xffff0000)},
		{"xenstore: a payload too long", "xenstore ring", false, func(p *abi.Prog) {
			p.MapHigh()
			m := abi.Message(xen.XS_WRITE, 1, 0, "x")
			m[13] = 0xff
			p.PutAt(p.StoreRing(), 0, m)
			p.Forever(func() { p.Call(schedOp, xen.SCHEDOP_yield, 0) })
		}},
	}
	well := healthy(t)
	for _, tc := range tests {
		for _, det := range []bool{false, true} {
			name := tc.name
			if det {
				name += "/deterministic"
			}
			t.Run(name, func(t *testing.T) {
				g := start(t, mustBuild(t, tc.guest), deterministic(det))
				g.crashes(tc.text)
				if d := g.m.Reason().Detail; tc.registers && !strings.Contains(d, "cr3 ") {
					t.Errorf("no registers: %q", d)
				}
				if log := string(g.log.Bytes(false)); strings.Contains(log, "internal error") {
					t.Error(log)
				}
			})
		}
	}
	well()
}

// flood makes hypercalls of one kind for ever.
func flood(nr uint64, args ...uint64) func(p *abi.Prog) {
	return func(p *abi.Prog) { p.Forever(func() { p.Call(nr, args...) }) }
}

// storeFlood sends the same requests again and again, with a number in each path that goes up, and takes all answers.
func storeFlood(typ uint32, tx bool, path, rest string) func(p *abi.Prog) {
	return func(p *abi.Prog) {
		p.MapHigh()
		ring := p.StoreRing()
		m := abi.Message(typ, 1, 0, path+"00000000"+rest)
		if tx {
			m = abi.Message(xen.XS_TRANSACTION_START, 1, 0, "\x00")
		}
		for len(m)%4 != 0 {
			m = append(m, 0)
		}
		m[12] = byte(len(m) - 16)
		src := p.Bytes(m)
		prod := p.Words(1)
		p.MovI(asm.R15, 0)
		p.Forever(func() {
			p.Inc(4, asm.R15)
			for i := uint64(0); i < 8 && !tx; i++ { // the number, in letters
				p.Mov(4, asm.RAX, asm.R15)
				p.Shr(4, asm.RAX, byte(4*i))
				p.OpI(asm.AND, 4, asm.RAX, 15)
				p.OpI(asm.OR, 4, asm.RAX, 0x60)
				p.Store(1, p.Mem(src+16+uint64(len(path))+i), asm.RAX)
			}
			l1, l2 := p.NewLabel(), p.NewLabel()
			p.Label(l1) // until there is room; all answers are taken unread
			p.At(ring)
			p.Load(4, asm.RAX, asm.At(asm.RBX, xen.XenstoreRspProd))
			p.Store(4, asm.At(asm.RBX, xen.XenstoreRspCons), asm.RAX)
			p.Load(4, asm.RAX, p.Mem(prod))
			p.OpLoad(asm.SUB, 4, asm.RAX, asm.At(asm.RBX, xen.XenstoreReqCons))
			p.OpI(asm.CMP, 4, asm.RAX, int32(1024-len(m)))
			p.Jcc(asm.BE, l2)
			p.Notify(ring.Port)
			p.Call(schedOp, xen.SCHEDOP_yield, 0)
			p.Jmp(l1)
			p.Label(l2)
			for i := 0; i < len(m); i += 4 {
				p.Load(4, asm.RAX, p.Mem(prod))
				p.OpI(asm.ADD, 4, asm.RAX, int32(i))
				p.OpI(asm.AND, 4, asm.RAX, 1023)
				p.Load(4, asm.RCX, p.Mem(src+uint64(i)))
				p.Store(4, asm.Idx(asm.RBX, asm.RAX, 1, xen.XenstoreReq), asm.RCX)
			}
			p.OpMI(asm.ADD, 4, p.Mem(prod), int32(len(m)))
			p.Load(4, asm.RAX, p.Mem(prod))
			p.Store(4, asm.At(asm.RBX, xen.XenstoreReqProd), asm.RAX)
		})
	}
}

// everything maps every linear address of the lower half to the same 2 MiB: tables that point at themselves.
func everything(p *abi.Prog) {
	const pml4 = 0x180000
	one, two := p.NewPage(), p.NewPage()
	p.Repeat(512, func() {
		p.MovI(asm.RCX, one)
		p.MovI(asm.RAX, 0x200000|0x83)
		p.Store(8, asm.Idx(asm.RCX, asm.R15, 8, 0), asm.RAX)
		p.MovI(asm.RCX, two)
		p.MovI(asm.RAX, one|3)
		p.Store(8, asm.Idx(asm.RCX, asm.R15, 8, 0), asm.RAX)
	})
	p.Repeat(255, func() {
		p.MovI(asm.RCX, pml4+8)
		p.MovI(asm.RAX, two|3)
		p.Store(8, asm.Idx(asm.RCX, asm.R15, 8, 0), asm.RAX)
	})
	p.FromCR(asm.RAX, 3)
	p.ToCR(3, asm.RAX)
}

// repForever executes a string instruction over all of that.
func repForever(insn ...byte) func(p *abi.Prog) {
	return func(p *abi.Prog) {
		everything(p)
		p.Forever(func() {
			p.MovI(asm.RCX, 1<<46)
			p.MovI(asm.RSI, 1<<39)
			p.MovI(asm.RDI, 1<<40)
			p.MovI(asm.RDX, 0x80)
			p.MovI(asm.RAX, 0)
			p.Raw(insn...)
		})
	}
}

// faultForever makes every exception lead to another one, without an instruction ever finishing: all gates name an interrupt stack, so that
// delivery itself works, and a handler that cannot be fetched.
func faultForever(p *abi.Prog) {
	p.IDT()
	tss, gdt := p.NewPage(), p.NewPage()
	p.Set(tss+0x24, 0x177000) // IST 1
	for i, d := range []uint64{0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0, 0, 0x0000890000000067 | tss&0xffffff<<16 | tss>>24&0xff<<56} {
		p.Set(gdt+8*uint64(i), d)
	}
	descriptorTable(p, 2, 0xff, gdt)
	p.MovI(asm.RAX, 0x30)
	p.Raw(0x0f, 0x00, 0xd8) // ltr
	const idt = 0x400000
	for v := uint64(0); v < 32; v++ {
		p.Set(idt+16*v, 0x00008e0100080000) // offset 0x7fff0000, unmapped
		p.Set32(idt+16*v+4, 0x7fff8e01)
	}
	p.Ud2()
}

func wrmsrAll(p *abi.Prog) {
	p.IDT()
	p.SkipFault(13, true, 2)
	for _, base := range []uint64{0, 0x800, 0x40000000, 0x4b564d00, 0xc0000000, 0xc0010000, 0xc0011000, 0xfffffff0} {
		for _, v := range []uint64{0, 1, ^uint64(0), 0x200000, 1 << 63} {
			p.Repeat(0x1100, func() {
				next := p.NewLabel()
				p.MovI(asm.RCX, base)
				p.Op(asm.ADD, 4, asm.RCX, asm.R15)
				for _, keep := range []uint64{0x1b, 0xc0000080, 0x830, 0xc0000082} { // those would end it: APIC base, EFER, ICR
					p.MovI(asm.RAX, keep)
					p.Op(asm.CMP, 4, asm.RAX, asm.RCX)
					p.Jcc(asm.E, next)
				}
				p.MovI(asm.RAX, v&0xffffffff)
				p.MovI(asm.RDX, v>>32)
				p.Wrmsr()
				p.Rdmsr()
				p.Label(next)
			})
		}
	}
}

// badCalls makes all hypercalls, with all operations, with arguments of all sorts.
func badCalls(p *abi.Prog) {
	// What would end the domain, block it, take its memory away or have it written from now on is left out.
	skip := map[uint64][]int32{vcpuOp: {xen.VCPUOP_down, xen.VCPUOP_send_nmi, xen.VCPUOP_register_runstate_memory_area,
		xen.VCPUOP_register_vcpu_info, xen.VCPUOP_register_vcpu_time_memory_area}, eventOp: {xen.EVTCHNOP_expand_array, xen.EVTCHNOP_init_control}, hvmOp: {xen.HVMOP_set_param},
		memoryOp: {xen.XENMEM_decrease_reservation}}
	for _, v := range []uint64{0, 1, 7, ^uint64(0), 0x200008, 1 << 47, 0xffffffff, 0xffffffffffffff00} {
		for nr := uint64(0); nr < 64; nr++ {
			if nr == schedOp || nr == xen.HYPERVISOR_multicall {
				continue
			}
			p.Repeat(40, func() {
				next := p.NewLabel()
				for _, op := range skip[nr] {
					p.OpI(asm.CMP, 4, asm.R15, op)
					p.Jcc(asm.E, next)
				}
				p.Mov(8, asm.RDI, asm.R15)
				for _, r := range []asm.Reg{asm.RSI, asm.RDX, asm.R10, asm.R8, asm.R9} {
					p.MovI(r, v)
				}
				p.Enter(nr)
				p.Label(next)
			})
		}
	}
}

// TestHostile_through: guests that touch everything there is come to their own end.
func TestHostile_through(t *testing.T) {
	well := healthy(t)
	tests := []struct {
		name  string
		guest func(p *abi.Prog)
	}{
		{"all MSRs", wrmsrAll},
		{"reads of all ports", func(p *abi.Prog) {
			p.Repeat(0x10000, func() {
				p.Mov(4, asm.RDX, asm.R15)
				p.Raw(0xec, 0x66, 0xed, 0xed)
			})
		}},
		{"writes to all ports but those that end the machine", func(p *abi.Prog) {
			p.Repeat(0x10000, func() {
				next := p.NewLabel()
				p.Mov(4, asm.RDX, asm.R15)
				for _, keep := range []int32{0xb004, 0xb003, 0xb002, 0xb001, 0x64, 0x63, 0x62, 0x61, 0xcf9, 0xcf8, 0xcf7, 0xcf6} {
					p.OpI(asm.CMP, 4, asm.RDX, keep)
					p.Jcc(asm.E, next)
				}
				p.MovI(asm.RAX, 0x55aa55aa)
				p.Raw(0xee, 0x66, 0xef, 0xef)
				p.Label(next)
			})
		}},
		{"a hole read and written in all sizes", func(p *abi.Prog) {
			p.MapHigh()
			p.MovI(asm.RBX, 0xfee01000)
			p.Repeat(2000, func() {
				for _, n := range []int{1, 2, 4, 8} {
					p.Load(n, asm.RAX, asm.At(asm.RBX, 0))
					p.Store(n, asm.At(asm.RBX, 1), asm.RAX)
				}
				p.OpStore(asm.ADD, 8, asm.At(asm.RBX, 3), asm.RAX)
				p.Raw(0x0f, 0x10, 0x03, 0x0f, 0x11, 0x43, 0x05) // movups
				p.Raw(0xf0, 0x0f, 0xc7, 0x0b)                   // lock cmpxchg8b
				p.OpI(asm.ADD, 8, asm.RBX, 0x70-1)
			})
		}},
		{"the local APIC's page in all sizes", func(p *abi.Prog) {
			p.MapHigh()
			p.MovI(asm.RBX, 0xfee00000)
			p.Repeat(0x2f0, func() {
				for _, n := range []int{1, 2, 4, 8} {
					p.Load(n, asm.RAX, asm.At(asm.RBX, 0))
					p.Store(n, asm.At(asm.RBX, 0), asm.RAX)
				}
				p.Inc(8, asm.RBX)
			})
		}},
		{"hypercalls of all numbers with bad arguments", badCalls},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			g := start(t, mustBuild(t, tc.guest))
			g.powersOff()
			if log := string(g.log.Bytes(false)); strings.Contains(log, "internal error") {
				t.Error(log)
			}
		})
	}
	well()
}

// TestHostile_endless: guests that keep the hypervisor busy can be paused, and destroyed, and their neighbour does not notice.
func TestHostile_endless(t *testing.T) {
	const huge = ^uint64(0) >> 6 & 0x3ffffff
	tests := []struct {
		name  string
		opts  []option
		guest func(p *abi.Prog)
	}{
		{"a loop", nil, func(p *abi.Prog) { p.Forever(func() {}) }},
		{"a halt that nothing ends", nil, func(p *abi.Prog) { p.Sti(); p.Forever(func() { p.Hlt() }) }},
		{"exceptions for ever", nil, faultForever},
		{"REP LODS over 64 TiB", nil, repForever(0xf3, 0xac)},
		{"REP SCAS over 64 TiB", nil, repForever(0xf3, 0xae)},
		{"REP CMPS over 64 TiB", nil, repForever(0xf3, 0xa6)},
		{"REP STOS over 64 TiB", nil, repForever(0xf3, 0xaa)},
		{"REP MOVS over 64 TiB", nil, repForever(0xf3, 0xa4)},
		{"REP OUTS over 64 TiB", nil, repForever(0xf3, 0x6e)},
		{"REP INS over 64 TiB", nil, repForever(0xf3, 0x6c)},
		{"multicalls without end", nil, func(p *abi.Prog) {
			everything(p)
			flood(xen.HYPERVISOR_multicall, 1<<40, 0xffffffff)(p)
		}},
		{"multicalls of long extents", nil, func(p *abi.Prog) {
			arg := p.Struct(&xen.MemoryReservation{ExtentStart: 1 << 40, NrExtents: huge, DomID: self})
			e := entries(p, xen.MulticallEntry{Op: memoryOp, Args: [6]uint64{xen.XENMEM_populate_physmap, arg}})
			everything(p)
			p.Forever(func() { p.Call(xen.HYPERVISOR_multicall, e, 1) })
		}},
		{"extents without end", nil, func(p *abi.Prog) {
			arg := p.Struct(&xen.MemoryReservation{ExtentStart: 1 << 40, NrExtents: huge, DomID: self})
			everything(p)
			flood(memoryOp, xen.XENMEM_populate_physmap, arg)(p)
		}},
		{"large extents", nil, func(p *abi.Prog) {
			list := frames(p, 0x1000, 0x200000, 0x1000)
			for _, op := range []uint64{xen.XENMEM_populate_physmap, xen.XENMEM_decrease_reservation} {
				reserve(p, op, 9, list, 3)
			}
			arg := p.Struct(&xen.MemoryReservation{ExtentStart: list, NrExtents: 3, ExtentOrder: 9, DomID: self})
			p.Forever(func() {
				p.Call(memoryOp, xen.XENMEM_populate_physmap, arg)
				p.Call(memoryOp, xen.XENMEM_decrease_reservation, arg)
			})
		}},
		{"pages outside RAM without end", nil, func(p *abi.Prog) {
			list := frames(p, 0)
			arg := p.Struct(&xen.MemoryReservation{ExtentStart: list, NrExtents: 1, DomID: self})
			p.MovI(asm.R14, 0x200000)
			p.Forever(func() {
				p.Store(8, p.Mem(list), asm.R14)
				p.OpI(asm.ADD, 8, asm.R14, 0x201)
				p.Call(memoryOp, xen.XENMEM_decrease_reservation, arg)
				p.Call(memoryOp, xen.XENMEM_populate_physmap, arg)
				p.Call(memoryOp, xen.XENMEM_decrease_reservation, arg)
			})
		}},
		{"grant copies without end", nil, func(p *abi.Prog) {
			everything(p)
			flood(grantOp, xen.GNTTABOP_copy, 1<<40, 0x7fffffff)(p)
		}},
		{"grant maps without end", nil, func(p *abi.Prog) {
			dom := ownDomid(p)
			gt, _ := table(p)
			p.Copy(2, gt+74, dom)
			p.Set32(gt+76, 0x300)
			p.MovI(asm.RAX, xen.GTF_permit_access)
			p.Store(2, p.Mem(gt+72), asm.RAX)
			m := p.Struct(&xen.GnttabMapGrantRef{HostAddr: 0x500000, Flags: xen.GNTMAP_host_map, Ref: 9})
			p.Copy(2, m+16, dom)
			p.Forever(func() { p.Call(grantOp, xen.GNTTABOP_map_grant_ref, m, 1); p.OpMI(asm.ADD, 4, p.Mem(m), 0x1000) })
		}},
		{"console writes without end", nil, func(p *abi.Prog) {
			everything(p)
			flood(xen.HYPERVISOR_console_io, xen.CONSOLEIO_write, 0xffffffff, 1<<40)(p)
		}},
		{"event channels without end", nil, func(p *abi.Prog) {
			a := p.Struct(&xen.EvtchnAllocUnbound{Dom: self, RemoteDom: self})
			p.Forever(func() {
				p.Call(eventOp, xen.EVTCHNOP_alloc_unbound, a)
				p.Call(eventOp, xen.EVTCHNOP_send, a+4)
			})
		}},
		{"resets of many channels", nil, func(p *abi.Prog) {
			a := p.Struct(&xen.EvtchnAllocUnbound{Dom: self, RemoteDom: self})
			r := p.Struct(&xen.EvtchnReset{Dom: self})
			p.Forever(func() {
				p.Repeat(500, func() { p.Call(eventOp, xen.EVTCHNOP_alloc_unbound, a) })
				p.Call(eventOp, xen.EVTCHNOP_reset, r)
			})
		}},
		{"events to itself that it never takes", nil, func(p *abi.Prog) {
			p.IDT()
			p.CountInterrupts(upcallVector, false)
			p.Shared()
			p.Callback(upcallVector)
			_, b := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
			p.Sti()
			p.Forever(func() { p.Call(eventOp, xen.EVTCHNOP_send, b+4) })
		}},
		{"FIFO words rewritten by another vCPU", []option{vcpus(2)}, func(p *abi.Prog) {
			p.IDT()
			shared := p.Shared()
			f := fifoEvents(p, upcallVector, shared, false)
			_, b := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
			_, c := p.Event(xen.EVTCHNOP_bind_ipi, &xen.EvtchnBindIPI{})
			ap := p.OnAP(func() {
				p.Forever(func() {
					for i := uint64(0); i < 8; i++ {
						p.Set32(f.array+4*i, uint32(0x20000003+i))
						p.Set32(f.control+8+4*i, 0x1ffff)
					}
				})
			})
			p.Initialise(ap)
			p.Forever(func() { send(p, b+4); send(p, c+4) })
		}},
		{"IPIs, NMIs and INITs among vCPUs", []option{vcpus(3)}, func(p *abi.Prog) {
			p.IDT()
			p.CountInterrupts(2, false)
			p.X2APIC()
			p.Forever(func() {
				for _, icr := range []uint64{0xc4400, 0xc4500, 0xc4608, 0xc4060, 0x84060, 0x44061} {
					p.WriteMSR(0x830, icr)
				}
			})
		}},
		{"timers of a nanosecond", nil, func(p *abi.Prog) {
			p.IDT()
			p.CountInterrupts(0x40, true)
			p.X2APIC()
			p.WriteMSR(0x832, 0x20040)
			p.WriteMSR(0x83e, 0xb)
			p.WriteMSR(0x838, 1)
			timer(p)
			one := p.Struct(&xen.VCPUSetSingleshotTimer{TimeoutAbsNS: 1})
			p.Forever(func() {
				p.Call(vcpuOp, xen.VCPUOP_set_singleshot_timer, 0, one)
				p.Sti()
				p.Hlt()
			})
		}},
		{"xenstore nodes without end", nil, storeFlood(xen.XS_WRITE, false, "data/", "\x00value")},
		{"xenstore nodes in depth", nil, storeFlood(xen.XS_MKDIR, false, "data/a/b/c/d/e/f/g/", "/x\x00")},
		{"xenstore watches without end", nil, storeFlood(xen.XS_WATCH, false, "", "\x00token\x00")},
		{"xenstore transactions without end", nil, storeFlood(xen.XS_TRANSACTION_START, true, "", "")},
		{"xenstore requests of an unknown type", nil, storeFlood(99, false, "x", "\x00")},
		{"console output without end", nil, func(p *abi.Prog) {
			p.MapHigh()
			ring := p.ConsoleRing()
			p.Forever(func() {
				p.At(ring)
				p.Load(4, asm.RAX, asm.At(asm.RBX, xen.ConsoleOutCons))
				p.OpI(asm.ADD, 4, asm.RAX, 2048)
				p.Store(4, asm.At(asm.RBX, xen.ConsoleOutProd), asm.RAX)
				p.Notify(ring.Port)
			})
		}},
		{"code that writes itself", nil, func(p *abi.Prog) {
			at := p.NewLabel()
			p.MovLabel(asm.RBX, at)
			p.Forever(func() {
				p.OpMI(asm.ADD, 4, asm.At(asm.RBX, 1), 1)
				p.Label(at)
				p.MovI(asm.RAX, 0x11223344)
			})
		}},
		{"shared info moved about", nil, func(p *abi.Prog) {
			a := p.Struct(&xen.AddToPhysmap{DomID: self, Space: xen.XENMAPSPACE_shared_info, GPFN: 0x600})
			p.Forever(func() {
				p.Call(memoryOp, xen.XENMEM_add_to_physmap, a)
				p.OpMI(asm.XOR, 4, p.Mem(a+16), 0x1ff)
			})
		}},
	}
	well := healthy(t)
	for _, tc := range tests {
		for _, det := range []bool{false, true} {
			name := tc.name
			if det {
				name += "/deterministic"
			}
			t.Run(name, func(t *testing.T) {
				g := start(t, mustBuild(t, tc.guest), append([]option{deterministic(det)}, tc.opts...)...)
				time.Sleep(50 * time.Millisecond)
				g.alive()
				if err := g.m.Pause(); err != nil {
					t.Error(err)
				}
				g.stands()
				if err := g.m.Unpause(); err != nil {
					t.Error(err)
				}
				time.Sleep(5 * time.Millisecond)
				g.alive()
				g.m.Info()
				g.m.Stats()
				g.m.Destroy()
				g.wait()
				if log := string(g.log.Bytes(false)); strings.Contains(log, "internal error") {
					t.Error(log)
				}
			})
		}
	}
	well()
}

// alive wants the domain not to have ended.
func (g *guest) alive() {
	g.t.Helper()
	select {
	case <-g.m.Done():
		g.t.Fatalf("the domain ended: %+v", g.m.Reason())
	default:
	}
}

// stands wants the vCPUs of a paused domain to stand still.
func (g *guest) stands() {
	g.t.Helper()
	stat := func() (n uint64) {
		for _, c := range g.m.Stats().Exits {
			n += c.Count
		}
		for _, v := range g.m.Info().VCPUs {
			n += v.Instructions
		}
		return
	}
	n := stat()
	time.Sleep(10 * time.Millisecond)
	if m := stat(); m != n {
		g.t.Errorf("a paused domain goes on: %d, then %d", n, m)
	}
}
